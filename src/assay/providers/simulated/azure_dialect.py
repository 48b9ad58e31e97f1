"""Azure's way of OpenAI's format: the deployment stands in the path and the version behind it, and a stream begins with what the
filter thinks of the prompt."""

import re
from typing import Any, Literal, cast
from urllib.parse import parse_qs, unquote

import msgspec

from assay.providers.simulated.asking import Asked, Refused, parse
from assay.providers.simulated.exchange import Call
from assay.providers.simulated.saying import Answer, Chunk, event

PATH = re.compile(
    r"/openai/deployments/(?P<model>[^/]+)/(?P<endpoint>chat/completions|completions|embeddings)"
)
_CALM = {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}


class AzureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer of OpenAI's format, as Azure tells it."""

    answer: Answer

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        body: dict[str, Any] = msgspec.json.decode(self.answer.whole())
        return msgspec.json.encode({**body, "prompt_filter_results": [_CALM]})

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer."""
        first = {"choices": [], "created": 0, "id": "", "model": "", "object": ""}
        return [
            Chunk(event({**first, "prompt_filter_results": [_CALM]}), is_token=False),
            *self.answer.chunks(),
        ]


def parse_azure(call: Call, body: bytes) -> Asked:
    """Read a body. Raises `Refused`: for a request without a version, or whose key is not where Azure looks for it, too."""
    found = PATH.fullmatch(call.path)
    assert found is not None, "the table has this pattern"
    if not parse_qs(call.query).get("api-version"):
        raise Refused(404, "Resource not found", code="404")
    if "api-key" not in call.headers and "authorization" not in call.headers:
        raise Refused(401, "Access denied due to invalid subscription key or wrong API endpoint.", code="401")
    endpoint = cast("Literal['chat', 'completions', 'embeddings']", found["endpoint"].split("/")[0])
    try:
        sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return parse(endpoint, body)
    sent["model"] = msgspec.Raw(msgspec.json.encode(unquote(found["model"])))
    return parse(endpoint, msgspec.json.encode(sent))
