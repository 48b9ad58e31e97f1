"""Guards as they are written: what may be said, and errors that name the field."""

from typing import Any

import pytest

from assay.catalog.config import parse_config
from assay.catalog.guards import parse_guards
from assay.errors import BadRequest

FILE = """
[providers.sim]
type = "simulated"
[models.m]
route = [{ provider = "sim", model = "x" }]
guards = [{ check = "pii", action = "redact", kinds = ["email"], threshold = 0.9, on = "input" }]
[[guards]]
check = "secrets"
action = "flag"
projects = ["shop"]
"""


def test_a_check_says_where_it_looks_unless_the_guard_does() -> None:
    checks: list[dict[str, Any]] = [
        {"check": "pii"},
        {"check": "secrets"},
        {"check": "regex", "pattern": "a"},
        {"check": "schema", "schema": {"type": "object"}},
        {"check": "injection"},
    ]
    made = parse_guards("guards", [{**each, "action": "flag"} for each in checks])
    assert [each.on for each in made] == ["both", "both", "both", "output", "input"]
    assert [each.name for each in made] == ["pii", "secrets", "regex", "schema", "injection"]
    assert [each.threshold for each in made] == [0.5, 0.5, 0.5, 0.5, 0.7]


def test_the_file_has_guards_for_models_and_for_projects() -> None:
    config = parse_config(FILE)
    (of_model,) = config.models["m"].guards
    assert (of_model.check, of_model.action, of_model.kinds) == ("pii", "redact", ("email",))
    (of_project,) = config.guards
    assert (of_project.check, of_project.projects) == ("secrets", ("shop",))


@pytest.mark.parametrize(
    ("guard", "param", "says"),
    [
        ({"action": "flag"}, "guards[0].check", "missing"),
        ({"check": "pi", "action": "flag"}, "guards[0].check", "'pi'"),
        ({"check": "pii"}, "guards[0].action", "missing"),
        ({"check": "pii", "action": "delete"}, "guards[0].action", "'delete'"),
        ({"check": "pii", "action": "flag", "on": "sides"}, "guards[0].on", "'sides'"),
        ({"check": "pii", "action": "flag", "kinds": ["mail"]}, "guards[0].kinds", "'mail'"),
        ({"check": "pii", "action": "flag", "kinds": "email"}, "guards[0]", "array"),
        ({"check": "pii", "action": "flag", "roles": ["boss"]}, "guards[0].roles", "'boss'"),
        ({"check": "pii", "action": "flag", "threshold": 2}, "guards[0].threshold", "at most 1"),
        ({"check": "pii", "action": "flag", "pattern": "a"}, "guards[0].pattern", "no key"),
        ({"check": "pii", "action": "flag", "projects": ["a"]}, "guards[0].projects", "no key"),
        ({"check": "pii", "action": "flag", "name": "a b"}, "guards[0].name", "'a b'"),
        ({"check": "regex", "action": "flag"}, "guards[0].pattern", "missing"),
        ({"check": "regex", "action": "flag", "pattern": "(a"}, "guards[0].pattern", "cannot be used"),
        ({"check": "regex", "action": "flag", "pattern": "(?=a)"}, "guards[0].pattern", "cannot be used"),
        ({"check": "regex", "action": "flag", "pattern": "a*"}, "guards[0].pattern", "every text"),
        ({"check": "schema", "action": "block"}, "guards[0].schema", "missing"),
        ({"check": "schema", "action": "block", "schema": {"type": "x"}}, "guards[0].schema", "schema"),
        ({"check": "schema", "action": "redact", "schema": {}}, "guards[0].action", "as a whole"),
        ({"check": "injection", "action": "redact"}, "guards[0].action", "as a whole"),
        ("pii", "guards[0]", "table"),
    ],
)
def test_what_cannot_be_used_is_named(guard: Any, param: str, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_guards("guards", [guard])
    assert caught.value.param == param
    assert says in caught.value.message


def test_names_are_told_apart_and_a_list_ends() -> None:
    pii = {"check": "pii", "action": "flag"}
    with pytest.raises(BadRequest, match="two guards of the name 'pii'") as caught:
        parse_guards("models.m.guards", [pii, pii])
    assert caught.value.param == "models.m.guards[1].name"
    assert len(parse_guards("guards", [pii, {**pii, "name": "other"}])) == 2
    with pytest.raises(BadRequest, match="more than 20"):
        parse_guards("guards", [pii] * 21)
    with pytest.raises(BadRequest, match="must be a list"):
        parse_guards("guards", {"check": "pii"})
