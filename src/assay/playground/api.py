"""`/api/playground`: the calls of the columns, as streams, and keeping an answer as a case."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.calls import Call, Caller
from assay.datasets import Case, library
from assay.datasets.types import derived_id
from assay.errors import BadRequest, NotFound
from assay.kit import json
from assay.playground.asking import Ask, Figures, answers, prepare
from assay.playground.showing import shown
from assay.records import Records
from assay.snapshot import SnapshotSource
from assay.ui import events


class CaseRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of `POST /api/playground/cases`."""

    dataset: str
    input: str | dict[str, Any]
    reference: Any = None
    trace_id: str | None = None
    span_id: str | None = None


class CaseKept(msgspec.Struct, kw_only=True):
    """The version that has the case now; `is_new` says whether it was made for it."""

    dataset: str
    version: int
    cases: int
    case_id: str
    is_new: bool


@post("/api/playground/calls", guards=[requires(Right.EDIT)], status_code=200)
async def call(
    data: JSONBody[Ask],
    principal: NamedDependency[Principal],
    snapshot: NamedDependency[SnapshotSource],
    caller: NamedDependency[Caller],
) -> events.EventStream:
    """Ask one model or variant, and hear the answer as server-sent events: `asked`, `start`, `chunk`s in OpenAI's format,
    `error`, and `done` with tokens, cost and times. Leaving stops the upstream. The span belongs to the environment `playground`
    and to whoever asks."""
    made = prepare(data, snapshot.current, principal)
    if made.request.model not in caller.models:
        raise NotFound(f"The model {made.request.model!r} does not exist", param="target")
    return events.EventStream(_told(caller, made))


@post("/api/playground/cases", guards=[requires(Right.EDIT)], status_code=200, sync_to_thread=True)
def keep_case(
    data: JSONBody[CaseRequest], principal: NamedDependency[Principal], records: NamedDependency[Records]
) -> CaseKept:
    """Keep a question, with an answer as its reference, as a case: a new version of the dataset with it, or with it in the
    place of the case that has the same input."""
    if not data.input:
        raise BadRequest("A case needs an input", param="input")
    provenance = {"source": "playground", "trace_id": data.trace_id, "span_id": data.span_id}
    case = Case(
        id=derived_id(data.input),
        input=data.input,
        reference=data.reference,
        provenance={name: value for name, value in provenance.items() if value},
    )
    with records.write() as tx:
        version, is_new = library.add_case(
            tx,
            principal.project,
            data.dataset,
            case,
            actor=principal.name,
            notes="A case from the playground",
        )
    return CaseKept(
        dataset=version.name, version=version.version, cases=version.cases, case_id=case.id, is_new=is_new
    )


async def _told(caller: Caller, made: Call) -> AsyncGenerator[bytes, None]:
    told = answers(caller, made)
    try:
        async for name, said in told:
            if isinstance(said, Figures):
                said = {**msgspec.structs.asdict(said), "shown": shown(said)}
            yield events.event(json.encode(said).decode(), name=name)
    finally:
        await told.aclose()


handlers = [call, keep_case]
