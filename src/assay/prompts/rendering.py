"""From a prompt and its inputs to messages."""

from collections.abc import Mapping
from typing import Any

import msgspec

from assay.errors import AssayError
from assay.prompts.content import PromptContent, TemplateRole, checked
from assay.templates import CompiledTemplate


class RenderedMessage(msgspec.Struct, frozen=True):
    """A message with its text; the place of the history has none."""

    role: TemplateRole
    content: str


class CompiledPrompt:
    """A prompt ready to be rendered. `inputs` in order of first use; those in `optional` may be missing."""

    __slots__ = ("_templates", "content", "inputs", "optional")

    def __init__(self, content: PromptContent) -> None:
        self.content = content
        self._templates = tuple(
            (message.role, None if message.role == "history" else _compile(content, place, message.content))
            for place, message in enumerate(content.templates)
        )
        compiled = [template for _, template in self._templates if template is not None]
        self.inputs = tuple(dict.fromkeys(name for template in compiled for name in template.inputs))
        self.optional = frozenset(
            name for name in self.inputs if all(name in t.optional for t in compiled if name in t.inputs)
        )

    @property
    def required(self) -> tuple[str, ...]:
        """The inputs that must be there."""
        return tuple(name for name in self.inputs if name not in self.optional)

    def render(self, inputs: Mapping[str, Any]) -> list[RenderedMessage]:
        """Raises `BadRequest` that names a missing input and lists those there are; `TooLarge` beyond a budget."""
        return [
            RenderedMessage(role, "" if template is None else template.render(inputs))
            for role, template in self._templates
        ]


def compile_prompt(content: PromptContent) -> CompiledPrompt:
    """Check and compile. Raises `BadRequest` that names the line of what cannot be used."""
    return CompiledPrompt(checked(content))


def _compile(content: PromptContent, place: int, text: str) -> CompiledTemplate:
    try:
        return CompiledTemplate(text)
    except AssayError as error:
        if content.template is None:
            error.param = f"messages[{place}].content"
        raise
