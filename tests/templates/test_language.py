"""The template language: what it can say, and that nothing gets out of it or runs away in it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import AssayError, BadRequest, TooLarge
from assay.templates.language import MAX_OUTPUT_CHARS, CompiledTemplate

DOCUMENTS = [{"title": "a", "n": 2}, {"title": "b", "n": 3}]


def rendered(template: str, /, **inputs: object) -> str:
    return CompiledTemplate(template).render(inputs)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Correct this:\n\n{{ text }}\n", "Correct this:\n\nShe no went.\n"),
        (
            "{% for d in docs %}{{ loop.index }}/{{ loop.length }} {{ d.title | upper }};{% endfor %}",
            "1/2 A;2/2 B;",
        ),
        (
            "{{ docs | map(attribute='title') | join(', ') }} {{ docs | sum_of_n if false else 1 + 2 * 3 }}",
            None,
        ),
        ("{{ docs[0] }} {{ none }} {{ true }} {{ 1.5 }}", '{"title": "a", "n": 2} null true 1.5'),
        ("{% for key, value in docs[1] | items %}{{ key }}={{ value }} {% endfor %}", "title=b n=3 "),
        ("{{ tone | default('plain') }}{% if tone is defined %}!{% endif %}", "plain"),
        ("{% set q = text ~ '/' ~ 2 %}{{ q | replace('no ', '') }}", "She went./2"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}{{ 7 // 2 }}{{ 7 % 2 }}", "01231"),
        ("{% raw %}{{ literal }}{% endraw %}{# gone #}<b>", "{{ literal }}<b>"),
    ],
)
def test_templates_say_what_prompts_need(template: str, expected: str | None) -> None:
    if expected is None:
        with pytest.raises(BadRequest, match="the filter 'sum_of_n'"):
            CompiledTemplate(template)
        return
    assert rendered(template, text="She no went.", docs=DOCUMENTS) == expected


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ x['__class__'] }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].popen('id').read() }}",
        "{{ lipsum }}",
        "{{ self }}",
        "{{ self._TemplateReference__context }}",
        "{{ range }}",
        "{{ range.__class__ }}",
        "{{ [range] | map(attribute='__self__') | list }}",
        "{{ x | attr('__class__') }}",
        "{{ x | map('attr', '__class__') | list }}",
        "{{ [x] | map(attribute='__class__.__mro__') | list }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ '{0.__class__}' | format(x) }}",
        "{{ '%s' | format(x) }}",
        "{{ x.items() }}",
        "{{ x.keys }}",
        "{{ namespace(a=1) }}",
        "{{ dict(a=1) }}",
        "{{ joiner() }}",
        "{% macro m() %}{{ caller() }}{% endmacro %}",
        "{% import 'x' as y %}",
        "{% include '/etc/passwd' %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% filter upper %}{% endfilter %}",
        "{% for a in [[1]] recursive %}{{ loop(a) }}{% endfor %}",
        "{% for a in [1] %}{{ loop.cycle }}{% endfor %}",
        "{% for a in [1] %}{{ loop }}{% endfor %}",
        "{% set ns.x = 1 %}",
        "{{ request.application }}",
        "{{ config }}",
    ],
)
def test_attacks_reach_nothing(attack: str) -> None:
    with pytest.raises(BadRequest):
        rendered(attack, x={"a": 1})


@pytest.mark.parametrize(
    "bomb",
    [
        "{{ 'a' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{% for a in range(100000000) %}x{% endfor %}",
        "{% for a in range(999) %}" * 3 + "{% endfor %}" * 3,
        "{% for a in range(999) %}{% for b in range(900) %}" + "x" * 1000 + "{% endfor %}{% endfor %}",
        "{% set x = 'aaaaaaaa' %}" + "{% set x = x ~ x %}" * 60 + "{{ x }}",
        "{% set x = 'aaaaaaaa' %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x | tojson }}",
        "{% set x = [1] %}" + "{% set x = [x, x] %}" * 60 + "{{ x == x }}",
        "{% set x = [1] %}" + "{% set x = x + x %}" * 60 + "{{ x }}",
        "{% set x = 'a' %}" + "{% set x = [x, x] | join(x) %}" * 60 + "{{ x }}",
        "{% set x = 'aa' %}" + "{% set x = x | replace('a', x) %}" * 10 + "{{ x }}",
        "{% set x %}{{ y }}{{ y }}{% endset %}",
        "{{ 'a\na' | indent(1000000000) }}",
        "{{ [1] | tojson(indent=1000000000) }}",
        "{% set x = 3 %}" + "{% set x = x * x %}" * 60 + "{{ x }}",
        "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
        "{% if x %}" * 300 + "{% endif %}" * 300,
        "{{ x }}" * 10_000,
        "x" * 300_000,
        "{% for a in big %}{% for b in big %}{% if a in text %}{% endif %}{% endfor %}{% endfor %}",
    ],
)
def test_bombs_are_refused_in_less_than_two_seconds(bomb: str) -> None:
    began = time.process_time()
    with pytest.raises((BadRequest, TooLarge)):
        rendered(bomb, x=1, y="z", big=["q"] * 2000, text="a" * 1_000_000)
    assert time.process_time() - began < 2


def test_a_missing_input_is_named_with_those_there_are() -> None:
    with pytest.raises(BadRequest) as caught:
        rendered("{{ greeting }} {{ text }}", greeting="hi", txt="typo")
    assert "'text'" in caught.value.message
    assert caught.value.param == "inputs.text"
    assert caught.value.hint == "Inputs given: greeting, txt. The template reads: greeting, text."


def test_a_missing_field_of_an_input_is_named() -> None:
    with pytest.raises(BadRequest, match="an object has no 'titel'"):
        rendered("{{ d.titel }}", d={"title": "a"})


def test_an_error_of_syntax_names_its_line() -> None:
    with pytest.raises(BadRequest, match="line 3"):
        CompiledTemplate("one\ntwo\n{{ three")


def test_inputs_come_in_order_and_optional_ones_are_known() -> None:
    template = CompiledTemplate(
        "{{ b }}{{ a }}{% if c is defined %}{{ c }}{% endif %}{{ d | default('') }}{% set e = 1 %}{{ e }}"
    )
    assert template.inputs == ("b", "a", "c", "d")
    assert template.optional == {"c", "d"}


def test_an_output_beyond_the_budget_is_refused() -> None:
    with pytest.raises(TooLarge, match="characters"):
        rendered("{{ x }}{{ x }}", x="a" * (MAX_OUTPUT_CHARS // 2 + 1))


@given(st.text())
def test_text_prints_as_it_is(text: str) -> None:
    assert rendered("{{ x }}", x=text) == text


@given(st.text(alphabet="{}%#()[]|.'~+-*/ abxif\n_01", max_size=60))
def test_no_template_does_more_than_render_or_be_refused(text: str) -> None:
    try:
        rendered(text, a=[1, "x"], b={"a": 1}, x="y")
    except AssayError as error:
        refused: int | None = error.status
    else:
        refused = None
    assert refused in (None, 400, 413)
