"""From the bytes of an OTLP request to spans on the medium.

What can be read is in the spool, and fsynced, when `take` answers; what cannot be read lies in quarantine with its reason,
one file a request. Decoding runs on a thread, so that calls of models go on meanwhile.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec

from assay.errors import BadRequest, TooLarge, Unavailable
from assay.kit.clock import SYSTEM, Clock
from assay.spans import Quarantine, Receipt, Spool
from assay.traces import otlp_json, otlp_protobuf
from assay.traces.dialects import without_content
from assay.traces.otlp import Reading, Sender, Unreadable, chunks
from assay.traces.otlp_bodies import Format, inflate

_SPANS_A_RECORD = 1_000
_NAMED = 5
"""Refused spans that an answer names one by one."""
_READERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="assay-otlp")
"""A large request needs some hundreds of megabytes while it is read: two at once, the others wait."""
_DECODE = {Format.PROTOBUF: otlp_protobuf.decode, Format.JSON: otlp_json.decode}


class Taken(msgspec.Struct, frozen=True):
    """What became of a request; `message` names the spans that were refused and is empty when there are none."""

    kept: int
    refused: int
    message: str


async def take(
    body: bytes,
    *,
    format: Format,
    encoding: str,
    sender: Sender,
    spool: Spool,
    quarantine: Quarantine,
    max_body_bytes: int,
    keep_content: bool = True,
    clock: Clock = SYSTEM,
) -> Taken:
    """Keep the spans of a request. Raises `BadRequest` when nothing in it can be used, `TooLarge` past a limit,
    `Unavailable` when it cannot be kept now: then the same request may be sent again."""
    spool.admit_telemetry()

    def work() -> tuple[Reading, Receipt | None]:
        reading = _read(inflate(body, encoding, max_body_bytes), format, sender)
        if not keep_content:
            reading.spans = [without_content(span) for span in reading.spans]
        return reading, _append(spool, reading)

    reading, receipt = await asyncio.get_running_loop().run_in_executor(_READERS, work)
    if reading.spans and (receipt is None or not await spool.kept(receipt)):
        raise Unavailable(
            f"The spans could not be kept: {spool.fault or 'the server is stopping'}.",
            hint="Send them again; a span that is kept twice counts once.",
        )
    if not reading.refused:
        return Taken(len(reading.spans), 0, "")
    refused = len(reading.refused)
    name = await asyncio.to_thread(_set_aside, quarantine, reading, clock.now_ns())
    message = f"{refused} of {reading.count} spans cannot be used and lie in quarantine ({name}): {reading.named(_NAMED)}"
    if not reading.spans:
        raise BadRequest(message)
    return Taken(len(reading.spans), refused, message)


def _read(body: bytes, format: Format, sender: Sender) -> Reading:
    try:
        return _DECODE[format](body, sender)
    except TooLarge:
        raise
    except Unreadable as error:
        raise BadRequest(str(error), hint=f"The Content-Type says that it is {format}.") from error


def _append(spool: Spool, reading: Reading) -> Receipt | None:
    """Records are kept in order, so the last one's receipt stands for all."""
    receipt = None
    for part in chunks(reading.spans, _SPANS_A_RECORD):
        receipt = spool.append(part)
        if receipt is None:
            return None
    return receipt


def _set_aside(quarantine: Quarantine, reading: Reading, now_ns: int) -> str:
    payload = msgspec.msgpack.encode([(one.where, one.reason, one.payload) for one in reading.refused])
    reason = f"{len(reading.refused)} spans sent by OTLP cannot be used: {reading.named(_NAMED)}"
    source = f"otlp:{reading.sender.project}:{reading.sender.key_id or 'login'}"
    return quarantine.add(payload, reason=reason, source=source, at_ns=now_ns)
