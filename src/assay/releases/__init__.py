"""Releases: which variants of a task serve an environment now, by which weights, and how it came to that.

A release is never edited; a new one takes its place and the old ones are its history. A unit (a session, else a user,
else a call) keeps its variant for as long as the release stands. What made a release better than the one before goes with
it as a decision.
"""

from assay.releases.choosing import RELEASES, ReleaseChooser
from assay.releases.releasing import apply_releases, current, history, list_current, release, rollback
from assay.releases.types import Release

__all__ = [
    "RELEASES",
    "Release",
    "ReleaseChooser",
    "apply_releases",
    "current",
    "history",
    "list_current",
    "release",
    "rollback",
]
