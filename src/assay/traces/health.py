"""What is wrong with keeping spans, in words: for `/readyz` and the banner on every page."""

from assay.spans import Collector, Spool

_BEHIND_S = 30.0


def troubles(spool: Spool, collector: Collector) -> list[tuple[str, str]]:
    """What it is and what to do, the gravest first; reads nothing from the store. Empty when all is well."""
    found: list[tuple[str, str]] = []
    refused, state = spool.refusal(), collector.state
    if refused is not None:
        found.append((f"Telemetry is refused. {refused.message}", refused.hint or ""))
    elif state.last_error is not None:
        found.append((f"New spans do not show yet: {state.last_error}", "They are safe in the spool."))
    elif state.lag_s > _BEHIND_S:
        found.append((f"The newest spans show {state.lag_s:.0f} s late.", "The collector is catching up."))
    if spool.lost_calls:
        found.append(
            (
                f"{spool.lost_calls} calls were answered and not kept since the start.",
                "The log says when and why.",
            )
        )
    if state.quarantined:
        found.append(
            (
                f"{state.quarantined} pieces of what came in are no spans and lie in quarantine.",
                "GET /api/quarantine says why.",
            )
        )
    return found
