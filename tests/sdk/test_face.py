"""What `import assay` offers, and what `assay.init` makes of its arguments."""

import logging
import subprocess
import sys
from typing import Any

import pytest
from tests.sdk.conftest import Receiver

import assay
from assay import errors
from assay.sdk import face
from assay.sdk.configuration import configure


def test_the_package_offers_what_the_face_has() -> None:
    assert assay.__all__ == sorted(["__version__", *face.__all__])
    assert set(assay.__all__) <= set(dir(assay))
    for name in face.__all__:
        assert getattr(assay, name) is getattr(face, name)
    with pytest.raises(AttributeError, match="no attribute 'trance'"):
        _ = assay.trance  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing_of_it() -> None:
    code = "import sys, assay; print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'httpx', 'jinja2')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_the_face_brings_nothing_of_the_server_and_no_protobuf() -> None:
    code = "import sys, assay; assay.init; print(*{name.split('.')[0] for name in sys.modules}, *sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"google", "opentelemetry.sdk", "litestar", "sqlalchemy", "duckdb", "numpy", "uvicorn"} & set(
        said
    )
    rooms = {name.split(".")[1] for name in said if name.startswith("assay.")}
    assert rooms == {"errors", "kit", "sdk", "templates"}


def test_the_environment_says_what_the_arguments_do_not() -> None:
    environ = {
        "ASSAY_URL": "https://assay.example/",
        "ASSAY_KEY": "sk-env",
        "ASSAY_ENVIRONMENT": "staging",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "team=a,broken,region = eu ",
    }
    found = configure(None, None, environ=environ)
    assert found is not None
    assert (found.url, found.key, found.environment, found.service) == (
        "https://assay.example",
        "sk-env",
        "staging",
        "shop",
    )
    assert found.resource == {"team": "a", "region": "eu"}
    assert found.origin == ("https", "assay.example", 443)
    told = configure("http://h:1", "sk-own", environment="dev", service="mine", environ=environ)
    assert told is not None
    assert (told.url, told.key, told.environment, told.service) == ("http://h:1", "sk-own", "dev", "mine")
    assert told.origin == ("http", "h", 1)
    named = configure("http://h", "k", environ={"OTEL_RESOURCE_ATTRIBUTES": "service.name=by-attributes"})
    assert named is not None
    assert (named.service, named.resource) == ("by-attributes", {})


@pytest.mark.parametrize(
    ("url", "key", "environ"),
    [
        (None, "k", {}),
        ("http://h", None, {}),
        ("http://h", "k", {"OTEL_SDK_DISABLED": "true"}),
    ],
)
def test_without_a_server_it_is_off(url: str | None, key: str | None, environ: dict[str, str]) -> None:
    assert configure(url, key, environ=environ) is None


@pytest.mark.parametrize(
    ("url", "key", "options", "param"),
    [
        ("assay.example", "k", {}, "url"),
        ("ftp://h", "k", {}, "url"),
        ("http://", "k", {}, "url"),
        ("http://h:port", "k", {}, "url"),
        ("http://h/?key=x", "k", {}, "url"),
        ("http://h", "two words", {}, "key"),
        ("http://h", "k\n", {}, "key"),
        ("http://h", "schlüssel", {}, "key"),
        ("http://h", "k", {"max_spans": 0}, "max_spans"),
        ("http://h", "k", {"interval_s": -1.0}, "interval_s"),
        ("http://h", "k", {"timeout_s": float("nan")}, "timeout_s"),
    ],
)
def test_an_argument_that_cannot_be_meant_is_named(
    url: str, key: str, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(errors.BadRequest) as caught:
        configure(url, key, environ={}, **options)
    assert caught.value.param == param
    assert "k\n" not in caught.value.message


def test_off_is_said_once_and_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("ASSAY_URL", "ASSAY_KEY"):
        monkeypatch.delenv(name, raising=False)
    with caplog.at_level(logging.WARNING, "assay"):
        assay.init()
    assert "Assay is off" in caplog.text
    assert not assay.status().active


def test_the_same_init_again_changes_nothing_and_another_one_takes_its_place(receiver: Receiver) -> None:
    try:
        assay.init(receiver.url, "sk-test", interval_s=1_000.0)
        with assay.span("first"):
            pass
        assay.init(receiver.url, "sk-test", interval_s=1_000.0)
        assert assay.status().spans.recorded == 1
        assay.init(receiver.url, "sk-other", interval_s=1_000.0)
        assert assay.status().spans.recorded == 0
        assert [span.name for span in receiver.spans] == ["first"]
    finally:
        assay.shutdown()


def test_a_server_below_a_path_is_reached_there(receiver: Receiver) -> None:
    try:
        assay.init(f"{receiver.url}/below/", "sk-test")
        with assay.span("x"):
            pass
        assert assay.flush()
        assert [path for path, _ in receiver.requests] == ["/below/v1/traces"]
    finally:
        assay.shutdown()
