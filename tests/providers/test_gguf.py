"""What a GGUF file says of its model, read without trusting it."""

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.providers.gguf import F32, Tensor, Value, read_metadata, write_header
from assay.providers.llama_embeddings import read_encoder

scalars = st.one_of(
    st.booleans(), st.integers(0, 2**32 - 1), st.floats(width=32, allow_nan=False), st.text(max_size=20)
)
lists = st.one_of(
    st.lists(st.text(max_size=8), min_size=1, max_size=5),
    st.lists(st.integers(-5, 5), min_size=1, max_size=5),
)


def written(metadata: dict[str, Value]) -> bytes:
    file = io.BytesIO()
    write_header(file, metadata, [Tensor("t", (2, 3), F32, 0)])
    return file.getvalue()


@given(metadata=st.dictionaries(st.text(max_size=10), st.one_of(scalars, lists), max_size=6))
def test_what_is_written_is_read_again(
    metadata: dict[str, Value], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("gguf") / "x.gguf"
    path.write_bytes(written(metadata))
    assert len(path.read_bytes()) % 32 == 0
    assert read_metadata(path) == {
        name: value for name, value in metadata.items() if not isinstance(value, list)
    }


@pytest.mark.parametrize("size", range(0, 90, 7))
def test_a_file_that_ends_too_early_is_no_header(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(
        written({"general.architecture": "bert", "names": ["a", "b"], "bert.pooling_type": 1})[:size]
    )
    with pytest.raises(ValueError):  # noqa: PT011
        read_metadata(path)
    assert read_encoder(path) is None


@pytest.mark.parametrize(
    "header",
    [
        b"ELF?" + bytes(60),
        b"GGUF" + struct.pack("<IQQ", 1, 0, 0),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 4, 2**60),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 9, 1),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 77),
        b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"\xff" + struct.pack("<II", 4, 1),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(header)
    with pytest.raises(ValueError):  # noqa: PT011
        read_metadata(path)


@pytest.mark.parametrize(
    ("metadata", "embeds"),
    [
        ({"bert.pooling_type": 1}, True),
        ({"bert.pooling_type": 3}, True),
        ({"bert.pooling_type": 0}, False),
        ({"bert.pooling_type": 4}, False),  # a reranker
        ({"llama.pooling_type": 1}, False),
        ({}, False),
    ],
)
def test_pooling_tells_an_encoder_from_a_model_that_chats(
    tmp_path: Path, metadata: dict[str, Value], embeds: bool
) -> None:
    path = tmp_path / "x.gguf"
    said: dict[str, Value] = {
        "general.architecture": "bert",
        "bert.embedding_length": 8,
        "bert.context_length": 16,
    }
    path.write_bytes(written({**said, **metadata}))
    assert (read_encoder(path) is not None) is embeds
