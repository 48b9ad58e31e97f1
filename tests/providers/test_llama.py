"""A real model in this process."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from assay.errors import BadRequest, NotFound, UpstreamDown
from assay.providers.llama import LlamaProvider, build
from assay.providers.transport import NetworkTransport
from assay.providers.types import Endpoint, ProviderConfig, ProviderRequest, Timeouts
from assay.wire.openai_chat import decode_chat, decode_completion
from assay.wire.responses import StreamEvent

MODEL = "smollm2-135m"


def asked(endpoint: Endpoint = "chat", *, model: str = MODEL, **fields: Any) -> ProviderRequest:
    body = {"model": "m", "temperature": 0, "max_tokens": 12, **fields}
    if endpoint == "chat":
        body.setdefault("messages", [{"role": "user", "content": "Say hello."}])
    decode = decode_chat if endpoint == "chat" else decode_completion
    return ProviderRequest(endpoint, decode(msgspec.json.encode(body)), model, Timeouts())


def running(folder: Path, scenario: Callable[[LlamaProvider], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        transport = NetworkTransport()
        config = ProviderConfig(
            name="local", type="llama", options={"models": str(folder), "threads": 1, **options}
        )
        provider = build(config, transport)
        try:
            await scenario(provider)
        finally:
            await provider.aclose()
            await transport.aclose()

    asyncio.run(run())


@pytest.mark.local_model
def test_it_chats_completes_and_counts(weights: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario(provider: LlamaProvider) -> None:
        chat = await provider.complete(asked(logprobs=True, top_logprobs=2))
        assert chat.text
        assert chat.model == MODEL
        assert chat.usage is not None
        assert chat.usage.total_input > 5
        assert 0 < chat.usage.output <= 12
        first = msgspec.json.decode(chat.raw)["choices"][0]["logprobs"]["content"][0]
        assert first["logprob"] <= 0
        assert len(first["top_logprobs"]) == 2
        text = await provider.complete(asked("completions", prompt="Once upon a time", max_tokens=5))
        assert msgspec.json.decode(text.raw)["choices"][0]["text"]
        again = await provider.complete(asked())
        assert again.text == chat.text

    running(weights.parent, scenario)
    # llama.cpp writes pages of log by itself.
    assert capfd.readouterr() == ("", "")


@pytest.mark.local_model
def test_it_streams_with_usage_at_the_end(weights: Path) -> None:
    async def scenario(provider: LlamaProvider) -> None:
        request = asked(stream=True, stream_options={"include_usage": True})
        events = [event async for event in provider.stream(request)]
        whole = await provider.complete(asked())
        assert "".join(event.text for event in events) == whole.text
        assert [event.finish_reason for event in events if event.finish_reason] == ["length"]
        counted = [event.usage for event in events if event.usage is not None]
        assert [usage.output for usage in counted] == [12]

    running(weights.parent, scenario)


@pytest.mark.local_model
def test_a_client_that_goes_away_frees_its_place(weights: Path) -> None:
    async def first_output(provider: LlamaProvider) -> StreamEvent:
        # 3,900 tokens would take 40 s or more: whoever comes next would notice.
        async with aclosing(provider.stream(asked(stream=True, max_tokens=3900, ignore_eos=True))) as events:
            async for event in events:
                if event.is_output:
                    return event
        raise AssertionError("no output came")

    async def scenario(provider: LlamaProvider) -> None:
        for _ in range(2):
            await first_output(provider)
        async with asyncio.timeout(15):
            assert (await provider.complete(asked(max_tokens=2))).usage is not None

    running(weights.parent, scenario, parallel=1)


@pytest.mark.local_model
def test_the_loop_goes_on_while_a_model_loads_and_all_wait_for_one_load(weights: Path) -> None:
    async def scenario(provider: LlamaProvider) -> None:
        asking = [asyncio.create_task(provider.complete(asked(max_tokens=1))) for _ in range(4)]
        turns = 0
        while not all(task.done() for task in asking):
            await asyncio.sleep(0.01)
            turns += 1
        assert turns > 5
        assert len(provider._loads) == 1
        assert len({(await task).text for task in asking}) == 1

    running(weights.parent, scenario)


@pytest.mark.local_model
def test_nobody_else_on_the_machine_can_use_it_and_it_ends_with_the_provider(weights: Path) -> None:
    addresses: list[str] = []

    async def status(address: str) -> bytes:
        host, port = address.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = b'{"messages":[{"role":"user","content":"x"}],"max_tokens":1}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    async def scenario(provider: LlamaProvider) -> None:
        await provider.complete(asked(max_tokens=1))
        loaded = await provider._loaded(MODEL)
        addresses.append(loaded._server.listening_address)
        assert b" 401 " in await status(addresses[0])

    running(weights.parent, scenario)

    async def ended() -> None:
        with pytest.raises(OSError, match="Connect call failed"):
            await status(addresses[0])

    asyncio.run(ended())


def test_missing_weights_name_the_command_that_brings_them(tmp_path: Path) -> None:
    async def scenario(provider: LlamaProvider) -> None:
        with pytest.raises(NotFound) as caught:
            await provider.complete(asked())
        assert "assay models pull smollm2-135m" in (caught.value.hint or "")
        with pytest.raises(NotFound):
            await provider.complete(asked(model="../outside"))

    (tmp_path / "outside.gguf").write_bytes(b"GGUF")
    (tmp_path / "models").mkdir()
    running(tmp_path / "models", scenario)


def test_a_file_that_is_no_model_is_an_error_and_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF but not really")

    async def scenario(provider: LlamaProvider) -> None:
        for _ in range(2):
            with pytest.raises(UpstreamDown, match="cannot load"):
                await provider.complete(asked(model="bad"))
            await asyncio.sleep(0)
            assert provider._loads == {}

    running(tmp_path, scenario)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(BadRequest, match="thraeds"):
        build(ProviderConfig(name="local", type="llama", options={"thraeds": 1}), NetworkTransport())


def test_the_environment_may_set_the_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_LLAMA_THREADS", "many")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")

    async def scenario(provider: LlamaProvider) -> None:
        with pytest.raises(BadRequest, match="ASSAY_LLAMA_THREADS"):
            await provider.complete(asked(model="x"))

    running(tmp_path, scenario, threads=None)
    assert os.environ["ASSAY_LLAMA_THREADS"] == "many"
