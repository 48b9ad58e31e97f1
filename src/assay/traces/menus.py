"""What the forms above lists offer: times, and the values that there are of each field."""

from assay.access.types import Principal
from assay.spans.types import SpanFilter, SpanStore
from assay.ui.filters import clip, visible
from assay.ui.language import _, later
from assay.wire.spans import SpanStatus

RANGES = (
    ("1h", later("Last hour")),
    ("24h", later("Last 24 hours")),
    ("7d", later("Last 7 days")),
    ("30d", later("Last 30 days")),
    ("365d", later("Last year")),
)


def filter_of_everything(principal: Principal) -> SpanFilter:
    """All of a project, for the choices that a form offers when its own filter cannot be read."""
    return SpanFilter(project=principal.project, from_ns=0, to_ns=1 << 62)


def menus(store: SpanStore, filter: SpanFilter, given: dict[str, str]) -> dict[str, list[tuple[str, str]]]:
    """What each menu of the form offers: any, what is there in the time range, and what is chosen now."""
    whole = SpanFilter(project=filter.project, from_ns=filter.from_ns, to_ns=filter.to_ns)
    found = {facet.field: [value for value, _ in facet.values] for facet in store.facets(whole)}
    found["status"] = [status.value for status in SpanStatus]
    offers = {}
    for field, values in found.items():
        now = given.get(field)
        offered = values if not now or now in values else [*values, now]
        offers[field] = [("", _("any")), *((value, visible(clip(value, 60))) for value in offered)]
    return offers


def ranges_with(last: str | None) -> tuple[tuple[str, str], ...]:
    """The menu of times, with the one that is chosen."""
    offered = tuple((value, _(label)) for value, label in RANGES)
    known = {value for value, _label in RANGES}
    return offered if not last or last in known else (*offered, (last, _("Last %s") % last))
