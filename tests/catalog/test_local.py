"""Weights in the data directory are models."""

from pathlib import Path

import pytest

from assay.catalog.config import Config, parse_config
from assay.catalog.local import LocalModels, open_catalog


def test_weights_are_a_model_from_the_moment_they_are_there(tmp_path: Path) -> None:
    catalog = open_catalog(Config(), tmp_path)
    assert list(catalog.models) == []
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny.gguf").write_bytes(b"GGUF")
    (tmp_path / "models/half.gguf.part").write_bytes(b"GGUF")
    assert list(catalog.models) == ["tiny"]
    model = catalog.models["tiny"]
    assert (model.route[0].provider, model.route[0].model) == ("local", "tiny")
    assert catalog.providers["local"].type == "llama"
    assert catalog.providers["local"].options == {"models": str((tmp_path / "models").resolve())}


def test_what_the_file_says_comes_first(tmp_path: Path) -> None:
    text = """
    [providers.local]
    type = "llama"
    threads = 3
    [models.tiny]
    route = [{ provider = "local", model = "other" }]
    """
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny.gguf").write_bytes(b"GGUF")
    catalog = open_catalog(parse_config(text), tmp_path)
    assert list(catalog.models) == ["tiny"]
    assert catalog.models["tiny"].route[0].model == "other"
    assert catalog.providers["local"].options["threads"] == 3
    assert "models" in catalog.providers["local"].options


@pytest.mark.parametrize("name", ["../secret", "sub/inner", "/etc/x", "", ".", "no-such", "a\0b", "x" * 5000])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "models"
    (folder / "sub").mkdir(parents=True)
    for path in (tmp_path / "secret.gguf", folder / "sub/inner.gguf"):
        path.write_bytes(b"GGUF")
    models = LocalModels({}, folder)
    assert models.get(name) is None
    assert name not in models
