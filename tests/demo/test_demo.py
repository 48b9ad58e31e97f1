"""The demo itself, on the real model; the second time it makes no call that it made before."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.local_model]


def play(data: Path) -> str:
    """What `assay demo --no-serve` says."""
    command = [sys.executable, "-m", "assay", "demo", "--no-serve", "--data", str(data), "--port", "0"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_the_demo_decides_with_evidence_and_its_second_run_calls_nothing_again(
    tmp_path: Path, weights: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    for file in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(file, models)
    first = play(tmp_path)
    assert "better" in first
    assert "open-question released" in first
    assert "She no went to the market." in first
    second = play(tmp_path)
    assert "no call was made again" in second
