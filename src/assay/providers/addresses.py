"""Where the endpoints of a server of OpenAI's format are."""

from collections.abc import Callable
from urllib.parse import quote

from assay.providers.profiles import Profile

API_VERSION = "2024-10-21"
"""Of Azure's API by deployments: the last one that is no preview."""

Address = Callable[[str | None, str], str]
"""The upstream's name for the model, None where no model is asked, and the endpoint's path → URL."""


def addressing(base_url: str, profile: Profile, api_version: str) -> Address:
    """The addresses below a base URL. Azure has them by deployment; below `/openai/v1` it has them like everybody else."""
    if profile.addresses == "deployments" and not base_url.endswith("/v1"):
        root = base_url.removesuffix("/openai") + "/openai"
        return lambda model, path: _deployed(root, model, path, api_version)
    if profile.reranks == "tei":
        root = base_url.removesuffix("/v1")
        return lambda _, path: (root if path == "/rerank" else base_url) + path
    return lambda _, path: base_url + path


def _deployed(root: str, model: str | None, path: str, api_version: str) -> str:
    at = root if model is None else f"{root}/deployments/{quote(model, safe='')}"
    return f"{at}{path}?api-version={quote(api_version)}"
