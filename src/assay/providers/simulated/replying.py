"""What one call is answered: by a rule of the script, by its default, or by the tool that the client demands."""

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import msgspec

from assay.providers.simulated.answers import lorem, shaped, tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.behaviour import Behaviour, ToolUse, draw
from assay.providers.simulated.saying import Called, Reply

_DEFAULT_THOUGHTS = 8
"""Tokens of thinking for a client that asks for it, of a model that is not said to reason."""


def reply(asked: Asked, behaviour: Behaviour, prompt: str, random: Random) -> Reply:
    """One choice."""
    made = _said(asked, behaviour, prompt, random)
    return msgspec.structs.replace(made, thoughts=_thoughts(asked, behaviour, prompt))


def reasoning_tokens(asked: Asked, behaviour: Behaviour) -> int:
    """What one choice is counted to have thought."""
    if asked.thinks:
        return behaviour.reasoning_tokens or _DEFAULT_THOUGHTS
    return 0 if asked.endpoint == "messages" else behaviour.reasoning_tokens


def _thoughts(asked: Asked, behaviour: Behaviour, prompt: str) -> tuple[str, ...]:
    is_shown = asked.thinks or (behaviour.show_reasoning and asked.endpoint == "chat")
    count = reasoning_tokens(asked, behaviour) if is_shown else 0
    return tuple(tokens(lorem(f"think: {prompt}", count))[:count]) if count else ()


def _said(asked: Asked, behaviour: Behaviour, prompt: str, random: Random) -> Reply:
    last_user = asked.last_user if asked.endpoint in ("chat", "messages") else prompt
    said: str | None = None
    if asked.forced_tool is not None:
        name = asked.forced_tool if asked.forced_tool != "*" else next(iter(asked.tools))
        finish = "tool_calls" if asked.forced_tool == "*" else "stop"
        return _calling(asked, [ToolUse(tool=name)], "", random, finish=finish)
    for rule in behaviour.rules:
        found = re.search(rule.match, last_user)
        if found is None or random.random() >= rule.share:
            continue
        if rule.answer is not None:
            said = found.expand(rule.answer)
            break
        if rule.tool in asked.tools and asked.tools_allowed and asked.ends_with_user:
            uses = [ToolUse(tool=str(rule.tool), arguments=rule.arguments), *rule.also]
            return _calling(asked, uses, rule.saying, random, finish="tool_calls")
    if said is None:
        said = _default_text(asked, behaviour, prompt, last_user, random)
    if asked.json_schema is not None and not _is_structure(said):
        said = _as_json(asked.json_schema, said, random)
    return _text(asked, said, random)


def _default_text(asked: Asked, behaviour: Behaviour, prompt: str, last_user: str, random: Random) -> str:
    match behaviour.answer:
        case "echo":
            return last_user
        case "fixed":
            return behaviour.text
        case "lorem":
            return lorem(prompt, round(draw(behaviour.output_tokens, random)))


def _as_json(schema: Mapping[str, Any], said: str, random: Random) -> str:
    value = shaped(schema, random)
    if schema.get("required") == ["answer"] and isinstance(value, dict):
        value["answer"] = said
    return msgspec.json.encode(value).decode()


def _is_structure(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), (dict, list))
    except msgspec.DecodeError:
        return False


def _text(asked: Asked, said: str, random: Random) -> Reply:
    ends = sorted((at, stop) for stop in asked.stop if stop and (at := said.find(stop)) >= 0)
    pieces = tokens(said[: ends[0][0]] if ends else said)
    finish, stopped_by = "stop", ends[0][1] if ends else None
    if asked.max_tokens is not None and len(pieces) > asked.max_tokens:
        pieces, finish, stopped_by = pieces[: asked.max_tokens], "length", None
    return Reply(
        pieces=tuple(pieces),
        finish_reason=finish,
        stopped_by=stopped_by,
        logprobs=_logprobs(asked, pieces, random),
    )


def _logprobs(asked: Asked, pieces: Sequence[str], random: Random) -> tuple[float, ...]:
    if asked.logprobs is None:
        return ()
    return tuple([-round(random.expovariate(2.0), 6) for _ in pieces])


def _calling(asked: Asked, uses: Sequence[ToolUse], saying: str, random: Random, *, finish: str) -> Reply:
    offered = [use for use in uses if use.tool in asked.tools]
    calls = []
    for use in offered if asked.parallel_tools else offered[:1]:
        value = (
            shaped(asked.tools[use.tool] or {"type": "object"}, random)
            if use.arguments is None
            else use.arguments
        )
        beginning = "toolu_" if asked.endpoint == "messages" else "call_"
        id = f"{beginning}{random.getrandbits(96):024x}"
        calls.append(Called(id, use.tool, msgspec.json.encode(value).decode()))
    pieces = tuple(tokens(saying))
    return Reply(
        pieces=pieces,
        calls=tuple(calls),
        finish_reason=finish,
        logprobs=_logprobs(asked, pieces, random),
    )
