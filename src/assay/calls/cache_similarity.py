"""Questions that were asked before, by what they mean: vectors in buckets within which only the question differs.

Nearness is the cosine, and encoders hardly see what turns an answer around: for MiniLM `in 2023` lies at 0.94 beside `in
2024`, and `may I` at 0.97 beside `may I not`. So two questions are alike only if they hold the same numbers in the same order
and as many negations, which are known in English and Chinese.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

Vectors = Any
"""An array of 32-bit floats."""

MOST_VECTORS = 20_000
"""In memory over all buckets; the bucket that was used longest ago goes first."""
MOST_IN_BUCKET = 4_000
"""Of one task and variant; a newer question takes the place of the oldest."""

_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|cannot|without|except|unless)\b|n['’]t\b|[不没沒無无未勿非]", re.IGNORECASE
)

Marks = tuple[str, ...]
"""What must be equal in two questions: their numbers, and how many negations they hold."""


class Near(NamedTuple):
    """The nearest earlier question that is near enough, and under which name its answer lies."""

    digest: bytes
    similarity: float


class _Bucket:
    def __init__(self, columns: int) -> None:
        self.digests: list[bytes] = []
        self.marks: list[Marks] = []
        self.vectors = _empty(16, columns)
        self.next = 0


class Questions:
    """The vectors of one process. Lives on one event loop."""

    def __init__(self, *, most: int = MOST_VECTORS, most_in_bucket: int = MOST_IN_BUCKET) -> None:
        self._buckets: OrderedDict[bytes, _Bucket] = OrderedDict()
        self._most = most
        self._most_in_bucket = most_in_bucket
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def nearest(self, bucket: bytes, text: str, vector: Sequence[float], *, at_least: float) -> Near | None:
        """The nearest question of the bucket, if its cosine is `at_least` and it holds the same marks."""
        found = self._buckets.get(bucket)
        if found is None or found.vectors.shape[1] != len(vector):
            return None
        self._buckets.move_to_end(bucket)
        marks = _marks(text)
        cosines = found.vectors[: len(found.digests)] @ _unit(vector)
        for at in cosines.argsort()[::-1]:
            similarity = min(float(cosines[at]), 1.0)
            if similarity < at_least:
                return None
            if found.marks[at] == marks:
                return Near(found.digests[at], similarity)
        return None

    def add(self, bucket: bytes, text: str, vector: Sequence[float], digest: bytes) -> None:
        """Remember a question, whose answer lies under `digest`."""
        found = self._buckets.get(bucket)
        if found is None or found.vectors.shape[1] != len(vector):
            self._forget(bucket)
            found = self._buckets[bucket] = _Bucket(len(vector))
        self._buckets.move_to_end(bucket)
        if digest in found.digests:
            at = found.digests.index(digest)
        elif len(found.digests) < self._most_in_bucket:
            at = len(found.digests)
            if at == len(found.vectors):
                found.vectors = _grown(found.vectors, min(2 * at, self._most_in_bucket))
            found.digests.append(digest)
            found.marks.append(())
            self._count += 1
        else:
            at, found.next = found.next, (found.next + 1) % self._most_in_bucket
        found.vectors[at] = _unit(vector)
        found.digests[at], found.marks[at] = digest, _marks(text)
        while self._count > self._most and len(self._buckets) > 1:
            self._forget(next(iter(self._buckets)))

    def clear(self) -> None:
        """Forget all. Answers that are gone are not found by what remains here either."""
        self._buckets.clear()
        self._count = 0

    def _forget(self, bucket: bytes) -> None:
        gone = self._buckets.pop(bucket, None)
        if gone is not None:
            self._count -= len(gone.digests)


def _marks(text: str) -> Marks:
    return (*_NUMBER.findall(text), f"{len(_NEGATION.findall(text))} negations")


@cache
def _numpy() -> ModuleType:
    """Only tasks that compare questions bring it."""
    import numpy

    return numpy


def _unit(vector: Sequence[float]) -> Vectors:
    np = _numpy()
    made = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(made))
    return made / np.float32(length) if length else made


def _empty(rows: int, columns: int) -> Vectors:
    np = _numpy()
    return np.zeros((rows, columns), dtype=np.float32)


def _grown(vectors: Vectors, rows: int) -> Vectors:
    made = _empty(rows, vectors.shape[1])
    made[: len(vectors)] = vectors
    return made
