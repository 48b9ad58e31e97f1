"""Models on this machine: llama.cpp's own server inside this process, reached over loopback in OpenAI's format.

    [providers.local]
    type = "llama"
    models = "/srv/models"      # default: <data>/models; the model "x" is the file x.gguf there
    threads = 2                 # default: ASSAY_LLAMA_THREADS, else one less than cores
    context = 4096              # tokens for each of the parallel calls
    parallel = 4

Each model loads when it is first asked for, in a thread, and stays until the provider is closed. The server listens on a
free port of 127.0.0.1 and answers only to a key that this process made up. Weights of an encoder embed, others chat.
"""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from assay.errors import BadRequest, MissingExtra, NotFound, UpstreamDown
from assay.providers import llama_embeddings
from assay.providers.llama_embeddings import Encoder, read_encoder
from assay.providers.openai import OpenAIProvider
from assay.providers.types import ProviderConfig, ProviderRequest, Transport
from assay.wire.embeddings import EmbeddingResponse
from assay.wire.responses import Response, StreamEvent

THREADS_VARIABLE = "ASSAY_LLAMA_THREADS"
_KNOWN = ("smollm2-135m", "minilm")


class LlamaOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a `[providers.<name>]` table of this type may say besides its type."""

    models: str = ".assay/models"
    threads: int | None = None
    context: int = 4096
    parallel: int = 4


def build(config: ProviderConfig, transport: Transport) -> "LlamaProvider":
    """The provider of a configuration. Raises `BadRequest` for an option it has not."""
    try:
        options = msgspec.convert(dict(config.options), LlamaOptions)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"providers.{config.name} cannot be used: {error}",
            param=f"providers.{config.name}",
            hint=f"Known: {', '.join(LlamaOptions.__struct_fields__)}.",
        ) from error
    return LlamaProvider(config.name, options, transport)


class LlamaProvider:
    """One llama.cpp server for each model in use."""

    type = "llama"

    def __init__(self, name: str, options: LlamaOptions, transport: Transport) -> None:
        self.name = name
        self._options = options
        self._transport = transport
        self._loads: dict[str, asyncio.Task[_Loaded]] = {}
        self._closed = False

    async def complete(self, request: ProviderRequest) -> Response:
        """See `Provider.complete`. Raises `NotFound` when the weights are not there, `MissingExtra` without xllamacpp."""
        loaded = await self._chatting(request)
        return await loaded.provider.complete(request)

    async def stream(self, request: ProviderRequest) -> AsyncGenerator[StreamEvent, None]:
        """See `Provider.stream`."""
        loaded = await self._chatting(request)
        async with aclosing(loaded.provider.stream(request)) as events:
            async for event in events:
                yield event

    async def embed(self, request: ProviderRequest) -> EmbeddingResponse:
        """See `EmbeddingProvider.embed`. Raises like `complete`, and `BadRequest` for a model that only chats."""
        loaded = await self._loaded(request.model)
        if loaded.encoder is None:
            raise BadRequest(
                f"The model {request.request.model!r} makes no embeddings: its weights are those of a model that chats",
                param="model",
                hint="`assay models pull minilm` brings one that does.",
            )
        context = _context(self._options, loaded.encoder)
        return await llama_embeddings.embed(loaded.provider, request, loaded.encoder, context=context)

    async def aclose(self) -> None:
        """Stop the servers; answers that still run are cut."""
        self._closed = True
        loads, self._loads = list(self._loads.values()), {}
        for load in loads:
            done = (await asyncio.gather(load, return_exceptions=True))[0]
            if isinstance(done, _Loaded):
                await asyncio.to_thread(done.stop)

    async def _chatting(self, request: ProviderRequest) -> "_Loaded":
        loaded = await self._loaded(request.model)
        if loaded.encoder is not None:
            raise BadRequest(
                f"The model {request.request.model!r} makes embeddings and does not chat",
                param="model",
                hint="Send it to /v1/embeddings.",
            )
        return loaded

    async def _loaded(self, model: str) -> "_Loaded":
        """The running server of a model. Everybody who asks while it loads waits for the same load."""
        if self._closed:
            raise UpstreamDown(f"{self.name} has been closed")
        load = self._loads.get(model)
        if load is None:
            load = asyncio.create_task(self._load(model, self._weights(model)))
            self._loads[model] = load
            load.add_done_callback(lambda done: self._forget_failure(model, done))
        # Shielded: one caller that goes away must not stop the load for the others.
        return await asyncio.shield(load)

    def _forget_failure(self, model: str, load: "asyncio.Task[_Loaded]") -> None:
        if load.cancelled() or load.exception() is not None:
            self._loads.pop(model, None)

    def _weights(self, model: str) -> Path:
        folder = Path(self._options.models)
        path = folder / f"{model}.gguf"
        if path.parent != folder or not os.path.isfile(path):
            raise NotFound(
                f"The weights of {model!r} are not in {str(folder)!r}",
                param="model",
                hint=f"Run `assay models pull {model}`."
                if model in _KNOWN
                else "Run `assay models pull smollm2-135m`, or pull a GGUF file of your own.",
            )
        return path

    async def _load(self, model: str, weights: Path) -> "_Loaded":
        key = secrets.token_hex(16)
        encoder = await asyncio.to_thread(read_encoder, weights)
        server = await asyncio.to_thread(_start, model, weights, self._options, key, encoder)
        provider = OpenAIProvider(
            name=self.name,
            base_url=f"{server.listening_address}/v1",
            api_key=key,
            transport=self._transport,
        )
        return _Loaded(server, provider, encoder)


class _Loaded:
    """A running server and the provider that talks to it."""

    def __init__(self, server: Any, provider: OpenAIProvider, encoder: Encoder | None) -> None:
        self._server = server
        self.provider = provider
        self.encoder = encoder

    def stop(self) -> None:
        """The server ends with its last reference."""
        self._server = None


def _start(model: str, weights: Path, options: LlamaOptions, key: str, encoder: Encoder | None) -> Any:
    """Load and listen. Takes as long as reading the weights; a file that cannot be loaded is an `UpstreamDown`."""
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtra("A model on this machine", extra="local") from error
    threads = options.threads or _threads()
    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.model_alias = {model}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.n_parallel = options.parallel
    context = _context(options, encoder)
    params.n_ctx = context * options.parallel
    if encoder is not None:
        params.embedding = True
        # An encoder reads a text in one piece.
        params.n_batch = params.n_ubatch = context
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise UpstreamDown(
            f"llama.cpp cannot load {weights.name!r}: {error}",
            hint="Is it a whole GGUF file of a language model?",
        ) from error


def _context(options: LlamaOptions, encoder: Encoder | None) -> int:
    """Tokens of one call. An encoder has no more positions than it was trained with."""
    return options.context if encoder is None else min(options.context, encoder.context)


def _threads() -> int:
    """From the environment, else one less than the cores that this process may use.

    llama.cpp's threads wait for each other in a loop: as soon as one of them shares its core with somebody, all are ten times
    slower. One core is left to the event loop and to everybody else.
    """
    said = os.environ.get(THREADS_VARIABLE, "")
    if said and not (said.isdecimal() and int(said) > 0):
        raise BadRequest(
            f"{THREADS_VARIABLE} is {said!r}: it must be a number of threads", param=THREADS_VARIABLE
        )
    if said:
        return int(said)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, cores - 1)
