"""What is known of the servers that speak OpenAI's format: a table of facts, by the name that `profile` of a provider says.

    [providers.groq]
    type = "openai"
    profile = "groq"
    api_key = "env:GROQ_API_KEY"

Fields that a server is known to leave unread or to refuse are refused here by name, before anything is sent: what a client asks
for is honoured or not answered (docs/decisions/0081). A server without a profile gets every request as it came.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from assay.errors import Untranslatable
from assay.wire.requests import Fields

LimitField = Literal["max_tokens", "max_completion_tokens"]

_NULL = Raw(b"null")
_decode = msgspec.json.Decoder().decode


class Profile(Struct, frozen=True, kw_only=True):
    """The facts about one kind of server. None as `base_url`: it must be said."""

    base_url: str | None = None
    key_header: Literal["authorization", "api-key"] = "authorization"
    limit_field: LimitField = "max_tokens"
    """its name for the most tokens to make"""
    one_limit_field: bool = False
    """it leaves the other name unread: a client's limit is renamed"""
    refuses: Mapping[str, tuple[Any, ...]] = {}
    """fields that it does not honour → values that ask for nothing, which are left out"""
    formats: tuple[str, ...] | None = None
    """the types of `response_format` that it knows, where it does not know all"""
    message_names: bool = True
    """it takes `name` in a message"""
    completions: Literal["native", "chat"] = "native"
    """`chat`: its completions are made of its chat"""
    asks_usage: bool = True
    """False: it counts at the end of every stream, without being asked"""
    addresses: Literal["paths", "deployments"] = "paths"
    """`deployments`: Azure's, where the model stands in the path and a version behind it"""
    reranks: Literal["cohere", "tei"] = "cohere"
    """the shape of its `/rerank`"""
    known: bool = True
    """False of the one profile for servers of which nothing is known"""


PLAIN = Profile(known=False)

_ONE_ANSWER: Mapping[str, tuple[Any, ...]] = {"n": (1,), "logit_bias": ({},)}
_PLAIN_TEXT: Mapping[str, tuple[Any, ...]] = {**_ONE_ANSWER, "echo": (False,), "best_of": (1,)}
"""What servers leave unread in completions, besides."""

PROFILES: Mapping[str, Profile] = {
    "azure": Profile(key_header="api-key", limit_field="max_completion_tokens", addresses="deployments"),
    "openrouter": Profile(base_url="https://openrouter.ai/api/v1", asks_usage=False),
    "groq": Profile(
        base_url="https://api.groq.com/openai/v1",
        limit_field="max_completion_tokens",
        refuses={**_ONE_ANSWER, "logprobs": (False,), "top_logprobs": (0,)},
        message_names=False,
        completions="chat",
    ),
    "deepseek": Profile(
        base_url="https://api.deepseek.com",
        one_limit_field=True,
        refuses={**_ONE_ANSWER, "seed": (), "parallel_tool_calls": (True,)},
        formats=("text", "json_object"),
        completions="chat",
    ),
    "vllm": Profile(base_url="http://127.0.0.1:8000/v1"),
    "tgi": Profile(base_url="http://127.0.0.1:8080/v1", one_limit_field=True, refuses=_PLAIN_TEXT),
    "tei": Profile(base_url="http://127.0.0.1:8080/v1", reranks="tei"),
    "ollama": Profile(
        base_url="http://127.0.0.1:11434/v1",
        one_limit_field=True,
        refuses={**_PLAIN_TEXT, "tool_choice": ("auto",), "parallel_tool_calls": (True,)},
    ),
    "llama.cpp": Profile(base_url="http://127.0.0.1:8080/v1"),
}


class _Named(Struct, frozen=True):
    name: str | None = None


_named = msgspec.json.Decoder(list[_Named])


def fitted(profile: Profile, fields: Fields, *, server: str) -> Fields:
    """A client's fields as a server of this profile takes them. Raises `Untranslatable` for one that it would not honour;
    `server` is its name in messages."""
    made = dict(fields)
    for name, neutral in profile.refuses.items():
        raw = made.pop(name, _NULL)
        if raw != _NULL and _decode(raw) not in neutral:
            raise _refused(f"{name} {_decode(raw)!r}", name, server)
    if profile.formats is not None:
        kind = (_decode(made.get("response_format", _NULL)) or {}).get("type", "text")
        if kind not in profile.formats:
            raise _refused(f"response_format of the type {kind!r}", "response_format.type", server)
    if not profile.message_names and "messages" in made:
        for at, message in enumerate(_named.decode(made["messages"])):
            if message.name:
                raise _refused(f"messages[{at}].name", f"messages[{at}].name", server)
    if profile.one_limit_field:
        for other in ("max_tokens", "max_completion_tokens"):
            if other != profile.limit_field and (raw := made.pop(other, _NULL)) != _NULL:
                made[profile.limit_field] = raw
    if not profile.asks_usage:
        made.pop("stream_options", None)
    return made


def _refused(what: str, param: str, server: str) -> Untranslatable:
    return Untranslatable(
        f"{what} is not honoured by {server}",
        param=param,
        hint="Leave it out, or ask for a model of another provider.",
    )


def known_address(type: str, profile: object) -> str | None:
    """The address of a provider that says none, where its profile knows it: prices go by addresses."""
    known = PROFILES.get(profile) if type == "openai" and isinstance(profile, str) else None
    return None if known is None else known.base_url
