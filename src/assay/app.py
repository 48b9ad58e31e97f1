"""The server's parts, put together. Nothing is decided here: rooms are made, wired to each other and closed again."""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from litestar import Response, get
from litestar.di import NamedDependency

from assay import access, audit, metrics, web
from assay.access import (
    KEYS,
    PROJECT,
    SESSIONS,
    LoginThrottle,
    guards,
    people_api,
    people_pages,
    settings_pages,
)
from assay.access import api as access_api
from assay.access import pages as access_pages
from assay.access.limits import LIMITS
from assay.access.signing import SignIn
from assay.audit import api as audit_api
from assay.audit import pages as audit_pages
from assay.batches import KIND as BATCH
from assay.batches import Batches, BatchRuns
from assay.batches import api as batches_api
from assay.batches import pages as batches_pages
from assay.batches.asking import Asking
from assay.calls import Caller, cache_api, cache_pages, limits_api, limits_pages
from assay.calls.cache import AnswerCache
from assay.calls.cache_shelf import open_shelf
from assay.calls.guards import Guards
from assay.calls.limiter import Limiter
from assay.calls.metrics import Tally
from assay.calls.spending import Spending
from assay.catalog import api as catalog_api
from assay.catalog import load_config
from assay.catalog import pages as catalog_pages
from assay.catalog.local import open_catalog
from assay.datasets import api as datasets_api
from assay.datasets import pages as datasets_pages
from assay.decisions import api as decisions_api
from assay.decisions import pages as decisions_pages
from assay.evals import KIND as EVAL_RUN
from assay.evals import EvalRuns
from assay.evals import api as evals_api
from assay.evals import pages as evals_pages
from assay.files import Files
from assay.files import jobs as file_jobs
from assay.gateway import Gateway
from assay.gateway.idempotency import Replays
from assay.jobs import Jobs, Schedule
from assay.jobs import api as jobs_api
from assay.jobs import engine as jobs_engine
from assay.jobs import pages as jobs_pages
from assay.kit import json
from assay.kit.clock import SYSTEM
from assay.operations import api as operations_api
from assay.operations.backup import Backups
from assay.operations.findings import Patient
from assay.operations.reloading import Reloading
from assay.operations.upgrading import Upgrade
from assay.playground import api as playground_api
from assay.playground import pages as playground_pages
from assay.prompts import api as prompts_api
from assay.prompts import pages as prompts_pages
from assay.providers.registry import Providers
from assay.providers.transport import NetworkTransport
from assay.records import Records
from assay.releases import RELEASES, ReleaseChooser, apply_releases
from assay.releases import api as releases_api
from assay.releases import pages as releases_pages
from assay.responses import ResponseShelf
from assay.search import api as search_api
from assay.secrets import PREFIX as SECRET
from assay.secrets import TOUCHED as SECRETS
from assay.secrets import Vault
from assay.secrets import api as secrets_api
from assay.secrets import pages as secrets_pages
from assay.settings import Settings
from assay.snapshot import SnapshotSource
from assay.spans import Collector, DuckDBStore, Spool
from assay.spans.quarantine import Quarantine
from assay.spans.sink import CallSink
from assay.tasks import TASKS, TaskCalls, apply_tasks
from assay.tasks import api as tasks_api
from assay.traces import api as traces_api
from assay.traces import (
    health,
    live_pages,
    otlp,
    otlp_api,
    session_api,
    session_pages,
    storage_api,
    storage_pages,
    upkeep,
)
from assay.traces import pages as traces_pages
from assay.traces.dialects import DialectProjector, Pricing
from assay.traces.live import LiveTail
from assay.ui import assets, language, reference, shell

log = logging.getLogger(__name__)

PARTS = (KEYS, SESSIONS, LIMITS, TASKS, RELEASES)
ROOMS = (
    "access",
    "secrets",
    "audit",
    "calls",
    "traces",
    "catalog",
    "playground",
    "prompts",
    "releases",
    "datasets",
    "evals",
    "batches",
    "jobs",
    "decisions",
)
"""Rooms with templates."""

_MIB = 2**20


