"""`trace`: a function as a span.

A decorated function returns, yields and raises what it did before, at the same moments. Generators and async generators
stay such: their span lasts from the first item to the last, and is current only while they run, not while their consumer
does.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Mapping
from typing import Any, ParamSpec, TypeVar, overload

from assay.sdk import running
from assay.sdk.running import quietly
from assay.sdk.tracing import Kind, Step, attributes_of

P = ParamSpec("P")
R = TypeVar("R")

_MOST_ITEMS = 1_000
"""Of what a generator yields, kept for its output."""
_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class _Plan:
    """What is known of a function before it is called."""

    __slots__ = ("attributes", "bound", "input", "name", "output", "parameters", "rest")

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        kind: Kind,
        attributes: Mapping[str, Any],
        input: bool,
        output: bool,
    ) -> None:
        self.name = name or function.__qualname__.replace("<locals>.", "")
        self.attributes = {**attributes_of(self.name, kind), **attributes}
        self.input = input
        self.output = output
        known = list(inspect.signature(function).parameters.values())
        self.bound = bool(known) and known[0].name in ("self", "cls", "mcs")
        self.parameters = [each.name for each in known if each.kind in _BY_PLACE]
        self.rest = next(
            (each.name for each in known if each.kind is inspect.Parameter.VAR_POSITIONAL), "args"
        )

    def step(self, arguments: tuple[Any, ...], options: dict[str, Any]) -> Step:
        """A span of one call."""
        if not self.input:
            return Step(self.name, self.attributes)
        given = dict(zip(self.parameters, arguments, strict=False))
        if self.bound:
            given.pop(self.parameters[0], None)
        if len(arguments) > len(self.parameters):
            given[self.rest] = list(arguments[len(self.parameters) :])
        given.update(options)
        return Step(self.name, self.attributes, given=given)


@overload
def trace(function: Callable[P, R], /) -> Callable[P, R]: ...
@overload
def trace(
    *,
    name: str | None = None,
    kind: Kind = "other",
    input: bool = True,
    output: bool = True,
    attributes: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def trace(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    kind: Kind = "other",
    input: bool = True,
    output: bool = True,
    attributes: Mapping[str, Any] | None = None,
) -> Any:
    """Make each call of a function a span: `@assay.trace`, or `@assay.trace(kind="tool", output=False)`.

    Takes functions, methods, coroutines, generators and async generators. The arguments (without `self`) and the result
    are kept as JSON, cut where they are longer than `assay.init` allows; `input` and `output` switch that off. Of a
    generator the items are kept, joined when they are text. Before `assay.init` the call costs nothing.
    """

    def decorate(decorated: Any) -> Any:
        if isinstance(decorated, staticmethod | classmethod):
            return type(decorated)(decorate(decorated.__func__))
        if not callable(decorated) or inspect.isclass(decorated):
            raise TypeError(f"assay.trace takes functions and methods, not {decorated!r}")
        plan = _Plan(decorated, name, kind, attributes or {}, input, output)
        return functools.wraps(decorated)(_around(decorated, plan))

    return decorate if function is None else decorate(function)


def _around(function: Callable[..., Any], plan: _Plan) -> Callable[..., Any]:
    if inspect.isasyncgenfunction(function):
        return _around_async_generator(function, plan)
    if inspect.isgeneratorfunction(function):
        return _around_generator(function, plan)
    if inspect.iscoroutinefunction(function):
        return _around_coroutine(function, plan)

    def call(*arguments: Any, **options: Any) -> Any:
        step = _begin(plan, arguments, options)
        if step is None:
            return function(*arguments, **options)
        try:
            result = function(*arguments, **options)
        except BaseException as error:
            step.end(error)
            raise
        if plan.output:
            step.output(result)
        step.end()
        return result

    return call


def _around_coroutine(
    function: Callable[..., Coroutine[Any, Any, Any]], plan: _Plan
) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def call(*arguments: Any, **options: Any) -> Any:
        step = _begin(plan, arguments, options)
        if step is None:
            return await function(*arguments, **options)
        try:
            result = await function(*arguments, **options)
        except BaseException as error:
            step.end(error)
            raise
        if plan.output:
            step.output(result)
        step.end()
        return result

    return call


def _around_generator(
    function: Callable[..., Generator[Any, Any, Any]], plan: _Plan
) -> Callable[..., Generator[Any, Any, Any]]:
    def call(*arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
        step = _begin(plan, arguments, options)
        inner = function(*arguments, **options)
        if step is None:
            return (yield from inner)
        items = _Items(step, plan)
        move: Callable[[], Any] = functools.partial(next, inner)
        try:
            while True:
                item = move()
                items.add(item)
                step.pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    step.resume()
                    inner.close()
                    raise
                except BaseException as error:  # noqa: BLE001  what the consumer throws in belongs to the generator
                    move = functools.partial(inner.throw, error)
                else:
                    move = functools.partial(inner.send, sent)
                step.resume()
        except StopIteration as over:
            items.keep()
            step.end()
            return over.value
        except BaseException as error:
            items.keep()
            step.end(error)
            raise

    return call


def _around_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], plan: _Plan
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def call(*arguments: Any, **options: Any) -> AsyncGenerator[Any, Any]:
        step = _begin(plan, arguments, options)
        inner = function(*arguments, **options)
        items = _Items(step, plan)
        move: Callable[[], Any] = inner.__anext__
        try:
            while True:
                item = await move()
                items.add(item)
                if step is not None:
                    step.pause()
                try:
                    sent = yield item
                except GeneratorExit:
                    if step is not None:
                        step.resume()
                    await inner.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  what the consumer throws in belongs to the generator
                    move = functools.partial(inner.athrow, error)
                else:
                    move = functools.partial(inner.asend, sent)
                if step is not None:
                    step.resume()
        except StopAsyncIteration:
            items.keep()
            if step is not None:
                step.end()
        except BaseException as error:
            items.keep()
            if step is not None:
                step.end(error)
            raise

    return call


class _Items:
    """What a generator has yielded, as its output."""

    __slots__ = ("_items", "_plan", "_step")

    def __init__(self, step: Step | None, plan: _Plan) -> None:
        self._step = step
        self._plan = plan
        self._items: list[Any] = []

    def add(self, item: Any) -> None:
        if self._plan.output and len(self._items) < _MOST_ITEMS:
            self._items.append(item)

    def keep(self) -> None:
        if self._step is not None and self._plan.output:
            text = all(type(item) is str for item in self._items)
            self._step.output("".join(self._items) if text and self._items else self._items)


def _begin(plan: _Plan, arguments: tuple[Any, ...], options: dict[str, Any]) -> Step | None:
    """The span of a call that begins; None when nothing is recorded."""
    if running.current() is None:
        return None
    step = quietly(plan.step, arguments, options)
    return None if step is None else step.begin()
