"""`prompt` and `aprompt`: a prompt of the server, to be rendered here."""

import asyncio
from typing import Any

from assay.errors import BadRequest
from assay.sdk import running
from assay.sdk.prompt_cache import LABEL, Fallback, Prompt


def prompt(
    name: str,
    *,
    label: str | None = None,
    version: int | str | None = None,
    fallback: Fallback | None = None,
    max_age_s: float = 60.0,
    timeout_s: float = 5.0,
) -> Prompt:
    """The version that a label (`production` unless said) points at, or a version by number or hash.

    The first call in a process asks the server and waits up to `timeout_s`; later ones answer from memory, and news of a
    moved label arrive within `max_age_s` and a moment. When the server cannot be asked the last known version serves,
    else the `fallback`; without either the error is raised. In async code use `aprompt`.
    """
    if label is not None and version is not None:
        raise BadRequest("Name a version or a label, not both", param="label")
    on = running.current()
    if on is None:
        if fallback is None:
            running.required()
        return Prompt(name, fallback or "")
    key = (name, None if version is not None else label or LABEL, version)
    return on.prompts.get(key, fallback=fallback, max_age_s=max_age_s, timeout_s=timeout_s)


async def aprompt(name: str, **options: Any) -> Prompt:
    """`prompt` for async code: the first fetch waits in a thread instead of holding up the event loop. Same options."""
    on = running.current()
    if on is not None and on.prompts.knows(name, options.get("label"), options.get("version")):
        return prompt(name, **options)
    return await asyncio.to_thread(prompt, name, **options)
