"""What every test gets: no network but this machine's, and markers that skip with a reason."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest

BROWSER = os.environ.get("ASSAY_TEST_BROWSER") or shutil.which("chromium")
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WEIGHTS = Path(__file__).parents[1] / ".assay/models/smollm2-135m.gguf"
ENCODER = WEIGHTS.with_name("minilm.gguf")


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] != "localhost" and not ip_address(address[0]).is_loopback:
        raise RuntimeError(f"A test tried to reach {address!r}; tests talk to this machine only.")


sys.addaudithook(_loopback_only)


def _missing(marker: str) -> str | None:
    """Why a test with this marker cannot run here, or None."""
    if marker == "browser" and not BROWSER:
        return "no Chromium here; scripts/browser installs Debian's"
    if marker == "data" and not os.environ.get("ASSAY_TEST_DATA"):
        return "ASSAY_TEST_DATA names no folder with the larger data sets"
    if marker == "local_model" and not WEIGHTS.exists():
        return f"{WEIGHTS} is not there; `make weights` brings it"
    if marker == "local_encoder" and not ENCODER.exists():
        return f"{ENCODER} is not there; `make weights` brings it"
    if marker == "linux" and not sys.platform.startswith("linux"):
        return "uses a facility that only Linux has"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, saying why."""
    for marker in item.iter_markers():
        if reason := _missing(marker.name):
            pytest.skip(reason)


@pytest.fixture(scope="session")
def data_sets() -> Path:
    """The folder of larger data sets; for tests marked `data`."""
    return Path(os.environ["ASSAY_TEST_DATA"])


@pytest.fixture(scope="session")
def weights() -> Path:
    """The weights of SmolLM2-135M-Instruct; for tests marked `local_model`."""
    return WEIGHTS


@pytest.fixture(scope="session")
def encoder() -> Path:
    """The weights of all-MiniLM-L6-v2; for tests marked `local_encoder`."""
    return ENCODER


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright; for tests marked `browser`. Its event loop lives while it does."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=BROWSER_FLAGS)
        yield browser
        browser.close()


ADMIN_KEY = "sk-assay-tests-0123456789abcdef0123456789abcdef"


class AssayProcess:
    """A real `assay up` in a process of its own, on a free port or on the port given. Its key is always `key`."""

    key = ADMIN_KEY

    def __init__(
        self,
        folder: Path,
        config: str = "",
        *options: str,
        port: int = 0,
        data: Path | None = None,
        program: Sequence[str] = (sys.executable, "-m", "assay"),
    ) -> None:
        self.data = data or folder / "data"
        self.config = folder / "assay.toml"
        self.config.write_text(config)
        self._said = folder / "said.txt"
        command = [*program, "up", "--config", str(self.config)]
        command += ["--data", str(self.data), "--port", str(port), *options]
        self.began_s = time.monotonic()
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ASSAY_ADMIN_KEY": ADMIN_KEY, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._said.read_text()

    def ready(self, seconds: float = 30.0) -> "AssayProcess":
        """Wait until it answers; `took_s` is how long that took from the start of the process."""
        end = self.began_s + seconds
        while (found := re.search(r"is at (http://\S+)", self.said)) is None:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"not ready after {seconds} s: {self.said}"
            time.sleep(0.01)
        self.took_s = time.monotonic() - self.began_s
        self.url = found[1]
        self.port = int(self.url.rpartition(":")[2])
        self.http = httpx.Client(
            base_url=self.url, headers={"authorization": f"Bearer {self.key}"}, timeout=30.0
        )
        return self

    def kill(self) -> None:
        """SIGKILL: nothing is tidied up."""
        self.process.kill()
        self.process.wait()
        self.http.close()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM, and the exit code. Does nothing to a process that has ended."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            if hasattr(self, "http"):
                self.http.close()
        return code

    def trace(self, trace_id: str) -> list[Any]:
        """The spans of a trace, as the API shows them."""
        spans: list[Any] = self.http.get(f"/api/traces/{trace_id}").raise_for_status().json()["spans"]
        return spans

    def model_span(self, trace_id: str) -> Any:
        """The one span of the call itself."""
        (span,) = [span for span in self.trace(trace_id) if span["kind"] == "model"]
        return span


@pytest.fixture(scope="module")
def start_assay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., AssayProcess]]:
    """Starts server processes: `start_assay(config, *options, folder=…, port=…, data=…)`; all end with the module."""
    started: list[AssayProcess] = []

    def start(config: str = "", *options: str, folder: Path | None = None, **more: Any) -> AssayProcess:
        folder = folder or tmp_path_factory.mktemp("assay")
        started.append(AssayProcess(folder, config, *options, **more))
        return started[-1]

    yield start
    for each in started:
        each.stop()
