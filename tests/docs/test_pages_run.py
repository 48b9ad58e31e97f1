"""Every code block of README and docs does what its page says; see `reader` for how, `blocks` for the exceptions."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.conftest import AssayProcess
from tests.docs.blocks import CHINESE, ROOT, Block, blocks, pages
from tests.docs.forking import lay_command
from tests.docs.reader import Reader

from assay import settings
from assay.access import PROJECT
from assay.catalog.config import parse_config
from assay.catalog.local import open_catalog
from assay.records import Records
from assay.releases import apply_releases
from assay.tasks import apply_tasks
from assay.testing import Script, SimulatedServer

WORLD = Path(__file__).parent / "world"
"""What the pages of the nouns take for granted: an assay.toml with models and a task, and some cases."""

SECRET = re.compile(r'"env:(\w+)"')
RUN = ("console", "bash", "python")
PULLED = {"smollm2-135m": ("local_model", "weights"), "minilm": ("local_encoder", "encoder")}
"""Weights that a page brings: the marker of those who need them, and the fixture that has them."""

Start = Callable[..., AssayProcess]


def runs(page: Path) -> list[Block]:
    """What a reader of the page does, without what is marked."""
    return [block for block in blocks(page) if block.not_run is None]


def parameters() -> Iterator[Any]:
    """The pages with something to run. What needs weights is marked so."""
    for page in pages():
        found = runs(page)
        if page.name == CHINESE:  # the same blocks as in English, which another test holds
            continue
        if any(block.language in RUN and not block.title for block in found):
            said = "".join(block.text for block in found if block.language == "console")
            marks = [getattr(pytest.mark, mark) for name, (mark, _) in PULLED.items() if name in said]
            yield pytest.param(page, id=page.relative_to(ROOT).as_posix(), marks=marks)


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Whoever answers for the vendors."""
    with SimulatedServer(Script(answer="echo")) as server:
        yield server.url


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an `assay` that starts at once."""
    folder = tmp_path_factory.mktemp("bin")
    lay_command(folder, folder / "socket")
    program = [sys.executable, "-m", "tests.docs.forking", str(folder / "socket")]
    forking = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert forking.stdout is not None
    assert forking.stdout.readline() == "ready\n"
    yield folder
    forking.kill()
    forking.communicate()


@pytest.fixture(scope="module")
def world(start_assay: Start, commands: Path) -> AssayProcess:
    """The server that the pages of the nouns speak of."""
    config = (WORLD / "assay.toml").read_text(encoding="utf-8")
    server = start_assay(config, program=[commands / "assay"]).ready()
    question = [{"role": "user", "content": "May I have a refund?"}]
    answer = server.http.post("/v1/chat/completions", json={"model": "fast", "messages": question})
    server.trace(answer.headers["x-assay-trace-id"])  # asking for it by name waits until it can be listed
    for path in sorted(WORLD.glob("*.jsonl")):
        server.http.post(f"/api/datasets/{path.stem}/versions", content=path.read_bytes()).raise_for_status()
    return server


@pytest.mark.parametrize("page", list(parameters()))
def test_the_page_runs_as_written(
    page: Path,
    tmp_path: Path,
    upstream: str,
    commands: Path,
    start_assay: Start,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[AssayProcess] = []

    def start(config: str, folder: Path) -> AssayProcess:
        for name in SECRET.findall(config):
            monkeypatch.setenv(name, "a-secret-of-the-test")
            reader.environ[name] = "a-secret-of-the-test"
        server = start_assay(config, folder=folder, data=folder / ".assay", program=[commands / "assay"])
        started.append(server)
        return server.ready()

    found = runs(page)
    reader = Reader(tmp_path, upstream=upstream, start=start, commands=commands)
    for file in page.parent.glob("*") if "examples" in page.parts else WORLD.glob("*.jsonl"):
        shutil.copy(file, tmp_path)
    marked = {mark.name for mark in request.node.iter_markers()}
    for mark, fixture in PULLED.values():
        if mark in marked:
            lay_weights(request.getfixturevalue(fixture), tmp_path / ".assay/models")
    says_up = any(re.search(r"^\$ assay up\b", block.text, re.MULTILINE) for block in found)
    config = [block for block in found if block.title == "assay.toml"]
    if says_up:
        pass
    elif config:
        reader.make(config[0])
        reader.start_server()
    else:
        reader.meet(request.getfixturevalue("world"))
    try:
        for block in found:
            reader.follow(block)
    finally:
        reader.close()
        for server in started:
            server.process.terminate()  # it ends while the next page begins; `start_assay` waits for it


def lay_weights(weights: Path, folder: Path) -> None:
    """As if they had been pulled."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in weights.parent.glob(f"{weights.stem}.*"):
        shutil.copy(file, folder)


class Undone(Exception):
    """Ends a transaction that should leave nothing."""


def test_every_configuration_that_is_shown_is_read_by_the_real_loader(tmp_path: Path) -> None:
    records = Records.in_directory(tmp_path)
    records.upgrade()
    shown = [block for page in pages() for block in runs(page) if block.language == "toml"]
    assert shown
    for block in shown:
        if block.title not in (None, "assay.toml"):
            tomllib.loads(block.text)
            continue
        try:
            with records.write() as tx:
                apply(tx, block, tmp_path)
                raise Undone
        except Undone:
            pass
    records.close()


def apply(tx: Connection, block: Block, folder: Path) -> None:
    """Read it as `assay up` would."""
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models/smollm2-135m.gguf").touch()
    config = parse_config(
        block.text, environ=dict.fromkeys(SECRET.findall(block.text), "a secret"), folder=folder
    )
    settings.load(environ={}, file=config.server)
    models = open_catalog(config, folder).models
    apply_tasks(tx, PROJECT, config.tasks, models=models)
    apply_releases(tx, PROJECT, config.tasks)
