"""Vectors of the simulated provider: the same for the same text, near for texts that share words, with no model behind.

A text is its words and, with less weight, the letter triples of them. Each such feature stands for a fixed row of signs
drawn from its hash, and the vector is the sum of the rows, of length 1: a random projection, which keeps cosines
(Achlioptas 2003). Each of its numbers counts alike, so a shortened vector, made of length 1 again, keeps them as well.
"""

import base64
import hashlib
import math
import re
from array import array
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked, Refused

_WORD = re.compile(r"\w+")
_TRIPLE_WEIGHT = 0.3


def vector(text: str, dimensions: int) -> "array[float]":
    """The vector of a text: `dimensions` numbers, of Euclidean length 1."""
    sums = [0.0] * dimensions
    for feature, weight in _features(text).items():
        signs = int.from_bytes(hashlib.shake_128(feature.encode()).digest(-(-dimensions // 8)), "little")
        for at in range(dimensions):
            sums[at] += weight if signs >> at & 1 else -weight
    length = math.sqrt(math.fsum(number * number for number in sums)) or 1.0
    return array("f", [number / length for number in sums])


def dimensions_for(asked: Asked, most: int) -> int:
    """How long its vectors shall be. Raises `Refused` for longer ones than there are."""
    dimensions = asked.dimensions or most
    if dimensions > most:
        message = f"Invalid value for 'dimensions' = {dimensions}. Must be less than or equal to {most}."
        raise Refused(400, message, param="dimensions")
    return dimensions


def answer(asked: Asked, *, dimensions: int, usage: bool) -> bytes:
    """The body of an answer in OpenAI's format."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector(text, dimensions), asked.base64)}
        for index, text in enumerate(asked.prompts)
    ]
    body: dict[str, Any] = {"object": "list", "data": data, "model": asked.model}
    if usage:
        count = sum(len(tokens(text)) for text in asked.prompts)
        body["usage"] = {"prompt_tokens": count, "total_tokens": count}
    return msgspec.json.encode(body)


def _features(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for word in _WORD.findall(text.lower()) or [text]:
        found[word] = found.get(word, 0.0) + 1.0
        framed = f"^{word}$"
        for at in range(len(framed) - 2):
            triple = f"#{framed[at : at + 3]}"
            found[triple] = found.get(triple, 0.0) + _TRIPLE_WEIGHT
    return found


def _written(numbers: "array[float]", as_base64: bool) -> Any:
    return base64.b64encode(numbers.tobytes()).decode() if as_base64 else numbers.tolist()
