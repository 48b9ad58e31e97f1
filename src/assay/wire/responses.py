"""What a model answers, whole or as a stream of events."""

import msgspec

from assay.wire.messages import Message
from assay.wire.usage import Usage


class Choice(msgspec.Struct, frozen=True):
    """One of the answers asked for."""

    message: Message
    finish_reason: str | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer; `raw` is the JSON in the format that the client speaks. `billed` is what is paid for, of a vendor that
    bills other counts than the model's."""

    raw: bytes
    choices: tuple[Choice, ...]
    model: str | None = None
    id: str | None = None
    usage: Usage | None = None
    billed: Usage | None = None

    @property
    def text(self) -> str:
        """The first choice's text."""
        return self.choices[0].message.text if self.choices else ""


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event of a streamed answer. `raw` is the JSON of the event in the client's format, None when the event is only
    for the ledger (usage that the client did not ask for).

    `is_output` marks the first thing a person could read, see or execute: text, a tool call, a refusal, reasoning. Until
    one of these has gone out, another provider may still answer instead.
    """

    raw: bytes | None
    is_output: bool = False
    index: int = 0
    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    billed: Usage | None = None
    model: str | None = None
    malformed: bool = False
