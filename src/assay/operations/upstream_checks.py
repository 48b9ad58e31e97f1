"""Providers: whether each answers, how fast, and lets our keys in; and whether its clock and ours agree."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime

from assay.errors import AssayError, Upstream
from assay.operations.findings import Finding, Patient, fail, ok, warn
from assay.providers.registry import Providers, Reveal
from assay.providers.transport import NetworkTransport
from assay.providers.types import ProbedProvider, ProviderConfig

TIMEOUT_S = 8.0
_SKEW_S = 60.0
_REFUSED = (401, 403)
_NOT_SERVED = (404, 405, 501)


def check_providers(
    patient: Patient, configs: Mapping[str, ProviderConfig], reveal: Reveal
) -> Iterator[Finding]:
    """Ask every provider for its list of models, all at once, which costs nothing."""
    if not configs:
        yield warn("providers", "None is configured", "Add [providers.…] to assay.toml, or pull a model.")
        return
    yield from asyncio.run(_ask_all(patient, configs, reveal))


async def _ask_all(patient: Patient, configs: Mapping[str, ProviderConfig], reveal: Reveal) -> list[Finding]:
    providers = Providers(configs, NetworkTransport(), reveal=reveal)
    try:
        asked = [
            _ask(patient, providers, config, key)
            for config in configs.values()
            for key in range(len(config.keys))
        ]
        found = [finding for findings in await asyncio.gather(*asked) for finding in findings]
    finally:
        await providers.aclose()
    return found


async def _ask(patient: Patient, providers: Providers, config: ProviderConfig, key: int) -> list[Finding]:
    name = config.name if len(config.keys) == 1 else f"{config.name}, key {key + 1}"
    began = time.monotonic()
    try:
        provider = providers.get(config.name, key)
        if not isinstance(provider, ProbedProvider):
            return [ok("providers", f"{name}: {config.type}, in this process")]
        async with asyncio.timeout(TIMEOUT_S):
            answer = await provider.probe()
    except TimeoutError:
        return [
            fail(
                "providers",
                f"{name} did not answer within {TIMEOUT_S:g} s",
                "Check base_url and the network.",
            )
        ]
    except Upstream as error:
        return [
            fail("providers", f"{name}: {error.message}", error.hint or "Check base_url and the network.")
        ]
    except AssayError as error:
        return [fail("providers", f"{name}: {error.message}", error.hint)]
    took_ms = (time.monotonic() - began) * 1e3
    return [_said(name, answer.status, took_ms), *_skew(patient, name, answer.date)]


def _said(name: str, status: int, took_ms: float) -> Finding:
    if status in _REFUSED:
        return fail("providers", f"{name} refuses the key ({status}, {took_ms:.0f} ms)", "Check its api_key.")
    if status < 300:
        return ok("providers", f"{name} answers in {took_ms:.0f} ms and takes the key")
    if status in _NOT_SERVED:
        return ok(
            "providers", f"{name} answers in {took_ms:.0f} ms; it has no list of models to try the key on"
        )
    return warn("providers", f"{name} answered {status} in {took_ms:.0f} ms", "Try again later.")


def _skew(patient: Patient, name: str, date: str | None) -> Iterator[Finding]:
    if date is None:
        return
    try:
        ahead_s = patient.clock.now_ns() / 1e9 - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return
    if abs(ahead_s) > _SKEW_S:
        way = "ahead of" if ahead_s > 0 else "behind"
        yield warn(
            "clock", f"This machine is {abs(ahead_s):,.0f} s {way} {name}", "Set the clock, e.g. by NTP."
        )
