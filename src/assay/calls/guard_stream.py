"""A streamed answer that is looked at before it goes out: held back to the end of a sentence, released as it came.

Events wait in order. The text of each channel (the words, the reasoning, each tool call of each choice) is looked at when a
sentence is whole, and an event goes out once all that it says is cleared: byte for byte, unless something in it is to be
redacted. What is found across the border of events or sentences is taken out as one. The arguments of a tool call are
looked at when they are complete. What has gone out stays valid; a block ends the answer with an error.
"""

import re
from collections import deque
from typing import Any

import msgspec
from msgspec.structs import replace

from assay.calls.guard_texts import rewritten_arguments, rewritten_event
from assay.calls.guard_watch import Watch, takes_out
from assay.calls.stream_texts import (
    MARKS,
    TOLD,
    WORDS,
    Ends,
    Mark,
    objects,
    of_chat,
    of_completion,
    of_responses,
)
from assay.detect.types import Finding, merged, placeholder, redacted
from assay.wire.openai_chat import UNREADABLE
from assay.wire.responses import StreamEvent

MAX_HELD = 8_000
"""Characters of one channel that are held back when no sentence ends; more than any key or number has."""
MARGIN = 400
"""Of those, how many stay when some must go: what ends the text may be the beginning of something."""
BEFORE = 400
"""Characters before a sentence that are looked at with it, though they have gone out."""

_ENDS = re.compile(r"[.!?…][\"')\]]*\s|[。！？；]|(?<!-----)\n")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class GuardedEvents:
    """Takes the events of a stream and gives those that may go out."""

    def __init__(self, watch: Watch, endpoint: str) -> None:
        self._watch = watch
        self._marks = MARKS.get(endpoint, of_chat)
        self._channels: dict[tuple[Any, ...], _Channel] = {}
        self._held: deque[_Held] = deque()
        self._is_through = False

    def of(self, event: StreamEvent) -> list[StreamEvent]:
        """The events that may go out now that this one has come. Raises `GuardBlocked`."""
        chunk = None if event.raw is None else _read(event.raw)
        held = _Held(event, chunk, [])
        for mark in () if chunk is None else self._marks(chunk):
            if isinstance(mark, Ends):
                self._end(mark.of)
            else:
                held.pieces.append(self._piece(mark))
        self._held.append(held)
        for piece in held.pieces:
            self._clear(piece.channel, final=False)
        return self._released()

    def end(self) -> list[StreamEvent]:
        """The upstream is through: what is left. Raises `GuardBlocked`."""
        self._close()
        return self._released()

    def rest(self) -> list[StreamEvent]:
        """What the client is not told any more, redacted, for the account."""
        self._close()
        rest = [self._now(held) for held in self._held]
        self._held.clear()
        return rest

    def _piece(self, mark: Mark) -> "_Piece":
        channel = self._channels.get(mark.channel)
        if channel is None:
            if mark.ends:
                self._end(mark.ends, calls=False)
            channel = self._channels[mark.channel] = _Channel(
                is_json=mark.is_json, is_words=mark.channel[-1] in WORDS
            )
        start = channel.end
        channel.add(mark.text)
        return _Piece(channel, start, channel.end, mark.holder, mark.key)

    def _close(self) -> None:
        if self._is_through:
            return
        self._is_through = True
        words: dict[Any, list[str]] = {}
        for key, channel in self._channels.items():
            if channel.is_words:
                words.setdefault(key[0] if self._marks in (of_chat, of_completion) else None, []).append(
                    channel.whole
                )
        if not any(channel.is_json for channel in self._channels.values()):
            for texts in words.values() or [[""]]:
                self._watch.judge_whole("".join(texts))
        self._end(())

    def _end(self, beginning: tuple[Any, ...], *, calls: bool = True) -> None:
        for key, channel in self._channels.items():
            if key[: len(beginning)] == beginning and (calls or not channel.is_json):
                self._clear(channel, final=True)

    def _clear(self, channel: "_Channel", *, final: bool) -> None:
        if channel.is_words and self._watch.needs_all and not self._is_through:
            return
        if channel.is_json:
            if final and channel.cleared < channel.end:
                channel.becomes(rewritten_arguments(channel.text, "assistant", self._on_arguments))
            return
        upto = channel.end if final else channel.sentence_end()
        if upto <= channel.cleared:
            return
        base = channel.base
        looked = self._watch.look(channel.text)
        spans = [
            (base + each.start, base + each.end) for guard, each in looked if guard.rule.action != "flag"
        ]
        upto = channel.without_crossing(upto, spans, final=final)
        now = [pair for pair in looked if base + pair[1].start < upto]
        self._watch.note([pair for pair in now if channel.is_new(pair[0].rule.name, pair[1])])
        removed = merged([each for guard, each in now if takes_out(guard)])
        channel.clear(upto, [(base + each.start, base + each.end, each.kind) for each in removed])

    def _on_arguments(self, role: str, text: str) -> str:
        looked = self._watch.look(text)
        self._watch.note(looked)
        return redacted(text, [each for guard, each in looked if takes_out(guard)])

    def _released(self) -> list[StreamEvent]:
        if self._watch.blocked is not None:
            raise self._watch.blocked
        out: list[StreamEvent] = []
        while self._held and self._held[0].is_cleared:
            held = self._held.popleft()
            out.append(self._now(held))
            held.forget()
        return out

    def _now(self, held: "_Held") -> StreamEvent:
        event = held.event_now()
        if self._marks is of_responses and held.chunk is not None and _tells_again(held.chunk):
            again = rewritten_event(held.chunk, self._again)
            return event if again == held.chunk else replace(event, raw=_encode(again))
        return event

    def _again(self, role: str, text: str) -> str:
        return redacted(text, [each for guard, each in self._watch.look(text) if takes_out(guard)])


