"""Assay: choose, adapt, evaluate, deploy and watch language models, with evidence behind each decision.

What an application uses is here, and loads when the first of it is asked for: `import assay` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.sdk.face import (
        anthropic_client,
        aprompt,
        async_anthropic_client,
        async_openai_client,
        continue_trace,
        current,
        flush,
        headers,
        init,
        openai_client,
        prompt,
        propagate,
        score,
        session,
        shutdown,
        span,
        status,
        task,
        trace,
        tracer_provider,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "anthropic_client",
    "aprompt",
    "async_anthropic_client",
    "async_openai_client",
    "continue_trace",
    "current",
    "flush",
    "headers",
    "init",
    "openai_client",
    "prompt",
    "propagate",
    "score",
    "session",
    "shutdown",
    "span",
    "status",
    "task",
    "trace",
    "tracer_provider",
]


if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'assay' has no attribute {name!r}")
        face = import_module("assay.sdk.face")
        globals().update({each: getattr(face, each) for each in face.__all__})
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
