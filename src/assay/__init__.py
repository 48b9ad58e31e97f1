"""Assay: choose, adapt, evaluate, deploy and watch language models, with evidence behind each decision.

What an application uses is here, loaded when it is first asked for: `import assay` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assay.sdk.calling import task
    from assay.sdk.clients import anthropic_client, async_anthropic_client, async_openai_client, openai_client
    from assay.sdk.decorating import trace
    from assay.sdk.labels import session
    from assay.sdk.prompting import aprompt, prompt
    from assay.sdk.propagation import continue_trace, headers, propagate
    from assay.sdk.scoring import score
    from assay.sdk.setup import flush, init, shutdown, status, tracer_provider
    from assay.sdk.tracing import current, span

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

_WHERE = {
    "anthropic_client": "clients",
    "aprompt": "prompting",
    "async_anthropic_client": "clients",
    "async_openai_client": "clients",
    "continue_trace": "propagation",
    "current": "tracing",
    "flush": "setup",
    "headers": "propagation",
    "init": "setup",
    "openai_client": "clients",
    "prompt": "prompting",
    "propagate": "propagation",
    "score": "scoring",
    "session": "labels",
    "shutdown": "setup",
    "span": "tracing",
    "status": "setup",
    "task": "calling",
    "trace": "decorating",
    "tracer_provider": "setup",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    found = getattr(import_module(f"assay.sdk.{_WHERE[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
