"""Rendering a template that nobody has saved, in a child process that the kernel ends.

The sandbox's budgets hold here too; the process is the second wall, for a template that finds a way around the first:
its address space is limited, a timer of the kernel ends it after `TIME_LIMIT_S` whatever Python is doing, and it has no
environment and no open files but its pipes.
"""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.errors import AssayError, BadRequest, TooLarge, Unavailable
from assay.prompts.content import PromptContent
from assay.prompts.rendering import RenderedMessage, compile_prompt

TIME_LIMIT_S = 2.0
_START_LIMIT_S = 30.0
_MEMORY_BYTES = 1 << 30
_AT_ONCE = 4
_PACKAGE_ROOT = str(Path(__file__).parents[2])
_turns = threading.BoundedSemaphore(_AT_ONCE)


class _Job(msgspec.Struct):
    content: PromptContent
    inputs: dict[str, Any]


class _Outcome(msgspec.Struct, omit_defaults=True):
    messages: list[RenderedMessage] = []
    message: str | None = None
    hint: str | None = None
    param: str | None = None
    status: int = 200


def render_adhoc(content: PromptContent, inputs: Mapping[str, Any]) -> list[RenderedMessage]:
    """Raises what rendering raises, `BadRequest` when the child had to be ended, `Unavailable` when too many run."""
    if not _turns.acquire(timeout=TIME_LIMIT_S):
        raise Unavailable("Too many templates are being tried out at once", hint="Try again in a moment.")
    try:
        child = subprocess.run(
            [sys.executable, "-m", "assay.prompts.adhoc"],
            input=msgspec.json.encode(_Job(content, dict(inputs))),
            capture_output=True,
            timeout=_START_LIMIT_S,
            check=False,
            env={"PYTHONPATH": _PACKAGE_ROOT, "PATH": os.defpath},
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            "The process for trying out a template did not start in time", hint="Try again."
        ) from error
    finally:
        _turns.release()
    if child.returncode != 0:
        raise BadRequest(
            f"The template was stopped: it used more than {TIME_LIMIT_S:g} s or too much memory",
            param="template",
            hint="Shorten the inputs or the loops.",
        )
    outcome = msgspec.json.decode(child.stdout, type=_Outcome)
    if outcome.message is not None:
        kind = TooLarge if outcome.status == TooLarge.status else BadRequest
        raise kind(outcome.message, hint=outcome.hint, param=outcome.param)
    return outcome.messages


def _limit() -> None:
    try:
        import resource
        import signal
    except ImportError:  # not a Unix: the parent's own limit is all there is
        return
    with contextlib.suppress(ValueError, OSError):  # macOS refuses a limit below what is mapped already
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT_S)


def _main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job)
    _limit()
    try:
        outcome = _Outcome(messages=compile_prompt(job.content).render(job.inputs))
    except AssayError as error:
        outcome = _Outcome(message=error.message, hint=error.hint, param=error.param, status=error.status)
    sys.stdout.buffer.write(msgspec.json.encode(outcome))


if __name__ == "__main__":
    _main()
