"""The guards of one call at work: on its request, on its whole answer; and what they found, for its span."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from assay.calls.guard_texts import rewritten_message, rewritten_request, rewritten_response
from assay.calls.types import Call, Guard
from assay.detect.types import Finding, redacted
from assay.errors import GuardBlocked
from assay.kit import ids
from assay.wire.requests import ChatRequest, CompletionRequest, ModelRequest
from assay.wire.responses import Response
from assay.wire.scores import Score, ScoreSource

Side = Literal["input", "output"]
Counts = Counter[tuple[str, str, str, str]]
"""(model, guard, side, action) → calls in which it found something."""

LARGE_BYTES = 256 * 1024
"""A longer request is looked at in a thread, so that other calls go on meanwhile."""
EVERY_ROLE = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
FROM_OUTSIDE = frozenset({"user", "tool", "function"})
"""What may be somebody's attempt to give orders: the application's own messages may give them."""
_WHOLE = frozenset({"schema"})


class Watch:
    """What the guards of one call see and say."""

    def __init__(
        self, guards: Sequence[Guard], call: Call, counts: Counts, *, trace_id: str, span_id: str
    ) -> None:
        self._call = call
        self._counts = counts
        self._trace_id = trace_id
        self._span_id = span_id
        self._inputs = _looking(guards, "input")
        self._outputs = _looking(guards, "output")
        self._found: dict[tuple[str, Side], Counter[str]] = {}
        self._guards: dict[str, Guard] = {each.rule.name: each for each in guards}
        self.blocked: GuardBlocked | None = None

    @property
    def holds(self) -> bool:
        """Whether an answer must be seen before it goes out: some guard on it does more than flag."""
        return any(each.rule.action != "flag" for each in self._outputs)

    @property
    def needs_all(self) -> bool:
        """Whether it must be seen whole."""
        return any(each.rule.check in _WHOLE and each.rule.action != "flag" for each in self._outputs)

    async def admit(self) -> Call:
        """The call as it may go upstream, redacted where that is asked for. Sets `blocked` when it may not; the call returned
        is then the one to keep."""
        request = self._call.request
        assert isinstance(request, ChatRequest | CompletionRequest), "others are not watched"
        if not self._inputs:
            return self._call
        size = sum(len(bytes(raw)) for raw in request.fields.values())
        made = self._read(request) if size < LARGE_BYTES else await asyncio.to_thread(self._read, request)
        return self._call if made is request else replace(self._call, request=made)

    def answer(self, response: Response) -> Response:
        """The answer as it may go out. Sets `blocked` when it may not."""
        if not self._outputs:
            return response
        self._judge_whole(
            self._outputs,
            "output",
            [each.message.text for each in response.choices if not each.message.tool_calls],
        )
        return rewritten_response(response, self._call.endpoint, self._on_output)

    def saw(self, messages: Iterable[bytes]) -> None:
        """A stream that nobody held back has gone out, as far as these messages: flag what was in it."""
        for message in messages if self._outputs else ():
            rewritten_message(message, self._on_output)
            self._judge_whole(self._outputs, "output", _words(message))

    def masked(self, message: bytes) -> bytes:
        """A message of an answer that goes nowhere, as it may be kept."""

        def without(_: str, text: str) -> str:
            return redacted(text, [each for guard, each in self.look(text) if takes_out(guard)])

        return rewritten_message(message, without)

    def look(self, text: str) -> list[tuple[Guard, Finding]]:
        """What the guards on the answer find in a text that is a part of it. Nothing is noted yet."""
        return [
            (guard, each)
            for guard in self._outputs
            if guard.rule.check not in _WHOLE
            for each in guard.find(text)
        ]

    def note(self, found: Iterable[tuple[Guard, Finding]]) -> None:
        """These count. Sets `blocked` when one of them blocks."""
        for guard, each in found:
            self._note(guard, "output", (each,))

    def judge_whole(self, text: str) -> None:
        """Look at the whole text of a choice."""
        self._judge_whole(self._outputs, "output", [text])

    def attributes(self) -> dict[str, object]:
        """What was found, for the span; never what it was."""
        made: dict[str, object] = {}
        for name in dict.fromkeys(name for name, _ in self._found):
            sides = [
                f"{side} {_said(kinds)}" for (other, side), kinds in self._found.items() if other == name
            ]
            made[f"assay.guard.{name}"] = f"{self._guards[name].rule.action}: {'; '.join(sides)}"
        if self.blocked is not None:
            made["assay.guard.blocked"] = self.blocked.guard
        return made

    def scores(self, at_ns: int) -> Iterator[Score]:
        """One row for each guard that found something, and its count for the metrics."""
        for (name, side), kinds in self._found.items():
            rule = self._guards[name].rule
            self._counts[self._call.request.model, name, side, rule.action] += 1
            yield Score(
                score_id=ids.uuid7(),
                project=self._call.context.project,
                name=f"guard.{name}",
                value=True,
                source=ScoreSource.CODE,
                at_ns=at_ns,
                trace_id=self._trace_id,
                span_id=self._span_id,
                explanation=f"{rule.action}: {side} {_said(kinds)}",
            )

    def _read(self, request: ModelRequest) -> ModelRequest:
        self._judge_whole(self._inputs, "input", [_asked(request)])
        return rewritten_request(
            request, lambda role, text: self._examined(self._inputs, "input", role, text)
        )

    def _on_output(self, role: str, text: str) -> str:
        return self._examined(self._outputs, "output", role, text)

    def _examined(self, guards: Sequence[Guard], side: Side, role: str, text: str) -> str:
        removed: list[Finding] = []
        for guard in guards:
            if guard.rule.check in _WHOLE or role not in _roles(guard, side):
                continue
            if found := guard.find(text):
                self._note(guard, side, found)
                if takes_out(guard):
                    removed += found
        return redacted(text, removed)

    def _judge_whole(self, guards: Sequence[Guard], side: Side, texts: Iterable[str]) -> None:
        for guard in guards:
            if guard.rule.check in _WHOLE:
                for text in texts:
                    if found := guard.find(text):
                        self._note(guard, side, found)

    def _note(self, guard: Guard, side: Side, found: Sequence[Finding]) -> None:
        rule = guard.rule
        self._found.setdefault((rule.name, side), Counter()).update(each.kind for each in found)
        if rule.action == "block" and self.blocked is None:
            self.blocked = _blocked(rule.name, side)


def _blocked(guard: str, side: Side) -> GuardBlocked:
    """It says which guard, and nothing of what it found."""
    what, hint = (
        ("what was sent", "Change the input.")
        if side == "input"
        else ("the model's answer", "Ask in another way; the call was made and is paid for.")
    )
    return GuardBlocked(
        f"guard_blocked: the guard {guard!r} blocks {what}", guard=guard, side=side, hint=hint
    )


def takes_out(guard: Guard) -> bool:
    """Whether what it finds is not to be read by anybody: not upstream, not by the client, not on the span."""
    return guard.rule.action != "flag" and guard.rule.check != "injection"


def _looking(guards: Sequence[Guard], side: Side) -> tuple[Guard, ...]:
    return tuple([each for each in guards if each.rule.on in (side, "both")])


def _roles(guard: Guard, side: Side) -> frozenset[str]:
    if side == "output":
        return EVERY_ROLE
    if guard.rule.roles:
        named = frozenset(guard.rule.roles)
        return named | {"function"} if "tool" in named else named
    return FROM_OUTSIDE if guard.rule.check == "injection" else EVERY_ROLE


def _asked(request: ModelRequest) -> str:
    """The text that a schema for the input is about: the last message of the user's, or the prompt."""
    if isinstance(request, CompletionRequest):
        return request.prompt if isinstance(request.prompt, str) else ""
    return next((each.text for each in reversed(request.messages) if each.role == "user"), "")


def _words(message: bytes) -> list[str]:
    made = msgspec.json.decode(message)
    words = made.get("content")
    return [words] if isinstance(words, str) and not made.get("tool_calls") else []


def _said(kinds: Counter[str]) -> str:
    return ", ".join(kind if count == 1 else f"{kind} ×{count}" for kind, count in kinds.items())
