"""What the simulated provider puts on the wire in Gemini's format: JSON, whole or as server-sent events."""

from collections.abc import Sequence
from typing import Any

import msgspec

from assay.providers.simulated.answers import tokens
from assay.providers.simulated.asking import Asked
from assay.providers.simulated.behaviour import Behaviour
from assay.providers.simulated.embedding import dimensions_for, vector
from assay.providers.simulated.gemini_asking import call_signature, gemini_error
from assay.providers.simulated.saying import Called, Chunk, Reply, alternatives, event

MALFORMED = b'data: {"candidates": [{"content": {"parts": [{"te\r\n\r\n'
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}


class GeminiAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All candidates with what stands around them."""

    asked: Asked
    replies: tuple[Reply, ...]
    index: int
    behaviour: Behaviour

    def whole(self) -> bytes:
        """The body of an answer that is not streamed."""
        candidates = []
        for at, reply in enumerate(self.replies):
            candidate = self._candidate(at, _parts(reply), last=True)
            if reply.logprobs:
                candidate["logprobsResult"] = self._logprobs(reply, slice(None))
            candidates.append(candidate)
        return msgspec.json.encode(self._around(candidates, self._usage()))

    def chunks(self) -> list[Chunk]:
        """The events of a streamed answer: a token each, calls whole, and the reason for the end with the last one."""
        made: list[Chunk] = []
        told, is_alone = [_pieces(reply) for reply in self.replies], len(self.replies) == 1
        for turn in range(max(len(pieces) for pieces in told)):
            for at, pieces in enumerate(told):
                if turn >= len(pieces):
                    continue
                is_last, reply = turn == len(pieces) - 1, self.replies[at]
                candidate = self._candidate(at, [pieces[turn]], last=is_last)
                word = turn - len(reply.thoughts)
                if 0 <= word < len(reply.logprobs):
                    candidate["logprobsResult"] = self._logprobs(reply, slice(word, word + 1))
                usage = self._usage() if is_last and is_alone else self._usage(turn + 1)
                made.append(Chunk(event(self._around([candidate], usage)), is_token=True))
        return made if is_alone else [*made, Chunk(event(self._around([], self._usage())), is_token=False)]

    def _around(self, candidates: list[Any], usage: dict[str, Any] | None) -> dict[str, Any]:
        made: dict[str, Any] = {"candidates": candidates} if candidates else {}
        made |= {"modelVersion": self.asked.model, "responseId": f"sim{self.index:08d}"}
        return made if usage is None else {**made, "usageMetadata": usage}

    def _candidate(self, at: int, parts: list[Any], *, last: bool) -> dict[str, Any]:
        content = {"parts": parts, "role": "model"} if parts else {"role": "model"}
        made = {"content": content, "index": at}
        return {**made, "finishReason": _FINISH[self.replies[at].finish_reason]} if last else made

    def _usage(self, said: int | None = None) -> dict[str, Any] | None:
        """The counts, all or those of a stream that is at its `said`-th token."""
        if not self.behaviour.usage:
            return None
        into = sum(len(tokens(prompt)) for prompt in self.asked.prompts)
        out = sum(reply.count for reply in self.replies) if said is None else said
        thought = self.behaviour.reasoning_tokens * len(self.replies)
        made = {
            "promptTokenCount": into,
            "candidatesTokenCount": out,
            "totalTokenCount": into + out + thought,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": into}],
        }
        if thought:
            made["thoughtsTokenCount"] = thought
        if cached := int(into * self.behaviour.cached_share):
            made["cachedContentTokenCount"] = cached
            made["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": cached}]
        return made

    def _logprobs(self, reply: Reply, some: slice) -> dict[str, Any]:
        pairs = list(zip(reply.pieces[some], reply.logprobs[some], strict=True))
        return {
            "chosenCandidates": [_token(*pair) for pair in pairs],
            "topCandidates": [
                {"candidates": [_token(*each) for each in alternatives(*pair, self.asked.logprobs or 0)]}
                for pair in pairs
            ],
        }


def gemini_vectors(asked: Asked, behaviour: Behaviour) -> bytes:
    """The body of an answer with vectors."""
    dimensions = dimensions_for(asked, behaviour.dimensions)
    made: dict[str, Any] = {
        "embeddings": [{"values": vector(text, dimensions).tolist()} for text in asked.prompts]
    }
    if behaviour.usage:
        made["usageMetadata"] = {"promptTokenCount": sum(len(tokens(text)) for text in asked.prompts)}
    return msgspec.json.encode(made)


def models(names: Sequence[str]) -> bytes:
    """The list of models."""
    cards = [{"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]} for name in names]
    return msgspec.json.encode({"models": cards})


def in_band_error() -> bytes:
    """An error in the middle of a stream."""
    return event(msgspec.Raw(gemini_error(503, "The model is overloaded. Please try again later.")))


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logProbability": logprob}


def _parts(reply: Reply) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    if reply.thoughts:
        made.append({"text": "".join(reply.thoughts), "thought": True})
    if reply.pieces:
        made.append({"text": reply.text})
    return [*made, *_calls(reply.calls)]


def _pieces(reply: Reply) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"text": piece, "thought": True} for piece in reply.thoughts]
    made += [{"text": piece} for piece in reply.pieces]
    return [*made, *_calls(reply.calls)] or [{"text": ""}]


def _calls(calls: Sequence[Called]) -> list[dict[str, Any]]:
    """Of parallel calls only the first is signed."""
    made: list[dict[str, Any]] = []
    for at, call in enumerate(calls):
        arguments = msgspec.json.decode(call.arguments)
        part: dict[str, Any] = {"functionCall": {"name": call.tool, "args": arguments}}
        if at == 0:
            part["thoughtSignature"] = call_signature(call.tool, arguments)
        made.append(part)
    return made
