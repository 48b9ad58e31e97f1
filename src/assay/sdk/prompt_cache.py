"""Prompts: what a label means now, kept here and renewed behind the application's back.

Only the first fetch waits. After that a call costs a look into a dictionary: what is older than its age is given out
once more while a thread asks for news, and when the server is away the last known version goes on serving.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from assay.errors import AssayError, BadRequest, Upstream
from assay.templates import CompiledTemplate

LABEL = "production"
RETRY_S = 10.0
"""After a failed fetch, until the next one."""

Message = dict[str, Any]
Fallback = str | Sequence[Mapping[str, str]]
"""A template, or messages of `role` and `content`."""
Key = tuple[str, str | None, int | str | None]
"""Name, label, version."""

logger = logging.getLogger("assay")


class Prompt:
    """One version of a prompt, ready to be rendered. A fallback has no version."""

    __slots__ = ("_is_text", "_noted", "_templates", "hash", "inputs", "name", "version")

    def __init__(
        self,
        name: str,
        content: Fallback,
        *,
        version: int | None = None,
        hash: str | None = None,
        noted: "Callable[[Prompt], None] | None" = None,
    ) -> None:
        """Raises `BadRequest` for a template that cannot be used. `noted` hears of each rendering."""
        self.name = name
        self.version = version
        self.hash = hash
        self._noted = noted
        self._is_text = isinstance(content, str)
        messages = [{"role": "user", "content": content}] if isinstance(content, str) else content
        self._templates = tuple(
            (each["role"], None if each["role"] == "history" else CompiledTemplate(each["content"]))
            for each in messages
        )
        compiled = [template for _, template in self._templates if template is not None]
        self.inputs = tuple(dict.fromkeys(name for template in compiled for name in template.inputs))

    @property
    def is_fallback(self) -> bool:
        """Whether this is what the application brought along."""
        return self.version is None

    def render(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> str | list[Message]:
        """The text of a prompt of one template, else the messages; see `text` and `messages` for one type."""
        return self.text(inputs, **more) if self._is_text else self.messages(inputs, **more)

    def text(self, inputs: Mapping[str, Any] | None = None, /, **more: Any) -> str:
        """The text. Raises `BadRequest` that names a missing input, and for a prompt of several messages."""
        if not self._is_text:
            raise BadRequest(
                f"The prompt {self.name!r} consists of messages",
                hint="Use .messages(…).",
            )
        (message,) = self.messages(inputs, **more)
        return str(message["content"])

    def messages(
        self,
        inputs: Mapping[str, Any] | None = None,
        /,
        *,
        history: Sequence[Mapping[str, Any]] = (),
        **more: Any,
    ) -> list[Message]:
        """Messages for a chat, with earlier turns where the prompt says, else before its last user turn. Raises
        `BadRequest` that names a missing input."""
        given = {**inputs, **more} if inputs else more
        made: list[Message] = []
        place: int | None = None
        for role, template in self._templates:
            if template is None:
                place = len(made)
            else:
                made.append({"role": role, "content": template.render(given)})
        if history:
            if place is None:
                users = [at for at, message in enumerate(made) if message["role"] == "user"]
                place = users[-1] if users else len(made)
            made[place:place] = [dict(message) for message in history]
        if self._noted is not None:
            self._noted(self)
        return made


class _Entry:
    """What is known of one label or version."""

    __slots__ = ("asked", "fallback", "fetched_at", "lock", "prompt", "retry_at")

    def __init__(self) -> None:
        self.prompt: Prompt | None = None
        self.fallback: tuple[Fallback, Prompt] | None = None
        self.fetched_at = self.retry_at = float("-inf")
        self.asked = False
        self.lock = threading.Lock()


class Prompts:
    """The prompts that this process uses."""

    def __init__(
        self,
        fetch: Callable[[str, float], Any],
        *,
        noted: Callable[[Prompt], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch(path, timeout_s)` gives a version as `/api/prompts` shows it."""
        self._fetch = fetch
        self._noted = noted
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}

    def get(self, key: Key, *, fallback: Fallback | None, max_age_s: float, timeout_s: float) -> Prompt:
        """The prompt, from here when it is here. Raises what the first fetch raised, unless there is a fallback."""
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries.setdefault(key, _Entry())
        if entry.prompt is not None:
            # A number names content that never changes; a label may be moved.
            if self._clock() - entry.fetched_at > max_age_s and not isinstance(key[2], int):
                self._renew(key, entry, timeout_s)
            return entry.prompt
        if fallback is not None and entry.asked:
            self._renew(key, entry, timeout_s)
            return self._fallen_back(key, entry, fallback)
        with entry.lock:  # many threads that begin at once ask once
            try:
                return entry.prompt or self._ask(key, entry, timeout_s)
            except AssayError as error:
                if fallback is None:
                    raise
                logger.warning("The prompt %r is the fallback: %s", key[0], error.message)
        return self._fallen_back(key, entry, fallback)

    def knows(self, name: str, label: str | None, version: int | str | None) -> bool:
        """Whether the answer is here."""
        entry = self._entries.get((name, None if version is not None else label or LABEL, version))
        return entry is not None and entry.prompt is not None

    def forked(self) -> None:
        """In a child: what is known stays, what was under way is not."""
        known, self._entries = self._entries, {}
        for key, before in known.items():
            entry = self._entries.setdefault(key, _Entry())
            entry.prompt, entry.fetched_at = before.prompt, before.fetched_at

    def _ask(self, key: Key, entry: _Entry, timeout_s: float) -> Prompt:
        name, label, version = key
        entry.asked, entry.retry_at = True, self._clock() + RETRY_S
        where = (
            f"versions/{quote(str(version), safe='')}" if label is None else f"labels/{quote(label, safe='')}"
        )
        sent = self._fetch(f"/api/prompts/{quote(name, safe='')}/{where}", timeout_s)
        prompt = entry.prompt
        try:
            if prompt is None or prompt.hash != sent["hash"]:
                content = sent["template"] if "template" in sent else sent["messages"]
                prompt = Prompt(name, content, version=sent["version"], hash=sent["hash"], noted=self._noted)
        except (KeyError, TypeError) as error:
            raise Upstream(f"The answer about {name!r} is no version of a prompt") from error
        entry.prompt = prompt
        entry.fetched_at, entry.retry_at = self._clock(), float("-inf")
        return prompt

    def _renew(self, key: Key, entry: _Entry, timeout_s: float) -> None:
        """Ask for news in a thread, one at a time, and not again at once after a failure."""
        if self._clock() < entry.retry_at or not entry.lock.acquire(blocking=False):
            return

        def ask() -> None:
            try:
                self._ask(key, entry, timeout_s)
            except AssayError as error:
                logger.warning("The prompt %r stays as it was: %s", key[0], error.message)
            finally:
                entry.lock.release()

        try:
            threading.Thread(target=ask, name="assay-prompt", daemon=True).start()
        except RuntimeError:  # the interpreter is ending
            entry.lock.release()

    def _fallen_back(self, key: Key, entry: _Entry, fallback: Fallback) -> Prompt:
        if entry.fallback is None or entry.fallback[0] != fallback:
            entry.fallback = (fallback, Prompt(key[0], fallback, noted=self._noted))
        return entry.fallback[1]
