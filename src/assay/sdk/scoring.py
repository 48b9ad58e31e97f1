"""`score`: what somebody or something thought of an answer, sent in the background."""

import logging
import math
from typing import Any, Literal

from assay.kit import ids
from assay.sdk import running
from assay.sdk.running import quietly

Source = Literal["user", "human", "code", "judge", "monitor"]
"""Who measured."""

logger = logging.getLogger("assay")


def score(
    name: str,
    value: bool | float | str,
    *,
    comment: str | None = None,
    source: Source = "user",
    trace_id: str | None = None,
    span_id: str | None = None,
    session_id: str | None = None,
    case_id: str | None = None,
    id: str | None = None,
) -> None:
    """Score a trace, span, session or case; when none is named, the current span.

    Returns at once and never raises: what cannot be sent is said in the log and counted in `assay.status().scores`. The
    same `id` sent again is kept once.
    """
    targets = {"trace_id": trace_id, "span_id": span_id, "session_id": session_id, "case_id": case_id}
    quietly(_score, name, value, {key: each for key, each in targets.items() if each}, comment, source, id)


def _score(
    name: str, value: Any, targets: dict[str, str], comment: str | None, source: str, id: str | None
) -> None:
    on = running.current()
    if on is None:
        return
    if not targets and (known := on.span().get_span_context()).is_valid:
        targets = {"trace_id": f"{known.trace_id:032x}", "span_id": f"{known.span_id:016x}"}
    why = (
        None
        if targets
        else "it is about nothing: name a trace, span, session or case, or call it inside a span"
    )
    if isinstance(value, float) and not math.isfinite(value):
        why = f"{value} is no number that can be kept"
    if why is not None:
        logger.warning("The score %r is not sent: %s", name, why)
        on.outbox.refuse_score()
        return
    sent = {"name": name, "value": value, "source": source, "id": id or ids.uuid7(), **targets}
    on.outbox.offer_score(sent if comment is None else {**sent, "comment": comment})
