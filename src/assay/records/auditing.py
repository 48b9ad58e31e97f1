"""What a write changed, seen where it is written.

A table says beside its columns what a row of it is called, what tells it apart and what of it may be shown
(`Table(…, info=audited(…))`), or why nobody needs to see its changes (`info=unaudited("…")`). Within a `Records.write()`
the rows of a watched table are read before and after each statement; the difference is a `Change`. All changes of a
transaction go to the observer of the records before it commits, so that none is kept without its entry in the log and
no caller can forget to make one. Columns that are not named, such as those with secrets, are never read.

Watched tables are written by Core statements on whole rows or with a WHERE clause, which is how the stores write.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Delete, Engine, Insert, Table, Update, and_, event, false, or_, select

from assay.kit import json
from assay.kit.clock import rfc3339

_WATCHED = "assay.audited"
_CHANGES = "assay.changes"
_PENDING = "assay.pending"
_LONGEST_TEXT = 300
_LONGEST_VALUE = 2_000

Row = dict[str, Any]
Key = tuple[Any, ...]


class Audited(msgspec.Struct, frozen=True):
    """What `audited` said of a table."""

    noun: str
    subject: tuple[str, ...]
    shows: tuple[str, ...]
    verbs: Mapping[str, tuple[str, str]]
    succeeds: bool


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One fact for the log. `action` is noun and verb, `key.created`; `project` is None for what belongs to the server."""

    action: str
    subject: str
    project: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


Observer = Callable[[Connection, Sequence[Change]], None]
"""Told of all changes of a transaction, inside it and before it commits."""


def audited(
    noun: str,
    *,
    subject: Sequence[str],
    shows: Sequence[str] = (),
    verbs: Mapping[str, tuple[str, str]] = {},
    succeeds: bool = False,
) -> dict[str, Any]:
    """For `Table(info=…)`: a row is a `noun`, the columns of `subject` joined by `/` tell it apart, those of `shows` are
    shown. `verbs` maps a column to the words for its being set and its being cleared, which stand instead of "changed",
    e.g. `{"revoked_at_ns": ("revoked", "restored")}`. With `succeeds` a new row takes the place of the newest one before
    it with the same subject, and is told as a change of that."""
    return {_WATCHED: Audited(noun, tuple(subject), tuple(shows), verbs, succeeds)}


def unaudited(why: str) -> dict[str, Any]:
    """For `Table(info=…)`: changes of this table are not for the log."""
    return {_WATCHED: why}


def auditing_of(table: Table) -> Audited | str | None:
    """What a table says of itself: how it is audited, why it is not, or None when it says nothing."""
    said: Audited | str | None = table.info.get(_WATCHED)
    return said


def note(tx: Connection, change: Change) -> None:
    """Add a fact that is no row of a watched table, e.g. a login that failed."""
    try:
        tx.info[_CHANGES].append(change)
    except KeyError:
        raise RuntimeError(f"note({change.action!r}) outside records.write()") from None


def watch(engine: Engine) -> None:
    """Look at every statement of this engine's connections, while they are between `begin` and `collect`."""

    @event.listens_for(engine, "before_execute")
    def _before(tx: Connection, statement: Any, many: Any, one: Any, _options: Any) -> None:
        if _CHANGES in tx.info and (look := _look_of(tx, statement, many, one)) is not None:
            tx.info[_PENDING] = (statement, look, look.rows(tx))

    @event.listens_for(engine, "after_execute")
    def _after(tx: Connection, statement: Any, many: Any, one: Any, _options: Any, _result: Any) -> None:
        pending = tx.info.get(_PENDING)
        if pending is None or pending[0] is not statement:
            return
        del tx.info[_PENDING]
        _, look, before = pending
        tx.info[_CHANGES] += look.differences(tx, before, look.at_keys(before).rows(tx))


def begin(tx: Connection) -> None:
    """From here on changes are collected."""
    tx.info[_CHANGES] = []


def collect(tx: Connection) -> list[Change]:
    """What changed since `begin`."""
    changes: list[Change] = tx.info[_CHANGES]
    return changes


def end(tx: Connection) -> None:
    """Forget everything; the connection goes back to its pool."""
    tx.info.pop(_CHANGES, None)
    tx.info.pop(_PENDING, None)


