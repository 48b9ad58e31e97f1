"""What every test gets: no network but this machine's, and markers that skip with a reason."""

import os
import shutil
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

WEIGHTS = Path(__file__).parents[1] / ".assay/models/smollm2-135m.gguf"


def _loopback_only(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and address[0] != "localhost" and not ip_address(address[0]).is_loopback:
        raise RuntimeError(f"A test tried to reach {address!r}; tests talk to this machine only.")


sys.addaudithook(_loopback_only)


def _missing(marker: str) -> str | None:
    """Why a test with this marker cannot run here, or None."""
    if marker == "browser" and not (shutil.which("chromium") or os.environ.get("ASSAY_TEST_BROWSER")):
        return "no Chromium here; scripts/browser installs Debian's"
    if marker == "data" and not os.environ.get("ASSAY_TEST_DATA"):
        return "ASSAY_TEST_DATA names no folder with the larger data sets"
    if marker == "local_model" and not WEIGHTS.exists():
        return f"{WEIGHTS} is not there; `make weights` brings it"
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