class Assay:
    """One server. Make it, `start` it on the event loop that it will run on, serve `asgi`, `stop` it."""

    def __init__(self, settings: Settings, config_path: Path | None) -> None:
        """Reads the configuration. Raises `BadRequest` naming what is wrong in it."""
        self.settings = settings
        self.config_path = config_path
        self.config = load_config(config_path)
        self.catalog = open_catalog(self.config, settings.data_path)
        self.new_admin_key: str | None = None
        self.started_at = time.time()
        self._closing: list[Any] = []

    async def start(self) -> None:
        """Open what is kept and begin to work. Raises `Unusable` with what to change."""
        await asyncio.to_thread(self._open)
        self._assemble()
        self.providers.build_all()
        self.collector.start()
        await self.spending.start()
        await asyncio.gather(self.jobs.launch(), asyncio.to_thread(self.catalog.prices.read_ahead))
        self.schedule.start()
        self.file_schedule.start()

    def leave(self) -> None:
        """The server is about to stop: let those go who only watch."""
        self.live.close()

    async def stop(self) -> None:
        """Let running work end, keep what is in memory, close the files. Safe after a `start` that failed."""
        for name, close in (
            ("replays", "aclose"),
            ("schedule", "close"),
            ("file_schedule", "close"),
            ("reloading", "close"),
            ("jobs", "close"),
            ("providers", "aclose"),
            ("spending", "stop"),
        ):
            part = getattr(self, name, None)
            if part is not None:
                await getattr(part, close)()
        await asyncio.to_thread(self._close)

    async def asgi(self, scope: Any, receive: Any, send: Any) -> None:
        """Every request: `/v1` to the gateway, telemetry and the rest to the control plane."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/v1/") and scope["path"] not in otlp.PATHS:
            await self.gateway(scope, receive, send)
            return
        server = scope.get("server")
        if server is None or server[1] is None:  # the Unix socket has no port; a client cannot pretend
            scope.setdefault("state", {})[guards.SOCKET_FLAG] = True
        await self.web(scope, receive, send)

    def _open(self) -> None:
        settings, data = self.settings, self.settings.data_path
        self.records = Records(settings.database_url) if settings.database_url else Records.in_directory(data)
        upgrade = Upgrade(data)
        self.records.upgrade(before=lambda found: upgrade.before_records(self.records, found))
        self.records.observe(audit.log_changes)
        with self.records.write() as tx:
            self.new_admin_key = access.prepare(tx, settings.admin_key)
            apply_tasks(tx, PROJECT, self.config.tasks, models=self.catalog.models)
            apply_releases(tx, PROJECT, self.config.tasks)
        self.snapshot = SnapshotSource(self.records, PARTS)
        self.spool = Spool(
            data / "spool" / "main",
            max_backlog_bytes=int(settings.max_spool_mb * _MIB),
            min_free_bytes=int(settings.min_free_disk_mb * _MIB),
        )
        disk_mb = settings.cache_disk_mb if settings.content == "full" else 0.0  # answers are content
        shelf = partial(open_shelf, memory_mb=settings.cache_memory_mb, disk_mb=disk_mb)
        self.kept_answers, self.cache = shelf(data / "replays"), AnswerCache(shelf(data / "cache"))
        self.span_store = DuckDBStore(data / "spans.duckdb", before_upgrade=upgrade.before_spans)
        if upgrade.done:
            log.warning("What an earlier release kept is in this one's form now: %s", upgrade.done)
        self.collector = Collector(
            self.spool,
            self.span_store,
            Quarantine(data / "quarantine"),
            projectors=[DialectProjector(Pricing(self.catalog.prices, self.catalog.models))],
        )

    def _assemble(self) -> None:
        settings = self.settings
        self.vault = Vault(self.records, settings.data_path, secret_key=settings.secret_key)
        self.providers = Providers(self.catalog.providers, NetworkTransport(), reveal=self.vault.reveal)
        self.records.on_commit(self._committed)
        self.tally = Tally(CallSink(self.spool, settings.durability))
        self.limiter = Limiter(
            self.snapshot,
            self.catalog.models,
            self.catalog.prices,
            assumed_output_tokens=settings.assumed_output_tokens,
        )
        self.spending = Spending(self.limiter, self.records, self.snapshot, self.span_store, self.collector)
        self.caller = Caller(
            models=self.catalog.models,
            providers=self.providers,
            prices=self.catalog.prices,
            sink=self.tally,
            keep_content=settings.content == "full",
            limiter=self.limiter,
            guards=Guards(self.catalog.models, self.config.guards),
            cache=self.cache,
        )
        self.task_calls = TaskCalls(ReleaseChooser())
        self._prepare_jobs()
        self.live = LiveTail(self.span_store)
        self.collector.on_collected(self.live.ring)
        self._open_faces()

    def _prepare_jobs(self) -> None:
        """What runs in the background, and when."""
        settings = self.settings
        self.jobs = Jobs(jobs_engine.database_url(self.records, settings.data_path), self.records)
        self.jobs.register(
            EVAL_RUN,
            EvalRuns(self.records, self.caller).run,
            page=lambda arguments: f"/runs/{arguments['run_id']}",
        )
        self.responses = ResponseShelf(self.records, keeps=settings.content == "full")
        self.files = Files(
            settings.data_path / "files",
            self.records,
            max_file_mb=settings.max_file_mb,
            max_project_mb=settings.max_project_files_mb,
        )
        self.upkeep = upkeep.Upkeep(
            self.records,
            self.span_store,
            self.spool,
            self.collector,
            settings,
            also=(self.responses, self.files),
        )
        self.jobs.register(upkeep.KIND, self.upkeep.run)
        self.jobs.register(upkeep.PURGE, self.upkeep.purge)
        self.schedule = Schedule(
            self.jobs,
            self.records,
            upkeep.KIND,
            project=PROJECT,
            is_due=self.upkeep.is_due,
            every_s=upkeep.EVERY_S,
        )
        self._prepare_batches()
        self.jobs.register(file_jobs.KIND, file_jobs.FileExpiry(self.files).run)
        self.file_schedule = Schedule(
            self.jobs,
            self.records,
            file_jobs.KIND,
            project=PROJECT,
            is_due=self.files.has_expired,
            every_s=file_jobs.EVERY_S,
        )
        self.reloading = Reloading(
            self.config_path, self.config, self.records, self.catalog, self.providers, self.caller.guards
        )
        self.backups = Backups(
            settings.data_path,
            self.records,
            self.span_store,
            self.spool,
            self.collector,
            fingerprint=self.vault.fingerprint,
        )

    def _prepare_batches(self) -> None:
        asking = Asking(self.caller, self.task_calls, self.snapshot)
        runs = BatchRuns(self.records, self.files, asking)
        self.batches = Batches(
            self.records, self.jobs, self.files, concurrency=self.settings.batch_concurrency
        )
        self.batches.on_stop(runs.ask_to_stop)
        self.jobs.register(BATCH, runs.run, page=lambda arguments: f"/batches/{arguments['batch_id']}")

    def _open_faces(self) -> None:
        """What answers requests."""
        settings = self.settings
        max_body_bytes = int(settings.max_body_mb * _MIB)
        self.replays = Replays(self.kept_answers, max_body_bytes=max_body_bytes)
        self.gateway = Gateway(
            caller=self.caller,
            tasks=self.task_calls,
            snapshot=self.snapshot,
            max_body_bytes=max_body_bytes,
            responses=self.responses,
            files=self.files,
            batches=self.batches,
            replays=self.replays,
            overhead_s=self.tally.overhead_s,
        )
        self.web = web.HostCheck(
            self._web(max_body_bytes), allowed=(settings.host, *settings.allowed_hosts.split(","))
        )

    def _web(self, max_body_bytes: int) -> Any:
        surroundings = shell.Shell(
            shell.environment(ROOMS),
            nav=shell.NAVIGATION,
            person=guards.person,
            csrf_token=guards.csrf_token,
            places=guards.places,
            banners=self.banners,
        )
        return web.build(
            handlers=HANDLERS,
            dependencies={
                "records": self.records,
                "snapshot": self.snapshot,
                "settings": self.settings,
                "sign_in": SignIn(self.records, LoginThrottle()),
                "span_store": self.span_store,
                "spool": self.spool,
                "collector": self.collector,
                "live": self.live,
                "upkeep": self.upkeep,
                "backups": self.backups,
                "reloading": self.reloading,
                "vault": self.vault,
                "patient": Patient(self.settings, self.config, self.settings.data_path, "", SYSTEM),
                "troubles": self.troubles,
                "caller": self.caller,
                "tally": self.tally,
                "replays": self.replays,
                "limiter": self.limiter,
                "answer_cache": self.cache,
                "task_calls": self.task_calls,
                "jobs": self.jobs,
                "files": self.files,
                "batches": self.batches,
                "catalog": self.catalog,
                "upstreams": self.caller.health,
                "assay": self,
            },
            snapshot=self.snapshot,
            surroundings=surroundings,
            max_body_bytes=max_body_bytes,
        )

    def _committed(self, touched: frozenset[str]) -> None:
        if SECRETS in touched:
            self.providers.renew(lambda key: key.startswith(SECRET))

    def banners(self) -> Sequence[shell.Banner]:
        """What is wrong just now, for the top of every page."""
        return [shell.Banner(text, hint, "worse") for text, hint in self.troubles()]

    def troubles(self) -> list[tuple[str, str]]:
        """What keeps this server from doing all of its work: what it is, and what to do."""
        found = [
            *health.troubles(self.spool, self.collector),
            *self.upkeep.troubles(),
            *self.reloading.troubles(),
        ]
        if self.snapshot.stale_since is not None:
            found.append(
                (
                    "The records cannot be read; traffic goes on as it was configured.",
                    self.snapshot.stale_since,
                )
            )
        return found

    def _close(self) -> None:
        for name, close in (
            ("cache", "close"),
            ("collector", "stop"),
            ("spool", "close"),
            ("span_store", "close"),
            ("records", "close"),
        ):
            part = getattr(self, name, None)
            if part is not None:
                getattr(part, close)()


@get("/healthz", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@get("/readyz", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def readyz(assay: NamedDependency[Assay]) -> Response[bytes]:
    """Whether it can do all of its work, and what keeps it from it: 503 while telemetry is refused. Calls of models go on
    even then; what routes only those may look at `/healthz`."""
    troubles = assay.troubles()
    is_ready = assay.spool.refusal() is None
    spool, collector, size = assay.spool.state, assay.collector.state, assay.upkeep.size
    body = {
        "status": "unready" if not is_ready else "degraded" if troubles else "ready",
        "troubles": [{"message": message, "hint": hint} for message, hint in troubles],
        "spool": {
            "fault": spool.fault,
            "backlog_bytes": spool.backlog_bytes,
            "free_disk_bytes": spool.free_disk_bytes,
            "lost_calls": spool.lost_calls,
        },
        "collector": {
            "lag_s": round(collector.lag_s, 3),
            "last_error": collector.last_error,
            "quarantined": collector.quarantined,
        },
        "storage": {"bytes": size.total_bytes, "limit_bytes": assay.upkeep.limit_bytes},
        "snapshot": {"version": assay.snapshot.current.version},
    }
    return Response(json.encode(body), status_code=200 if is_ready else 503, media_type="application/json")


HANDLERS = [
    healthz,
    readyz,
    *metrics.handlers,
    *assets.handlers,
    *language.handlers,
    *reference.handlers,
    *access_api.handlers,
    *access_pages.handlers,
    *people_api.handlers,
    *people_pages.handlers,
    *settings_pages.handlers,
    *audit_api.handlers,
    *audit_pages.handlers,
    *batches_api.handlers,
    *batches_pages.handlers,
    *catalog_api.handlers,
    *catalog_pages.handlers,
    *datasets_api.handlers,
    *datasets_pages.handlers,
    *decisions_api.handlers,
    *decisions_pages.handlers,
    *evals_api.handlers,
    *evals_pages.handlers,
    *jobs_api.handlers,
    *cache_api.handlers,
    *cache_pages.handlers,
    *limits_api.handlers,
    *limits_pages.handlers,
    *jobs_pages.handlers,
    *operations_api.handlers,
    *playground_api.handlers,
    *playground_pages.handlers,
    *prompts_api.handlers,
    *prompts_pages.handlers,
    *releases_api.handlers,
    *releases_pages.handlers,
    *search_api.handlers,
    *otlp_api.handlers,
    *secrets_api.handlers,
    *secrets_pages.handlers,
    *tasks_api.handlers,
    *traces_api.handlers,
    *traces_pages.handlers,
    *live_pages.handlers,
    *session_api.handlers,
    *session_pages.handlers,
    *storage_api.handlers,
    *storage_pages.handlers,
]
