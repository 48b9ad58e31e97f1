"""The template language: Jinja2 with everything taken out that could reach Python or run away with the machine.

A template sees JSON values and nothing else. `.name` and `[…]` look into objects and lists and never at Python
attributes; there is no calling (except `range`), no macro, include, import, power or block capture; the filters are a
fixed list. What is left could still grow without end (`x ~ x`, nested loops over a large input), so two budgets hold:
a template has at most `MAX_NODES` nodes when it is saved, and a rendering at most `MAX_STEPS` steps and
`MAX_OUTPUT_CHARS` characters, charged *before* each operation that could grow. Text prints as it is; every other value
prints as JSON.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import wraps
from typing import Any, cast

from jinja2 import StrictUndefined, TemplateError, Undefined, meta, nodes, pass_eval_context
from jinja2.filters import FILTERS
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.visitor import NodeTransformer

from assay.errors import BadRequest, TooLarge

MAX_TEMPLATE_CHARS = 200_000
MAX_NODES = 4_000
MAX_OUTPUT_CHARS = 8_000_000
MAX_STEPS = 1_000_000
MAX_RANGE = 1_000
_CHARS_A_STEP = 64

_NODES: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.For, nodes.If, nodes.CondExpr,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div,
    nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat, nodes.Filter, nodes.Test, nodes.Getattr,
    nodes.Getitem, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Slice, nodes.Assign, nodes.Keyword,
)  # fmt: skip
_LOOP_ATTRIBUTES = frozenset(
    {"index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "previtem", "nextitem"}
)
_ARITHMETIC = frozenset({"+", "-", "*", "/", "//", "%"})


class _Meter:
    """What one rendering has used."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise TooLarge(
                f"The template takes more than {MAX_STEPS:,} steps with these inputs",
                hint="Shorten the inputs or the loops.",
            )

    def weigh(self, value: object) -> None:
        """Charge for touching every part of a value once."""
        if isinstance(value, str):
            self.spend(1 + len(value) // _CHARS_A_STEP)
        elif isinstance(value, list | tuple | dict):
            stack: list[object] = [value]
            while stack:
                part = stack.pop()
                if isinstance(part, str):
                    self.spend(1 + len(part) // _CHARS_A_STEP)
                elif isinstance(part, dict):
                    self.spend(1 + len(part))
                    stack.extend(part.values())
                elif isinstance(part, list | tuple):
                    self.spend(1 + len(part))
                    stack.extend(part)
                else:
                    self.spend(1)
        else:
            self.spend(1)


_meter: ContextVar[_Meter] = ContextVar("template_meter")


def _json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


@pass_eval_context
def _printed(_: object, value: object) -> object:
    _meter.get().weigh(value)
    if isinstance(value, str | Undefined):
        return value
    return _json(value)


def _metered(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def apply(*arguments: Any, **options: Any) -> Any:
        meter = _meter.get()
        for argument in (*arguments, *options.values()):
            meter.weigh(argument)
        result = function(*arguments, **options)
        return list(result) if isinstance(result, Iterator) else result

    return apply


def _number(value: Any, what: str) -> int | float:
    if isinstance(value, int | float):
        return value
    raise TypeError(f"{what} needs numbers, not {_kind(value)}")


def _kind(value: object) -> str:
    names = {str: "text", dict: "an object", list: "a list", tuple: "a list", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _join(values: Iterable[Any], separator: str = "") -> str:
    parts = [part if isinstance(part, str) else _json(part) for part in values]
    _meter.get().spend(len(parts) * len(separator) // _CHARS_A_STEP + sum(map(len, parts)) // _CHARS_A_STEP)
    return str(separator).join(parts)


def _replace(text: str, old: str, new: str) -> str:
    if not old:
        raise ValueError("replace needs a text to look for")
    count = str(text).count(old)
    _meter.get().spend((len(text) + count * len(new)) // _CHARS_A_STEP)
    return str(text).replace(old, new)


def _indent(text: str, width: int = 4, first: bool = False) -> str:
    if not 0 <= width <= 64:
        raise ValueError("indent takes 0 to 64 spaces")
    _meter.get().spend(str(text).count("\n") * width // _CHARS_A_STEP)
    return (" " * width if first else "") + str(text).replace("\n", "\n" + " " * width)


def _tojson(value: object, indent: int | None = None) -> str:
    if indent is not None and not 0 <= indent <= 8:
        raise ValueError("tojson takes an indent of 0 to 8")
    return _json(value, indent)


def _sum(values: Iterable[Any]) -> int | float:
    return sum(_number(value, "sum") for value in values)


def _string(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _counted(values: Any) -> Any:
    """What a `for` runs over, charged before it starts."""
    if isinstance(values, Undefined):
        return values
    if not isinstance(values, list | tuple | dict | str | range):
        raise TypeError(f"a for loop needs a list, an object or a text, not {_kind(values)}")
    _meter.get().spend(len(values))
    return values


def _weighed(value: Any) -> Any:
    _meter.get().weigh(value)
    return value


def _range(*bounds: int) -> range:
    result = range(*bounds)
    if len(result) > MAX_RANGE:
        raise ValueError(f"range has at most {MAX_RANGE} numbers")
    return result


_TAKEN_OVER = (
    "abs capitalize count d default dictsort first float int items last length list lower map max min reject rejectattr "
    "reverse round select selectattr sort title trim truncate unique upper wordcount"
)
_FILTERS: dict[str, Callable[..., Any]] = {
    **{name: _metered(cast("Callable[..., Any]", FILTERS[name])) for name in _TAKEN_OVER.split()},
    "indent": _metered(_indent),
    "join": _metered(_join),
    "replace": _metered(_replace),
    "string": _metered(_string),
    "sum": _metered(_sum),
    "tojson": _metered(_tojson),
    "_concat": _metered(_join),
    "_counted": _counted,
    "_weighed": _weighed,
}
_ASKED = (
    "boolean defined divisibleby eq equalto == even false float ge >= gt greaterthan > in integer iterable le <= lessthan "
    "lower lt < mapping ne != none number odd sequence string true undefined upper"
)
_TESTS: dict[str, Callable[..., Any]] = {
    name: _metered(cast("Callable[..., Any]", TESTS[name])) for name in _ASKED.split()
}


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = _ARITHMETIC

    def __init__(self) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            optimized=False,
            finalize=_printed,
            keep_trailing_newline=True,
            cache_size=0,
        )
        self.filters = dict(_FILTERS)
        self.tests = dict(_TESTS)
        self.globals = {"range": _range}

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, LoopContext) and attribute in _LOOP_ATTRIBUTES:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            obj._fail_with_undefined_error()
        if isinstance(obj, dict | list | tuple | str | range):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(f"{_kind(obj)} has no {argument!r}", name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for side in (left, right):
            if isinstance(side, Undefined):
                side._fail_with_undefined_error()
        if operator == "+" and isinstance(left, str | list | tuple):
            _meter.get().weigh(left)
            _meter.get().weigh(right)
            return left + right
        result = self.binop_table[operator](_number(left, operator), _number(right, operator))
        if isinstance(result, int) and result.bit_length() > 256:
            raise ValueError("a number grew beyond 256 bits")
        return result


class _Guarded(NodeTransformer):
    """Puts the meter before what grows: loops, joins by `~`, comparisons."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802  Jinja's name for it
        self.generic_visit(node)
        node.iter = _filtered(cast("nodes.Expr", node.iter), "_counted")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_concat")

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        self.generic_visit(node)
        node.expr = _filtered(node.expr, "_weighed")
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, "_weighed")
        return node


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


_environment = _Sandbox()


class CompiledTemplate:
    """A template that passed every check. `inputs` are the names it reads; those of `optional` may be missing, because
    the template asks whether they are there (`is defined`, `| default`)."""

    __slots__ = ("_render", "_template", "inputs", "optional")

    def __init__(self, text: str) -> None:
        tree = _parse(text)
        self.inputs, self.optional = _names(tree)
        guarded: nodes.Template = _Guarded().visit(tree)
        guarded.set_environment(_environment)
        try:
            self._template = _environment.from_string(guarded)
        except (SyntaxError, RecursionError, MemoryError, TemplateError) as error:
            raise BadRequest(
                f"The template cannot be used: it is nested too deeply ({error})", param="template"
            ) from error
        self._render = self._template.root_render_func

    def render(self, inputs: Mapping[str, Any]) -> str:
        """The text. Raises `BadRequest` that names a missing input, `TooLarge` when a budget is used up."""
        token = _meter.set(_Meter())
        try:
            parts: list[str] = []
            size = 0
            for part in self._render(self._template.new_context(dict(inputs))):
                size += len(part)
                if size > MAX_OUTPUT_CHARS:
                    raise TooLarge(f"The template's output is longer than {MAX_OUTPUT_CHARS:,} characters")
                parts.append(part)
            return "".join(parts)
        except (
            TemplateError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            RecursionError,
        ) as error:
            raise self._bad_request(error, inputs) from error
        finally:
            _meter.reset(token)

    def _bad_request(self, error: Exception, inputs: Mapping[str, Any]) -> BadRequest:
        known = ", ".join(sorted(inputs)) or "none"
        missing = re.fullmatch(r"'(\w+)' is undefined", str(error))
        if missing:
            name = missing[1]
            return BadRequest(
                f"The template uses {name!r}, which is not among the inputs",
                param=f"inputs.{name}",
                hint=f"Inputs given: {known}. The template reads: {', '.join(self.inputs)}.",
            )
        return BadRequest(
            f"The template cannot be rendered with these inputs: {error}",
            param="inputs",
            hint=f"Inputs given: {known}.",
        )


def _parse(text: str) -> nodes.Template:
    if len(text) > MAX_TEMPLATE_CHARS:
        raise TooLarge(
            f"The template has {len(text):,} characters; at most {MAX_TEMPLATE_CHARS:,} are allowed",
            param="template",
        )
    try:
        tree = _environment.parse(text)
    except (RecursionError, MemoryError) as error:
        raise BadRequest("The template is nested too deeply", param="template") from error
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise BadRequest(f"The template has an error in line {line}: {error}", param="template") from error
    for count, node in enumerate(_walk(tree)):
        if count > MAX_NODES:
            raise TooLarge(f"The template has more than {MAX_NODES:,} nodes", param="template")
        _check(node)
    return tree


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(node.iter_child_nodes())


def _check(node: nodes.Node) -> None:
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
        return
    if isinstance(node, nodes.For) and node.recursive:
        raise _refused(node, "recursive loops")
    if isinstance(node, nodes.Call):
        raise _refused(
            node, "calls", "Use filters, e.g. {{ name | upper }} or {% for key, value in object | items %}."
        )
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise _refused(
            node,
            f"the filter {node.name!r}",
            f"There are: {', '.join(sorted(n for n in _FILTERS if n[0] != '_'))}.",
        )
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise _refused(node, f"the test {node.name!r}")
    spelled = (
        node.name if isinstance(node, nodes.Name) else node.attr if isinstance(node, nodes.Getattr) else ""
    )
    if spelled.startswith("__"):
        raise _refused(node, "names that begin with two underscores")
    if not isinstance(node, _NODES):
        raise _refused(node, f"{type(node).__name__!r}")


def _refused(node: nodes.Node, what: str, hint: str | None = None) -> BadRequest:
    return BadRequest(
        f"Templates may not use {what} (line {node.lineno})",
        param="template",
        hint=hint or "See docs/prompts.md.",
    )


def _names(tree: nodes.Template) -> tuple[tuple[str, ...], frozenset[str]]:
    names = meta.find_undeclared_variables(tree) - {"range"}
    optional = {
        node.node.name
        for node in tree.find_all((nodes.Filter, nodes.Test))
        if node.name in ("default", "d", "defined", "undefined") and isinstance(node.node, nodes.Name)
    }
    order = {node.name: place for place, node in enumerate(tree.find_all(nodes.Name)) if node.name in names}
    return tuple(sorted(names, key=lambda name: order.get(name, 0))), frozenset(optional & names)
