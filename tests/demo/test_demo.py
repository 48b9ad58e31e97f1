"""The demo itself, on the real model; the second time it makes no call that it made before."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.local_model]


def play(data: Path) -> tuple[str, float]:
    """What `assay demo --no-serve` says, and for how many seconds."""
    start = time.monotonic()
    command = [sys.executable, "-m", "assay", "demo", "--no-serve", "--data", str(data), "--port", "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout, time.monotonic() - start


def test_the_demo_decides_with_evidence_and_its_second_run_takes_seconds(
    tmp_path: Path, weights: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for file in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(file, models)
    first, seconds = play(tmp_path)
    assert seconds <= 300
    assert "better" in first
    assert "open-question released" in first
    assert "She no went to the market." in first
    second, seconds = play(tmp_path)
    assert seconds <= 20
    assert "no call was made again" in second
