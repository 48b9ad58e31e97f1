"""A data directory of every released version, opened by this one: everything that it kept is there, and the same.

`scripts/freeze.py` made them: a server that had been through the loop and was killed with calls still in its spool.
"""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RELEASED = Path(__file__).parent / "released"
VERSIONS = sorted(path.stem for path in RELEASED.glob("*.json"))
RELATIVE = {"ago", "age_s"}
"""Fields that change with the time of asking."""


class Frozen:
    """A released version's directory, unpacked, and what its API answered."""

    def __init__(self, version: str, folder: Path) -> None:
        with tarfile.open(RELEASED / f"{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        kept = json.loads((RELEASED / f"{version}.json").read_text())
        self.data = folder / "data"
        self.key: str = kept["key"]
        self.config: str = kept["config"]
        self.answers: dict[str, Any] = kept["answers"]
        self.traces: dict[str, Any] = kept["traces"]
        self.late: list[str] = kept["late"]


@pytest.fixture(params=VERSIONS)
def frozen(request: pytest.FixtureRequest, tmp_path: Path) -> Frozen:
    """Each released version in turn."""
    return Frozen(request.param, tmp_path)


def is_kept(old: Any, new: Any) -> bool:
    """Whether a newer answer says all that the older one said; it may say more."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(
            name in new and is_kept(value, new[name]) for name, value in old.items() if name not in RELATIVE
        )
    if isinstance(old, list):
        return (
            isinstance(new, list)
            and len(old) == len(new)
            and all(is_kept(*pair) for pair in zip(old, new, strict=True))
        )
    return bool(old == new)


def test_something_is_frozen() -> None:
    assert VERSIONS[0] == "0.1.0"


def test_a_server_goes_on_with_everything_that_an_earlier_release_kept(
    frozen: Frozen, start_assay: Callable[..., Any]
) -> None:
    server = start_assay(frozen.config, data=frozen.data).ready()
    server.http.headers["authorization"] = f"Bearer {frozen.key}"
    listing = next(path for path in frozen.answers if path.startswith("/api/traces"))

    for trace_id in frozen.late:
        assert server.trace(trace_id), "what was in the spool is collected"
    for trace_id, old in frozen.traces.items():
        assert is_kept(old, server.http.get(f"/api/traces/{trace_id}").json()), trace_id
    for path, old in frozen.answers.items():
        new = server.http.get(path).raise_for_status().json()
        if path == listing:
            new["items"] = [item for item in new["items"] if item["trace_id"] not in frozen.late]
        elif path == "/api/keys":
            new["items"] = new["items"][1:]  # the test's own admin key
        assert is_kept(old, new), (path, old, new)
    assert server.stop() == 0
