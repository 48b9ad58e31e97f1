"""What a detector finds, and a text without it."""

from collections.abc import Iterable, Sequence

import msgspec


class Finding(msgspec.Struct, frozen=True, order=True):
    """A part of a text, in Unicode code points with the end excluded; `confidence` is from 0 to 1."""

    start: int
    end: int
    kind: str
    confidence: float = 1.0


def placeholder(kind: str) -> str:
    """What stands in the place of a finding: `[EMAIL]`."""
    return f"[{kind.upper()}]"


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """In order of place, without overlaps: findings that overlap become one of the kind that is surest, then longest."""
    made: list[Finding] = []
    for each in sorted(findings, key=lambda one: (one.start, -one.end)):
        if not made or each.start >= made[-1].end:
            made.append(each)
            continue
        last = made[-1]
        better = max(last, each, key=lambda one: (one.confidence, one.end - one.start))
        made[-1] = Finding(last.start, max(last.end, each.end), better.kind, better.confidence)
    return made


def redacted(text: str, findings: Sequence[Finding]) -> str:
    """The text with a placeholder for each finding."""
    if not findings:
        return text
    pieces: list[str] = []
    at = 0
    for each in merged(findings):
        pieces += (text[at : each.start], placeholder(each.kind))
        at = each.end
    return "".join([*pieces, text[at:]])
