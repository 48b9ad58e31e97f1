"""How many cases a question needs, and how small a difference a design can see.

Every function answers for a two-sided test at `1 - level` that is to succeed with probability `power`. A minimum
detectable effect (MDE) is the smallest true difference for which that holds.
"""

import math

import numpy as np
from scipy import special

from assay.errors import BadRequest
from assay.stats.checks import check_share
from assay.stats.intervals import t_quantile, z_quantile


def paired_means_n(
    effect: float,
    *,
    variance: float,
    noise: tuple[float, float] = (0.0, 0.0),
    repeats: tuple[int, int] = (1, 1),
    level: float = 0.95,
    power: float = 0.8,
) -> int:
    """Cases needed to see a mean difference of `effect` ≠ 0 between two paired runs.

    n = (z_{α/2} + z_β)²·(ω² + σ²_A/K_A + σ²_B/K_B)/δ² (Miller 2024, arXiv 2411.00640, section 5): `variance` is ω², of
    the cases' true differences; `noise` the variances σ² of one answer to the same case, `repeats` the answers K drawn
    of it, for baseline and candidate. With one answer each and ω² taken from observed differences, noise is in it: leave
    it 0. Raises `BadRequest` for an effect of 0, negative variances or repeats below 1.
    """
    if effect == 0.0:
        raise BadRequest("no number of cases shows an effect of 0", param="effect")
    total = _paired_variance(variance, noise, repeats)
    return max(2, math.ceil(_z_sum(level, power) ** 2 * total / effect**2 - 1e-9))


def paired_means_mde(
    n: int,
    *,
    variance: float,
    noise: tuple[float, float] = (0.0, 0.0),
    repeats: tuple[int, int] = (1, 1),
    df: float | None = None,
    level: float = 0.95,
    power: float = 0.8,
) -> float:
    """The smallest mean difference that `n` paired cases show: `paired_means_n` solved for the effect.

    With `df` (n − 1, or clusters − 1) quantiles of Student's t stand for the normal ones, which few cases need.
    """
    _check_n(n)
    total = _paired_variance(variance, noise, repeats)
    factor = (
        _z_sum(level, power) if df is None else t_quantile(level, df=df) + float(special.stdtrit(df, power))
    )
    return factor * math.sqrt(total / n)


def mcnemar_power(n: int, *, discordance: float, effect: float, level: float = 0.95) -> float:
    """The exact chance that McNemar's exact test on `n` pairs rejects, averaged over the number of discordant pairs.

    `discordance` is the share of pairs that differ, `effect` the difference of the proportions, |effect| ≤ discordance
    (Lachin 1992, Stat. Med. 11:1239, unconditional power). Discordant counts outside ±9 standard deviations are left
    out.
    """
    _check_n(n)
    check_share(level, "level")
    if not abs(effect) <= discordance <= 1.0:
        raise BadRequest("the effect cannot exceed the share of discordant pairs", param="effect")
    if discordance == 0.0:
        return 0.0
    middle, spread = n * discordance, 9 * math.sqrt(n * discordance * (1 - discordance)) + 1
    pairs = np.arange(max(1, math.floor(middle - spread)), min(n, math.ceil(middle + spread)) + 1)
    weights = np.exp(
        special.gammaln(n + 1) - special.gammaln(pairs + 1) - special.gammaln(n - pairs + 1)
        + special.xlogy(pairs, discordance) + special.xlog1py(n - pairs, -discordance)
    )  # fmt: skip
    critical = _critical_counts(pairs, alpha=1 - level)
    gained = 0.5 + effect / (2 * discordance)
    few = np.maximum(critical, 0)
    rejected = special.bdtr(few, pairs, gained) + special.bdtr(few, pairs, 1 - gained)
    return float((weights * np.where(critical >= 0, rejected, 0.0)).sum())


