"""Prompts: one fetch, then memory; news behind the application's back; the last known version when the server is away."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.sdk.conftest import GOOD, Answer, Receiver

import assay
from assay import errors
from assay.sdk.prompt_cache import RETRY_S, Prompts

Sdk = Callable[..., None]
PATH = "/api/prompts/polish/labels/production"


def version(number: int, template: str = "Correct: {{ text }}") -> dict[str, Any]:
    return {"name": "polish", "version": number, "hash": f"h{number}", "template": template}


@pytest.fixture
def server(receiver: Receiver) -> Receiver:
    receiver.prompts[PATH] = version(1)
    return receiver


def asked(receiver: Receiver) -> int:
    return len([path for path, _ in receiver.requests if path.startswith("/api/prompts")])


def test_a_prompt_is_fetched_once_and_rendered_here(sdk: Sdk, server: Receiver) -> None:
    sdk()
    for _ in range(3):
        assert assay.prompt("polish").render(text="She no went.") == "Correct: She no went."
    prompt = assay.prompt("polish")
    assert (prompt.version, prompt.hash, prompt.inputs, prompt.is_fallback) == (1, "h1", ("text",), False)
    assert asked(server) == 1


def test_messages_take_history_where_the_prompt_says(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    system, user = {"role": "system", "content": "Be {{ tone }}."}, {"role": "user", "content": "{{ text }}"}
    said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "three"}]
    cases = {"marked": [system, user, {"role": "history"}], "plain": [system, user]}
    for name, messages in cases.items():
        receiver.prompts[f"/api/prompts/{name}/labels/production"] = {
            "version": 1, "hash": name, "messages": messages,
        }  # fmt: skip
    marked, plain = assay.prompt("marked"), assay.prompt("plain")
    assert marked.messages(tone="kind", text="three") == plain.render(tone="kind", text="three") == said
    assert marked.messages({"tone": "kind", "text": "three"}, history=turns) == [*said, *turns]
    assert plain.messages(tone="kind", text="three", history=turns) == [said[0], *turns, said[1]]
    with pytest.raises(errors.BadRequest, match="consists of messages"):
        plain.text(tone="kind", text="x")


def test_a_missing_input_is_named(sdk: Sdk, server: Receiver) -> None:
    sdk()
    with pytest.raises(errors.BadRequest, match="'text'"):
        assay.prompt("polish").render(txt="x")


def test_news_arrive_behind_the_applications_back(
    sdk: Sdk, server: Receiver, eventually: Callable[..., Any]
) -> None:
    sdk()
    assert assay.prompt("polish", max_age_s=0.05).version == 1
    server.prompts[PATH] = version(2, "Better: {{ text }}")
    eventually(lambda: assay.prompt("polish", max_age_s=0.05).version == 2)
    assert assay.prompt("polish").render(text="x") == "Better: x"


def test_a_slow_server_is_waited_for_once(sdk: Sdk, server: Receiver, eventually: Callable[..., Any]) -> None:
    sdk()
    assay.prompt("polish")
    let_go = threading.Event()

    def answer(path: str, count: int) -> Answer:
        let_go.wait(30)
        return GOOD

    server.answer = answer
    began = time.monotonic()
    for _ in range(100):
        assert assay.prompt("polish", max_age_s=0.0).version == 1
    assert time.monotonic() - began < 5
    assert asked(server) <= 2
    let_go.set()


def test_the_last_known_version_serves_while_the_server_is_away(
    sdk: Sdk, server: Receiver, eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    sdk()
    assay.prompt("polish")
    server.stop()
    with caplog.at_level(logging.WARNING, "assay"):
        for _ in range(20):
            assert assay.prompt("polish", max_age_s=0.0).version == 1
        eventually(lambda: "stays as it was" in caplog.text)
    server.start()


def test_without_an_answer_the_fallback_serves_and_else_the_error_is_raised(
    sdk: Sdk, receiver: Receiver
) -> None:
    sdk()
    with pytest.raises(errors.NotFound, match="no such prompt"):
        assay.prompt("nothing")
    receiver.stop()
    with pytest.raises(errors.Unavailable, match="cannot be reached"):
        assay.prompt("polish")
    prompt = assay.prompt("polish", fallback="Fix: {{ text }}")
    assert (prompt.render(text="x"), prompt.is_fallback, prompt.version) == ("Fix: x", True, None)
    chat = assay.prompt("chat", fallback=[{"role": "user", "content": "{{ text }}"}])
    assert chat.render(text="x") == [{"role": "user", "content": "x"}]
    receiver.start()


def test_after_a_failure_the_fallback_costs_no_more_waiting_and_is_replaced_when_the_server_is_back() -> None:
    now = [0.0]
    fetches: list[str] = []
    away = [True]

    def fetch(path: str, timeout_s: float) -> Any:
        fetches.append(path)
        if away[0]:
            raise errors.Unavailable("away")
        return version(1)

    prompts = Prompts(fetch, clock=lambda: now[0])
    key = ("polish", "production", None)

    def get() -> int | None:
        return prompts.get(key, fallback="x", max_age_s=60.0, timeout_s=1.0).version

    assert [get() for _ in range(5)] == [None] * 5
    assert fetches == [PATH]
    away[0] = False
    now[0] += RETRY_S + 1
    end = time.monotonic() + 20
    while get() is None and time.monotonic() < end:
        time.sleep(0.01)
    assert get() == 1
    assert len(fetches) == 2


def test_versions_labels_and_names_are_asked_for_as_they_are(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    for path in (
        "/api/prompts/polish/versions/3",
        "/api/prompts/polish/labels/staging",
        "/api/prompts/a%2Fb/versions/abcd1234",
    ):
        receiver.prompts[path] = version(3, path)
    assert assay.prompt("polish", version=3, max_age_s=0.0).render() == "/api/prompts/polish/versions/3"
    assert assay.prompt("polish", label="staging").render() == "/api/prompts/polish/labels/staging"
    assert assay.prompt("a/b", version="abcd1234").render() == "/api/prompts/a%2Fb/versions/abcd1234"
    with pytest.raises(errors.BadRequest, match="not both"):
        assay.prompt("polish", label="a", version=1)
    before = asked(receiver)
    for _ in range(5):
        assay.prompt("polish", version=3, max_age_s=0.0)
    assert asked(receiver) == before


def test_many_threads_that_begin_at_once_ask_once(sdk: Sdk, server: Receiver) -> None:
    sdk()
    found: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(assay.prompt("polish").version)) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, asked(server)) == ([1] * 16, 1)


def test_async_code_does_not_hold_up_its_loop(sdk: Sdk, server: Receiver) -> None:
    sdk()
    let_go = threading.Event()

    def answer(path: str, count: int) -> Answer:
        let_go.wait(30)
        return GOOD

    server.answer = answer

    async def main() -> int | None:
        fetching = asyncio.create_task(assay.aprompt("polish"))
        await asyncio.sleep(0.05)
        assert not fetching.done()
        let_go.set()
        assert (await fetching).version == 1
        return (await assay.aprompt("polish")).version

    assert asyncio.run(main()) == 1
    assert asked(server) == 1


def test_the_span_says_which_prompt_it_rendered(sdk: Sdk, server: Receiver) -> None:
    sdk()
    with assay.span("x"):
        assay.prompt("polish").render(text="x")
    assert assay.flush()
    told = server.named("x").attributes
    assert (told["assay.prompt.name"], told["assay.prompt.version"]) == ("polish", 1)


def test_an_answer_that_is_no_prompt_is_an_error_that_says_so(sdk: Sdk, receiver: Receiver) -> None:
    sdk()
    receiver.prompts["/api/prompts/odd/labels/production"] = ["no", "version"]
    with pytest.raises(errors.Upstream, match="no version of a prompt"):
        assay.prompt("odd")


def test_without_init_the_fallback_serves() -> None:
    assert assay.prompt("polish", fallback="Fix: {{ text }}").render(text="x") == "Fix: x"
    with pytest.raises(errors.Unusable, match=r"assay\.init"):
        assay.prompt("polish")


def test_a_warm_prompt_takes_at_most_20_microseconds(sdk: Sdk, server: Receiver) -> None:
    sdk()

    def round(work: Callable[[], object]) -> float:
        began = time.thread_time()
        for _ in range(500):
            work()
        return (time.thread_time() - began) / 500

    assay.prompt("polish")
    assert min(round(lambda: assay.prompt("polish")) for _ in range(20)) <= 20e-6
    assert min(round(lambda: assay.prompt("polish").render(text="x")) for _ in range(20)) <= 40e-6
