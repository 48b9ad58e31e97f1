"""`task`: asking for a job to be done by whatever serves it now."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx
import msgspec

from assay.errors import Upstream
from assay.kit import json
from assay.sdk import running

_PATH = "/v1/chat/completions"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a task answered. `cost_usd` is None when a price is unknown."""

    output: str
    message: dict[str, Any]
    trace_id: str | None
    variant: str | None
    model: str | None
    usage: dict[str, Any]
    cost_usd: Decimal | None


class Task:
    """A task by name; calling it with its inputs does it once."""

    def __init__(self, name: str, sent: Mapping[str, Any], history: Sequence[Any], timeout_s: float) -> None:
        self.name = name
        self._sent = sent
        self._history = list(history)
        self._timeout_s = timeout_s

    def __call__(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> Answer:
        """Do it, and wait. Raises the server's errors as they were: `NotFound`, `BadRequest` naming a missing input,
        `Upstream`, `RateLimited`; `Unavailable` when the server cannot be reached."""
        asking = running.required().asking
        return _answer(asking.post(_PATH, self._body(inputs, more), timeout_s=self._timeout_s))

    async def acall(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> Answer:
        """The same for async code."""
        asking = running.required().asking
        return _answer(await asking.apost(_PATH, self._body(inputs, more), timeout_s=self._timeout_s))

    def _body(self, inputs: Mapping[str, Any] | None, more: dict[str, Any]) -> dict[str, Any]:
        given = {**inputs, **more} if inputs else more
        return {
            "model": f"task:{self.name}",
            "messages": self._history,
            "assay": {"inputs": given, **self._sent},
        }


def task(
    name: str,
    *,
    session: str | None = None,
    user: str | None = None,
    tags: Sequence[str] = (),
    history: Sequence[Mapping[str, Any]] = (),
    timeout_s: float = 120.0,
) -> Task:
    """A task: `assay.task("polish")(text="She no went.").output`, or `await assay.task("polish").acall(text=…)`.

    It goes through the gateway as part of the current trace; `session`, `user` and `tags` are those of the block unless
    given. `history` is earlier messages. To stream, call the model `task:<name>` with `assay.openai_client()`.
    """
    sent = {"session": session, "user": user, "tags": list(tags)}
    return Task(name, {key: value for key, value in sent.items() if value}, history, timeout_s)


def _answer(response: httpx.Response) -> Answer:
    try:
        body = json.decode(response.content)
        message = body["choices"][0]["message"]
    except (msgspec.DecodeError, KeyError, IndexError, TypeError) as error:
        raise Upstream("The server answered something that is no completion") from error
    headers = response.headers
    return Answer(
        output=message.get("content") or "",
        message=message,
        trace_id=headers.get("x-assay-trace-id"),
        variant=headers.get("x-assay-variant"),
        model=headers.get("x-assay-model"),
        usage=body.get("usage") or {},
        cost_usd=_money(headers.get("x-assay-cost-usd")),
    )


def _money(text: str | None) -> Decimal | None:
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None
