"""Confidence intervals of one proportion and of one mean.

Below a few hundred values the normal approximation of a proportion is not to be trusted (Bowyer et al. 2025,
arXiv 2503.01747): Clopper-Pearson never covers less than it says, Wilson covers about what it says at every size.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import special

from assay.errors import BadRequest
from assay.stats.checks import Floats, by_cluster, check_count, check_share, finite
from assay.wire.verdicts import Interval

_CHUNK_CELLS = 4_000_000


def z_quantile(level: float) -> float:
    """The two-sided normal quantile: 1.96 for a level of 0.95."""
    return float(special.ndtri(0.5 + level / 2))


def t_quantile(level: float, *, df: float) -> float:
    """The two-sided quantile of Student's t with `df` > 0 degrees of freedom."""
    return float(special.stdtrit(df, 0.5 + level / 2))


def wilson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion, inside [0, 1] for every `successes` in 0..`n`, `n` ≥ 1.

    Wilson 1927; Newcombe 1998, method 3. Raises `BadRequest` for impossible counts or levels.
    """
    check_count(successes, n)
    check_share(level, "level")
    z = z_quantile(level)
    centre = (successes + z * z / 2) / (n + z * z)
    half = z / (n + z * z) * math.sqrt(successes * (n - successes) / n + z * z / 4)
    return Interval(
        lo=0.0 if successes == 0 else max(0.0, centre - half),
        hi=1.0 if successes == n else min(1.0, centre + half),
    )


def clopper_pearson(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """The exact interval of a proportion: coverage is at least `level` whatever the truth.

    Clopper & Pearson 1934, by quantiles of the beta distribution. Raises `BadRequest` for impossible counts or levels.
    """
    check_count(successes, n)
    check_share(level, "level")
    tail = (1 - level) / 2
    lo = 0.0 if successes == 0 else float(special.betaincinv(successes, n - successes + 1, tail))
    hi = 1.0 if successes == n else float(special.betaincinv(successes + 1, n - successes, 1 - tail))
    return Interval(lo=lo, hi=hi)


def clustered_se(
    values: Sequence[float] | Floats, clusters: Sequence[Hashable | None], *, finite_clusters: bool = True
) -> float:
    """The standard error of a mean whose values come in clusters (questions on one text, turns of one session).

    SE = (1/n)·√(Σ_c (Σ_{i∈c} (s_i − s̄))²): Miller 2024, arXiv 2411.00640, appendix A. `finite_clusters` multiplies it
    by √(C/(C−1)) for C clusters, without which few clusters look too sure. `clusters` names the cluster of each value.
    Raises `BadRequest` for values that are not finite, unequal lengths, or fewer than two clusters.
    """
    array = finite(values, "values")
    sums, sizes = by_cluster(array, clusters)
    return standard_error(sums, sizes, finite_clusters=finite_clusters)


def standard_error(sums: Floats, sizes: Floats, *, finite_clusters: bool = True) -> float:
    """`clustered_se` from the sum and the size of each cluster (size 1 each: the plain one). Two at least, else
    `BadRequest`."""
    count = sums.size
    if count < 2:
        raise BadRequest("a standard error needs at least two values or clusters", param="values")
    total = sizes.sum()
    residuals = sums - sizes * (sums.sum() / total)
    correction = count / (count - 1) if finite_clusters else 1.0
    return float(math.sqrt(float((residuals**2).sum()) * correction) / total)


def mean_t(
    values: Sequence[float] | Floats,
    *,
    level: float = 0.95,
    clusters: Sequence[Hashable | None] | None = None,
) -> Interval:
    """Student's interval of a mean, with n−1 degrees of freedom, or C−1 and `clustered_se` when clusters are given.

    Needs two values (two clusters); values that are all equal give an interval of no width. Raises `BadRequest` else.
    """
    check_share(level, "level")
    sums, sizes = by_cluster(finite(values, "values"), clusters)
    error = standard_error(sums, sizes)
    half = t_quantile(level, df=sums.size - 1) * error
    mean = float(sums.sum() / sizes.sum())
    return Interval(lo=mean - half, hi=mean + half)


def mean_bca(
    values: Sequence[float] | Floats,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 9_999,
    clusters: Sequence[Hashable | None] | None = None,
) -> Interval:
    """The bias-corrected and accelerated bootstrap interval of a mean; whole clusters are drawn when they are given.

    Efron 1987 (J. Am. Stat. Assoc. 82:171); the acceleration comes from the jackknife. Second-order correct for skewed
    values, yet too narrow below some 50 of them: `mean_t` is safer there. Needs two values (two clusters) that differ;
    equal values give an interval of no width. Raises `BadRequest` else.
    """
    check_share(level, "level")
    sums, sizes = by_cluster(finite(values, "values"), clusters)
    count = sums.size
    if count < 2:
        raise BadRequest("a bootstrap needs at least two values or clusters", param="values")
    mean = float(sums.sum() / sizes.sum())
    left_out = (sums.sum() - sums) / (sizes.sum() - sizes)
    pulls = left_out.mean() - left_out
    spread = float((pulls**2).sum())
    if spread <= (1e-14 * max(1.0, abs(mean))) ** 2 * count:
        return Interval(lo=mean, hi=mean)
    means = _resampled_means(sums, sizes, resamples=resamples, rng=rng)
    acceleration = float((pulls**3).sum()) / (6 * spread**1.5)
    below = ((means < mean).sum() + (means <= mean).sum()) / (2 * resamples)
    bias = float(special.ndtri(min(max(below, 0.5 / resamples), 1 - 0.5 / resamples)))
    z = z_quantile(level)
    ends = [special.ndtr(bias + (bias + s) / (1 - acceleration * (bias + s))) for s in (-z, z)]
    lo, hi = np.quantile(means, ends)
    return Interval(lo=float(lo), hi=float(hi))


def _resampled_means(sums: Floats, sizes: Floats, *, resamples: int, rng: np.random.Generator) -> Floats:
    count = sums.size
    means = np.empty(resamples)
    step = max(1, _CHUNK_CELLS // count)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, count, size=(rows, count))
        means[start : start + rows] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    return means
