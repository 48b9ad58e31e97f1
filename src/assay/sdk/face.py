"""Everything that `import assay` offers, in one place: loaded whole when the first of it is asked for.

Whole, because a thread that imports while another one forks leaves the child with a lock that nobody opens.
"""

from assay.sdk.calling import task
from assay.sdk.clients import anthropic_client, async_anthropic_client, async_openai_client, openai_client
from assay.sdk.decorating import trace
from assay.sdk.labels import session
from assay.sdk.prompting import aprompt, prompt
from assay.sdk.propagation import continue_trace, headers, propagate
from assay.sdk.scoring import score
from assay.sdk.setup import flush, init, shutdown, status, tracer_provider
from assay.sdk.tracing import current, span

__all__ = [
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
