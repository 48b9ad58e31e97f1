"""The example runs as its page says: the real server, the official client, in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/quickstart"
KEY = "an-admin-key-for-a-test-that-is-long-enough"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The address of `assay up` in a copy of the example."""
    shutil.copytree(EXAMPLE, tmp_path, dirs_exist_ok=True)
    command = [sys.executable, "-m", "assay", "up", "--config", "assay.toml", "--port", "0"]
    server = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "ASSAY_ADMIN_KEY": KEY})
    try:
        yield wait_for_url(tmp_path / ".assay/lock", server)
    finally:
        server.terminate()
        assert server.wait(30) == 0
        assert not (tmp_path / ".assay/control.sock").exists()


def wait_for_url(lock: Path, server: "subprocess.Popen[bytes]") -> str:
    """What the server says of itself once it is ready."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return str(json.loads(lock.read_text(encoding="utf-8"))["url"])
        except (OSError, ValueError):
            time.sleep(0.05)
    raise AssertionError("the server did not get ready")


def test_the_quickstart_lists_models_chats_and_streams_a_task(url: str) -> None:
    environ = {**os.environ, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": KEY}
    chat = subprocess.run(
        [sys.executable, EXAMPLE / "chat.py"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert chat.returncode == 0, chat.stderr
    assert "models: fast, task:polish" in chat.stdout
    assert "streamed: " in chat.stdout
