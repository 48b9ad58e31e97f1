"""`assay doctor`: everything that can be wrong with an installation, each in one line with what to do.

It works on a directory that a server holds and on an idle one, and changes nothing. A check that fails in a way nobody
foresaw is a finding too: a doctor that stops at the first surprise is of no use.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from assay.catalog import Config, load_config
from assay.catalog.local import open_catalog
from assay.errors import AssayError
from assay.kit.clock import SYSTEM, Clock
from assay.operations import kept_checks, machine_checks
from assay.operations.findings import Check, Finding, Patient, State, fail, ok, warn
from assay.operations.upstream_checks import check_providers
from assay.providers.registry import Reveal
from assay.providers.types import ProviderConfig
from assay.records import Records
from assay.secrets import Vault
from assay.settings import load

log = logging.getLogger(__name__)

CHECKS: tuple[Check, ...] = (*machine_checks.CHECKS, *kept_checks.CHECKS)


def examine(
    data: Path,
    *,
    config_path: Path | None = None,
    running: str | None = None,
    environ: Mapping[str, str] | None = None,
    clock: Clock = SYSTEM,
) -> list[Finding]:
    """Everything about a data directory, read from outside. `running` is where its server is, if there is one."""
    environ = os.environ if environ is None else environ
    try:
        config = load_config(config_path, environ=environ)
        settings = load(chosen={"data": str(data)}, environ=environ, file=config.server)
        catalog = open_catalog(config, settings.data_path)
    except AssayError as error:
        patient = Patient(load(chosen={"data": str(data)}, environ={}), Config(), data, running, clock)
        return [fail("configuration", error.message, error.hint), *_all(patient)]
    patient = Patient(settings, config, data, running, clock)
    with_key = _Keys(patient)
    return [
        *_configuration(config),
        *_all(patient),
        *_guarded("providers", lambda: check_providers(patient, catalog.providers, with_key.reveal)),
    ]


def examine_running(
    patient: Patient, providers: Mapping[str, ProviderConfig], reveal: Reveal
) -> list[Finding]:
    """The same from inside a server."""
    return [
        *_configuration(patient.config),
        *_all(patient),
        *_guarded("providers", lambda: check_providers(patient, providers, reveal)),
    ]


def worst(findings: Iterable[Finding]) -> State:
    """How the whole is."""
    states = {finding.state for finding in findings}
    return next((state for state in (State.FAIL, State.WARN) if state in states), State.OK)


class _Keys:
    """Secrets of a directory, opened when a provider needs one."""

    def __init__(self, patient: Patient) -> None:
        self._patient = patient

    def reveal(self, text: str | None) -> str | None:
        """See `Vault.reveal`."""
        settings, data = self._patient.settings, self._patient.data
        path = data / "records.sqlite"
        if settings.database_url is None and not path.exists():
            return text
        records = Records(settings.database_url or f"sqlite:///{path.resolve()}")
        try:
            return Vault(records, data, secret_key=settings.secret_key).reveal(text)
        finally:
            records.close()


def _configuration(config: Config) -> Iterator[Finding]:
    for warning in config.warnings:
        yield warn("configuration", warning)
    count = f"{len(config.providers)} providers, {len(config.models)} models, {len(config.tasks)} tasks"
    yield ok("configuration", f"{count} configured; local weights are models by themselves")


def _all(patient: Patient) -> Iterator[Finding]:
    for check in CHECKS:
        area = check.__name__.removeprefix("check_")
        yield from _guarded(area, partial(check, patient))


def _guarded(area: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except Exception as error:
        log.debug("The examination of %s failed", area, exc_info=True)
        return [fail(area, f"It cannot be examined: {type(error).__name__}: {error}")]
