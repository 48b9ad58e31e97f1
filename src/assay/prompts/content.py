"""What a prompt says: one template, which is one user message, or a list of messages with a template each."""

from typing import Literal

import msgspec

from assay.errors import BadRequest
from assay.kit.hashing import value_hash

TemplateRole = Literal["system", "developer", "user", "assistant", "history"]
MAX_MESSAGES = 200


class TemplateMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message. The role `history` has no content: it marks where the earlier turns of a conversation go."""

    role: TemplateRole
    content: str = ""


class PromptContent(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Exactly one of the two is set."""

    template: str | None = None
    messages: tuple[TemplateMessage, ...] = ()

    @property
    def hash(self) -> str:
        """The name of this content."""
        return value_hash(self)

    @property
    def templates(self) -> tuple[TemplateMessage, ...]:
        """The messages; a single template is one user message."""
        return self.messages if self.template is None else (TemplateMessage("user", self.template),)


def checked(content: PromptContent) -> PromptContent:
    """The same content; raises `BadRequest` for one that says nothing, or says it twice."""
    if (content.template is None) == (not content.messages):
        raise BadRequest(
            "A prompt has either one template or a list of messages",
            param="template",
            hint='Send {"template": "…"} or {"messages": [{"role": "user", "content": "…"}]}.',
        )
    if len(content.messages) > MAX_MESSAGES:
        raise BadRequest(f"A prompt has at most {MAX_MESSAGES} messages", param="messages")
    history = [place for place, message in enumerate(content.messages) if message.role == "history"]
    if len(history) > 1:
        raise BadRequest(
            "A prompt has at most one place for the history", param=f"messages[{history[1]}].role"
        )
    if history and content.messages[history[0]].content:
        raise BadRequest("The place of the history has no content", param=f"messages[{history[0]}].content")
    if content.messages and len(history) == len(content.messages):
        raise BadRequest("A prompt needs a message beside the history", param="messages")
    return content
