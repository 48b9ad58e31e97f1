"""Tasks as any OpenAI client calls them: where the inputs come from, and where the history goes."""

from typing import Any

import openai
import pytest


def messages(house: Any) -> list[tuple[str, str]]:
    """What the upstream was asked, as (role, text)."""
    return [(message["role"], message["content"]) for message in house.asked["messages"]]


def test_the_last_user_message_is_the_only_input_and_the_rest_is_history(
    house: Any, client: openai.OpenAI
) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="task:polish",
        messages=[
            {"role": "user", "content": "He go."},
            {"role": "assistant", "content": "He goes."},
            {"role": "user", "content": "She no went."},
        ],
        temperature=1.0,
        max_tokens=7,
    )
    assert messages(house) == [
        ("user", "He go."),
        ("assistant", "He goes."),
        ("user", "Correct this:\nShe no went."),
    ]
    assert house.asked["temperature"] == 0.5, "what was evaluated wins"
    assert house.asked["max_tokens"] == 7
    assert raw.headers["x-assay-variant"] == "v1"
    span = house.server.model_span(raw.headers["x-assay-trace-id"])
    assert (span["task"], span["variant"], span["model"]) == ("polish", "v1", "fast")
    assert span["release_id"]


def test_inputs_come_in_the_body_and_all_messages_are_history(house: Any) -> None:
    answer = house.chat(
        "task:support",
        "earlier",
        assay={"inputs": {"language": "French", "question": "Why?"}, "session": "s"},
    )
    assert answer.status_code == 200
    assert messages(house) == [("system", "Speak French."), ("user", "earlier"), ("user", "Answer: Why?")]
    assert "assay" not in house.asked


def test_inputs_come_in_a_header(house: Any) -> None:
    answer = house.chat(
        "task:support", "earlier", headers={"x-assay-inputs": '{"language": "Dutch", "question": "Who?"}'}
    )
    assert answer.status_code == 200
    assert messages(house)[0] == ("system", "Speak Dutch.")
    assert messages(house)[-1] == ("user", "Answer: Who?")


def test_the_body_wins_over_the_header(house: Any) -> None:
    house.chat(
        "task:polish",
        "x",
        headers={"x-assay-inputs": '{"text": "header"}'},
        assay={"inputs": {"text": "body"}},
    )
    assert messages(house)[-1] == ("user", "Correct this:\nbody")


def test_a_prompt_of_completions_is_the_only_input(house: Any, client: openai.OpenAI) -> None:
    answer = client.completions.create(model="task:polish", prompt="She no went.")
    assert answer.object == "text_completion"
    assert answer.choices[0].text == "Correct this:\nShe no went."
    assert messages(house) == [("user", "Correct this:\nShe no went.")]
    chunks = list(client.completions.create(model="task:polish", prompt="He go.", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Correct this:\nHe go."


def test_a_task_that_is_given_its_inputs_needs_no_messages(house: Any) -> None:
    assert house.chat("task:polish", messages=[], assay={"inputs": {"text": "x"}}).status_code == 200
    assert messages(house) == [("user", "Correct this:\nx")]
    for model, inputs in (("task:polish", None), ("fast", {"text": "x"})):
        refused = house.chat(model, messages=[], assay={"inputs": inputs})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize(
    ("model", "sent", "param", "words"),
    [
        ("task:support", {}, "assay.inputs", "language, question"),
        ("task:support", {"assay": {"inputs": {"language": "French"}}}, "question", "question"),
        ("task:polish", {"assay": {"inputs": ["text"]}}, "assay.inputs", "object"),
        (
            "task:polish",
            {"messages": [{"role": "assistant", "content": "x"}]},
            "messages",
            "taken from the last message",
        ),
        (
            "task:polish",
            {"messages": [{"role": "system", "content": "Be rude."}, {"role": "user", "content": "x"}]},
            "messages",
            "no system message",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(
    house: Any, model: str, sent: dict[str, Any], param: str, words: str
) -> None:
    answer = house.chat(model, **sent)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert param in (answer.json()["error"]["param"] or "")


def test_a_header_with_broken_inputs_is_named(house: Any) -> None:
    answer = house.chat("task:polish", headers={"x-assay-inputs": "{"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "x-assay-inputs"


def test_a_task_that_allows_it_takes_a_system_message(house: Any) -> None:
    sent = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "x"}]
    assert house.chat("task:open", messages=sent).status_code == 200
    assert messages(house) == [("system", "Be kind."), ("user", "x")]


def test_an_unknown_task_is_not_found_and_the_known_ones_are_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="polish") as caught:
        client.chat.completions.create(model="task:nothing", messages=[{"role": "user", "content": "x"}])
    assert caught.value.param == "model"


def test_a_task_streams(house: Any, client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="task:polish", messages=[{"role": "user", "content": "one two"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Correct this:\none two"
