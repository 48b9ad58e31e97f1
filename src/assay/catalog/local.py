"""The catalogue of a process: what the file configures, and the weights that lie in the data directory.

Each `<data>/models/<name>.gguf` is the model `<name>` without a line of configuration, from the moment it is there.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from assay.catalog.config import Config
from assay.catalog.guards import GuardRule
from assay.catalog.models import ModelConfig, Route
from assay.catalog.prices import PriceBook
from assay.providers.types import ProviderConfig

PROVIDER = "local"


class ConfiguredProviders(Mapping[str, ProviderConfig]):
    """The providers by name. Whoever holds this sees them replaced."""

    def __init__(self, configured: Mapping[str, ProviderConfig]) -> None:
        self._configured = dict(configured)

    def __getitem__(self, name: str) -> ProviderConfig:
        return self._configured[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._configured)

    def __len__(self) -> int:
        return len(self._configured)

    def replace(self, configured: Mapping[str, ProviderConfig]) -> None:
        """Others, all at once."""
        self._configured = dict(configured)


class Catalog(msgspec.Struct):
    """Everything that can be called and what it costs. Its parts stay the same objects when the file is read anew."""

    models: "LocalModels"
    providers: ConfiguredProviders
    prices: PriceBook
    folder: Path
    """where weights are kept"""
    guards: tuple[GuardRule, ...] = ()
    """what looks at the calls of whole projects"""

    def replace(self, config: Config) -> None:
        """What a configuration that was read anew says, from the next call on."""
        self.providers.replace(with_local(config, self.folder))
        self.models.replace(config.models)
        self.prices.forget()
        self.guards = config.guards

    def guards_of(self, project: str) -> list[GuardRule]:
        """Those of one project."""
        return [each for each in self.guards if not each.projects or project in each.projects]


def open_catalog(config: Config, data: Path) -> Catalog:
    """The catalogue of a configuration and a data directory.

    The provider `local` is there unless the file configures one; providers of type `llama` that do not say where their
    weights are get `<data>/models`.
    """
    folder = models_folder(data)
    providers = ConfiguredProviders(with_local(config, folder))
    return Catalog(LocalModels(config.models, folder), providers, PriceBook(providers), folder, config.guards)


def with_local(config: Config, folder: Path) -> dict[str, ProviderConfig]:
    """The providers of a configuration, as `open_catalog` completes them."""
    providers = {
        name: _with_folder(provider, folder) if provider.type == "llama" else provider
        for name, provider in config.providers.items()
    }
    providers.setdefault(PROVIDER, _with_folder(ProviderConfig(name=PROVIDER, type="llama"), folder))
    return providers


def models_folder(data: Path) -> Path:
    """Where a data directory keeps its weights."""
    return (data / "models").resolve()


class LocalModels(Mapping[str, ModelConfig]):
    """Configured models, and behind them whatever weights are in the folder now. A configured name wins."""

    def __init__(self, configured: Mapping[str, ModelConfig], folder: Path) -> None:
        self._configured = dict(configured)
        self._folder = folder

    def replace(self, configured: Mapping[str, ModelConfig]) -> None:
        """Other configured models, all at once."""
        self._configured = dict(configured)

    def __getitem__(self, name: str) -> ModelConfig:
        configured = self._configured.get(name)
        if configured is not None:
            return configured
        path = self._folder / f"{name}.gguf"
        # A name is the file's own: one with a slash in it would lead elsewhere.
        if path.parent != self._folder or not os.path.isfile(path):  # False for a name that no file can have
            raise KeyError(name)
        return ModelConfig(name=name, route=(Route(PROVIDER, name),), retries=0)

    def get(self, name: str, default: Any = None) -> Any:
        """As `Mapping.get`, without an exception on the way: every call asks several times."""
        configured = self._configured.get(name)
        if configured is not None:
            return configured
        return super().get(name, default)

    def __iter__(self) -> Iterator[str]:
        found = {path.stem for path in self._folder.glob("*.gguf")}
        yield from self._configured
        yield from sorted(found - self._configured.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None


def _with_folder(provider: ProviderConfig, folder: Path) -> ProviderConfig:
    return msgspec.structs.replace(provider, options={"models": str(folder), **provider.options})
