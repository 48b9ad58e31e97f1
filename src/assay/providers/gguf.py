"""GGUF, the file format of llama.cpp: what a file says of its model, and how one is written.

A file is a magic word, a version, counts, the metadata (typed values by name), a table of the tensors and then their
numbers, each aligned to 32 bytes (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3).
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

Scalar = int | float | bool | str
Value = Scalar | list[str] | list[int]

MAGIC = b"GGUF"
ALIGNMENT = 32
MOST_ENTRIES = 10_000
F32, F16 = 0, 1
"""How the numbers of a tensor are stored."""

_VERSION = 3
_NUMBERS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_UINT32, _INT32, _FLOAT32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9


class Tensor(NamedTuple):
    """An entry of the table. `shape` has the fastest dimension last, `offset` counts from the first tensor."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def read_metadata(path: Path) -> dict[str, Scalar]:
    """The metadata without its arrays (which hold the vocabulary). Raises `ValueError` for what is no whole header."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return _Reader(mapped).metadata()


class _Reader:
    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped = mapped
        self._at = 0

    def metadata(self) -> dict[str, Scalar]:
        try:
            if self._take(4) != MAGIC:
                raise ValueError("it does not begin with GGUF")
            version, _, entries = self._number("<I"), self._number("<Q"), self._number("<Q")
            if version not in (2, 3) or entries > MOST_ENTRIES:
                raise ValueError(f"a header of version {version} with {entries} entries cannot be read")
            found: dict[str, Scalar] = {}
            for _ in range(int(entries)):
                name = self._string()
                value = self._value(int(self._number("<I")))
                if value is not None:
                    found[name] = value
            return found
        except (struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"the header is broken: {error}") from error

    def _value(self, kind: int) -> Scalar | None:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            self._skip_array()
            return None
        if kind not in _NUMBERS:
            raise ValueError(f"a value of the unknown type {kind}")
        return self._number(_NUMBERS[kind])

    def _skip_array(self) -> None:
        kind, count = int(self._number("<I")), int(self._number("<Q"))
        if kind in _NUMBERS:
            self._take(count * struct.calcsize(_NUMBERS[kind]))
        elif kind == _STRING:
            for _ in range(count):
                self._take(int(self._number("<Q")))
        else:
            raise ValueError(f"an array of the unknown type {kind}")

    def _string(self) -> str:
        return self._take(int(self._number("<Q"))).decode()

    def _number(self, form: str) -> int | float | bool:
        size = struct.calcsize(form)
        (value,) = struct.unpack(form, self._take(size))
        return value  # type: ignore[no-any-return]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._mapped):
            raise ValueError("the file ends in the middle of its header")
        taken, self._at = self._mapped[self._at : end], end
        return taken


def write_header(file: IO[bytes], metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> None:
    """Everything before the numbers of the first tensor."""
    file.write(MAGIC + struct.pack("<IQQ", _VERSION, len(tensors), len(metadata)))
    for name, value in metadata.items():
        file.write(_said(name) + _typed(value))
    for tensor in tensors:
        # The format lists the fastest dimension first.
        shape = struct.pack(f"<{len(tensor.shape)}Q", *reversed(tensor.shape))
        file.write(_said(tensor.name) + struct.pack("<I", len(tensor.shape)) + shape)
        file.write(struct.pack("<IQ", tensor.kind, tensor.offset))
    pad(file)


def pad(file: IO[bytes]) -> None:
    """Fill up to where the next tensor may begin."""
    file.write(bytes(-file.tell() % ALIGNMENT))


def _typed(value: Value) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", _BOOL, value)
        case int():
            return struct.pack("<II", _UINT32, value)
        case float():
            return struct.pack("<If", _FLOAT32, value)
        case str():
            return struct.pack("<I", _STRING) + _said(value)
    texts = [each for each in value if isinstance(each, str)]
    if texts:
        return struct.pack("<IIQ", _ARRAY, _STRING, len(texts)) + b"".join(map(_said, texts))
    return struct.pack(f"<IIQ{len(value)}i", _ARRAY, _INT32, len(value), *value)


def _said(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded
