"""What every method here demands of its input; what is wrong raises `BadRequest` that names the parameter."""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from assay.errors import BadRequest

Floats = npt.NDArray[np.float64]


def check_share(value: float, name: str) -> None:
    """`value` lies strictly between 0 and 1 (a level, a power)."""
    if not 0.0 < value < 1.0:
        raise BadRequest(f"{name} must lie between 0 and 1, not {value!r}", param=name)


def check_count(successes: int, n: int) -> None:
    """`n` is at least 1 and `successes` between 0 and `n`."""
    if n < 1:
        raise BadRequest(f"n must be at least 1, not {n!r}", param="n")
    if not 0 <= successes <= n:
        raise BadRequest(f"successes must lie between 0 and n = {n}, not {successes!r}", param="successes")


def finite(values: Sequence[float] | Floats, name: str) -> Floats:
    """`values` as a one-dimensional array of finite floats (it may be empty)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise BadRequest(f"{name} must be one list of numbers, not {array.ndim}-dimensional", param=name)
    if not np.isfinite(array).all():
        raise BadRequest(
            f"{name} holds values that are missing or not finite",
            hint="leave the cases without a score out, and count them as errors",
            param=name,
        )
    return array


def differences(baseline: Sequence[float] | Floats, candidate: Sequence[float] | Floats) -> Floats:
    """Candidate minus baseline, pair by pair."""
    first, second = finite(baseline, "baseline"), finite(candidate, "candidate")
    if first.size != second.size:
        raise BadRequest(
            f"pairs are needed: baseline has {first.size} values, candidate has {second.size}",
            param="candidate",
        )
    return second - first


def by_cluster(values: Floats, clusters: Sequence[Hashable | None] | None) -> tuple[Floats, Floats]:
    """The sum and the size of each cluster, in order of first appearance.

    Without `clusters` each value is one; a cluster named None means that the value stands alone.
    """
    if clusters is None:
        return values, np.ones_like(values)
    if len(clusters) != values.size:
        raise BadRequest(f"{len(clusters)} cluster names for {values.size} values", param="clusters")
    numbers: dict[Hashable, int] = {}
    names = ((place,) if name is None else name for place, name in enumerate(clusters))
    codes = np.fromiter(
        (numbers.setdefault(n, len(numbers)) for n in names), dtype=np.intp, count=len(clusters)
    )
    sums: Floats = np.bincount(codes, weights=values).astype(np.float64)
    return sums, np.bincount(codes).astype(np.float64)
