"""What tracing costs an application: Assay's SDK beside those of Langfuse and MLflow and the plain OpenTelemetry SDK, in one run.

    python benchmarks/sdk.py [--rounds 9] [--traces 150] [--venv FOLDER] [--out benchmarks/results]

Each SDK lives in a process of its own (`sdk_worker.py`), on one core where the system lets us choose, the receiver on the
other; a process that is not measured just then is stopped. Rounds are interleaved, their order is drawn, medians over rounds
are reported. The same traces of four nested steps with arguments and results are recorded by each SDK's own decorator; what
the bare functions cost is taken off. Compared is the CPU time of the application's thread: on a shared machine the clock on
the wall measures the neighbours, too. Everything is sent by OTLP to a receiver that answers at once, so servers play no part.
Prompts are fetched once and then asked for again within their age. In the second half of the run nobody listens. The peers
are installed, newest release, into a virtual environment that is thrown away.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from assay.charts.bars import Bar, horizontal_bars
from assay.charts.standalone import standalone

PEERS = ("langfuse", "mlflow-skinny", "opentelemetry-exporter-otlp-proto-http")
SHOWN = {"assay": "Assay", "langfuse": "Langfuse", "mlflow": "MLflow", "opentelemetry": "OpenTelemetry SDK"}
WORKER_CORE, RECEIVER_CORE = 0, 1
TARGETS = {"assay span us": 30.0, "assay warm prompt us": 20.0}


def main() -> None:
    """Measure, print, and write `sdk.json`, `sdk-spans.svg` and `sdk-prompts.svg`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--traces", type=int, default=150, help="in a round")
    parser.add_argument(
        "--venv", type=Path, help="an environment with the peers, made if it is not there and kept"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        python = environment(arguments.venv or Path(folder) / "peers")
        receiver = stack.enter_context(listening())
        workers = {
            name: stack.enter_context(
                Worker(name, sys.executable if name == "assay" else python, f"{receiver.url}/{name}", folder)
            )
            for name in SHOWN
        }
        found = {
            "up": measure(workers, f"spans {arguments.traces}", arguments.rounds),
            "prompt": measure_prompts(workers, arguments.rounds),
        }
        if silent := [name for name in workers if not receiver.bytes[name]]:
            sys.exit(f"Nothing came from {', '.join(silent)}: what it costs would mean nothing.")
        receiver.close()
        found["away"] = measure(workers, f"away {arguments.traces}", arguments.rounds)
        versions = {name: worker.ask("version")["version"] for name, worker in workers.items()}
    report(found, versions, arguments.out)


def environment(folder: Path) -> str:
    """The Python of an environment with the peers."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(PEERS)} into {folder} …", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
    return str(python)


class Worker:
    """A process with one SDK. It does one thing at a time and is stopped in between."""

    def __init__(self, name: str, python: str, url: str, folder: str) -> None:
        script = str(Path(__file__).with_name("sdk_worker.py"))
        environ = {**os.environ, "OTEL_BSP_MAX_QUEUE_SIZE": "100000"}
        log = stack_log(folder, name)
        self._process = subprocess.Popen(
            [python, script, name, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environ,
        )
        pin(self._process.pid, WORKER_CORE)
        self._log = Path(log.name)
        self._read()
        self._process.send_signal(signal.SIGSTOP)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.kill()
        self._process.wait()

    def ask(self, command: str) -> Any:
        """Do one thing and say what came of it."""
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._read()
        self._process.send_signal(signal.SIGSTOP)
        return answer

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"A worker ended:\n{self._log.read_text()[-3000:]}")
        return json.loads(line)


def stack_log(folder: str, name: str) -> Any:
    """Where a worker complains."""
    return (Path(folder) / f"{name}.log").open("w")


def measure(workers: dict[str, Worker], command: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a span, per SDK and round: `wall` and `cpu` of the application's thread, `process` of the whole process
    until everything was handed on."""
    found: dict[str, dict[str, list[float]]] = {
        name: {"wall": [], "cpu": [], "process": []} for name in workers
    }
    for name in workers:
        workers[name].ask(command)
    for _ in range(rounds):
        for name in random.sample(list(workers), len(workers)):
            said = workers[name].ask(command)
            for key, values in found[name].items():
                values.append(said[key])
    return found


def measure_prompts(workers: dict[str, Worker], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds a call: `get` for a prompt that is known, `render` with filling it in."""
    having = [name for name in workers if name != "opentelemetry"]
    found: dict[str, dict[str, list[float]]] = {name: {"get": [], "render": []} for name in having}
    for name in having:
        workers[name].ask("prompts 50")
    for _ in range(rounds):
        for name in random.sample(having, len(having)):
            said = workers[name].ask("prompts 300")
            for key, values in found[name].items():
                values.append(said[key])
    return found


def report(found: dict[str, Any], versions: dict[str, str], out: Path) -> None:
    """Medians and ratios to Assay as JSON and as pictures."""
    medians = {
        part: {
            name: {key: round(statistics.median(values), 2) for key, values in by_key.items()}
            for name, by_key in by_name.items()
        }
        for part, by_name in found.items()
    }
    compared = {"up": "cpu", "away": "cpu", "prompt": "get"}
    ratios = {
        part: {
            name: round(each[compared[part]] / by_name["assay"][compared[part]], 2)
            for name, each in by_name.items()
        }
        for part, by_name in medians.items()
    }
    summary = {
        "machine": {"cores": os.cpu_count(), "system": os.uname().sysname, "python": sys.version.split()[0]},
        "versions": versions,
        "medians_us": medians,
        "ratio_to_assay": ratios,
        "targets": TARGETS,
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "sdk.json").write_text(json.dumps(summary, indent=2) + "\n")
    drawn = {
        part: [
            Bar(SHOWN[name], each[compared[part]], f"{ratios[part][name]:.1f} x")
            for name, each in medians[part].items()
        ]
        for part in ("up", "prompt")
    }
    for file, bars, title in (
        ("sdk-spans.svg", drawn["up"], "Microseconds of the application's thread a span"),
        (
            "sdk-prompts.svg",
            drawn["prompt"],
            "Microseconds of the application's thread to get a known prompt",
        ),
    ):
        (out / file).write_text(standalone(horizontal_bars(bars, title=title)))
    print(
        f"{'microseconds':20} {'thread':>8} {'wall':>8} {'process':>8} {'away':>8} {'prompt':>8} {'render':>8}"
    )
    for name in SHOWN:
        up, prompt = medians["up"][name], medians["prompt"].get(name)
        told = f"{prompt['get']:8.1f} {prompt['render']:8.1f}" if prompt else f"{'-':>8} {'-':>8}"
        print(
            f"{SHOWN[name]:20} {up['cpu']:8.1f} {up['wall']:8.1f} {up['process']:8.1f} "
            f"{medians['away'][name]['cpu']:8.1f} {told}"
        )


class Listening:
    """A receiver that answers 200 to everything, at once. `bytes` counts what came, by the first word of the path."""

    def __init__(self) -> None:
        self.bytes: Counter[str] = Counter()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Face, self.bytes))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """From now on nobody listens."""
        self._server.shutdown()
        self._server.server_close()


class Face(BaseHTTPRequestHandler):
    """The paths that the products' clients ask for, behind the name of the product."""

    protocol_version = "HTTP/1.1"
    timeout = 2.0

    def __init__(self, counts: Counter[str], *arguments: Any) -> None:
        """Says in `counts` how much came."""
        self._counts = counts
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """A prompt in the words of each product."""
        _, _, path = self.path.partition("?")[0][1:].partition("/")
        self._answer(json.dumps(PROMPTS.get(path, {})).encode())

    def do_POST(self) -> None:
        """Spans, which are read and thrown away."""
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._counts[self.path.split("/")[1]] += len(body)
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


TEMPLATE = "Correct this to standard English, and keep the tone {{ tone }}:\n\n{{ text }}"
_MLFLOW = [
    {"key": "mlflow.prompt.is_prompt", "value": "true"},
    {"key": "mlflow.prompt.text", "value": TEMPLATE},
]
PROMPTS: dict[str, Any] = {
    "api/prompts/polish/labels/production": {"version": 1, "hash": "h", "template": TEMPLATE},
    "api/public/v2/prompts/polish": {
        "name": "polish", "version": 1, "type": "text", "prompt": TEMPLATE, "config": {}, "labels": ["production"], "tags": [],
        "id": "p", "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z", "projectId": "p",
        "createdBy": "me", "isActive": True,
    },
    "api/2.0/mlflow/registered-models/get": {
        "registered_model": {"name": "polish", "tags": _MLFLOW[:1], "aliases": [{"alias": "production", "version": "1"}]}
    },
    **{
        f"api/2.0/mlflow/{path}": {
            "model_version": {
                "name": "polish", "version": "1", "creation_timestamp": 1, "last_updated_timestamp": 1, "status": "READY",
                "tags": _MLFLOW,
            }
        }
        for path in ("registered-models/alias", "model-versions/get")
    },
}  # fmt: skip


@contextlib.contextmanager
def listening() -> Iterator[Listening]:
    """The receiver, in this process, on its core."""
    pin(os.getpid(), RECEIVER_CORE)
    yield Listening()


def pin(pid: int, core: int) -> None:
    """Keep a process on a core, where there is such a thing."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(pid, {core})


if __name__ == "__main__":
    main()
