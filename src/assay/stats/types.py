"""What the statistics return, besides `wire.Verdict`. Importing this module imports no numpy."""

import msgspec

from assay.wire.verdicts import Interval


class PairedTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test of "the mean paired difference is 0" and the interval that belongs to it.

    `interval` is None where the data cannot bound the difference at the level asked for (too few pairs). `exact` says
    that the p-value was enumerated, not drawn.
    """

    estimate: float
    interval: Interval | None
    p_value: float
    exact: bool


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one run: how high, and how sure. `n_errors` counts cases without a score; they are not in `n`.

    `estimate` is None when `n` is 0, `interval` when there are too few values to give one.
    """

    metric: str
    estimate: float | None
    interval: Interval | None
    level: float
    method: str
    n: int
    n_errors: int = 0
    assumptions: tuple[str, ...] = ()
    note: str | None = None
