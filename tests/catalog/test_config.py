"""`assay.toml` as a whole."""

import logging
from pathlib import Path

import pytest

from assay.catalog.config import load_config, parse_config
from assay.errors import BadRequest


def test_without_a_file_there_is_an_empty_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None).models == {}


def test_the_file_of_the_working_directory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "assay.toml").write_text("[server]\nport = 1\nmax_body_mb = 2.5\n")
    monkeypatch.chdir(tmp_path)
    assert load_config(None).server == {"port": 1, "max_body_mb": 2.5}


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no file"):
        load_config(tmp_path / "other.toml")


def test_a_key_comes_from_the_environment_or_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    text = """
    [providers.a]
    type = "openai"
    api_key = "env:A_KEY"
    [providers.b]
    type = "openai"
    api_key = "file:key"
    """
    found = parse_config(text, environ={"A_KEY": "from-env"}, folder=tmp_path)
    assert (found.providers["a"].api_key, found.providers["b"].api_key) == ("from-env", "from-file")
    assert found.warnings == ()


def test_a_provider_may_have_several_keys(tmp_path: Path) -> None:
    (tmp_path / "second").write_text("two\n")
    table = '[providers.acme]\ntype = "openai"\napi_key = ["env:ONE", "file:second"]'
    acme = parse_config(table, environ={"ONE": "one"}, folder=tmp_path).providers["acme"]
    assert acme.keys == ("one", "two")
    with pytest.raises(BadRequest, match="none of them twice") as caught:
        parse_config(table.replace("file:second", "env:ONE"), environ={"ONE": "one"})
    assert caught.value.param == "providers.acme.api_key"


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(BadRequest, match="'A_KEY', which is not set") as caught:
        parse_config('[providers.a]\ntype = "openai"\napi_key = "env:A_KEY"', environ={})
    assert caught.value.param == "providers.a.api_key"


def test_a_key_in_the_file_works_and_warns_without_showing_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = parse_config('[providers.a]\ntype = "openai"\napi_key = "sk-secret"', environ={})
    assert found.providers["a"].api_key == "sk-secret"
    assert "providers.a.api_key" in caplog.text
    assert "sk-secret" not in caplog.text


def test_what_only_the_type_knows_is_an_option() -> None:
    found = parse_config('[providers.a]\ntype = "simulated"\nseed = 3\nhead_s = 0.5')
    assert found.providers["a"].options == {"seed": 3, "head_s": 0.5}


def test_tasks_are_handed_on_as_they_are() -> None:
    found = parse_config(
        '[tasks.polish]\nvariants.v1 = { model = "fast", prompt = "x" }\nrelease = { v1 = 1.0 }'
    )
    assert found.tasks["polish"]["release"] == {"v1": 1.0}
    assert isinstance(found.tasks["polish"]["release"]["v1"], float)


@pytest.mark.parametrize(
    ("text", "param"),
    [
        ("[provider.a]\ntype='openai'", "assay.toml.provider"),
        ("providers = 3", "providers"),
        ("[providers]\na = 3", "providers.a"),
        ("[providers.a]\nbase_url='http://x'", "providers.a.type"),
        ("[providers.a]\ntype='opnai'", "providers.a.type"),
        ("[providers.a]\ntype='openai'\nbase_url='localhost:9'", "providers.a.base_url"),
        ("[providers.a]\ntype='openai'\napi_key=''", "providers.a.api_key"),
        ("[providers.a]\ntype='openai'\napi_key='file:/nowhere/at/all'", "providers.a.api_key"),
        ("[models.m]\nroute=[{provider='a', model='x'}]", "models.m.route[0].provider"),
        ("[models]\nm = 3", "models.m"),
        ("[models.m]\nroute=[{provider='local', model='x'}]\nfallback=['n']", "models.m.fallback"),
        ("[models.m\n", "config"),
    ],
)
def test_a_mistake_is_named(text: str, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_config(text, environ={})
    assert caught.value.param == param


def test_a_misspelt_type_gets_the_nearest_as_a_hint() -> None:
    with pytest.raises(BadRequest) as caught:
        parse_config("[providers.a]\ntype='opnai'")
    assert caught.value.hint == "Did you mean 'openai'?"
