"""Write docs/reference/ from the settings table, the command line, the routes and the tables, and what was measured into
docs/performance.md; `--check` says what is stale."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import reference_figures
import reference_tables
import typer.main
from litestar.handlers import HTTPRouteHandler

from assay import settings
from assay.app import HANDLERS
from assay.calls import Caller
from assay.cli import app
from assay.gateway import Gateway

DOCS = Path(__file__).parents[1] / "docs"
MADE = "<!-- Made by scripts/reference.py; do not edit. -->"


def settings_page() -> Iterator[str]:
    yield from ("# Settings", "", MADE, "")
    yield "A value is looked for on the command line (`--port`), in the environment (`ASSAY_PORT`), under `[server]` in"
    yield from ("`assay.toml` (`port = 8700`), and else is the default.", "")
    yield from ("| name | type | default | |", "| --- | --- | --- | --- |")
    for row in settings.TABLE:
        default = "" if row.default is None else f"`{row.default}`" if row.default != "" else "empty"
        yield f"| `{row.name}` | {row.type.__name__} | {default} | {row.help} |"


def commands_page() -> Iterator[str]:
    yield from ("# Commands", "", MADE)
    root = typer.main.get_command(app)
    for path, command in walk("assay", root):
        yield from (
            "",
            f"{'#' * (2 + path.count(' '))} `{path}`",
            "",
            (command.help or "").split("\n\n")[0].replace("\n", " "),
        )
        rows = [row for row in map(parameter, command.params) if row]
        if rows:
            yield from ("", "| | |", "| --- | --- |", *rows)


def walk(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            yield from walk(f"{path} {name}", inner)


def parameter(given: Any) -> str | None:
    said = (given.help or "").replace("|", "\\|")
    if given.param_type_name == "argument":
        return f"| `{given.name}` | {said} |"
    names = " / ".join(f"`{name}`" for name in (*given.opts, *given.secondary_opts))
    return None if given.hidden or "--help" in given.opts else f"| {names} | {said} |"


GATEWAY = {
    "/v1/chat/completions": "A chat, whole or streamed. `model` is a model or `task:<name>`.",
    "/v1/completions": "A text that goes on, whole or streamed.",
    "/v1/messages": "A chat in Anthropic's format, whole or streamed, from any provider.",
    "/v1/messages/count_tokens": "The tokens that such a chat would take in: the vendor's count, else an estimate.",
    "/v1/embeddings": "A vector of each text, as numbers or in base64.",
    "/v1/rerank": "Documents in the order of their relevance to a query.",
    "/v1/responses": "A response in OpenAI's format of that name, whole or streamed, from any provider; kept unless `store` is false.",
    "/v1/responses/input_tokens": "The tokens that such a response would take in: the vendor's count, else an estimate.",
    "GET /v1/responses/{response_id}": "A response that was kept.",
    "DELETE /v1/responses/{response_id}": "Let go of a response.",
    "GET /v1/responses/{response_id}/input_items": "What the model was given: `limit`, `order`, `after`.",
    "POST /v1/responses/{response_id}/cancel": "Always a 400: nothing runs in the background.",
    "/v1/moderations": "Whether texts and images are harmful, and as what.",
    "GET /v1/files": "The project's files, newest first: `purpose`, `limit`, `after`, `order`.",
    "POST /v1/files": "Upload a file as a form: `purpose`, `file`, `expires_after`.",
    "GET /v1/files/{file_id}": "What is known of a file.",
    "DELETE /v1/files/{file_id}": "Let go of a file.",
    "GET /v1/files/{file_id}/content": "A file's content.",
    "GET /v1/batches": "The project's batches, newest first: `limit`, `after`.",
    "POST /v1/batches": "Start a batch: `input_file_id`, `endpoint`, `completion_window`, `metadata`, `assay.concurrency`.",
    "GET /v1/batches/{batch_id}": "How far a batch is.",
    "POST /v1/batches/{batch_id}/cancel": "Stop a batch; what is done is kept.",
    "/v1/models": "The models and tasks that the key may call.",
}
OPERATIONS = ("/healthz", "/readyz", "/metrics")


def http_page() -> Iterator[str]:
    yield from ("# HTTP", "", MADE, "")
    yield from (
        "A key goes in `Authorization: Bearer …` or `x-api-key`. `/api/openapi.json` has every field.",
        "",
    )
    yield from ("## The data plane", "", "| | |", "| --- | --- |")
    caller = object.__new__(Caller)  # never asked
    gateway = Gateway(
        caller=caller, tasks=None, snapshot=None, responses=None, files=None, batches=None, max_body_bytes=0
    )
    rows = [(path, method, GATEWAY[path]) for path, (method, _) in gateway.routes.items()]
    rows += [
        (path, method, GATEWAY[f"{method} {path}"])
        for path, methods in gateway.resources.paths.items()
        for method in methods
    ]
    yield from (f"| `{method} {path}` | {text} |" for path, method, text in sorted(rows))
    rows = {
        f"{method} {path}": summary(handler) for handler in HANDLERS for method, path in addresses(handler)
    }
    for title, belongs in (
        ("Telemetry in", lambda path: path.startswith("/v1")),
        ("The control plane", lambda path: path.startswith("/api")),
        ("Operations", lambda path: path in OPERATIONS),
        ("Pages", lambda path: not path.startswith(("/api", "/v1", "/static", *OPERATIONS))),
    ):
        yield from ("", f"## {title}", "", "| | |", "| --- | --- |")
        found = ((row, text) for row, text in rows.items() if belongs(row.partition(" ")[2]))
        yield from (
            f"| `{row}` | {text} |" for row, text in sorted(found, key=lambda pair: pair[0].split()[::-1])
        )


def tables_page() -> Iterator[str]:
    yield from reference_tables.page(MADE)


def addresses(handler: HTTPRouteHandler) -> Iterator[tuple[str, str]]:
    for path in handler.paths:
        for method in handler.http_methods - {"HEAD", "OPTIONS"}:
            yield method, re.sub(r"\{(\w+):\w+\}", r"{\1}", path)


def summary(handler: HTTPRouteHandler) -> str:
    said = inspect.getdoc(handler.fn) or ""
    return said.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def figures_page() -> Iterator[str]:
    yield reference_figures.filled((DOCS / "performance.md").read_text(encoding="utf-8").rstrip("\n"))


PAGES = {
    "reference/settings.md": settings_page,
    "reference/cli.md": commands_page,
    "reference/http.md": http_page,
    "reference/data-model.md": tables_page,
    "performance.md": figures_page,
}


def main() -> None:
    stale = []
    for name, lines in PAGES.items():
        path, text = DOCS / name, "\n".join(lines()) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"Stale in docs: {', '.join(stale)}. Run make fmt.")


if __name__ == "__main__":
    main()
