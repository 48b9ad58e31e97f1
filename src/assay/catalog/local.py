"""Weights that lie in the data directory are models of the catalogue without a line of configuration."""

from pathlib import Path

import msgspec

from assay.catalog.config import Config
from assay.catalog.models import ModelConfig, Route
from assay.providers.types import ProviderConfig

PROVIDER = "local"


def models_folder(data: Path) -> Path:
    """Where a data directory keeps its weights."""
    return data / "models"


def with_local_models(config: Config, data: Path) -> Config:
    """The configuration with the provider `local` and one model for each `<data>/models/<name>.gguf`.

    What the file configures under the same name stays as it is; providers of type `llama` that do not say where their
    weights are get this folder.
    """
    folder = models_folder(data)
    providers = {
        name: _with_folder(provider, folder) if provider.type == "llama" else provider
        for name, provider in config.providers.items()
    }
    providers.setdefault(PROVIDER, _with_folder(ProviderConfig(name=PROVIDER, type="llama"), folder))
    models = dict(config.models)
    for weights in sorted(folder.glob("*.gguf")):
        name = weights.stem
        models.setdefault(name, ModelConfig(name=name, route=(Route(PROVIDER, name),), retries=0))
    return msgspec.structs.replace(config, providers=providers, models=models)


def _with_folder(provider: ProviderConfig, folder: Path) -> ProviderConfig:
    options = {"models": str(folder.resolve()), **provider.options}
    return msgspec.structs.replace(provider, options=options)
