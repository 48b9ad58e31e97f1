"""What looks at the texts of calls, and which of them look at one call.

A guard is made from a `GuardRule` once. All guards of a call see its text as it came: who blocks wins, then everything that is to
be redacted is, whoever found it. So their order does not matter.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from assay.calls.guard_watch import Counts, Watch
from assay.calls.types import Call, Guard
from assay.catalog.guards import GuardRule
from assay.catalog.models import ModelConfig
from assay.detect import Finding, find_injection, find_pii, find_secrets
from assay.detect.patterns import compile_pattern, encodable
from assay.detect.schemas import Schema
from assay.wire.requests import ChatRequest, CompletionRequest


class _Detecting:
    """Secrets, personal identifiers or signs of injection."""

    def __init__(self, rule: GuardRule) -> None:
        self.rule = rule
        self._find = {"pii": find_pii, "secrets": find_secrets, "injection": find_injection}[rule.check]
        self._kinds = frozenset(rule.kinds)

    def find(self, text: str) -> Sequence[Finding]:
        found = self._find(text)
        return [
            each
            for each in found
            if each.confidence >= self.rule.threshold and (not self._kinds or each.kind in self._kinds)
        ]


class _Matching:
    """A pattern of somebody's own."""

    def __init__(self, rule: GuardRule) -> None:
        assert rule.pattern is not None, "it is checked where the rule is read"
        self.rule = rule
        self._pattern = compile_pattern(rule.pattern, casefold=rule.casefold)
        self._kind = rule.placeholder or rule.name.replace("-", "_").replace(".", "_")

    def find(self, text: str) -> Sequence[Finding]:
        spans = [match.span() for match in self._pattern.finditer(encodable(text))]
        return [Finding(start, end, self._kind) for start, end in spans if end > start]


class _Validating:
    """A schema that the whole text is JSON of."""

    def __init__(self, rule: GuardRule) -> None:
        assert rule.schema is not None, "it is checked where the rule is read"
        self.rule = rule
        self._schema = Schema(rule.schema)

    def find(self, text: str) -> Sequence[Finding]:
        return [] if self._schema.problem(text) is None else [Finding(0, len(text), "mismatch")]


def make_guard(rule: GuardRule) -> Guard:
    """The guard of a rule."""
    if rule.check == "regex":
        return _Matching(rule)
    return _Validating(rule) if rule.check == "schema" else _Detecting(rule)


def make_guards(rules: Iterable[GuardRule]) -> tuple[Guard, ...]:
    """The guards of several."""
    return tuple([make_guard(rule) for rule in rules])


class Guards:
    """Which guards a call has: the file's for its project, those of the model that it asks for, and those of its task."""

    def __init__(self, models: Mapping[str, ModelConfig], everywhere: Sequence[GuardRule] = ()) -> None:
        self.counts: Counts = Counter()
        self._models = models
        self._everywhere = make_guards(everywhere)
        self._made: dict[str, tuple[ModelConfig, tuple[Guard, ...]]] = {}

    def replace(self, everywhere: Sequence[GuardRule]) -> None:
        """Other guards of whole projects, from the next call on; those of models are found anew by themselves."""
        self._everywhere = make_guards(everywhere)

    def watch(self, call: Call, *, trace_id: str, span_id: str) -> Watch | None:
        """The watch over one call; None when nothing is to be looked for."""
        guards = (*self._of_project(call.context.project), *self._of_model(call.request.model), *call.guards)
        if not guards or not isinstance(call.request, ChatRequest | CompletionRequest):
            return None
        return Watch(guards, call, self.counts, trace_id=trace_id, span_id=span_id)

    def _of_project(self, project: str) -> tuple[Guard, ...]:
        if not self._everywhere:
            return ()
        return tuple(
            [each for each in self._everywhere if not each.rule.projects or project in each.rule.projects]
        )

    def _of_model(self, name: str) -> tuple[Guard, ...]:
        model = self._models.get(name)
        if model is None or not model.guards:
            return ()
        made = self._made.get(name)
        if made is None or made[0] is not model:
            made = self._made[name] = (model, make_guards(model.guards))
        return made[1]
