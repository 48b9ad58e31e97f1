"""`/playground`, and the button on a model's page that tries it."""

from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, URLEncodedBody

from assay.access import Principal, Right
from assay.access.guards import requires
from assay.calls import Call, CallContext, Caller
from assay.calls.cache_rules import PASS_BY
from assay.catalog import Catalog
from assay.datasets import library as datasets
from assay.errors import AssayError, BadRequest, NotFound
from assay.kit import ids, json
from assay.playground.asking import ENVIRONMENT, TAG, Figures, figures_of
from assay.playground.drafting import MOST_COLUMNS, ROLES, Draft, of_prompt, of_span, of_variant, with_targets
from assay.playground.showing import shown
from assay.prompts import registry
from assay.records import Records
from assay.snapshot import Snapshot, SnapshotSource
from assay.spans import Collector, SpanStore
from assay.tasks import TASKS
from assay.tasks.calling import PREFIX, find_task
from assay.ui import shell
from assay.ui.language import later
from assay.wire.openai_chat import decode_chat

HttpRequest = Request[Any, Any, Any]

TRIAL = "Say hello in one short sentence."
TRIAL_TOKENS = 32


class Source(msgspec.Struct, frozen=True):
    """What a draft was opened from."""

    label: str
    href: str


class PlaygroundContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `playground/playground.html` shows."""

    draft: Draft
    source: Source | None
    models: list[str]
    variants: list[str]
    roles: tuple[str, ...]
    most_columns: int
    prompts: list[str]
    datasets: list[str]


class TrialForm(msgspec.Struct):
    """What the button sends."""

    model: str
    csrf_token: str = ""


class TrialContext(msgspec.Struct, frozen=True):
    """What `playground/trial.html` shows: a model's answer, or why there was none."""

    text: str
    figures: Figures | None
    shown: dict[str, str]
    problem: AssayError | None
    trace_id: str


@get("/playground", guards=[requires(Right.EDIT)], include_in_schema=False, sync_to_thread=True)
def show_playground(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    records: NamedDependency[Records],
    snapshot: NamedDependency[SnapshotSource],
    catalog: NamedDependency[Catalog],
    span_store: NamedDependency[SpanStore],
    collector: NamedDependency[Collector],
    trace: FromQuery[str | None] = None,
    span: FromQuery[str | None] = None,
    prompt: FromQuery[str | None] = None,
    version: FromQuery[str | None] = None,
    task: FromQuery[str | None] = None,
    variant: FromQuery[str | None] = None,
) -> Response[str]:
    """The form, empty or with what the address names, and its columns."""
    draft, source = Draft(), None
    if span is not None:
        draft, source = _from_span(span_store, collector, principal, span, trace)
    elif prompt is not None:
        draft, source = _from_prompt(records, principal, prompt, version)
    elif task is not None:
        draft, source = _from_variant(snapshot.current, principal, task, variant)
    models = sorted(catalog.models)
    variants = _variants(snapshot.current, principal.project)
    asked = [value for name, value in request.query_params.multi_items() if name == "model"]
    with records.read() as tx:
        prompts = [item.name for item in registry.list_prompts(tx, principal.project).items]
        sets = [item.name for item in datasets.list_datasets(tx, principal.project).items]
    context = PlaygroundContext(
        draft=with_targets(draft, asked, [*models, *variants]),
        source=source,
        models=models,
        variants=variants,
        roles=ROLES,
        most_columns=MOST_COLUMNS,
        prompts=prompts,
        datasets=sets,
    )
    return shell.page(request, "playground/playground.html", context, title=later("Playground"))


@post("/playground/trial", guards=[requires(Right.EDIT)], include_in_schema=False, status_code=200)
async def try_model(
    request: HttpRequest,
    data: URLEncodedBody[TrialForm],
    principal: NamedDependency[Principal],
    caller: NamedDependency[Caller],
) -> Response[str]:
    """The button on a model's page that asks it for one short sentence."""
    name = data.model
    if name not in caller.models:
        raise NotFound(f"The model {name!r} does not exist")
    body = {"model": name, "messages": [{"role": "user", "content": TRIAL}], "max_tokens": TRIAL_TOKENS}
    context = CallContext(
        project=principal.project,
        environment=principal.environment or ENVIRONMENT,
        key_id=principal.key_id,
        user=principal.user or principal.name,
        tags=(TAG, "trial"),
        trace_id=ids.uuid7_hex(),
    )
    try:
        answer = await caller.complete(Call("chat", decode_chat(json.encode(body)), context, cache=PASS_BY))
    except AssayError as problem:
        made = TrialContext("", None, {}, problem, context.trace_id or "")
    else:
        figures = figures_of(answer.span, kept=answer.kept)
        made = TrialContext(answer.response.text, figures, shown(figures), None, figures.trace_id)
    return shell.page(request, "playground/trial.html", made, title=name)


def _from_span(
    store: SpanStore, collector: Collector, principal: Principal, span_id: str, trace_id: str | None
) -> tuple[Draft, Source]:
    try:
        stored = store.get_span(principal.project, span_id, trace_id=trace_id)
    except NotFound:  # it may have ended a moment ago
        collector.drain_now(timeout_s=2.0)
        stored = store.get_span(principal.project, span_id, trace_id=trace_id)
    address = shell.url(f"/traces/{stored.span.trace_id}", span=span_id)
    return of_span(stored), Source(stored.span.name, address)


def _from_prompt(
    records: Records, principal: Principal, name: str, version: str | None
) -> tuple[Draft, Source]:
    with records.read() as tx:
        found = registry.get_version(tx, principal.project, name, version=version)
    return of_prompt(found), Source(f"{name} v{found.version}", f"/prompts/{name}?version={found.version}")


def _from_variant(
    snapshot: Snapshot, principal: Principal, task: str, variant: str | None
) -> tuple[Draft, Source]:
    variants = find_task(snapshot, principal.project, task).variants
    chosen = variants.get(variant) if variant else next(iter(variants.values()), None)
    if chosen is None:
        raise BadRequest(
            f"The task {task!r} has no variant {variant!r}",
            param="variant",
            hint=f"Its variants: {', '.join(variants) or 'none yet'}.",
        )
    return of_variant(task, chosen), Source(f"{task} / {chosen.variant.name}", f"/tasks/{task}")


def _variants(snapshot: Snapshot, project: str) -> list[str]:
    return sorted(
        f"{PREFIX}{name}/{variant}"
        for (owner, name), task in snapshot[TASKS].items()
        if owner == project
        for variant in task.variants
    )


handlers = [show_playground, try_model]
