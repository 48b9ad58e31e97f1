"""Other gateways for `benchmarks/gateway.py --peers`: each is installed, newest release that runs, into a folder that is thrown away,
and started on one core. One that cannot be installed or started is skipped with the reason.

    TensorZero 2026.6.0   its Rust gateway as its Python package starts it, without observability: key check and routing
    LiteLLM               its proxy with a master key and one model, no database
    Portkey 1.15.2        its open gateway: provider and address by header
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

KEY = "sk-peer-0123456789abcdef0123456789abcdef"
INSTALL_S = 900


class Peer(NamedTuple):
    """How to start a gateway and to ask it. The environment is added to ours."""

    command: list[str]
    port: int
    path: str
    model: str
    headers: dict[str, str]
    environment: dict[str, str]


class Unavailable(Exception):
    """It cannot be had here."""


TENSORZERO = """
import pathlib, sys, threading
from tensorzero import tensorzero
gateway = tensorzero._start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
pathlib.Path(sys.argv[2]).write_text(gateway.base_url)
threading.Event().wait()
"""
TENSORZERO_CONFIG = """
[gateway]
observability.enabled = false
[models.m]
routing = ["upstream"]
[models.m.providers.upstream]
type = "openai"
model_name = "m"
api_base = "{url}/"
api_key_location = "none"
"""
LITELLM_CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{url}", api_key: none}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false}}
"""
LOOPBACK = """
const net = require("net"), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (first, ...rest) {
  if (typeof first === "number") return listen.call(this, { port: first, host: "127.0.0.1" }, ...rest.filter((each) => typeof each === "function"));
  if (first && typeof first === "object" && "port" in first) first.host = "127.0.0.1";
  return listen.call(this, first, ...rest);
};
"""
PACKAGE = {
    "private": True,
    "dependencies": {"@portkey-ai/gateway": "1.15.2"},
    "overrides": {"hono": "4.9.7", "@hono/node-server": "1.13.5"},
}


def tensorzero(folder: Path, url: str, port: int) -> Peer:
    """It chooses its port itself and writes its address into a file; `port` is not used."""
    python = environment(folder, "tensorzero")
    (folder / "serve.py").write_text(TENSORZERO)
    (folder / "tensorzero.toml").write_text(TENSORZERO_CONFIG.format(url=url))
    command = [
        str(python),
        str(folder / "serve.py"),
        str(folder / "tensorzero.toml"),
        str(folder / "address"),
    ]
    return Peer(command, 0, "/openai/v1/chat/completions", "tensorzero::model_name::m", {}, {})


def litellm(folder: Path, url: str, port: int) -> Peer:
    """The proxy with one worker."""
    python = environment(folder, "litellm[proxy]")
    (folder / "config.yaml").write_text(LITELLM_CONFIG.format(url=url, key=KEY))
    command = [str(python.parent / "litellm"), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1"]
    settings = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": KEY, "LITELLM_LOG": "ERROR"}
    headers = {"Authorization": f"Bearer {KEY}"}
    return Peer(
        [*command, "--port", str(port), "--num_workers", "1"],
        port,
        "/v1/chat/completions",
        "m",
        headers,
        settings,
    )


def portkey(folder: Path, url: str, port: int) -> Peer:
    """The Node server, kept on loopback."""
    (folder / "package.json").write_text(json.dumps(PACKAGE))
    (folder / "loopback.cjs").write_text(LOOPBACK)
    run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    server = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    command = ["node", "-r", str(folder / "loopback.cjs"), str(server), f"--port={port}", "--headless"]
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": url, "Authorization": "Bearer none"}
    return Peer(command, port, "/v1/chat/completions", "m", headers, {})


PEERS: dict[str, Callable[[Path, str, int], Peer]] = {
    "tensorzero": tensorzero,
    "portkey": portkey,
    "litellm": litellm,
}


def environment(folder: Path, package: str) -> Path:
    """The interpreter of a new virtual environment with this package."""
    run([sys.executable, "-m", "venv", str(folder / "venv")], folder)
    python = folder / "venv/bin/python"
    run([str(python), "-m", "pip", "install", "-q", package], folder)
    return python


def run(command: list[str], folder: Path) -> None:
    """Raises `Unavailable` with the last that it said."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            env=os.environ,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        raise Unavailable((done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1])
