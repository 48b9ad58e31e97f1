"""Dialects: what the attributes of foreign spans mean, as a versioned rule set over `OtelSpan`.

A dialect is a pure function from a span as it was sent to a `Meaning`, the columns that it can name. `mapping` asks all of
them and makes the wide row; the row keeps all that was sent and the version of the rules, so that history can be mapped
again when the rules have learned more.
"""

from assay.traces.dialects.content import without_content
from assay.traces.dialects.mapping import RULES, DialectProjector
from assay.traces.dialects.pricing import Pricing

__all__ = ["RULES", "DialectProjector", "Pricing", "without_content"]
