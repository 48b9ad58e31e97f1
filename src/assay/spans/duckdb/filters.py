"""A filter as a condition in SQL, with its parameters."""

from typing import Any

from assay.spans.types import FACETS, GroupField, SpanFilter

_EQUAL = (
    "environment",
    "provider",
    "model",
    "task",
    "variant",
    "user_id",
    "session_id",
    "key_id",
    "run_id",
    "case_id",
)
_SEARCHED = ("name", "input_preview", "output_preview", "error_message")

GROUP_COLUMNS: dict[GroupField, str] = {
    "model": "model",
    "provider": "provider",
    "task": "task",
    "variant": "variant",
    "user_id": "user_id",
    "session_id": "session_id",
    "key_id": "key_id",
    "environment": "environment",
    "error_type": "error_type",
}
FACET_COLUMNS = FACETS


def condition(filter: SpanFilter) -> tuple[str, list[Any]]:
    """The condition and its parameters, for `live_spans`."""
    terms: list[str] = ["project = ?", "start_ns >= ?", "start_ns < ?"]
    parameters: list[Any] = [filter.project, filter.from_ns, filter.to_ns]

    def narrow(term: str, *values: Any) -> None:
        terms.append(term)
        parameters.extend(values)

    for name in _EQUAL:
        if (value := getattr(filter, name)) is not None:
            narrow(f"{name} = ?", value)
    if filter.kind:
        narrow("list_contains(?, kind)", [kind.value for kind in filter.kind])
    if filter.status:
        narrow("list_contains(?, status)", [status.value for status in filter.status])
    if filter.tag is not None:
        narrow("list_contains(tags, ?)", filter.tag)
    if filter.min_duration_ms is not None:
        narrow("end_ns - start_ns >= ?", round(filter.min_duration_ms * 1e6))
    if filter.min_cost_usd is not None:
        narrow("cost_usd >= ?", filter.min_cost_usd)
    if filter.text:
        pattern = _containing(filter.text)
        narrow(
            "(" + " OR ".join(f"{name} ILIKE ? ESCAPE '\\'" for name in _SEARCHED) + ")",
            *[pattern] * len(_SEARCHED),
        )
    return " AND ".join(terms), parameters


def _containing(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
