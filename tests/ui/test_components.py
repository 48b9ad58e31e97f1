"""Every component with hostile text in every place that takes text."""

import re
import time
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from assay.ui import shell
from assay.wire.messages import (
    AudioPart,
    FilePart,
    ImagePart,
    Message,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCall,
)
from assay.wire.verdicts import Interval, Outcome, Verdict

ENVIRONMENT = shell.environment([])
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "a\u202egnp.exe\u2066\x00\x1b[31m",
    "</pre></textarea></title><script>",
]
CALLS = """
{{ ui.badge(x) }} {{ ui.badge("ok", text=x, title=x) }} {{ ui.kind(x) }} {{ ui.chip(x) }} {{ ui.chip(x, href=x) }}
{% call ui.stats() %}{{ ui.stat(x, x, note=x, href=x, unit=x) }}{% endcall %}
{{ ui.keyvalues([(x, x)]) }} {{ ui.progress(1, 2, x) }} {{ ui.meter(0.5) }}
{% call ui.table([x, (x, "num", x, "ascending")], x) %}<tr><td>{{ x }}</td></tr>{% endcall %}
{{ ui.pager(x, shown=3) }} {{ ui.tabs([(x, x, true, 3)]) }} {{ ui.crumbs([(x, x)]) }}
{{ ui.empty(x, x, command=x, href=x, action=x) }} {% call ui.panel(x, aside=x) %}{{ x }}{% endcall %}
{{ ui.code(x, label=x) }} {{ ui.json({"k": x}) }} {{ ui.bubble(x, x, name=x, note=x) }} {{ ui.message(message, note=x) }}
{{ ui.tool_call(x, x, x) }} {{ ui.flash(x, hint=x) }} {{ ui.verdict(verdict, href=x, title=x) }}
{% call ui.waterfall(100, label=x) %}{{ ui.waterfall_row(x, x, 0, 10, 100, depth=40, href=x, status=x, note=x) }}{% endcall %}
{% call ui.form(x) %}{{ ui.field("a", x, value=x, placeholder=x, help=x, error=x) }}{{ ui.select("b", x, [(x, x)], value=x) }}
{{ ui.textarea("c", x, value=x) }}{{ ui.checkbox("d", x, value=x, help=x) }}{{ ui.button(x, name="n", value=x) }}{% endcall %}
{% call ui.filters(x, clear=x) %}{% endcall %} {{ ui.confirm(x, x, x, yes=x, fields={"f": x}) }} {% call ui.poll("p", x) %}{{ x }}{% endcall %}
"""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style", "iframe", "object", "base"):
            self.found.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in ("style", "autofocus"):
                self.found.append(f"{tag}[{name}]")
            if (
                name in ("href", "src", "action", "hx-get")
                and value
                and not re.match(r"[/#?]|https?://|data:image/", value)
            ):
                self.found.append(f"{tag}[{name}={value}]")
            if name in ("href", "action") and value and value.startswith("//"):
                self.found.append(f"{tag}[{name}={value}]")


def render(source: str, **names: Any) -> str:
    template = ENVIRONMENT.from_string('{% import "components.html" as ui with context %}' + source)
    return template.render(
        csrf_token="token", here=lambda **changes: shell.here("/x", "a=1", **changes), **names
    )


def _message(text: str) -> Message:
    parts = (
        TextPart(text),
        RefusalPart(text),
        ReasoningPart(text),
        ImagePart(text),
        AudioPart("AAAA", text),
        FilePart(filename=text),
        OpaquePart(text, msgspec.Raw(msgspec.json.encode({"x": text}))),
    )
    return Message(
        role="assistant", name=text, parts=parts, tool_calls=(ToolCall(text, text, text),), tool_call_id=text
    )


def _verdict(text: str, outcome: Outcome = Outcome.INCONCLUSIVE) -> Verdict:
    return Verdict(
        question=text, metric=text, outcome=outcome, estimate=0.1, interval=Interval(-0.1, 0.3), level=0.95, method=text,
        n=10, n_errors=1, p_value=0.2, mde=0.2, margin=0.05, assumptions=(text,), baseline=0.4, candidate=0.5, note=text,
    )  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_no_component_lets_hostile_text_become_markup(text: str) -> None:
    page = render(CALLS, x=text, message=_message(text), verdict=_verdict(text))
    reader = _Reader()
    reader.feed(page)
    assert reader.found == []
    assert "49" not in re.findall(r">(\d+)<", page)


def test_hidden_controls_in_a_message_are_shown() -> None:
    page = render("{{ ui.message(message) }}", message=_message("a\u202eb"))
    assert "\u202e" not in page
    assert "U+202E" in page


def test_a_megabyte_of_text_is_clipped_quickly() -> None:
    began = time.perf_counter()
    page = render("{{ ui.bubble('user', x) }}{{ ui.code(x) }}", x="<&\u202e" * 350_000)
    assert len(page) < 10_000_000
    assert "more characters" in page
    assert time.perf_counter() - began < 5


def test_an_image_from_elsewhere_is_named_and_not_fetched() -> None:
    page = render(
        "{{ ui.message(m) }}", m=Message(role="user", parts=(ImagePart("https://evil.example/pixel.png"),))
    )
    assert "<img" not in page
    assert "https://evil.example/pixel.png" in page


def test_a_tool_that_failed_is_marked() -> None:
    said = Message(role="tool", tool_call_id="call-1", parts=(TextPart("no such city"),))
    assert "failed" not in render("{{ ui.message(m) }}", m=said)
    assert "failed" in render("{{ ui.message(m) }}", m=msgspec.structs.replace(said, is_error=True))


def test_forms_that_change_something_carry_the_token() -> None:
    page = render(
        "{{ ui.confirm('/x', 'Delete', 'Sure?', fields={'id': '1'}) }}{% call ui.form('/y') %}{% endcall %}"
    )
    assert page.count('name="csrf_token" value="token"') == page.count('method="post"') == 2


def test_a_confirm_takes_further_fields() -> None:
    page = render("{% call ui.confirm('/x', 'Delete', 'Sure?') %}<b>more</b>{% endcall %}")
    assert "<b>more</b>" in page


def test_the_pager_keeps_the_filters() -> None:
    assert 'href="/x?a=1&amp;cursor=next"' in render("{{ ui.pager('next') }}")
    assert "<nav" not in render("{{ ui.pager(none, first=true) }}")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_verdict_shows_its_outcome_by_a_word_and_a_sign(outcome: Outcome) -> None:
    page = render("{{ ui.verdict(v) }}", v=_verdict("m", outcome))
    assert f"</span>{outcome}</span>" in page
    assert f"tone-{outcome}" in page


def test_bars_stay_inside_their_frame() -> None:
    page = render(
        "{{ ui.waterfall_row('n', 'model', 5000, 9000, 100) }}{{ ui.waterfall_row('n', 'model', -5, 0, 0) }}"
    )
    places = [float(x) for x in re.findall(r'<rect class="fill-model" x="([\d.]+)"', page)]
    assert places == [998, 0]


def test_polling_ends_when_the_work_does() -> None:
    assert 'hx-trigger="every 2s"' in render("{% call ui.poll('p', '/x') %}{% endcall %}")
    assert "hx-" not in render("{% call ui.poll('p', '/x', active=false) %}{% endcall %}")
