"""Which scorers there are, and how one is made from what a person wrote."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast

import msgspec

import assay
from assay.errors import BadRequest, MissingExtra
from assay.kit.hashing import content_hash, value_hash
from assay.kit.names import check_name
from assay.scorers.types import Kind, Scorer, ScoreResult, Unscorable

GROUP = "assay.scorers"
Specification = str | dict[str, Any]
MAX_SCORERS = 50
"""Scorers of one run."""

_BUILT_IN = {
    "exact": "assay.scorers.text:Exact",
    "contains": "assay.scorers.text:Contains",
    "regex": "assay.scorers.text:Regex",
    "numeric": "assay.scorers.numbers:Numeric",
    "json_valid": "assay.scorers.structured:JsonValid",
    "json_fields": "assay.scorers.structured:JsonFields",
}


class BoundScorer(msgspec.Struct, frozen=True, kw_only=True):
    """A scorer with its options, under the name of the metric that it makes. `specification` makes it again."""

    metric: str
    name: str
    version: str
    specification: dict[str, Any]
    scorer: Scorer

    @property
    def kind(self) -> Kind:
        """Yes/no or numbers."""
        return self.scorer.kind

    def score(
        self, input: Any, output: str, reference: Any, context: Mapping[str, Any]
    ) -> ScoreResult | Unscorable:
        """One score. What a scorer raises makes this case unscorable; it never ends a run."""
        try:
            result = self.scorer.score(input, output, reference, context)
        except Exception as error:  # noqa: BLE001  the edge to code that may be anybody's
            return Unscorable(f"{self.name} failed: {type(error).__name__}: {error}"[:500])
        if isinstance(result, ScoreResult) and isinstance(result.value, bool) != (self.kind == "yes_no"):
            return Unscorable(f"{self.name} says it gives {self.kind} and gave {result.value!r}")
        return result


def names() -> list[str]:
    """Every scorer that can be made here."""
    return sorted({*_BUILT_IN, *_installed()})


def bind(specification: Specification) -> BoundScorer:
    """Make a scorer from its name, or from `{"name", "as"?, …options}`; `as` names the metric.

    Raises `BadRequest` that names an unknown scorer or option.
    """
    options = {"name": specification} if isinstance(specification, str) else dict(specification)
    name, metric = options.pop("name", None), options.pop("as", None)
    if not isinstance(name, str) or not isinstance(metric, str | None):
        raise BadRequest(
            "A scorer is a name, or an object with a name and options",
            param="scorers",
            hint='E.g. "exact" or {"name": "exact", "casefold": true}.',
        )
    factory = _factory(name)
    made = _made(factory, name, options)
    kept = {"name": name, **({} if metric is None else {"as": metric}), **options}
    return BoundScorer(
        metric=check_name(metric or name, param="scorers.as"),
        name=name,
        version=value_hash({"name": name, "options": _effective(made, options), "code": _code(factory)})[:16],
        specification=kept,
        scorer=made,
    )


def bind_all(specifications: Sequence[Specification]) -> list[BoundScorer]:
    """Several, each with a metric of its own. Raises `BadRequest`."""
    if not specifications:
        raise BadRequest(
            "Name at least one scorer", param="scorers", hint=f"There are: {', '.join(names())}."
        )
    if len(specifications) > MAX_SCORERS:
        raise BadRequest(f"At most {MAX_SCORERS} scorers mark one run", param="scorers")
    made = [bind(each) for each in specifications]
    metrics = [each.metric for each in made]
    for metric in metrics:
        if metrics.count(metric) > 1:
            raise BadRequest(
                f"Two scorers make the metric {metric!r}",
                param="scorers",
                hint='Name one of them with "as": {"name": "contains", "as": "names_city", …}.',
            )
    return made


def _made(factory: Callable[..., Scorer], name: str, options: dict[str, Any]) -> Scorer:
    try:
        if isinstance(factory, type) and issubclass(factory, msgspec.Struct):
            return cast("Scorer", msgspec.convert(options, factory))
        return cast("Scorer", factory(**options))
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, BadRequest):  # raised by the scorer's own check
            raise error.__cause__ from error
        raise BadRequest(
            f"The scorer {name!r} does not take these options: {error}", param="scorers"
        ) from error
    except TypeError as error:
        raise BadRequest(
            f"The scorer {name!r} does not take these options: {error}", param="scorers"
        ) from error


def _factory(name: str) -> Callable[..., Scorer]:
    if name in _BUILT_IN:
        module, _, attribute = _BUILT_IN[name].partition(":")
        try:
            return cast("Callable[..., Scorer]", getattr(import_module(module), attribute))
        except ImportError as error:
            raise MissingExtra(f"The scorer {name!r}", extra="server") from error
    if name in _installed():
        return cast("Callable[..., Scorer]", _installed()[name].load())
    raise BadRequest(
        f"There is no scorer {name!r}", param="scorers", hint=f"There are: {', '.join(names())}."
    )


@cache
def _installed() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _effective(made: Scorer, options: dict[str, Any]) -> Any:
    """The options with their defaults, so that a default written out is the same scorer."""
    return msgspec.to_builtins(made) if isinstance(made, msgspec.Struct) else options


@cache
def _code(factory: Callable[..., Scorer]) -> str:
    try:
        return content_hash(inspect.getsource(factory).encode())
    except (OSError, TypeError):
        return assay.__version__
