"""Two answers to the same cases: tests and intervals for the difference, candidate minus baseline.

For yes/no answers only the discordant pairs speak: `gained` pairs that only the candidate got right, `lost` pairs that
only the baseline got right. The estimate is (gained − lost) / n.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from scipy import special

from assay.errors import BadRequest
from assay.stats.checks import Floats, by_cluster, check_share, differences
from assay.stats.intervals import mean_t, standard_error, z_quantile
from assay.stats.types import PairedTest
from assay.wire.verdicts import Interval

EXACT_UP_TO = 20
"""Pairs (or clusters) up to which every way of swapping them is counted: 2^19 ways."""

_CHUNK_CELLS = 8_000_000


def mcnemar_exact(gained: int, lost: int, *, mid_p: bool = False) -> float:
    """The two-sided p-value of McNemar's exact conditional test: are discordant pairs as often gained as lost?

    McNemar 1947, by the binomial distribution with p = ½. `mid_p` counts half of the chance of what was seen: closer to
    its nominal size, but no longer guaranteed (Fagerland, Lydersen & Laake 2013, BMC Med. Res. Methodol. 13:91).
    No discordant pair gives 1. Raises `BadRequest` for counts below 0.
    """
    _check_discordant(gained, lost, n=gained + lost)
    pairs, fewer = gained + lost, min(gained, lost)
    if pairs == 0:
        return 1.0
    tail = float(special.bdtr(fewer, pairs, 0.5))
    if not mid_p:
        return min(1.0, 2 * tail)
    here = tail - (float(special.bdtr(fewer - 1, pairs, 0.5)) if fewer else 0.0)
    return 1.0 - here / 2 if gained == lost else 2 * tail - here


def mcnemar_chi2(gained: int, lost: int, *, correction: bool = False) -> tuple[float, float]:
    """McNemar's statistic (b − c)²/(b + c) and its p-value from χ² with one degree of freedom.

    For large counts and for checking published tables; verdicts use `mcnemar_exact`. `correction` is Edwards'
    continuity correction (1948). No discordant pair gives (0, 1). Raises `BadRequest` for counts below 0.
    """
    _check_discordant(gained, lost, n=gained + lost)
    if gained + lost == 0:
        return 0.0, 1.0
    gap = max(0, abs(gained - lost) - (1 if correction else 0))
    statistic = gap * gap / (gained + lost)
    return statistic, float(special.chdtrc(1, statistic))


def tango(gained: int, lost: int, *, n: int, level: float = 0.95) -> Interval:
    """Tango's score interval for the difference of two paired proportions: all Δ that the score test does not reject.

    Tango 1998, Stat. Med. 17:891, equations 24-26: |gained − lost − nΔ| ≤ z·√(n(2q̂ + Δ(1 − Δ))) where q̂ is the maximum
    likelihood of the share lost when the difference is Δ. The statistic falls in Δ, so each end is found by bisection,
    which needs no luck where no pair is discordant (±z²/(n + z²)), where all are, or where n is 1.
    Raises `BadRequest` unless `gained`, `lost` ≥ 0, `n` ≥ 1 and gained + lost ≤ n.
    """
    check_share(level, "level")
    _check_discordant(gained, lost, n=n)
    if n < 1:
        raise BadRequest(f"n must be at least 1, not {n!r}", param="n")
    z = z_quantile(level)
    return Interval(lo=_tango_lower(gained, lost, n=n, z=z), hi=-_tango_lower(lost, gained, n=n, z=z))


def _tango_lower(gained: int, lost: int, *, n: int, z: float) -> float:
    """The smallest Δ that is not rejected from above: below it gained − lost − nΔ > z·sd, from it on ≤."""
    lo, hi = -1.0, (gained - lost) / n
    while True:
        middle = (lo + hi) / 2
        if middle in (lo, hi):
            return hi
        q = _share_lost(gained, lost, n=n, difference=middle)
        variance = max(0.0, n * (2 * q + middle * (1 - middle)))
        if gained - lost - n * middle > z * math.sqrt(variance):
            lo = middle
        else:
            hi = middle


def _share_lost(gained: int, lost: int, *, n: int, difference: float) -> float:
    """q̂: the larger root of 2n·q² + B·q + C, by the formula that does not cancel."""
    b = (2 * n - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    root = math.sqrt(max(0.0, b * b - 8 * n * c))
    q = (root - b) / (4 * n) if b <= 0 else -2 * c / (b + root)
    return min(max(q, 0.0, -difference), (1 - difference) / 2)


def sign_test(baseline: Sequence[float], candidate: Sequence[float]) -> float:
    """The two-sided p-value of the sign test: does the candidate win as many pairs as it loses? Ties are left out.

    Arbuthnot 1710; the binomial distribution with p = ½. It needs no scale, only an order. Pairs of equal length, finite
    values, else `BadRequest`.
    """
    gaps = differences(baseline, candidate)
    return mcnemar_exact(int((gaps > 0).sum()), int((gaps < 0).sum()))


def paired_t(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    level: float = 0.95,
    clusters: Sequence[Hashable | None] | None = None,
) -> PairedTest:
    """Student's paired t test, with clustered standard errors (Miller 2024, arXiv 2411.00640) when clusters are given.

    At least two pairs (two clusters), finite values, equal lengths, else `BadRequest`. Differences that are all equal
    leave no spread to measure with: p is 1 when they are 0, else 0, and the interval has no width.
    """
    gaps = differences(baseline, candidate)
    interval = mean_t(gaps, level=level, clusters=clusters)
    sums, sizes = by_cluster(gaps, clusters)
    mean, error = float(sums.sum() / sizes.sum()), standard_error(sums, sizes)
    if error == 0.0:
        p_value = 1.0 if mean == 0.0 else 0.0
    else:
        p_value = 2 * float(special.stdtr(sums.size - 1, -abs(mean) / error))
    return PairedTest(estimate=mean, interval=interval, p_value=p_value, exact=False)


def paired_permutation(
    baseline: Sequence[float],
    candidate: Sequence[float],
    *,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 9_999,
    clusters: Sequence[Hashable | None] | None = None,
) -> PairedTest:
    """The permutation test of a mean difference, and the interval of all differences that it does not reject.

    If the two sides are exchangeable, swapping any pair (a change of sign) is as likely as not: the p-value is the share
    of sign patterns whose mean is at least as far from 0 as the one seen (Fisher 1935). With at most 20 differences that
    are not 0 (they are the only ones that swapping can change) all patterns are counted, else `draws` are drawn and
    p = (b + 1)/(m + 1) (Phipson & Smyth 2010). With `clusters`, whole clusters are swapped.

    The interval inverts the same test over a shift θ. A pattern keeps a mean as extreme as the one seen exactly for θ
    between the mean of the differences that it swaps and the mean of those that it keeps, so the ends are order
    statistics of such subset means: Hartigan's typical values (1969, J. Am. Stat. Assoc. 64:1303), no search is needed.
    It is exact for differences symmetric about θ, and right in large samples without symmetry. Where no pattern can be
    rare enough (at a level of 0.95: below six pairs) the interval is None.

    At least one pair, finite values, equal lengths, `draws` ≥ 99, else `BadRequest`.
    """
    check_share(level, "level")
    if draws < 99:
        raise BadRequest(f"draws must be at least 99, not {draws!r}", param="draws")
    gaps = differences(baseline, candidate)
    if gaps.size == 0:
        raise BadRequest("a test needs at least one pair", param="baseline")
    sums, sizes = by_cluster(gaps, clusters)
    mean = float(sums.sum() / sizes.sum())
    few, few_moving = sums.size <= EXACT_UP_TO, int((sums != 0).sum()) <= EXACT_UP_TO
    swapped = _all_patterns(sums, sizes) if few else _drawn_patterns(sums, sizes, draws=draws, seed=seed)
    p_value = _exact_p(sums[sums != 0]) if few_moving else _share_as_far(swapped[0], sums)
    return PairedTest(
        estimate=mean,
        interval=_typical_values(*swapped, sums=sums, sizes=sizes, level=level),
        p_value=p_value,
        exact=few_moving,
    )


def _all_patterns(sums: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Sum and size of what each pattern swaps. A pattern and its mirror image say the same, so the last stays put; the
    first pattern swaps nothing."""
    swapped, count = np.zeros(1), np.zeros(1)
    for value, size in zip(sums[:-1], sizes[:-1], strict=True):
        swapped, count = np.concatenate([swapped, swapped + value]), np.concatenate([count, count + size])
    return swapped, count


