"""A real disk that is really full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.errors import Unavailable
from assay.spans import Spool

pytestmark = pytest.mark.linux


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=False
        ).returncode
    ):
        pytest.skip("mounting a tmpfs needs root on Linux")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_keeps_what_was_acknowledged_and_heals_when_there_is_room(
    small_disk: Path, make_span: Any
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    spool = Spool(small_disk / "spool", min_free_bytes=0)
    message = (b'{"role":"user","content":"' + b"x" * 5000 + b'"}',)
    acknowledged = 0
    while spool.append([make_span(input=message)]) is not None:
        acknowledged += 1
    with pytest.raises(Unavailable, match="No space left"):
        spool.admit_telemetry()

    ballast.unlink()
    assert spool.append([make_span(input=message)]) is not None
    spool.admit_telemetry()
    spool.close()

    reopened = Spool(small_disk / "spool")
    assert reopened.last_sequence == acknowledged + 1
    assert reopened.torn_bytes == 0
    reopened.close()
