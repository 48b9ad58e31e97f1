"""Figures of an answer as the page shows them, so that scripts need not know how."""

from assay.playground.asking import Figures
from assay.ui import filters
from assay.ui.language import _


def shown(figures: Figures) -> dict[str, str]:
    """By name: what stands in the column below an answer."""
    about = "≈" if figures.is_estimated else ""
    tokens = (
        filters.UNKNOWN
        if figures.output_tokens is None
        else f"{filters.integer(figures.input_tokens)} → {about}{filters.integer(figures.output_tokens)}"
    )
    return {
        "latency": filters.duration_ms(figures.latency_ms),
        "first_output": filters.duration_ms(figures.first_output_ms),
        "speed": filters.number(figures.tokens_per_s),
        "tokens": tokens,
        "cost": _("unknown") if figures.cost_usd is None else filters.usd(figures.cost_usd),
        "model": " · ".join(part for part in (figures.model, figures.provider) if part),
        "finish": figures.finish_reason or "",
        "status": figures.status.value,
    }
