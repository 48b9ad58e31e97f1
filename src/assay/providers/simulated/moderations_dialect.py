"""OpenAI's moderations of the simulated provider: a text is flagged that speaks of what a category is called."""

import re
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked, Refused

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
_WORDS = {"hate": "hate", "violence": "kill|violence", "self-harm": "self-harm|suicide", "sexual": "sexual"}
_DEFAULT = "omni-moderation-latest"


class _Body(msgspec.Struct):
    input: str | list[str | dict[str, Any]]
    model: str | None = None
    simulate: dict[str, Any] | None = None


_body = msgspec.json.Decoder(_Body)


def parse_moderations(body: bytes) -> Asked:
    """Read a body. Raises `Refused`."""
    try:
        sent = _body.decode(body)
    except msgspec.ValidationError as error:
        raise Refused(400, f"Invalid value: {error}.", param="input") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"We could not parse the JSON body of your request. ({error})") from error
    texts = [sent.input] if isinstance(sent.input, str) else sent.input
    if not texts:
        raise Refused(400, "Input must not be empty.", param="input")
    said = [each if isinstance(each, str) else str(each.get("text", "")) for each in texts]
    if not all(isinstance(each, str) for each in texts):
        said = ["\n".join(said)]  # the parts are one input
    return Asked(
        endpoint="chat",
        model=sent.model or _DEFAULT,
        prompts=tuple(said),
        last_user=said[-1],
        steering=sent.simulate or {},
    )


def moderated(asked: Asked, index: int) -> bytes:
    """The body of an answer."""
    results = [_result(text) for text in asked.prompts]
    return msgspec.json.encode({"id": f"modr-sim{index:08d}", "model": asked.model, "results": results})


def _result(text: str) -> dict[str, Any]:
    found = [name for name, words in _WORDS.items() if re.search(rf"\b({words})\b", text, re.IGNORECASE)]
    return {
        "flagged": bool(found),
        "categories": {name: name in found for name in CATEGORIES},
        "category_scores": {name: _score(text, name, is_found=name in found) for name in CATEGORIES},
        "category_applied_input_types": {name: ["text"] if name in found else [] for name in CATEGORIES},
    }


def _score(text: str, name: str, *, is_found: bool) -> float:
    """The longer the text, the less one word says."""
    share: float = len(name) / (len(name) + 20 * max(len(tokens(text)), 1))
    return round(1 - share / 2, 6) if is_found else round(share / 100, 6)
