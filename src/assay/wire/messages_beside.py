"""What may stand beside the blocks and tools of an Anthropic client on its way to a format that has no place for it."""

from assay.errors import Untranslatable
from assay.wire.messages import Beside, Message, Tool
from assay.wire.requests import MessagesRequest

_HINTS = frozenset({"cache_control", "citations", "caller", "eager_input_streaming"})
"""These change nothing of the answer."""


def check_beside(request: MessagesRequest, provider: str) -> tuple[str, ...]:
    """Where each message stands. Raises `Untranslatable` for anything beside a block or a tool that may change the answer, and
    for tools that run at Anthropic."""
    places = request.places or tuple(f"messages[{at}]" for at in range(len(request.messages)))
    for message, place in zip(request.messages, places, strict=True):
        for beside in _all_beside(message):
            _check(beside, place, provider)
    for at, tool in enumerate(request.tools):
        _check_tool(tool, f"tools[{at}]", provider)
    return places


def _all_beside(message: Message) -> list[Beside | None]:
    parts = [getattr(part, "beside", None) for part in message.parts]
    return [message.beside, *parts, *(call.beside for call in message.tool_calls)]


def _check_tool(tool: Tool, place: str, provider: str) -> None:
    if "type" in (tool.beside or {}):
        raise Untranslatable(
            f"The tool {tool.name!r} runs at Anthropic, and not at this model's provider ({provider})",
            param=f"{place}.type",
            hint="Leave it out.",
        )
    _check(tool.beside, place, provider)


def _check(beside: Beside | None, place: str, provider: str) -> None:
    for name, raw in (beside or {}).items():
        if name not in _HINTS and bytes(raw) != b"null":
            raise Untranslatable(
                f"{place}.{name} cannot be said in the format of this model's provider ({provider})",
                param=f"{place}.{name}",
                hint="Leave it out, or ask for a model of an Anthropic provider.",
            )
