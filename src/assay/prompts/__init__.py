"""Prompts: named templates whose versions never change and whose labels move.

A version is named by its content, so pushing what is there already makes nothing new. A label (`production`, `staging`)
points at one version and may be moved. Templates are written in a small, closed part of Jinja2 (see `assay.templates`): what
people and programs store is rendered in the server, so it can reach nothing and grow only so far.
"""

from assay.prompts.content import PromptContent, TemplateMessage
from assay.prompts.rendering import CompiledPrompt, compile_prompt
from assay.prompts.types import Label, PromptSummary, PromptVersion

__all__ = [
    "CompiledPrompt",
    "Label",
    "PromptContent",
    "PromptSummary",
    "PromptVersion",
    "TemplateMessage",
    "compile_prompt",
]
