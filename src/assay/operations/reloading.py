"""Reading `assay.toml` anew while calls run.

The new file is read, checked and its providers are built before anything changes; then everything changes in one step of the event
loop. A call that runs goes on with the model, route and provider that it began with. A file with a mistake changes nothing and is
shown until it is mended.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.access import PROJECT
from assay.calls.guards import Guards
from assay.catalog import Config, load_config
from assay.catalog.local import Catalog, with_local
from assay.errors import AssayError
from assay.providers.registry import Providers
from assay.providers.types import Provider
from assay.records import Records
from assay.releases import apply_releases
from assay.tasks import apply_tasks

log = logging.getLogger(__name__)

DRAIN_S = 300.0
"""How long a provider that was replaced may still answer calls that it began."""


class Changes(msgspec.Struct, frozen=True):
    """Names."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class Reloaded(msgspec.Struct, frozen=True):
    """What is different now. Tasks that the file no longer names stay. `needs_restart` are settings of `[server]` that hold from the next start on."""

    providers: Changes
    models: Changes
    tasks: Changes
    needs_restart: list[str]


class Reloading:
    """Of one server."""

    def __init__(
        self,
        path: Path | None,
        config: Config,
        records: Records,
        catalog: Catalog,
        providers: Providers,
        guards: Guards,
    ) -> None:
        self._path = path
        self._config = config
        self._records = records
        self._catalog = catalog
        self._providers = providers
        self._guards = guards
        self._one_at_a_time = asyncio.Lock()
        self._problem: AssayError | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def reload(self) -> Reloaded:
        """Read the file anew. Raises `BadRequest` with what is wrong in it; then all is as before."""
        async with self._one_at_a_time:
            try:
                done = await self._reload()
            except AssayError as problem:
                self._problem = problem
                raise
            self._problem = None
            return done

    def reload_soon(self) -> None:
        """The same for a signal: what is wrong is logged and shown."""
        self._keep(asyncio.create_task(self._told()))

    def troubles(self) -> list[tuple[str, str]]:
        """A file that could not be used."""
        if self._problem is None:
            return []
        return [("assay.toml has a mistake; what it said before goes on.", self._problem.message)]

    async def close(self) -> None:
        """Whoever still answers is closed with the other providers' network."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _told(self) -> None:
        try:
            log.warning("assay.toml was read anew: %s", await self.reload())
        except AssayError as problem:
            log.error("assay.toml cannot be used, nothing has changed: %s", problem.message)

    async def _reload(self) -> Reloaded:
        config = await asyncio.to_thread(load_config, self._path)
        wanted = with_local(config, self._catalog.folder)
        made = self._providers.prepare(wanted)
        before = self._config
        done = Reloaded(
            providers=differences(before.providers, config.providers),
            models=differences(before.models, config.models),
            tasks=differences(before.tasks, {**before.tasks, **config.tasks}),
            needs_restart=sorted(
                name
                for name in before.server.keys() | config.server.keys()
                if before.server.get(name) != config.server.get(name)
            ),
        )
        await asyncio.to_thread(self._apply_tasks, config)
        dropped = self._providers.adopt(wanted, made)
        self._catalog.replace(config)
        self._guards.replace(config.guards)
        self._config = config
        if dropped:
            self._keep(asyncio.create_task(_close_later(dropped)))
        return done

    def _apply_tasks(self, config: Config) -> None:
        """Tasks first: they may need models that are about to be there, and nobody calls a task that is not."""
        models = {**self._catalog.models, **config.models}
        with self._records.write() as tx:
            apply_tasks(tx, PROJECT, config.tasks, models=models)
            apply_releases(tx, PROJECT, config.tasks)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Changes:
    """What was added, changed and removed."""
    return Changes(
        added=sorted(now.keys() - before.keys()),
        changed=sorted(name for name in now.keys() & before.keys() if now[name] != before[name]),
        removed=sorted(before.keys() - now.keys()),
    )


async def _close_later(providers: list[Provider]) -> None:
    try:
        await asyncio.sleep(DRAIN_S)
    finally:
        for provider in providers:
            await provider.aclose()
