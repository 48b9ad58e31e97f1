"""How lists look in a terminal: narrow enough for 80 columns, and nothing in them steers it."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def print_rows(*columns: str, rows: Iterable[Iterable[str]]) -> None:
    """One row an item. The first column names it, for a next command, and stays whole; the others fold if need be."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at, column in enumerate(columns):
        table.add_column(column, no_wrap=at == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)


def minute(at: str) -> str:
    """A time of the API, to the minute: `2026-11-24 08:11`."""
    return at[:16].replace("T", " ")


def day(at: str) -> str:
    """A time of the API, to the day."""
    return at[:10]
