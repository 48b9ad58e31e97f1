"""Requests of Anthropic's format, drawn at random: every kind of block, in the orders that the format allows; and what is left
of JSON when somebody has been careless with it."""

import copy
import json
from random import Random
from typing import Any

from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
marks = st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
base64 = st.sampled_from(["", "AAAA", "iVBORw0KGgo=", "QUJD"])


@st.composite
def blocks(draw: st.DrawFn, kind: str, fixed: dict[str, Any], *, marked: bool = True) -> dict[str, Any]:
    """A block of a kind with its own fields, sometimes marked for the cache."""
    made = {"type": kind} | {name: draw(strategy) for name, strategy in fixed.items()}
    if marked and draw(st.booleans()):
        made["cache_control"] = draw(marks)
    return made


def fixed(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            name: value if isinstance(value, st.SearchStrategy) else st.just(value)
            for name, value in fields.items()
        }
    )


texts = blocks("text", {"text": text})
images = blocks(
    "image",
    {
        "source": fixed(type="base64", media_type=st.sampled_from(["image/png", "image/webp"]), data=base64)
        | fixed(type="url", url=text.map(lambda tail: f"https://example.com/{tail}"))
    },
)
documents = blocks(
    "document", {"source": fixed(type="base64", media_type="application/pdf", data=base64), "title": text}
)
thoughts = blocks("thinking", {"thinking": text, "signature": text}, marked=False)
redacted = blocks("redacted_thinking", {"data": text}, marked=False)
searches = blocks("search_result", {"source": text, "title": text, "content": st.just([])})


@st.composite
def conversations(draw: st.DrawFn, *, sayable: bool) -> list[dict[str, Any]]:
    """Turns in which every call of a tool is answered. `sayable`: only what a chat can be asked too."""
    words = texts | images | documents if sayable else texts | images | documents | searches
    results = texts if sayable else texts | images
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": draw(text | st.lists(words, min_size=1, max_size=3))}
    ]
    for _ in range(draw(st.integers(0, 2))):
        ids = draw(st.lists(names, max_size=3, unique=True))
        said = [
            *draw(st.lists(thoughts | redacted, max_size=2)),
            *draw(st.lists(texts, max_size=2, min_size=0 if ids else 1)),
        ]
        for id in ids:
            arguments = draw(st.dictionaries(names, values, max_size=3))
            said.append({"type": "tool_use", "id": id, "name": draw(names), "input": arguments})
        turns.append({"role": "assistant", "content": said})
        answers: list[Any] = []
        for id in ids:
            answer: dict[str, Any] = {"type": "tool_result", "tool_use_id": id}
            if draw(st.booleans()):
                answer["content"] = draw(text | st.lists(results, min_size=1, max_size=2))
            if draw(st.booleans()):
                answer["is_error"] = draw(st.booleans())
            answers.append(answer)
        answers += draw(st.lists(words, max_size=2, min_size=0 if ids else 1))
        turns.append({"role": "user", "content": answers})
    return turns


tools = st.lists(
    st.builds(
        lambda name, schema, beside: {"name": name, "input_schema": {"type": "object", **schema}, **beside},
        names,
        st.fixed_dictionaries({}, optional={"properties": st.dictionaries(names, st.just({}), max_size=2)}),
        st.fixed_dictionaries(
            {}, optional={"description": text, "strict": st.booleans(), "cache_control": marks}
        ),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def requests(draw: st.DrawFn, *, sayable: bool = False) -> dict[str, Any]:
    """A whole request."""
    optional: dict[str, Any] = {
        "system": text | st.lists(texts, min_size=1, max_size=2),
        "stream": st.booleans(),
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "stop_sequences": st.lists(text, min_size=1, max_size=2),
        "metadata": fixed(user_id=text),
    }
    made: dict[str, Any] = {
        "model": draw(names),
        "max_tokens": draw(st.integers(1, 10**6)),
        "messages": draw(conversations(sayable=sayable)),
    }
    made |= {name: draw(strategy) for name, strategy in optional.items() if draw(st.booleans())}
    if draw(st.booleans()):
        made["tools"] = draw(tools)
        made["tool_choice"] = draw(
            st.sampled_from(
                [
                    {"type": "auto"},
                    {"type": "any", "disable_parallel_tool_use": True},
                    {"type": "none"},
                    {"type": "tool", "name": made["tools"][0]["name"]},
                ]
            )
        )
    if not sayable and draw(st.booleans()):
        made |= {"top_k": 3, "later": draw(values), "thinking": {"type": "enabled", "budget_tokens": 2048}}
    return made


_JUNK: list[Any] = [
    *(None, 0, -1, 1.5, True, "", "x", "data:", 10**30, [], {}, [None], [{}]),
    *({"type": None}, {"type": "text"}, {"type": "tool_result"}, {"a": {"b": 1}}),
]
_KEYS = ("type", "text", "source", "content", "signature", "index", "delta", "later")


def spoiled(value: Any, random: Random) -> Any:
    """A copy in which up to three places hold something else, nothing, or something more."""
    made = json.loads(json.dumps(value))
    for _ in range(random.randint(1, 3)):
        places = list(_places(made))
        if not places:
            break
        holder, key = random.choice(places)
        fate = random.random()
        if fate < 0.6 or isinstance(holder, list):
            holder[key] = copy.deepcopy(random.choice(_JUNK))
        elif fate < 0.8:
            del holder[key]
        else:
            holder[random.choice(_KEYS)] = copy.deepcopy(random.choice(_JUNK))
    return made


def _places(value: Any) -> Any:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
