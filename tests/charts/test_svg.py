"""The writer escapes everything and refuses what the pages' security policy would block."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from assay.charts.svg import coordinate, element, fitted, group, picture, text


@given(st.text(), st.text())
def test_any_text_survives_as_text_and_nothing_else(label: str, hover: str) -> None:
    drawn = picture(
        group(text(label, 1, 2, class_="chart-label"), hover=hover),
        width=10, height=10, title=label, description=hover, kind="test",
    )  # fmt: skip
    root = ElementTree.fromstring(drawn)
    assert {node.tag.rpartition("}")[2] for node in root.iter()} <= {"svg", "title", "desc", "g", "text"}
    assert root.get("role") == "img"


def test_hostile_labels_are_neither_markup_nor_invisible() -> None:
    drawn = text('<script>"&\u202e\x00', 0, 0, class_='a" onload="x').render()
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    assert "\x00" not in drawn
    assert set(ElementTree.fromstring(drawn).keys()) == {"x", "y", "class"}


@pytest.mark.parametrize("name", ["style", "onclick", "href", "ONLOAD", "style_"])
def test_style_script_and_links_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="may not carry"):
        element("rect", **{name: "x"})


def test_numbers_are_short_and_must_be_finite() -> None:
    assert [coordinate(v) for v in (1.0, 0.005, -0.001, 12.3456, 1e6)] == [
        "1",
        "0.01",
        "0",
        "12.35",
        "1000000",
    ]
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no place"):
            coordinate(wrong)


def test_templates_take_a_picture_as_it_is() -> None:
    drawn = picture(width=1, height=1, title="t", description="d", kind="x")
    assert Environment(autoescape=True).from_string("{{ drawn }}").render(drawn=drawn) == drawn


def test_long_text_is_cut_to_its_room() -> None:
    assert fitted("short", 200, size=12) == "short"
    cut = fitted("a very long name of a metric", 80, size=12)
    assert cut.endswith("…")
    assert len(cut) < 16
