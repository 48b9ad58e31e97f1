"""A sentence encoder as its makers publish it (a folder of a BERT model) becomes one GGUF file for llama.cpp.

    config.json + vocab.txt + model.safetensors [+ 1_Pooling/config.json]  →  GGUF, matrices in 16 bits

The same folder always gives the same bytes, so the result has a checksum that can be known beforehand. Needs no package
beyond Python: a package of 2 GB only to rewrite 46 MB would be a poor trade.
"""

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from assay.errors import BadRequest
from assay.providers.gguf import ALIGNMENT, F16, F32, Tensor, Value, pad, write_header

_PIECE = 1 << 16
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_NORMAL, _CONTROL = 1, 3
_MEAN, _CLS = 1, 2
_WORD_BEGINS = "\u2581"
_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
"""Transformers' names of a BERT model's parts → llama.cpp's."""
_KEPT_WHOLE = ("position_embd", "token_types")
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)")


class _Source(NamedTuple):
    """A tensor in a safetensors file: where its 32-bit floats begin and how many there are."""

    begin: int
    length: int


def write_encoder(folder: Path, target: IO[bytes]) -> None:
    """Write the GGUF of the encoder in `folder`. Raises `BadRequest` when there is none that can be read."""
    try:
        config = _read(folder / "config.json")
        if config.get("model_type") != "bert":
            raise BadRequest(
                f"{folder.name!r} holds a model of the type {config.get('model_type')!r}, not a BERT encoder",
                param="name",
                hint="Convert it with llama.cpp's own tools and pull the GGUF file.",
            )
        metadata = _metadata(config, _pooling(folder))
        metadata |= _vocabulary((folder / "vocab.txt").read_bytes().decode())
        weights = folder / "model.safetensors"
        tensors, sources = _tensors(weights)
        write_header(target, metadata, tensors)
        with weights.open("rb") as opened:
            for tensor, source in zip(tensors, sources, strict=True):
                for piece in _numbers(opened, source, tensor.kind):
                    target.write(piece)
                pad(target)
    except (OSError, ValueError, KeyError, TypeError, struct.error, OverflowError) as error:
        raise BadRequest(
            f"{folder.name!r} is no folder of a BERT encoder: {type(error).__name__}: {error}",
            param="name",
            hint="It needs config.json, vocab.txt and model.safetensors with 32-bit floats.",
        ) from error


def _read(path: Path) -> dict[str, Any]:
    read = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(read, dict):
        raise ValueError(f"{path.name} holds no object")
    return read


def _pooling(folder: Path) -> int:
    """How the vectors of a text's tokens become one: their mean, unless the folder says otherwise."""
    path = folder / "1_Pooling/config.json"
    said = _read(path) if path.is_file() else {"pooling_mode_mean_tokens": True}
    modes = [mode for mode, on in said.items() if mode.startswith("pooling_mode_") and on is True]
    if modes == ["pooling_mode_mean_tokens"]:
        return _MEAN
    if modes == ["pooling_mode_cls_token"]:
        return _CLS
    raise ValueError(f"pooling by {', '.join(modes) or 'nothing'} is not known here")


def _metadata(config: dict[str, Any], pooling: int) -> dict[str, Value]:
    if config.get("hidden_act") != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise ValueError("only encoders with gelu and absolute positions are known here")
    return {
        "general.architecture": "bert",
        "general.name": str(config.get("_name_or_path", "encoder")).rpartition("/")[2],
        "general.file_type": 1,
        "bert.block_count": int(config["num_hidden_layers"]),
        "bert.context_length": int(config["max_position_embeddings"]),
        "bert.embedding_length": int(config["hidden_size"]),
        "bert.feed_forward_length": int(config["intermediate_size"]),
        "bert.attention.head_count": int(config["num_attention_heads"]),
        "bert.attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": pooling,
    }


def _vocabulary(text: str) -> dict[str, Value]:
    """WordPiece marks what goes on a word (`##ing`); llama.cpp marks what begins one."""
    words = text.removesuffix("\n").split("\n")
    place = {word: at for at, word in enumerate(words)}
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": [_spelled(word) for word in words],
        "tokenizer.ggml.token_type": [_CONTROL if word in _SPECIAL else _NORMAL for word in words],
        "tokenizer.ggml.bos_token_id": place["[CLS]"],
        "tokenizer.ggml.eos_token_id": place["[SEP]"],
        "tokenizer.ggml.unknown_token_id": place["[UNK]"],
        "tokenizer.ggml.seperator_token_id": place["[SEP]"],  # the format's own spelling
        "tokenizer.ggml.padding_token_id": place["[PAD]"],
        "tokenizer.ggml.cls_token_id": place["[CLS]"],
        "tokenizer.ggml.mask_token_id": place["[MASK]"],
    }


def _spelled(word: str) -> str:
    if word in _SPECIAL:
        return word
    return word.removeprefix("##") if word.startswith("##") else _WORD_BEGINS + word


def _tensors(weights: Path) -> tuple[list[Tensor], list[_Source]]:
    """What goes into the file, in the order of the source, and where it is there."""
    with weights.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > weights.stat().st_size:
            raise ValueError("model.safetensors is not whole")
        header = json.loads(opened.read(length))
    tensors, sources, offset = [], [], 0
    for theirs, entry in header.items():
        name = _name(theirs)
        if name is None:
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{theirs} is stored as {entry['dtype']}")
        shape = tuple(int(size) for size in entry["shape"])
        begin, end = entry["data_offsets"]
        kind = F16 if len(shape) == 2 and not name.startswith(_KEPT_WHOLE) else F32
        tensors.append(Tensor(name, shape, kind, offset))
        sources.append(_Source(8 + length + begin, (end - begin) // 4))
        size = (end - begin) // 2 if kind == F16 else end - begin
        offset += size + -size % ALIGNMENT
    return tensors, sources


def _name(theirs: str) -> str | None:
    """llama.cpp's name; None for what it does not use (the pooler of the training, constants)."""
    part, _, kind = theirs.removeprefix("bert.").rpartition(".")
    if (layer := _LAYER.fullmatch(part)) is not None:
        return f"blk.{layer[1]}.{_NAMES[layer[2]]}.{kind}"
    return f"{_NAMES[part]}.{kind}" if part in _NAMES else None


def _numbers(opened: IO[bytes], source: _Source, kind: int) -> Iterator[bytes]:
    opened.seek(source.begin)
    left = source.length
    while left:
        taken = min(left, _PIECE)
        raw = opened.read(4 * taken)
        if len(raw) < 4 * taken:
            raise ValueError("model.safetensors is not whole")
        yield raw if kind == F32 else struct.pack(f"<{taken}e", *struct.unpack(f"<{taken}f", raw))
        left -= taken
