"""Every sentence of the pages has its translation, and the compiled catalogues are those of the sources."""

import subprocess
import sys
from pathlib import Path


def test_the_catalogues_are_fresh_and_whole(root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "scripts/words.py", "--check"], cwd=root, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
