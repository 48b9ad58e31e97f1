"""Provider types and configured providers."""

import asyncio
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from assay.errors import BadRequest
from assay.providers import registry
from assay.providers.openai import OpenAIProvider
from assay.providers.registry import Providers, known_types, types
from assay.providers.transport import NetworkTransport
from assay.providers.types import ProviderConfig


def providers(**configs: ProviderConfig) -> Providers:
    return Providers(configs, NetworkTransport())


def test_a_provider_is_built_once() -> None:
    found = providers(a=ProviderConfig(name="a", type="openai"))
    assert found.get("a") is found.get("a")
    asyncio.run(found.aclose())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ProviderConfig(name="a", type="opnai"), "unknown type"),
        (ProviderConfig(name="a", type="openai", options={"temperature": 1}), "temperature"),
        (ProviderConfig(name="a", type="simulated", options={"latency": 1}), "latency"),
        (ProviderConfig(name="a", type="llama", options={"thraeds": 1}), "thraeds"),
    ],
)
def test_a_mistake_is_found_when_all_are_built(config: ProviderConfig, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        providers(a=config).build_all()


def test_a_name_that_is_not_configured_lists_those_that_are() -> None:
    with pytest.raises(BadRequest) as caught:
        providers(a=ProviderConfig(name="a", type="openai")).get("b")
    assert "Configured: a" in (caught.value.hint or "")


def test_others_add_types_and_cannot_replace_the_built_in_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        EntryPoint(name, "assay.providers.openai:OpenAIProvider", "assay.providers")
        for name in ("mine", "openai")
    )

    def installed(**_: Any) -> EntryPoints:
        return points

    monkeypatch.setattr(registry, "entry_points", installed)
    assert "mine" in known_types()
    found: dict[str, object] = dict(types())
    assert found["mine"] is OpenAIProvider
    assert found["openai"] is registry.BUILT_IN["openai"]
