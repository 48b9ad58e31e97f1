"""The end of a batch: what came of its lines, as a file of answers and one of errors.

The files are written from the rows, put in their place, and named in the transaction that ends the batch and lets go of the
rows. Killed anywhere before, it is done again from the rows.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec
from msgspec import Raw

from assay.batches import store
from assay.batches.planning import moved
from assay.batches.types import Batch, BatchStatus, Line, Outcome
from assay.files import Files, Incoming
from assay.files.types import OUTPUT
from assay.kit import money
from assay.kit.clock import Clock
from assay.records import Records

_encode = msgspec.json.Encoder().encode
_WHY = {
    BatchStatus.EXPIRED: ("batch_expired", "This request could not be executed before the batch expired."),
    BatchStatus.CANCELLED: ("batch_cancelled", "This request was not executed: the batch was cancelled."),
}


def finish(
    records: Records, files: Files, batch: Batch, lines: Iterable[Line], status: BatchStatus, clock: Clock
) -> None:
    """End a batch with this status. Every line is in one of the two files, once, in the order of the input."""
    output, errors = files.begin(), files.begin()
    try:
        sums = _Sums()
        with records.read() as tx:
            for outcome in _with_undone(store.iter_outcomes(tx, batch), lines, status):
                sums.add(outcome)
                (output if outcome.is_answered else errors).write(_written(batch, outcome))
        named = {
            "output_file_id": _kept(files, output, batch, "output"),
            "error_file_id": _kept(files, errors, batch, "errors"),
        }
        with records.write() as tx:
            moved(
                tx,
                batch,
                status,
                clock=clock,
                completed=sums.completed,
                failed=sums.failed,
                usage=sums.usage or None,
                cost_usd=sums.cost_usd,
                **named,
            )
            store.remove_outcomes(tx, batch)
    finally:
        output.close()
        errors.close()


class _Sums:
    """Over all lines."""

    def __init__(self) -> None:
        self.completed = 0
        self.failed = 0
        self.usage: dict[str, int] = {}
        self._costs: list[Decimal | None] = []

    def add(self, outcome: Outcome) -> None:
        self.completed += outcome.is_answered
        self.failed += not outcome.is_answered
        for name, count in (outcome.usage or {}).items():
            self.usage[name] = self.usage.get(name, 0) + count
        if outcome.is_answered:
            self._costs.append(outcome.cost_usd)

    @property
    def cost_usd(self) -> Decimal | None:
        """Unknown when that of any answer is."""
        return money.total(self._costs) if self._costs else None


def _with_undone(
    outcomes: Iterator[Outcome], lines: Iterable[Line], status: BatchStatus
) -> Iterator[Outcome]:
    """Both are in the order of the lines."""
    following = next(outcomes, None)
    for line in lines:
        if following is not None and following.line == line.number:
            yield following
            following = next(outcomes, None)
        elif status in _WHY:
            code, message = _WHY[status]
            body = _encode({"code": code, "message": message}).decode()
            yield Outcome(line=line.number, custom_id=line.custom_id, status_code=0, body=body)


def _written(batch: Batch, outcome: Outcome) -> bytes:
    answer = {
        "status_code": outcome.status_code,
        "request_id": outcome.trace_id or "",
        "body": Raw(outcome.body.encode()),
    }
    said = {
        "id": f"batch_req_{batch.id.removeprefix('batch_')}_{outcome.line}",
        "custom_id": outcome.custom_id,
        "response": answer if outcome.status_code else None,
        "error": None if outcome.status_code else Raw(outcome.body.encode()),
    }
    return _encode(said) + b"\n"


def _kept(files: Files, incoming: Incoming, batch: Batch, what: str) -> str | None:
    if not incoming.bytes:
        return None
    name = f"{batch.id}_{what}.jsonl"
    return files.keep(incoming, batch.project, filename=name, purpose=OUTPUT, actor=batch.actor).id
