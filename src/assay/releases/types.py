"""A release as it is kept."""

import msgspec


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """What serves a task in an environment from `at_ns` until the next release. Weights are relative and positive."""

    project: str
    id: str
    task: str
    environment: str
    variants: dict[str, float]
    actor: str
    at_ns: int
    note: str | None = None
    comparison_id: str | None = None
    restores: str | None = None
    """the release whose variants a rollback brought back"""

    @property
    def shares(self) -> dict[str, float]:
        """The part of the traffic of each variant; they add up to 1."""
        total = sum(self.variants.values())
        return {name: weight / total for name, weight in self.variants.items()}