class _Channel:
    """One text of the answer. Places are counted from its beginning; `text` starts at `base`, and what is before `cleared` may
    go out, with `edits` made."""

    __slots__ = (
        "_noted",
        "base",
        "cleared",
        "edits",
        "is_json",
        "is_words",
        "open_at",
        "pieces",
        "released",
        "text",
    )

    def __init__(self, *, is_json: bool, is_words: bool) -> None:
        self.text = ""
        self.pieces: list[str] = []
        self.base = self.cleared = self.released = 0
        self.edits: list[tuple[int, int, str]] = []
        self.open_at: int | None = None
        self._noted: set[tuple[str, int]] = set()
        self.is_json = is_json
        self.is_words = is_words

    @property
    def end(self) -> int:
        return self.base + len(self.text)

    @property
    def whole(self) -> str:
        return "".join(self.pieces)

    def add(self, text: str) -> None:
        self.text += text
        if self.is_words:
            self.pieces.append(text)

    def sentence_end(self) -> int:
        """Up to where the text may be looked at and let go."""
        pending = self.text[self.cleared - self.base :]
        end = max((match.end() for match in _ENDS.finditer(pending)), default=0)
        if not end and len(pending) > MAX_HELD:
            most = len(pending) - MARGIN
            end = pending.rfind(" ", 0, most) + 1 or most
        return self.cleared + end

    def without_crossing(self, upto: int, found: list[tuple[int, int]], *, final: bool) -> int:
        """A place at or before `upto` that is not in the middle of something, or behind something that may go on, unless that
        is too long to wait for."""
        if final or self.end - self.cleared > MAX_HELD:
            return upto
        crossing = [start for start, end in found if start < upto and (upto < end or self._may_go_on(end))]
        return max(min(crossing), self.cleared) if crossing else upto

    def is_new(self, guard: str, finding: Finding) -> bool:
        """Whether it has not counted yet."""
        key = (guard, self.base + finding.start)
        if self.base + finding.end <= self.cleared or key in self._noted:
            return False
        self._noted.add(key)
        return True

    def clear(self, upto: int, found: list[tuple[int, int, str]]) -> None:
        """Let the text go up to there, without what was found."""
        for start, end, kind in found:
            if end > self.cleared:
                known = self.open_at is not None and start <= self.open_at
                instead = "" if known else placeholder(kind)
                self.edits.append((max(start, self.cleared), min(end, upto), instead))
                self.open_at = start
        if self.open_at is not None and not (found and found[-1][1] > upto - BEFORE):
            self.open_at = None
        self.cleared = upto
        self._trim()

    def _may_go_on(self, end: int) -> bool:
        """Whether no other sentence has been told since."""
        return _ENDS.search(self.text[end - self.base :].lstrip()) is None

    def becomes(self, text: str) -> None:
        """The whole text is this from now on."""
        if text != self.text:
            self.edits = [(0, self.end, text)]
        self.cleared = self.end

    def part(self, start: int, end: int) -> str:
        """What of the text stands there, with the edits made. What takes the place of something stands where that began."""
        made: list[str] = []
        at = start
        for first, last, instead in self.edits:
            if last <= start or first >= end:
                continue
            made.append(self.text[at - self.base : max(first, start) - self.base])
            if first >= start:
                made.append(instead)
            at = min(last, end)
        return "".join([*made, self.text[at - self.base : end - self.base]])

    def release(self, end: int) -> None:
        """It has gone out up to there."""
        self.released = end
        self.edits = [edit for edit in self.edits if edit[1] > end]
        self._trim()

    def _trim(self) -> None:
        if self.is_json:
            return
        least = min(
            self.released, self.cleared - BEFORE, self.cleared if self.open_at is None else self.open_at
        )
        if least - self.base > BEFORE:
            self.text = self.text[least - self.base :]
            self.base = least


class _Piece:
    """What one event says on one channel, and where in its JSON."""

    __slots__ = ("channel", "end", "holder", "key", "start")

    def __init__(self, channel: _Channel, start: int, end: int, holder: dict[str, Any], key: str) -> None:
        self.channel = channel
        self.start = start
        self.end = end
        self.holder = holder
        self.key = key


class _Held:
    """An event that waits."""

    __slots__ = ("chunk", "event", "pieces")

    def __init__(self, event: StreamEvent, chunk: dict[str, Any] | None, pieces: list[_Piece]) -> None:
        self.event = event
        self.chunk = chunk
        self.pieces = pieces

    @property
    def is_cleared(self) -> bool:
        return all(piece.end <= piece.channel.cleared for piece in self.pieces)

    def event_now(self) -> StreamEvent:
        """The event as it goes out: itself, or its JSON with other words."""
        changed = False
        text = self.event.text
        for piece in self.pieces:
            now = piece.channel.part(piece.start, piece.end)
            before = piece.holder[piece.key]
            if now != before:
                changed = True
                piece.holder[piece.key] = now
                text = now if before == text else text
        if not changed or self.chunk is None:
            return self.event
        for choice in objects(self.chunk.get("choices")):
            if choice.get("logprobs") is not None:  # they spell what is taken out
                choice["logprobs"] = None
        return replace(self.event, raw=_encode(self.chunk), text=text)

    def forget(self) -> None:
        for piece in self.pieces:
            piece.channel.release(piece.end)


def _tells_again(chunk: dict[str, Any]) -> bool:
    """Whether an event of the Responses API repeats what was told in pieces."""
    kind = str(chunk.get("type"))
    return kind.startswith("response.") and (kind.endswith(".done") or kind in TOLD)


def _read(raw: bytes) -> dict[str, Any] | None:
    try:
        return _decode(raw)
    except UNREADABLE:
        return None
