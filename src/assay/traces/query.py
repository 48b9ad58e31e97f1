"""Filters as they stand in an address: text in, a typed `SpanFilter` out, errors that name the parameter."""

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

from assay.errors import BadRequest
from assay.kit.clock import from_rfc3339
from assay.spans.types import SpanFilter
from assay.wire.spans import SpanKind, SpanStatus

DEFAULT_LAST = "7d"
"""How far back a question goes that does not say."""

_TEXTS = {
    "environment": "environment",
    "provider": "provider",
    "model": "model",
    "task": "task",
    "variant": "variant",
    "user": "user_id",
    "session": "session_id",
    "key": "key_id",
    "run": "run_id",
    "case": "case_id",
    "tag": "tag",
    "q": "text",
}
PARAMETERS = ("last", "from", "to", "kind", "status", *_TEXTS, "min_duration_ms", "min_cost_usd")
"""Every name that `read_filter` takes."""

_SPAN = re.compile(r"([1-9][0-9]{0,4})(m|h|d)")
_UNIT_NS = {"m": 60_000_000_000, "h": 3_600_000_000_000, "d": 86_400_000_000_000}
_LONGEST_TEXT = 500

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


def read_filter(
    parameters: Iterable[tuple[str, str]], *, project: str, now_ns: int, also: Iterable[str] = ()
) -> SpanFilter:
    """The filter that the parameters of an address describe; `also` names parameters that mean something else.

    `last` (`15m`, `24h`, `7d`) counts back from now; `from` and `to` are RFC 3339 times and win over it. `kind` and
    `status` may come several times or with commas. An empty value is no filter. Raises `BadRequest` with `param`.
    """
    given: dict[str, list[str]] = {}
    others = set(also)
    for name, value in parameters:
        if name in others or not value.strip():
            continue
        if name not in PARAMETERS:
            raise BadRequest(
                f"{name!r} is no filter of traces.", param=name, hint=f"Known: {', '.join(PARAMETERS)}."
            )
        given.setdefault(name, []).append(value.strip())
    single = {name: values[-1] for name, values in given.items()}
    from_ns, to_ns = _range(single, now_ns)
    return SpanFilter(
        project=project,
        from_ns=from_ns,
        to_ns=to_ns,
        kind=_choices("kind", given.get("kind", []), SpanKind),
        status=_choices("status", given.get("status", []), SpanStatus),
        min_duration_ms=_number("min_duration_ms", single, float),
        min_cost_usd=_number("min_cost_usd", single, Decimal),
        **_texts(single),
    )


def _range(given: dict[str, str], now_ns: int) -> tuple[int, int]:
    to_ns = _moment("to", given["to"]) if "to" in given else now_ns + _UNIT_NS["m"]
    if "from" in given:
        from_ns = _moment("from", given["from"])
    else:
        last = given.get("last", DEFAULT_LAST)
        found = _SPAN.fullmatch(last)
        if found is None:
            raise BadRequest(
                f"{last!r} is no stretch of time.", param="last", hint="Write e.g. 15m, 24h or 7d."
            )
        from_ns = min(to_ns, now_ns) - int(found[1]) * _UNIT_NS[found[2]]
    if from_ns >= to_ns:
        raise BadRequest("The time range is empty: `from` is not before `to`.", param="from")
    return from_ns, to_ns


def _moment(name: str, text: str) -> int:
    try:
        return from_rfc3339(text)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{text!r} is no time.", param=name, hint="Write e.g. 2026-11-24T05:50:48Z."
        ) from error


def _choices(name: str, values: list[str], kinds: type[E]) -> tuple[E, ...]:
    chosen = []
    for word in ",".join(values).split(","):
        if not word.strip():
            continue
        try:
            chosen.append(kinds(word.strip()))
        except ValueError as error:
            raise BadRequest(
                f"{word!r} is no {name}.", param=name, hint=f"One of {', '.join(kinds)}."
            ) from error
    return tuple(chosen)


def _number(name: str, given: dict[str, str], kind: Callable[[str], T]) -> T | None:
    if name not in given:
        return None
    try:
        number: Any = kind(given[name])
        if not 0 <= number < 10**15:
            raise ValueError
    except (ValueError, InvalidOperation) as error:
        raise BadRequest(f"{given[name]!r} is no number from 0 on.", param=name) from error
    found: T = number
    return found


def _texts(given: dict[str, str]) -> dict[str, Any]:
    for name in _TEXTS.keys() & given.keys():
        if len(given[name]) > _LONGEST_TEXT:
            raise BadRequest(f"{name} is longer than {_LONGEST_TEXT} characters.", param=name)
    return {field: given[name] for name, field in _TEXTS.items() if name in given}
