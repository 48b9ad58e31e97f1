"""Asking several questions at once: adjusted p-values, to be compared with the same alpha as a single one."""

from collections.abc import Sequence

import numpy as np

from assay.errors import BadRequest
from assay.stats.checks import Floats, finite


def bonferroni(p_values: Sequence[float]) -> list[float]:
    """m·p: controls the chance of any false claim, whatever the dependence. Raises `BadRequest` outside [0, 1]."""
    p = _checked(p_values)
    return [float(value) for value in np.minimum(1.0, p * p.size)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm 1979, step down: controls the chance of any false claim, whatever the dependence; never weaker than
    Bonferroni. In the order given; an empty list gives an empty list. Raises `BadRequest` outside [0, 1]."""
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    return _in_place(stepped, order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg 1995, step up: controls the expected share of false claims among the claims made, for
    independent or positively dependent tests. In the order given. Raises `BadRequest` outside [0, 1]."""
    return _step_up(_checked(p_values), penalty=1.0)


def benjamini_yekutieli(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Yekutieli 2001: the same share under any dependence, paid for with a factor Σ 1/i.
    In the order given. Raises `BadRequest` outside [0, 1]."""
    p = _checked(p_values)
    return _step_up(p, penalty=float((1.0 / np.arange(1, p.size + 1)).sum()))


def _step_up(p: Floats, *, penalty: float) -> list[float]:
    order = np.argsort(p, kind="stable")
    scaled = p[order] * penalty * p.size / np.arange(1, p.size + 1)
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _in_place(stepped, order)


def _in_place(stepped: Floats, order: np.typing.NDArray[np.intp]) -> list[float]:
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(1.0, stepped)
    return [float(value) for value in adjusted]


def _checked(p_values: Sequence[float]) -> Floats:
    p = finite(p_values, "p_values")
    if p.size and not (p.min() >= 0.0 and p.max() <= 1.0):
        raise BadRequest("p_values must lie between 0 and 1", param="p_values")
    return p