def paired_proportions_n(
    effect: float, *, discordance: float, level: float = 0.95, power: float = 0.8, limit: int = 10_000_000
) -> int:
    """Pairs needed for McNemar's exact test to see `effect`, a difference of proportions, given `discordance`.

    Starts from the normal formula n = (z_{α/2}·√ψ + z_β·√(ψ − δ²))²/δ² (Connor 1987, Biometrics 43:207) and goes up until
    `mcnemar_power` is reached. Raises `BadRequest` for an effect of 0, one above the discordance, or past `limit`.
    """
    if effect == 0.0:
        raise BadRequest("no number of pairs shows an effect of 0", param="effect")
    if not abs(effect) <= discordance <= 1.0:
        raise BadRequest("the effect cannot exceed the share of discordant pairs", param="effect")
    check_share(power, "power")
    z_beta = float(special.ndtri(power))
    root = z_quantile(level) * math.sqrt(discordance) + z_beta * math.sqrt(discordance - effect**2)
    n = max(1, math.ceil(root**2 / effect**2))
    while n <= limit:
        if mcnemar_power(n, discordance=discordance, effect=effect, level=level) >= power:
            return n
        n += max(1, n // 200)
    raise BadRequest(f"more than {limit} pairs would be needed", param="effect")


def paired_proportions_mde(
    n: int, *, discordance: float, level: float = 0.95, power: float = 0.8
) -> float | None:
    """The smallest difference of proportions that McNemar's exact test on `n` pairs shows, to four digits.

    A difference needs at least as many discordant pairs as it is large, so the discordance is raised with the effect
    where it is too small to carry it: 0 is a valid `discordance`. None where even answers that all differ one way would
    not be seen often enough (below six pairs at a level of 0.95).
    """
    if not 0.0 <= discordance <= 1.0:
        raise BadRequest(f"discordance must lie between 0 and 1, not {discordance!r}", param="discordance")
    check_share(power, "power")

    def seen(effect: float) -> bool:
        carried = max(discordance, effect)
        return mcnemar_power(n, discordance=carried, effect=effect, level=level) >= power

    if not seen(1.0):
        return None
    lo, hi = 0.0, 1.0
    while hi - lo > 5e-5 * hi:
        middle = (lo + hi) / 2
        lo, hi = (lo, middle) if seen(middle) else (middle, hi)
    return hi


def proportion_n(effect: float, *, expected: float, level: float = 0.95, power: float = 0.8) -> int:
    """Cases needed to tell one run's proportion `expected` + `effect` from the fixed value `expected`, both in (0, 1).

    n = (z_{α/2}·√(p₀q₀) + z_β·√(p₁q₁))²/δ² (Fleiss, Levin & Paik 2003, section 2.5). Raises `BadRequest` else.
    """
    check_share(expected, "expected")
    check_share(expected + effect, "effect")
    if effect == 0.0:
        raise BadRequest("no number of cases shows an effect of 0", param="effect")
    check_share(level, "level")
    check_share(power, "power")
    reached = expected + effect
    null, alternative = math.sqrt(expected * (1 - expected)), math.sqrt(reached * (1 - reached))
    root = z_quantile(level) * null + float(special.ndtri(power)) * alternative
    return math.ceil((root / effect) ** 2 - 1e-9)


def proportion_mde(n: int, *, expected: float, level: float = 0.95, power: float = 0.8) -> float | None:
    """The smallest rise or fall, whichever is larger, from `expected` in (0, 1) that `n` cases show.

    `proportion_n` solved for the effect, to four digits. None where one of the two directions has no room for it.
    """
    _check_n(n)
    sides = [_proportion_side(n, expected=expected, sign=sign, level=level, power=power) for sign in (1, -1)]
    found = [side for side in sides if side is not None]
    return max(found) if len(found) == len(sides) else None


def two_proportions_n(baseline: float, candidate: float, *, level: float = 0.95, power: float = 0.8) -> int:
    """Cases needed in each of two independent groups to tell two proportions in (0, 1) apart.

    The normal test with the pooled variance under the null: n = (z_{α/2}·√(2p̄q̄) + z_β·√(p₁q₁ + p₂q₂))²/(p₁ − p₂)²
    (Fleiss, Levin & Paik 2003, section 4.3, without continuity correction). Raises `BadRequest` for equal proportions.
    """
    check_share(baseline, "baseline")
    check_share(candidate, "candidate")
    check_share(level, "level")
    check_share(power, "power")
    if baseline == candidate:
        raise BadRequest("no number of cases tells equal proportions apart", param="candidate")
    pooled = (baseline + candidate) / 2
    spread = baseline * (1 - baseline) + candidate * (1 - candidate)
    root = z_quantile(level) * math.sqrt(2 * pooled * (1 - pooled)) + float(special.ndtri(power)) * math.sqrt(
        spread
    )
    return math.ceil((root / (candidate - baseline)) ** 2 - 1e-9)


def _proportion_side(n: int, *, expected: float, sign: int, level: float, power: float) -> float | None:
    room = (1 - expected if sign > 0 else expected) - 1e-12
    lo, hi = 0.0, room
    if proportion_n(sign * room, expected=expected, level=level, power=power) > n:
        return None
    while hi - lo > 5e-5 * hi:
        middle = (lo + hi) / 2
        enough = proportion_n(sign * middle, expected=expected, level=level, power=power) <= n
        lo, hi = (lo, middle) if enough else (middle, hi)
    return hi


def _critical_counts(pairs: np.typing.NDArray[np.intp], *, alpha: float) -> np.typing.NDArray[np.intp]:
    """The largest minority count that the exact test rejects, for each number of discordant pairs; −1 where none."""
    lo, hi = np.full(pairs.shape, -1, dtype=np.intp), pairs // 2
    slack = alpha * (1 + 1e-12)
    while (lo < hi).any():
        middle = -(-(lo + hi) // 2)
        rejects = 2 * special.bdtr(np.maximum(middle, 0), pairs, 0.5) <= slack
        lo, hi = np.where(rejects, middle, lo), np.where(rejects, hi, middle - 1)
    return lo


def _paired_variance(variance: float, noise: tuple[float, float], repeats: tuple[int, int]) -> float:
    if variance < 0 or min(noise) < 0:
        raise BadRequest("a variance cannot be negative", param="variance")
    if min(repeats) < 1:
        raise BadRequest("repeats must be at least 1", param="repeats")
    return variance + noise[0] / repeats[0] + noise[1] / repeats[1]


def _z_sum(level: float, power: float) -> float:
    check_share(level, "level")
    check_share(power, "power")
    return z_quantile(level) + float(special.ndtri(power))


def _check_n(n: int) -> None:
    if n < 1:
        raise BadRequest(f"n must be at least 1, not {n!r}", param="n")