class _Look:
    """Which rows of a watched table a statement is about, and what of them is read."""

    def __init__(self, table: Table, said: Audited, where: Any, *, keys_known: bool) -> None:
        self.table = table
        self.said = said
        self._where = where
        self._keys_known = keys_known
        self._key = [column.name for column in table.primary_key]
        names = [*self._key, *said.subject, *said.shows]
        if "project" in table.c:
            names.append("project")
        self._names = list(dict.fromkeys(names))

    def rows(self, tx: Connection) -> dict[Key, Row]:
        """The rows as they are now, by primary key."""
        query = select(*(self.table.c[name] for name in self._names))
        if self._where is not None:
            query = query.where(self._where)
        found = [dict(row) for row in tx.execute(query).mappings()]
        return {tuple(row[name] for name in self._key): row for row in found}

    def at_keys(self, before: dict[Key, Row]) -> "_Look":
        """The same rows, by key: after an UPDATE the WHERE clause may no longer hold for them."""
        if self._keys_known:
            return self
        return _at(self.table, self.said, list(before))

    def differences(self, tx: Connection, before: dict[Key, Row], after: dict[Key, Row]) -> list[Change]:
        """What became of each row."""
        changes = []
        for key in dict.fromkeys((*before, *after)):
            was, now = before.get(key), after.get(key)
            if was is None and now is not None and self.said.succeeds:
                was = self._predecessor(tx, now)
            if (change := self._difference(was, now)) is not None:
                changes.append(change)
        return changes

    def _predecessor(self, tx: Connection, row: Row) -> Row | None:
        """The row whose place a new one takes: of the same project and subject, the one with the highest key below it."""
        same = ("project", *self.said.subject) if "project" in row else self.said.subject
        *_, last = self._key
        query = select(*(self.table.c[name] for name in self._names)).where(
            *(self.table.c[name] == row[name] for name in same), self.table.c[last] < row[last]
        )
        found = tx.execute(query.order_by(self.table.c[last].desc()).limit(1)).mappings().first()
        return None if found is None else dict(found)

    def _difference(self, before: Row | None, after: Row | None) -> Change | None:
        said, row = self.said, after or before or {}
        names, verb = list(said.shows), "created" if before is None else "removed"
        if before is not None and after is not None:
            names = [name for name in said.shows if before[name] != after[name]]
            if not names:
                return None
            verb = next((self._verb(name, after) for name in names if name in said.verbs), "changed")
        return Change(
            action=f"{said.noun}.{verb}",
            project=row.get("project"),
            subject="/".join(str(row[name]) for name in said.subject),
            before=_shown(before, names, whole=after is None) or None,
            after=_shown(after, names, whole=before is None) or None,
        )

    def _verb(self, name: str, after: Row) -> str:
        when_set, when_cleared = self.said.verbs[name]
        return when_set if after[name] else when_cleared


def _shown(row: Row | None, names: Sequence[str], *, whole: bool) -> dict[str, Any]:
    """These columns for the log; of a row that came or went as a whole, those that say something."""
    if row is None:
        return {}
    kept = [name for name in names if not whole or _says_something(name, row[name])]
    return {name.removesuffix("_ns"): _readable(name, row[name]) for name in kept}


def _says_something(name: str, value: Any) -> bool:
    """Of a row that is new: not what is empty yet, and not when it was made, which is when the change was."""
    return value is not None and value is not False and not name.endswith("_at_ns")


def _look_of(tx: Connection, statement: Any, many: Any, one: Any) -> _Look | None:
    if not isinstance(statement, Insert | Update | Delete) or not isinstance(statement.table, Table):
        return None
    said = auditing_of(statement.table)
    if not isinstance(said, Audited):
        return None
    if isinstance(statement, Insert):
        given = statement.compile(dialect=tx.dialect).params
        key = [column.name for column in statement.table.primary_key]
        rows = [{**given, **row} for row in (many or [one])]
        return _at(statement.table, said, [tuple(row[name] for name in key) for row in rows])
    if many or one:
        raise RuntimeError(f"{statement.table.name} is audited: write its values into the statement")
    return _Look(statement.table, said, statement.whereclause, keys_known=False)


def _at(table: Table, said: Audited, keys: list[Key]) -> _Look:
    columns = list(table.primary_key)
    rows = (and_(*(column == value for column, value in zip(columns, key, strict=True))) for key in keys)
    return _Look(table, said, or_(false(), *rows), keys_known=True)


def _readable(name: str, value: Any) -> Any:
    """A value of a column for the log: times as text, long things cut."""
    if name.endswith("_at_ns") and isinstance(value, int):
        return rfc3339(value)
    if isinstance(value, str):
        return _cut(value, _LONGEST_TEXT)
    text = json.encode(value).decode()
    return msgspec.to_builtins(value) if len(text) <= _LONGEST_VALUE else _cut(text, _LONGEST_TEXT)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… [{len(text) - length} more characters]"
