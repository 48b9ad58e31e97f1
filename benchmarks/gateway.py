"""What the gateway adds: the same requests straight to an upstream, through nginx, and through Assay, in one run.

    python benchmarks/gateway.py [--seconds 3] [--rounds 5] [--peers] [--out benchmarks/results]

The upstream is nginx with a fixed answer on one core, together with the load generator (wrk); what is measured has the
other core to itself: the servers that are not measured just then are stopped. Rounds are interleaved, the order within a round is drawn, medians over rounds are reported. With
`--peers` TensorZero's, Portkey's and LiteLLM's gateways stand beside them (`gateway_peers.py`, some minutes to install). Needs
Linux, nginx and wrk (`apt-get install nginx-light wrk`), two cores, and a quiet machine.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gateway_peers import PEERS, Peer, Unavailable

from assay.charts.bars import Bar, horizontal_bars
from assay.charts.standalone import standalone

KEY = "sk-assay-benchmark-0123456789abcdef0123456789abcdef"
REQUEST = json.dumps(
    {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant that answers briefly."},
            {"role": "user", "content": "What is the capital of France, and which river runs through it?"},
        ],
        "temperature": 0.2,
        "max_tokens": 64,
    }
)
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris, on the Seine."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 31, "completion_tokens": 7, "total_tokens": 38},
    }
)
TARGETS = ("direct", "nginx", "bare", "full", "all")
SHOWN = {
    "direct": "Direct",
    "nginx": "nginx, bare proxy",
    "bare": "Assay, key and routing",
    "full": "Assay, spans kept",
    "all": "Assay, limits and budget",
    "tensorzero": "TensorZero, nothing kept",
    "portkey": "Portkey",
    "litellm": "LiteLLM",
}
SERVER_CORE, LOAD_CORE = 0, 1


def main() -> None:
    """Measure, print, and write `gateway.json` and `gateway.svg`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true", help="other gateways, too")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    for tool in ("nginx", "wrk", "taskset"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: apt-get install nginx-light wrk util-linux")
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        targets, servers = start(Path(folder), stack)
        skipped = start_peers(Path(folder), stack, targets, servers) if arguments.peers else {}
        results = measure(targets, servers, Path(folder), seconds=arguments.seconds, rounds=arguments.rounds)
    report(results, skipped, arguments.out)


class Target(NamedTuple):
    """Where to send the request, as what, and with which headers."""

    url: str
    model: str = "m"
    headers: dict[str, str] = {"Authorization": f"Bearer {KEY}"}  # noqa: RUF012 - never changed


Servers = dict[str, "subprocess.Popen[bytes]"]


def start(folder: Path, stack: contextlib.ExitStack) -> tuple[dict[str, Target], Servers]:
    """Everything that is measured, each on its core: where it is, and Assay's processes."""
    servers: Servers = {}
    ports = {name: free_port() for name in TARGETS}
    stack.enter_context(nginx(folder / "upstream", LOAD_CORE, upstream_config(ports["direct"])))
    stack.enter_context(nginx(folder / "proxy", SERVER_CORE, proxy_config(ports["nginx"], ports["direct"])))
    for kind in ("bare", "full", "all"):
        command = [sys.executable, str(Path(__file__).with_name("gateway_server.py")), kind, str(ports[kind])]
        command += [f"http://127.0.0.1:{ports['direct']}/v1", str(folder / kind), KEY]
        servers[kind] = stack.enter_context(process(command, SERVER_CORE))
    for port in ports.values():
        wait_for(port)
    targets = {name: Target(f"http://127.0.0.1:{port}/v1/chat/completions") for name, port in ports.items()}
    return targets, servers


def start_peers(
    folder: Path, stack: contextlib.ExitStack, targets: dict[str, Target], servers: Servers
) -> dict[str, str]:
    """Other gateways that can be had here; returns why the rest are skipped."""
    upstream = targets["direct"].url.removesuffix("/chat/completions")
    skipped = {}
    for name, make in PEERS.items():
        place = folder / name
        place.mkdir()
        try:
            peer = make(place, upstream, free_port())
        except Unavailable as error:
            skipped[name] = str(error)
            continue
        running = stack.enter_context(process(peer.command, SERVER_CORE, peer.environment))
        try:
            base = address_of(peer, place)
            target = Target(base + peer.path, peer.model, peer.headers)
            once(target)
        except (Unavailable, OSError) as error:
            running.terminate()
            skipped[name] = str(error)
            continue
        targets[name], servers[name] = target, running
    return skipped


def address_of(peer: Peer, place: Path, seconds: float = 120) -> str:
    """Where a peer listens, once it does."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not peer.port and (place / "address").exists() and (text := (place / "address").read_text()):
            return text.rstrip("/").removesuffix("/openai/v1")
        if peer.port:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", peer.port), timeout=1):
                return f"http://127.0.0.1:{peer.port}"
        time.sleep(0.2)
    raise Unavailable(f"it did not start within {seconds:g} s")


def once(target: Target) -> None:
    """One call, so that a peer that cannot answer is skipped rather than measured."""
    body = json.dumps({**json.loads(REQUEST), "model": target.model}).encode()
    headers = {"Content-Type": "application/json", **target.headers}
    until = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(
                urllib.request.Request(target.url, body, headers), timeout=30
            ) as answer:
                if json.load(answer)["choices"]:
                    return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


@contextlib.contextmanager
def alone(name: str, servers: Servers) -> Iterator[None]:
    """With the other servers stopped, so that their idling takes nothing from this one's core."""
    others = [server for other, server in servers.items() if other != name]
    for server in others:
        server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for server in others:
            server.send_signal(signal.SIGCONT)


