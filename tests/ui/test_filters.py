from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from assay.testing import FakeClock
from assay.ui import filters


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.4213, "0.42 ms"),
        (12.34, "12.3 ms"),
        (380, "380 ms"),
        (999.6, "1.00 s"),
        (4213, "4.21 s"),
        (59_990, "1 min 00 s"),
        (185_000, "3 min 05 s"),
        (7_800_000, "2 h 10 min"),
        (100_000_000, "1 d 3 h"),
        (-12.34, "−12.3 ms"),
    ],
)
def test_a_duration_reads_in_the_unit_that_fits(value: float | None, text: str) -> None:
    assert filters.duration_ms(value).replace(filters.NARROW, " ") == text


def test_figures_are_grouped_and_unknown_is_never_zero() -> None:
    assert filters.integer(1_234_567) == "1\u202f234\u202f567"
    assert filters.integer(-1234) == "−1\u202f234"
    assert (
        filters.integer(None)
        == filters.percent(None)
        == filters.number(None)
        == filters.size_bytes(None)
        == "–"
    )
    assert filters.percent(0.1234) == "12.3\u202f%"
    assert filters.number(0.000123456) == "0.000123"
    assert filters.number(1234.5) == "1\u202f234" or filters.number(1234.5) == "1\u202f235"
    assert filters.size_bytes(1536) == "1.5\u202fKiB"
    assert filters.usd(None) == "unknown"
    assert filters.usd(Decimal("0.0000123")) == "$0.000012"


@pytest.mark.parametrize(
    ("seconds", "phrase"),
    [
        (1, "just now"),
        (40, "40 s ago"),
        (150, "2 min ago"),
        (7200, "2 h ago"),
        (400_000, "5 days ago"),
        (-90, "in 2 min"),
    ],
)
def test_a_moment_reads_relative_to_now_and_keeps_its_exact_time(seconds: int, phrase: str) -> None:
    clock = FakeClock()
    shown = filters.ago(clock.now_ns() - seconds * 1_000_000_000, clock=clock)
    assert f">{phrase}</time>" in shown.replace(filters.NARROW, " ")
    assert 'datetime="' in shown


@given(st.text())
def test_visible_text_carries_no_markup_and_no_hidden_controls(text: str) -> None:
    shown = filters.visible(text)
    bare = shown
    for character in "\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069\u200b\x00\x1b":
        assert character not in bare
    without_marks = bare.replace('<span class="control" title="', "").replace("</span>", "")
    assert "<" not in without_marks


def test_a_bidi_override_is_shown_by_name() -> None:
    assert filters.visible("a\u202eb") == Markup(
        'a<span class="control" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>b'
    )
    assert filters.visible("שלום\tx\n") == "שלום\tx\n"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "//evil.example",
        "/\\evil.example",
        "data:text/html,x",
        " javascript:x",
        "\tjavascript:x",
        "/\tx",
        "",
        None,
    ],
)
def test_a_link_that_leads_astray_is_cut(url: str | None) -> None:
    assert filters.href(url) == "#"


@pytest.mark.parametrize("url", ["/traces?x=1", "?cursor=a", "#top", "https://example.org/a"])
def test_an_ordinary_link_stays(url: str) -> None:
    assert filters.href(url) == url


def test_only_raster_images_that_came_with_the_page_are_pictures() -> None:
    assert filters.picture("data:image/png;base64,iVBORw0=") is not None
    assert filters.picture("data:image/svg+xml;base64,AAAA") is None
    assert filters.picture("https://evil.example/pixel.png") is None


def test_json_in_any_form_is_indented_and_broken_json_comes_back() -> None:
    assert (
        filters.json_text(b'{"a":1}')
        == filters.json_text({"a": 1})
        == filters.json_text(msgspec.Raw(b'{"a":1}'))
        == '{\n  "a": 1\n}'
    )
    assert filters.json_text('{"a":') == '{"a":'


def test_a_long_text_is_clipped_and_the_rest_counted() -> None:
    assert filters.clip("x" * 30, 10) == "xxxxxxxxxx… [20 more characters]"
    assert filters.clip("x" * 10, 10) == "x" * 10
