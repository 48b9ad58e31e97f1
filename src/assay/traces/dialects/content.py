"""What people and models said, taken out of a foreign span before it is kept: for servers that keep figures only."""

import re
from typing import Any

import msgspec

from assay.wire.spans import OtelSpan, SpanEvent

_SAID = re.compile(
    r"""gen_ai\.(input\.messages|output\.messages|system_instructions|tool\.definitions|tool\.call\.\w+|retrieval\..*
          |(prompt|completion)(\.\d.*)?|event\.content)
      | llm\.(input_messages|output_messages|prompts|completions|tools|prompt_template|function_call|request\.functions)\b.*
      | (input|output)\.value | retrieval\.documents\b.* | embedding\.embeddings\b.* | tool\.parameters
      | reranker\.(query|input_documents|output_documents)\b.* | traceloop\.entity\.(input|output) | assay\.(input|output)""",
    re.VERBOSE,
)
_LONGEST = 256
"""Characters of a text under any other name that are no content."""
_OF_EVENTS = ("exception.type", "error.type", "exception.escaped")


def without_content(sent: OtelSpan) -> OtelSpan:
    """The span with its names, figures and short labels, without what was said."""
    return msgspec.structs.replace(
        sent,
        attributes={name: value for name, value in sent.attributes.items() if not _is_content(name, value)},
        events=tuple(
            SpanEvent(
                event.name,
                event.at_ns,
                {name: event.attributes[name] for name in _OF_EVENTS if name in event.attributes},
            )
            for event in sent.events
        ),
    )


def _is_content(name: str, value: Any) -> bool:
    if _SAID.fullmatch(name):
        return True
    if isinstance(value, str):
        return len(value) > _LONGEST
    return isinstance(value, bytes | dict) or (isinstance(value, list) and any(map(_is_long, value)))


def _is_long(item: Any) -> bool:
    return isinstance(item, list | dict | bytes) or (isinstance(item, str) and len(item) > _LONGEST)
