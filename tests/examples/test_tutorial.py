"""The tutorial runs as written: its files, then its commands in order, in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/tutorial.md").read_text(encoding="utf-8")
FILE = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+?)(?:\s+# exits (\d))?$", re.MULTILINE)
RUN = re.compile(r"^run (\S+)$", re.MULTILINE)


@pytest.mark.local_model
def test_the_tutorial_runs_as_written(tmp_path: Path, weights: Path) -> None:
    models = tmp_path / ".assay/models"
    models.mkdir(parents=True)
    for file in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(file, models)
    for name, content in FILE.findall(PAGE):
        (tmp_path / name).write_text(content, encoding="utf-8")
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    said = ""
    for command, code in COMMAND.findall(PAGE):
        run = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert run.returncode == int(code or 0), f"{command}\n{run.stdout}{run.stderr}"
        said += run.stdout
        environ |= dict(zip(("FIRST", "SECOND"), RUN.findall(said), strict=False))
    assert "contains: inconclusive, difference +" in said
    assert "second 100%" in said
