"""A folder of a sentence encoder becomes a GGUF file that means the same."""

import asyncio
import hashlib
import io
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.catalog.encoders import write_encoder
from assay.catalog.weights import pull
from assay.errors import BadRequest
from assay.providers.gguf import read_metadata
from assay.providers.llama import build
from assay.providers.llama_embeddings import Encoder, read_encoder
from assay.providers.transport import NetworkTransport
from assay.providers.types import ProviderConfig, ProviderRequest, Timeouts
from assay.wire.embeddings import embedding_request

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "man", "eat", "##s", "food", ".", "the"]
WIDTH, INNER, HEADS, LAYERS, POSITIONS = 32, 64, 4, 2, 64
CONFIG = {
    "model_type": "bert",
    "_name_or_path": "somebody/Tiny-Encoder",
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
}
Weights = dict[str, NDArray[np.float32]]


def random_weights() -> Weights:
    """Names and shapes as Transformers saves a BERT model, with what llama.cpp does not use."""
    random = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "pooler.dense.weight": (WIDTH, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        of = f"encoder.layer.{layer}"
        norms += [f"{of}.attention.output.LayerNorm", f"{of}.output.LayerNorm"]
        dense = dict.fromkeys(("query", "key", "value"), (WIDTH, WIDTH))
        for part, shape in (
            *((f"attention.self.{name}", shape) for name, shape in dense.items()),
            ("attention.output.dense", (WIDTH, WIDTH)),
            ("intermediate.dense", (INNER, WIDTH)),
            ("output.dense", (WIDTH, INNER)),
        ):
            shapes |= {f"{of}.{part}.weight": shape, f"{of}.{part}.bias": shape[:1]}
    made = {name: random.normal(0, 0.3, shape).astype("<f4") for name, shape in shapes.items()}
    for norm in norms:
        made[f"{norm}.weight"] = random.normal(1, 0.1, WIDTH).astype("<f4")
        made[f"{norm}.bias"] = random.normal(0, 0.1, WIDTH).astype("<f4")
    return made


def save(folder: Path, weights: Weights, *, dtype: str = "F32", **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    numbers = b""
    for name, array in weights.items():
        place = [len(numbers), len(numbers) + array.nbytes]
        header[name] = {"dtype": dtype, "shape": [*array.shape], "data_offsets": place}
        numbers += array.tobytes()
    said = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(said)) + said + numbers)
    return folder


def norm(x: Any, weights: Weights, name: str) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def gelu(x: Any) -> Any:
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def forward(weights: Weights, ids: list[int]) -> Any:
    """BERT by its paper (Devlin et al. 2019, arXiv:1810.04805), the mean of its tokens at length 1."""

    def dense(x: Any, name: str) -> Any:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], weights, "embeddings.LayerNorm")
    for layer in range(LAYERS):
        of = f"encoder.layer.{layer}"
        query, key, value = (
            dense(x, f"{of}.attention.self.{part}").reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        logits = query @ key.transpose(0, 2, 1) / math.sqrt(WIDTH / HEADS)
        share = np.exp(logits - logits.max(-1, keepdims=True))
        heard = (share / share.sum(-1, keepdims=True)) @ value
        heard = dense(heard.transpose(1, 0, 2).reshape(len(ids), WIDTH), f"{of}.attention.output.dense")
        x = norm(x + heard, weights, f"{of}.attention.output.LayerNorm")
        inner = dense(gelu(dense(x, f"{of}.intermediate.dense")), f"{of}.output.dense")
        x = norm(x + inner, weights, f"{of}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def embedded(folder: Path, model: str, inputs: list[Any]) -> list[Any]:
    async def run() -> list[Any]:
        transport = NetworkTransport()
        options = {"models": str(folder), "threads": 1, "parallel": 1}
        provider = build(ProviderConfig(name="local", type="llama", options=options), transport)
        try:
            request = ProviderRequest("embeddings", embedding_request(model, inputs), model, Timeouts())
            return [np.array(vector) for vector in (await provider.embed(request)).vectors()]
        finally:
            await provider.aclose()
            await transport.aclose()

    return asyncio.run(run())


def test_llama_cpp_makes_the_vectors_that_the_paper_says(tmp_path: Path) -> None:
    weights = random_weights()
    pull(f"file:{save(tmp_path / 'tiny', weights)}", tmp_path / "models", name="tiny")
    ids = [2, 5, 6, 7, 8, 9, 10, 3]
    by_ids, by_text = (
        embedded(tmp_path / "models", "tiny", [ids, [2, 11, 9, 3]]),
        embedded(tmp_path / "models", "tiny", ["A man eats food.", "The food"]),
    )
    for at, row in enumerate((ids, [2, 11, 9, 3])):
        assert by_ids[at] @ forward(weights, row) == pytest.approx(1, abs=1e-4)
        assert by_text[at] @ by_ids[at] == pytest.approx(1, abs=1e-5)
    assert by_ids[0] @ by_ids[1] < 0.99


def test_the_file_says_what_the_model_is_and_is_always_the_same(tmp_path: Path) -> None:
    folder = save(tmp_path / "tiny", random_weights())
    first, second = io.BytesIO(), io.BytesIO()
    write_encoder(folder, first)
    write_encoder(folder, second)
    assert hashlib.sha256(first.getvalue()).digest() == hashlib.sha256(second.getvalue()).digest()
    path = tmp_path / "tiny.gguf"
    path.write_bytes(first.getvalue())
    said = read_metadata(path)
    assert (said["general.architecture"], said["general.name"]) == ("bert", "Tiny-Encoder")
    assert (said["bert.attention.causal"], said["bert.pooling_type"]) == (False, 1)
    assert "tokenizer.ggml.tokens" not in said
    assert read_encoder(path) == Encoder(dimensions=WIDTH, context=POSITIONS)


def test_pooling_is_what_the_folder_says(tmp_path: Path) -> None:
    folder = save(tmp_path / "tiny", random_weights())
    pooling = folder / "1_Pooling"
    pooling.mkdir()
    for mode, kind in (("cls_token", 2), ("mean_tokens", 1)):
        (pooling / "config.json").write_text(
            json.dumps({f"pooling_mode_{mode}": True, "pooling_mode_x": False})
        )
        assert read_metadata(pull(f"file:{folder}", tmp_path, name=mode).path)["bert.pooling_type"] == kind
    (pooling / "config.json").write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(BadRequest, match="max_tokens"):
        write_encoder(folder, io.BytesIO())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "distilbert"}, "'distilbert'"),
        ({"hidden_act": "relu"}, "gelu"),
        ({"position_embedding_type": "relative_key"}, "absolute"),
        ({"dtype": "BF16"}, "BF16"),
        ({"hidden_size": None}, "TypeError"),
    ],
)
def test_another_kind_of_model_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    folder = save(tmp_path / "tiny", random_weights(), **change)
    with pytest.raises(BadRequest, match=said):
        pull(f"file:{folder}", tmp_path / "models")
    assert not list((tmp_path / "models").glob("*.gguf"))


@pytest.mark.parametrize("missing", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, missing: str) -> None:
    folder = save(tmp_path / "tiny", random_weights())
    whole = (folder / missing).read_bytes()
    (folder / missing).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadRequest, match="tiny"):
        write_encoder(folder, io.BytesIO())
    (folder / missing).unlink()
    with pytest.raises(BadRequest, match=missing):
        write_encoder(folder, io.BytesIO())


@pytest.mark.local_encoder
def test_the_known_encoder_is_what_was_converted_here(encoder: Path) -> None:
    assert read_encoder(encoder) == Encoder(dimensions=384, context=512)
