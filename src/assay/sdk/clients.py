"""The official clients, pointed at the server and carrying the trace along."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from assay.errors import Unusable
from assay.sdk import running
from assay.sdk.propagation import propagate

if TYPE_CHECKING:
    import anthropic
    import openai


def openai_client(**options: Any) -> "openai.OpenAI":
    """`openai.OpenAI` for the server of `assay.init`, whose calls are children of the current span.

    Takes the options of the class. Raises `Unusable` before `assay.init` or when the package is not installed.
    """
    made: openai.OpenAI = _client("openai", "OpenAI", "DefaultHttpxClient", "/v1", options)
    return made


def async_openai_client(**options: Any) -> "openai.AsyncOpenAI":
    """`openai.AsyncOpenAI`, as `openai_client`."""
    made: openai.AsyncOpenAI = _client("openai", "AsyncOpenAI", "DefaultAsyncHttpxClient", "/v1", options)
    return made


def anthropic_client(**options: Any) -> "anthropic.Anthropic":
    """`anthropic.Anthropic`, as `openai_client`."""
    made: anthropic.Anthropic = _client("anthropic", "Anthropic", "DefaultHttpxClient", "", options)
    return made


def async_anthropic_client(**options: Any) -> "anthropic.AsyncAnthropic":
    """`anthropic.AsyncAnthropic`, as `openai_client`."""
    made: anthropic.AsyncAnthropic = _client(
        "anthropic", "AsyncAnthropic", "DefaultAsyncHttpxClient", "", options
    )
    return made


def _client(package: str, name: str, transport: str, path: str, options: dict[str, Any]) -> Any:
    settings = running.required().configuration
    try:
        module = import_module(package)
    except ImportError as error:
        raise Unusable(f"The package {package!r} is not installed", hint=f"pip install {package}") from error
    options.setdefault("base_url", settings.url + path)
    options.setdefault("api_key", settings.key)
    if "http_client" not in options:
        options["http_client"] = getattr(module, transport)(event_hooks={"request": [propagate]})
    return getattr(module, name)(**options)