def measure(
    targets: dict[str, Target], servers: Servers, folder: Path, *, seconds: int, rounds: int
) -> dict[str, Any]:
    """Requests per second and latency of each target at 1 and 64 connections, per round."""
    scripts = {name: lua(folder / f"{name}.lua", target) for name, target in targets.items()}
    for name, target in targets.items():
        with alone(name, servers):
            wrk(target.url, scripts[name], connections=64, seconds=1)
    found: dict[str, Any] = {name: {"1": [], "64": []} for name in targets}
    for _ in range(rounds):
        for name in random.sample(list(targets), len(targets)):
            with alone(name, servers):
                for connections in (1, 64):
                    run = wrk(targets[name].url, scripts[name], connections=connections, seconds=seconds)
                    found[name][str(connections)].append(run)
    return found


def lua(path: Path, target: Target) -> Path:
    """What the load generator sends."""
    body = json.dumps({**json.loads(REQUEST), "model": target.model})
    headers = {"Content-Type": "application/json", **target.headers}
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    path.write_text("\n".join(['wrk.method = "POST"', f"wrk.body = [==[{body}]==]", *lines]) + "\n")
    return path


def wrk(url: str, script: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """One run of the load generator. Fails when any answer was not a 200."""
    command = [
        "taskset",
        "-c",
        str(LOAD_CORE),
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--latency",
        "--timeout",
        "60s",
    ]
    done = subprocess.run([*command, "-s", str(script), url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"{url} answered with errors:\n{done.stdout}")
    per_second = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    quantiles = {q: re.search(rf"{q}%\s+([\d.]+)(us|ms|s)", done.stdout) for q in ("50", "99")}
    if per_second is None or not all(quantiles.values()):
        sys.exit(f"wrk said something else than expected:\n{done.stdout}")
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    latencies = {f"p{q}_ms": float(m[1]) * scale[m[2]] for q, m in quantiles.items() if m}
    return {"per_second": float(per_second[1]), **latencies}


def report(found: dict[str, Any], skipped: dict[str, str], out: Path) -> None:
    """Medians and ratios as JSON and as a picture."""
    medians = {
        name: {
            connections: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            for connections, runs in by_connections.items()
        }
        for name, by_connections in found.items()
    }
    at_64 = {name: each["64"]["per_second"] for name, each in medians.items()}
    ratios = {name: round(rate / at_64["nginx"], 4) for name, rate in at_64.items()}
    added = {
        name: round(each["1"]["p50_ms"] - medians["direct"]["1"]["p50_ms"], 4)
        for name, each in medians.items()
    }
    summary = {
        "machine": {"cores": os.cpu_count(), "system": os.uname().sysname, "python": sys.version.split()[0]},
        "medians": medians,
        "ratio_to_nginx_at_64": ratios,
        "added_p50_ms_at_1": added,
        "skipped": skipped,
        "targets": {"bare ratio": 0.18, "full ratio": 0.12, "full added p50 ms": 0.35},
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "gateway.json").write_text(json.dumps(summary, indent=2) + "\n")
    rows = [Bar(f"{SHOWN[name]} ({ratios[name]:.2f} x nginx)", at_64[name]) for name in found]
    picture = horizontal_bars(rows, title="Calls per second, 64 connections, one core")
    (out / "gateway.svg").write_text(standalone(picture))
    for name, why in skipped.items():
        print(f"{SHOWN[name]:24} skipped: {why}")
    for name in found:
        print(
            f"{SHOWN[name]:24} {at_64[name]:9.0f}/s at 64   {ratios[name]:.3f} x nginx   +{added[name]:.3f} ms p50 at 1"
        )


@contextlib.contextmanager
def nginx(folder: Path, core: int, config: str) -> Iterator[None]:
    """A private nginx with one worker on one core."""
    (folder / "logs").mkdir(parents=True)
    path = folder / "nginx.conf"
    path.write_text(config.replace("{folder}", str(folder)))
    with process(["nginx", "-p", str(folder), "-c", str(path), "-g", "daemon off;"], core):
        yield


def upstream_config(port: int) -> str:
    """A fixed answer."""
    return (
        "worker_processes 1; pid {folder}/pid; error_log {folder}/logs/error.log; events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 100000000; client_body_buffer_size 64k; server {"
        f" listen 127.0.0.1:{port} backlog=4096; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }} }}\n"
    )


def proxy_config(port: int, upstream: int) -> str:
    """nginx as a bare reverse proxy with kept connections."""
    return (
        "worker_processes 1; pid {folder}/pid; error_log {folder}/logs/error.log; events { worker_connections 4096; }\n"
        "http { access_log off; keepalive_requests 100000000; client_body_buffer_size 64k;"
        f" upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; }} server {{"
        f" listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://up; proxy_http_version 1.1;"
        ' proxy_set_header Connection ""; } } }\n'
    )


@contextlib.contextmanager
def process(
    command: list[str], core: int, environment: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process pinned to a core."""
    running = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        stdout=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            running.kill()


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


if __name__ == "__main__":
    main()
