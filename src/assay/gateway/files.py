"""`/v1/files`: OpenAI's files, kept here."""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec
import multipart

from assay.access import Principal
from assay.errors import BadRequest, TooLarge, UnsupportedMediaType
from assay.files import PURPOSES, Files, Incoming, StoredFile
from assay.gateway.calling import check_may_call
from assay.gateway.exchange import Exchange

MOST_LISTED = 10_000
_SHORTEST_S, _LONGEST_S = 3_600, 2_592_000
"""`expires_after[seconds]`, as OpenAI has it: an hour to thirty days."""
_LONGEST_FIELD = 4_096
_encode = msgspec.json.Encoder().encode


class FilesApi:
    """The endpoints."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def create(self, exchange: Exchange, principal: Principal) -> None:
        """A file comes in, piece by piece: it is never in memory whole."""
        check_may_call(principal)
        kind, options = multipart.parse_options_header(
            exchange.headers.get(b"content-type", b"").decode("latin-1")
        )
        if kind != "multipart/form-data" or not options.get("boundary"):
            raise UnsupportedMediaType(
                f"A file comes as multipart/form-data, not {kind or 'without a content type'}",
                hint="Send the fields purpose and file.",
            )
        incoming = await asyncio.to_thread(self._files.begin)
        form = Form(options["boundary"], incoming)
        try:
            await _receive(exchange, form)
            purpose = _purpose(form.fields.get("purpose"))
            keep = partial(
                self._files.keep,
                incoming,
                principal.project,
                filename=form.filename or "file",
                purpose=purpose,
                actor=principal.name,
                expires_after_s=_expires_after(form.fields),
            )
            if form.filename is None:
                raise BadRequest("file is missing", param="file", hint="Send it as a part with a filename.")
            kept = await asyncio.to_thread(keep)
        finally:
            await asyncio.to_thread(incoming.close)
        await exchange.respond(200, _encode(card(kept)))

    async def index(self, exchange: Exchange, principal: Principal) -> None:
        """The project's files, newest first."""
        check_may_call(principal)
        asked = parse_qs(exchange.query)
        limit = number_in(asked, "limit", usual=MOST_LISTED, most=MOST_LISTED)
        order = asked.get("order", ["desc"])[0]
        if order not in ("asc", "desc"):
            raise BadRequest(f"order is {order!r}: it must be asc or desc", param="order")
        find = partial(
            self._files.page,
            principal.project,
            purpose=asked.get("purpose", [None])[0],
            after=asked.get("after", [None])[0],
            oldest_first=order == "asc",
            limit=limit + 1,
        )
        found = await asyncio.to_thread(find)
        await exchange.respond(200, _encode(page([card(each) for each in found], limit)))

    async def show(self, exchange: Exchange, principal: Principal) -> None:
        """What is known of a file."""
        await exchange.respond(200, _encode(card(await self._found(exchange, principal))))

    async def content(self, exchange: Exchange, principal: Principal) -> None:
        """A file's content, as it came."""
        file = await self._found(exchange, principal)
        pieces = self._files.pieces(file)
        piece = await asyncio.to_thread(next, pieces, b"")
        await exchange.start(b"application/octet-stream")
        while piece:
            await exchange.write(piece)
            piece = await asyncio.to_thread(next, pieces, b"")
        await exchange.write(b"", more=False)

    async def remove(self, exchange: Exchange, principal: Principal) -> None:
        """Let go of a file."""
        file = await self._found(exchange, principal)
        await asyncio.to_thread(self._files.remove, principal.project, file.id)
        await exchange.respond(200, _encode({"id": file.id, "object": "file", "deleted": True}))

    async def _found(self, exchange: Exchange, principal: Principal) -> StoredFile:
        check_may_call(principal)
        id = exchange.path.removeprefix("/v1/files/").partition("/")[0]
        return await asyncio.to_thread(self._files.get, principal.project, id)


class Form:
    """A form that is being read: its fields, and the file, which goes where it is kept."""

    def __init__(self, boundary: str, incoming: Incoming) -> None:
        self._parser = multipart.PushMultipartParser(boundary, max_segment_count=16)
        self._incoming = incoming
        self._segment: Any = None
        self.fields: dict[str, str] = {}
        self.filename: str | None = None

    def feed(self, piece: bytes) -> None:
        """The next piece of the body; an empty one says that it ends. Raises `BadRequest` for what is no form."""
        try:
            for event in self._parser.parse(piece):
                self._take(event)
        except multipart.MultipartError as error:
            raise BadRequest(
                f"The body is no form: {error}", hint="Send multipart/form-data with purpose and file."
            ) from error

    def _take(self, event: Any) -> None:
        if event is None:
            self._segment = None
        elif isinstance(event, multipart.MultipartSegment):
            self._segment = event
            if event.name == "file":
                if self.filename is not None:
                    raise BadRequest("The form has more than one file", param="file")
                self.filename = _base_name(event.filename or "file")
            else:
                self.fields[event.name] = ""
        elif self._segment.name == "file":
            self._incoming.write(bytes(event))
        else:
            value = self.fields[self._segment.name] + bytes(event).decode("utf-8", "replace")
            if len(value) > _LONGEST_FIELD:
                raise BadRequest(f"The field {self._segment.name} is too long", param=self._segment.name)
            self.fields[self._segment.name] = value


async def _receive(exchange: Exchange, form: Form) -> None:
    is_more = True
    while is_more:
        message = await exchange.receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("The client left before its file was complete")
        is_more = bool(message.get("more_body"))
        if piece := message.get("body", b""):
            try:
                await asyncio.to_thread(form.feed, piece)
            except TooLarge:
                await exchange.drain(message)
                raise
    form.feed(b"")


def card(file: StoredFile) -> dict[str, Any]:
    """A file as OpenAI shows it."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at_ns // 1_000_000_000,
        "expires_at": None if file.expires_at_ns is None else file.expires_at_ns // 1_000_000_000,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }


def page(cards: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A list as OpenAI pages it, out of one more than were asked for."""
    shown = cards[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(cards) > limit,
    }


def number_in(asked: dict[str, list[str]], name: str, *, usual: int, most: int) -> int:
    """A number of a query. Raises `BadRequest`."""
    text = asked.get(name, [str(usual)])[0]
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise BadRequest(f"{name} is {text!r}: it must be 1 to {most}", param=name)
    return int(text)


def _purpose(sent: str | None) -> str:
    if sent not in PURPOSES:
        raise BadRequest(
            "purpose is missing" if sent is None else f"purpose is {sent!r}",
            param="purpose",
            hint=f"It is one of {', '.join(PURPOSES)}.",
        )
    return sent


def _expires_after(fields: dict[str, str]) -> int | None:
    anchor, seconds = fields.get("expires_after[anchor]"), fields.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise BadRequest("expires_after.anchor must be created_at", param="expires_after.anchor")
    if seconds is None or not seconds.isdecimal() or not _SHORTEST_S <= int(seconds) <= _LONGEST_S:
        raise BadRequest(
            f"expires_after.seconds is {seconds!r}: it must be {_SHORTEST_S} to {_LONGEST_S}",
            param="expires_after.seconds",
        )
    return int(seconds)


def _base_name(sent: str) -> str:
    """Some clients send a path; what is shown is a name."""
    return sent.replace("\\", "/").rpartition("/")[2] or "file"
