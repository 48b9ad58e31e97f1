"""Writing results as they come: one writer for a run, so that calls that end together share a transaction."""

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import Connection

from assay.evals import store
from assay.evals.types import CachedAnswer, Result, Run
from assay.records import GroupWriter, Records


class Kept(NamedTuple):
    """What is written for a case: its result, and the answer where another run may use it."""

    result: Result
    answer: CachedAnswer | None = None


class Keeper(GroupWriter[Kept]):
    """The writer of one run."""

    def __init__(self, records: Records, run: Run, on_written: Callable[[list[Result]], None]) -> None:
        def put(tx: Connection, group: list[Kept]) -> None:
            answers = [each.answer for each in group if each.answer is not None]
            store.put_results(tx, run, [each.result for each in group], answers)

        super().__init__(records, put, lambda group: on_written([each.result for each in group]))
