"""Does what a page says, in order, as somebody who follows it would.

Where a page names the address and the key that its reader has, the reader puts in those of the test: `127.0.0.1:8700`,
and `sk-assay-…`, which is the admin's key until a command prints another one. Vendors' addresses lead to a simulated
server. Names that a page uses for what was printed before (`$FIRST` and `$SECOND` for runs, `$COMPARISON`, `$TRACE`) are filled in.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import AssayProcess
from tests.docs.blocks import ROOT, Block

SECONDS = 60
_VENDORS = re.compile(r"https://api\.(?:acme\.example/v1|openai\.com/v1|anthropic\.com)")
_ROOTS = re.compile(
    r"https://generativelanguage\.googleapis\.com(?=/v1beta)|https://bedrock-runtime\.[\w-]+\.amazonaws\.com"
)
_COMMAND = re.compile(r"^\$ (.*(?:\\\n.*)*)$", re.MULTILINE)
_EXITS = re.compile(r"\s+# exits (\d+)$")
_PRINTED_KEY = re.compile(r"\bsk-assay-[\w-]{20,}")
_RUN = re.compile(r"^run (\S+)$", re.MULTILINE)
_NAMED = {
    "COMPARISON": re.compile(r"^comparison (\S+)$", re.MULTILINE),
    "TRACE": re.compile(r"\b([0-9a-f]{32})\b"),
}


class Reader:
    """A person in a folder. `start` starts a server there, the way `assay up` would; `commands` is first on the PATH."""

    def __init__(
        self,
        folder: Path,
        *,
        upstream: str,
        start: Callable[[str, Path], AssayProcess],
        commands: Path = Path(sys.executable).parent,
    ) -> None:
        self.folder = folder
        self.key = AssayProcess.key
        self.url = "http://127.0.0.1:8700"
        self.environ = {
            **os.environ,
            "PWD": str(folder),
            "PATH": os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "120",
        }
        self._upstream = upstream
        self._start = start
        self._output = ""
        self._runs: list[str] = []
        self._interpreter: subprocess.Popen[str] | None = None

    def follow(self, block: Block) -> None:
        """Do what the block says. Raises `AssertionError` where the page is not true."""
        if block.title:
            self.make(block)
        elif block.language == "console":
            self._type(block)
        elif block.language == "bash":
            self._shell(self._own(block.text), block.where)
        elif block.language == "python":
            self._run_python(block)
        elif block.language == "json":
            self._compare(block)

    def make(self, block: Block) -> None:
        """Write the file that the block is."""
        assert block.title
        if block.language == "json":
            _lines(block)
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._own(block.text), encoding="utf-8")

    def start_server(self, command: str = "assay up") -> None:
        """What the command says, with the folder's assay.toml if it has one, on a free port."""
        words = shlex.split(command, comments=True)[2:]
        assert words in ([], ["--config", "assay.toml"]), f"{command}: nobody reads these options here"
        path = self.folder / "assay.toml"
        self.meet(self._start(path.read_text(encoding="utf-8") if path.exists() else "", self.folder))

    def meet(self, server: AssayProcess) -> None:
        """From now on this is the server that the page speaks of."""
        self.url = server.url
        self.environ["ASSAY_DATA"] = str(server.data)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._interpreter is not None:
            self._interpreter.communicate(timeout=SECONDS)

    def _own(self, text: str) -> str:
        text = text.replace("http://127.0.0.1:8700", self.url).replace(
            "127.0.0.1:8700", self.url.split("/")[-1]
        )
        text = _ROOTS.sub(self._upstream.removesuffix("/v1"), text)
        return _VENDORS.sub(self._upstream, text).replace("sk-assay-…", self.key)

    def _type(self, block: Block) -> None:
        ends = [found.start() for found in _COMMAND.finditer(block.text)] + [len(block.text)]
        for found, end in zip(_COMMAND.finditer(block.text), ends[1:], strict=True):
            command, shown = found[1], block.text[found.end() : end].strip("\n")
            if command.startswith("assay up"):
                self.start_server(command)
                continue
            exits = _EXITS.search(command)
            self._shell(self._own(command), block.where, code=int(exits[1]) if exits else 0)
            for line in shown.splitlines():
                pattern = ".*".join(map(re.escape, line.strip().split("…")))
                assert re.search(pattern, self._output), f"{block.where}: {line!r} is not in\n{self._output}"

    def _shell(self, script: str, where: str, *, code: int = 0) -> None:
        kept = self.folder / ".environ"
        run = subprocess.run(
            ["bash", "-c", f"set -aeuo pipefail; trap 'env -0 >{kept}' EXIT\n{script}"],
            cwd=self.environ["PWD"],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert run.returncode == code, f"{where}: {script}\n{run.stdout}{run.stderr}"
        self._output = run.stdout
        variables = kept.read_text(encoding="utf-8").split("\0")
        self.environ |= dict(line.split("=", 1) for line in variables if line)
        self._remember()

    def _remember(self) -> None:
        if printed := _PRINTED_KEY.findall(self._output):
            self.key = printed[-1]
        self._runs += _RUN.findall(self._output)
        self.environ |= dict(zip(("FIRST", "SECOND"), self._runs, strict=False))
        self.environ |= {
            name: found[1] for name, said in _NAMED.items() if (found := said.search(self._output))
        }

    def _run_python(self, block: Block) -> None:
        if self._interpreter is None:
            self._interpreter = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("interpreter.py")],
                cwd=self.folder,
                env=self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        talk = self._interpreter
        assert talk.stdin is not None
        assert talk.stdout is not None
        asked = {
            "source": self._own(block.text),
            "file": str(ROOT / block.page),
            "line": block.line,
            "environ": self.environ,
        }
        talk.stdin.write(json.dumps(asked) + "\n")
        talk.stdin.flush()
        answer = json.loads(talk.stdout.readline())
        assert answer["error"] is None, f"{block.where}: {answer['error']}"
        self._output = answer["said"]
        self._remember()

    def _compare(self, block: Block) -> None:
        """An answer that is shown right after the command that brought it has no key that the real one lacks."""
        shown = _lines(block)
        try:
            real = json.loads(self._output)
        except ValueError:
            return
        for value in shown:
            assert_has(real, value, block.where)
        self._output = ""


def _lines(block: Block) -> list[Any]:
    """One JSON value, or one a line."""
    try:
        return [json.loads(block.text)]
    except ValueError:
        return [json.loads(line) for line in block.text.splitlines() if line.strip()]


def assert_has(real: Any, shown: Any, where: str) -> None:
    """Whatever is shown is there: the keys of objects, one element like it in a list, and the same kind of value."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), f"{where}: {real!r} is no object"
        assert shown.keys() <= real.keys(), f"{where}: {shown.keys() - real.keys()} is not in {real.keys()}"
        for key, value in shown.items():
            assert_has(real[key], value, f"{where}: {key}")
    elif isinstance(shown, list):
        assert isinstance(real, list), f"{where}: {real!r} is no list"
        assert real or not shown, f"{where}: the list is empty"
        for value in shown:
            assert_has(real[0], value, where)
    elif shown is not None and real is not None:
        is_number = isinstance(shown, int | float) and isinstance(real, int | float)
        assert is_number or type(shown) is type(real), f"{where}: {shown!r} stands for {real!r}"
