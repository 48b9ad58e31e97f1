"""Scorers: a function of input, output and reference that gives yes or no, or a number.

Built-in ones and those of other packages (entry points `assay.scorers`) come from the same table. A scorer's version
covers its options and its code, so scores made differently are never compared. What cannot be scored (a reference of the
wrong type) is an `Unscorable` of that one case: never a zero, never a crash.
"""

from assay.scorers.registry import BoundScorer, bind, bind_all, names
from assay.scorers.types import Scorer, ScoreResult, Unscorable

__all__ = ["BoundScorer", "ScoreResult", "Scorer", "Unscorable", "bind", "bind_all", "names"]
