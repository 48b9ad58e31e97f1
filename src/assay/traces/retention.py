"""How long a project keeps what it is told, counted in whole days from arrival.

Content (messages, previews, requests, attributes, explanations of scores) goes first; the row with its figures stays
longer. What an importer brought is let alone unless the project says otherwise: it "arrived" on one day and may be years
old, and nobody has a second copy of it here. Everything here is about values; `upkeep` does it.
"""

from collections.abc import Iterable, Mapping

import msgspec

from assay.errors import BadRequest
from assay.settings import Settings
from assay.spans.types import StoredDay

LONGEST_DAYS = 36_500


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Days that content and rows are kept; None is for ever. `imports` says whether what was imported is treated alike."""

    content_days: int | None
    row_days: int | None
    imports: bool = False

    def __post_init__(self) -> None:
        for name in ("content_days", "row_days"):
            days = getattr(self, name)
            if days is not None and not 1 <= days <= LONGEST_DAYS:
                raise BadRequest(
                    f"{name} is {days}",
                    param=name,
                    hint=f"A whole number of days from 1 to {LONGEST_DAYS}, or null to keep for ever.",
                )
        if self.row_days is not None and (self.content_days is None or self.content_days > self.row_days):
            raise BadRequest(
                "Content cannot be kept longer than the rows that refer to it",
                param="row_days",
                hint="Give row_days at least as many days as content_days.",
            )


class Due(msgspec.Struct, frozen=True):
    """Days that are past their time: those that lose their content, and those that go whole."""

    content: list[StoredDay]
    days: list[StoredDay]

    def __bool__(self) -> bool:
        return bool(self.content or self.days)


def default_policy(settings: Settings) -> Policy:
    """What holds for a project that has not chosen; in the settings 0 is for ever."""
    return Policy(content_days=settings.content_days or None, row_days=settings.row_days or None)


def due(days: Iterable[StoredDay], policies: Mapping[str, Policy], default: Policy, *, today: int) -> Due:
    """Which days are past their time. A day counts as arrived at its end, so everything is kept at least as long as said."""
    content, whole = [], []
    for day in days:
        policy = policies.get(day.project, default)
        if day.imported and not policy.imports:
            continue
        age = today - day.day - 1
        if policy.row_days is not None and age >= policy.row_days:
            whole.append(day)
        elif policy.content_days is not None and age >= policy.content_days and day.has_content:
            content.append(day)
    return Due(content, whole)


def over_limit(
    days: Iterable[StoredDay],
    policies: Mapping[str, Policy],
    default: Policy,
    *,
    excess_bytes: int,
    today: int,
) -> Due:
    """What goes so that the store fits its limit again: the oldest content first, whichever project's, then the oldest
    rows. Today stays, and so do imports where retention lets them alone."""
    content: list[StoredDay] = []
    whole: list[StoredDay] = []
    candidates = sorted(
        (
            day
            for day in days
            if day.day < today and (not day.imported or policies.get(day.project, default).imports)
        ),
        key=lambda day: (day.day, day.project),
    )
    for day in candidates:
        if excess_bytes > 0 and day.content_bytes:
            content.append(day)
            excess_bytes -= day.content_bytes
    for day in candidates:
        if excess_bytes > 0:
            whole.append(day)
            excess_bytes -= day.bytes
    gone = set(map(id, whole))
    return Due([day for day in content if id(day) not in gone], whole)
