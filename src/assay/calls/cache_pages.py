"""`/settings/cache`: what lies in the cache, what it saved, and which models and tasks use it."""

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromQuery, URLEncodedBody
from litestar.response import Redirect

from assay.access.guards import requires
from assay.access.types import Principal, Right
from assay.calls import Caller
from assay.calls.cache import AnswerCache
from assay.calls.cache_api import CacheAnswer, answer_of, savings_of
from assay.catalog.caching import CachePolicy
from assay.errors import AssayError
from assay.spans.types import Saving, SpanStore
from assay.ui import shell
from assay.ui.language import later

HttpRequest = Request[Any, Any, Any]

DAYS = 30


class ClearForm(msgspec.Struct):
    """What the button sends."""

    csrf_token: str = ""


class CacheLine(msgspec.Struct, frozen=True):
    """A model: what its own policy says, if it has one, and what the cache did for it."""

    model: str
    policy: CachePolicy | None
    saving: Saving

    @property
    def share(self) -> float | None:
        """Of the calls that used the cache: those that it answered."""
        asked = self.saving.hits + self.saving.misses
        return self.saving.hits / asked if asked else None


class CacheContext(msgspec.Struct, frozen=True, kw_only=True):
    """What `calls/cache.html` shows. `is_live` is False when the span store could not be asked."""

    whole: CacheAnswer
    lines: list[CacheLine]
    may_clear: bool
    is_live: bool
    removed: int | None


@get("/settings/cache", guards=[requires(Right.READ)], include_in_schema=False)
async def show_cache(
    request: HttpRequest,
    principal: NamedDependency[Principal],
    caller: NamedDependency[Caller],
    answer_cache: NamedDependency[AnswerCache],
    span_store: NamedDependency[SpanStore],
    removed: FromQuery[int | None] = None,
) -> Response[str]:
    """The cache of the project."""
    is_live, savings = True, list[Saving]()
    try:
        savings = await asyncio.to_thread(savings_of, span_store, principal.project, DAYS)
    except AssayError:  # the page stands without its figures, and the banner says why
        is_live = False
    known = {each.model: each for each in savings}
    policies = {name: model.cache for name, model in caller.models.items() if model.cache is not None}
    names = [*known, *(name for name in policies if name not in known)]
    context = CacheContext(
        whole=answer_of(answer_cache, principal.project, savings, days=DAYS),
        lines=[CacheLine(name, policies.get(name), known.get(name, Saving(model=name))) for name in names],
        may_clear=principal.may(Right.EDIT),
        is_live=is_live,
        removed=removed,
    )
    return shell.page(request, "calls/cache.html", context, title=later("Cache"))


@post("/settings/cache/clear", guards=[requires(Right.EDIT)], include_in_schema=False, status_code=303)
async def clear_cache(
    data: URLEncodedBody[ClearForm],
    principal: NamedDependency[Principal],
    answer_cache: NamedDependency[AnswerCache],
) -> Redirect:
    """Forget every answer of the project."""
    removed = answer_cache.clear(principal.project)
    return Redirect(f"/settings/cache?removed={removed}", status_code=303)


handlers = [show_cache, clear_cache]