def _drawn_patterns(sums: Floats, sizes: Floats, *, draws: int, seed: int) -> tuple[Floats, Floats]:
    """As `_all_patterns`: the pattern that swaps nothing, then `draws` at random."""
    rng = np.random.default_rng(seed)
    columns = np.stack([sums, sizes], axis=1)
    totals = np.zeros((draws + 1, 2))
    step = max(1, _CHUNK_CELLS // sums.size)
    for start in range(1, draws + 1, step):
        rows = min(step, draws + 1 - start)
        packed = rng.integers(0, 256, size=(rows, -(-sums.size // 8)), dtype=np.uint8)
        bits = np.unpackbits(packed, axis=1, count=sums.size)
        totals[start : start + rows] = bits.astype(np.float64) @ columns
    return totals[:, 0], totals[:, 1]


def _exact_p(moving: Floats) -> float:
    if moving.size == 0:
        return 1.0
    swapped, _ = _all_patterns(moving, np.ones_like(moving))
    return _share_as_far(swapped, moving)


def _share_as_far(swapped: Floats, sums: Floats) -> float:
    """The share of patterns with |mean| ≥ |mean seen|; the pattern that swaps nothing is among them."""
    slack = 1e-12 * float(np.abs(sums).sum())
    return float((np.abs(sums.sum() - 2 * swapped) >= abs(sums.sum()) - slack).mean())


def _typical_values(
    swapped: Floats, count: Floats, *, sums: Floats, sizes: Floats, level: float
) -> Interval | None:
    """θ is not rejected while more than alpha of the patterns are at least as extreme about it."""
    total = sizes.sum()
    proper = (count > 0) & (count < total)
    always = count.size - int(proper.sum())
    rank = math.floor((1 - level) * count.size + 1e-9) - always
    if rank < 0:
        return None
    of_swapped = swapped[proper] / count[proper]
    of_kept = (sums.sum() - swapped[proper]) / (total - count[proper])
    lows, highs = np.minimum(of_swapped, of_kept), np.maximum(of_swapped, of_kept)
    return Interval(
        lo=float(np.partition(lows, rank)[rank]),
        hi=float(-np.partition(-highs, rank)[rank]),
    )


def _check_discordant(gained: int, lost: int, *, n: int) -> None:
    for name, count in (("gained", gained), ("lost", lost)):
        if count < 0:
            raise BadRequest(f"{name} must not be negative, not {count!r}", param=name)
    if gained + lost > n:
        raise BadRequest(f"{gained} gained and {lost} lost are more than n = {n}", param="n")
