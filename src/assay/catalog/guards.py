"""Guards as the file and the API write them: what to look for, in which direction, and what to do about it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from assay.catalog.known import nearest, unknown
from assay.detect import PII_KINDS, SECRET_KINDS
from assay.detect.patterns import compile_pattern
from assay.detect.schemas import Schema
from assay.errors import BadRequest
from assay.kit.names import check_name

Check = Literal["pii", "secrets", "regex", "schema", "injection"]
On = Literal["input", "output", "both"]
Action = Literal["block", "redact", "flag"]

CHECKS: Mapping[Check, On] = {
    "pii": "both",
    "secrets": "both",
    "regex": "both",
    "schema": "output",
    "injection": "input",
}
"""Check → where it looks when the guard does not say."""
MOST = 20
"""Guards in one list."""

_KINDS: Mapping[str, Sequence[str]] = {"pii": PII_KINDS, "secrets": SECRET_KINDS}
_ROLES = ("system", "developer", "user", "assistant", "tool")
_OWN: Mapping[str, tuple[str, ...]] = {
    "pii": ("kinds", "threshold", "roles"),
    "secrets": ("kinds", "threshold", "roles"),
    "regex": ("pattern", "casefold", "placeholder", "roles"),
    "schema": ("schema",),
    "injection": ("threshold", "roles"),
}
_THRESHOLD = {"injection": 0.7}
_READ_ONLY = frozenset({"schema", "injection"})
"""Checks that judge a text as a whole, so that there is no part of it to take out."""


class GuardRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One guard. `threshold` is the least confidence that counts; `kinds` empty means every kind of the check, `roles` empty
    the roles that the check looks at by itself; `projects` empty means all (only a guard of the whole file names some)."""

    name: str
    check: Check
    on: On
    action: Action
    kinds: tuple[str, ...] = ()
    threshold: float = 0.5
    pattern: str | None = None
    casefold: bool = False
    placeholder: str | None = None
    schema: dict[str, Any] | None = None
    roles: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()


def parse_guards(where: str, given: Any, *, for_projects: bool = False) -> tuple[GuardRule, ...]:
    """Read a list of guards. Raises `BadRequest` whose `param` is the field, e.g. `models.fast.guards[1].action`."""
    if not isinstance(given, list | tuple):
        raise BadRequest(
            f"{where} is {given!r}: it must be a list of guards",
            param=where,
            hint='Write e.g. guards = [{ check = "pii", action = "redact" }].',
        )
    if len(given) > MOST:
        raise BadRequest(f"{where} has more than {MOST} guards", param=where)
    made = tuple(_guard(f"{where}[{at}]", each, for_projects=for_projects) for at, each in enumerate(given))
    names = [each.name for each in made]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise BadRequest(
                f"{where} has two guards of the name {name!r}",
                param=f"{where}[{at}].name",
                hint="Give one of them a name of its own.",
            )
    return made


def _guard(field: str, given: Any, *, for_projects: bool) -> GuardRule:
    if not isinstance(given, Mapping):
        raise BadRequest(f"{field} is {given!r}: it must be a table", param=field)
    check = _one_of(f"{field}.check", given.get("check"), tuple(CHECKS))
    known = ("check", "name", "on", "action", *_OWN[check], *(("projects",) if for_projects else ()))
    for key in given:
        if key not in known:
            raise unknown(field, key, known)
    action = _one_of(f"{field}.action", given.get("action"), ("block", "redact", "flag"))
    if action == "redact" and check in _READ_ONLY:
        raise BadRequest(
            f"{field}.action is 'redact', and {check!r} judges a text as a whole",
            param=f"{field}.action",
            hint="Use 'block' or 'flag'.",
        )
    plain = {**given, "name": given.get("name", check), "on": given.get("on", CHECKS[check])}
    _one_of(f"{field}.on", plain["on"], ("input", "output", "both"))
    plain.setdefault("threshold", _THRESHOLD.get(check, 0.5))
    try:
        rule = msgspec.convert(plain, GuardRule)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{field} cannot be used: {error}", param=field) from error
    _check_values(field, rule)
    return rule


def _check_values(field: str, rule: GuardRule) -> None:
    check_name(rule.name, param=f"{field}.name")
    if not 0 < rule.threshold <= 1:
        raise BadRequest(
            f"{field}.threshold is {rule.threshold!r}: it must be above 0 and at most 1",
            param=f"{field}.threshold",
        )
    for kind in rule.kinds:
        _one_of(f"{field}.kinds", kind, _KINDS[rule.check])
    for role in rule.roles:
        _one_of(f"{field}.roles", role, _ROLES)
    if rule.check == "regex":
        if not rule.pattern:
            raise BadRequest(f"{field}.pattern is missing", param=f"{field}.pattern")
        pattern = compile_pattern(rule.pattern, casefold=rule.casefold, param=f"{field}.pattern")
        if pattern.search("") is not None:
            raise BadRequest(
                f"{field}.pattern is found in every text, even in an empty one", param=f"{field}.pattern"
            )
    if rule.check == "schema":
        if rule.schema is None:
            raise BadRequest(f"{field}.schema is missing", param=f"{field}.schema")
        Schema(rule.schema, param=f"{field}.schema")


def _one_of(field: str, given: Any, known: Sequence[str]) -> Any:
    if given is None:
        raise BadRequest(f"{field} is missing", param=field, hint=f"It is one of {', '.join(known)}.")
    if given not in known:
        raise BadRequest(
            f"{field} is {given!r}",
            param=field,
            hint=(isinstance(given, str) and nearest(given, known)) or f"It is one of {', '.join(known)}.",
        )
    return given
