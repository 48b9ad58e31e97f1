"""Every setting of the server: one table that drives the file, the environment, the command line and the docs.

A value is looked for on the command line, then in the environment (`ASSAY_` + the name in capitals), then under
`[server]` in the configuration file, then it is the default.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from assay.errors import BadRequest


class Setting(NamedTuple):
    """A row of the table."""

    name: str
    type: type[bool] | type[int] | type[float] | type[str]
    default: bool | int | float | str | None
    help: str


TABLE: tuple[Setting, ...] = (
    Setting(
        "host", str, "127.0.0.1", "Address to listen on. Put TLS in front before you open it to a network."
    ),
    Setting("port", int, 8700, "Port to listen on; 0 takes a free one."),
    Setting("data", str, ".assay", "Directory that holds everything Assay keeps."),
    Setting(
        "database_url",
        str,
        None,
        "Where records are kept, e.g. postgresql+psycopg://…; default: SQLite in the data directory.",
    ),
    Setting(
        "admin_key",
        str,
        None,
        "The first admin key. Without it one is made and printed once at the first start.",
    ),
    Setting(
        "secret_key",
        str,
        None,
        "The key that encrypts secrets, 32 bytes in hexadecimal (openssl rand -hex 32); with commas several, of which the first encrypts. Default: the file secret.key in the data directory.",
    ),
    Setting(
        "durability",
        str,
        "grouped",
        "`grouped`: a span is fsynced at most 20 ms after the answer. `strict`: before it.",
    ),
    Setting("max_body_mb", float, 32.0, "Largest request body in MiB; more is refused with 413."),
    Setting("max_file_mb", float, 512.0, "Largest file in MiB that may be uploaded to /v1/files."),
    Setting(
        "max_project_files_mb", float, 8192.0, "Most MiB of files of one project; more is refused with 413."
    ),
    Setting("batch_concurrency", int, 8, "Calls of one batch that run at once, unless it says otherwise."),
    Setting(
        "max_spool_mb",
        float,
        4096.0,
        "Undrained spool above this many MiB refuses telemetry with 503 until the collector catches up.",
    ),
    Setting("min_free_disk_mb", float, 64.0, "Free disk below this many MiB refuses telemetry with 503."),
    Setting(
        "content_days",
        int,
        30,
        "Days from arrival that messages, previews and attributes are kept, unless a project chooses otherwise; 0 is for ever.",
    ),
    Setting(
        "row_days",
        int,
        400,
        "Days from arrival that rows with their figures are kept, unless a project chooses otherwise; 0 is for ever.",
    ),
    Setting(
        "max_store_mb",
        float,
        None,
        "Most MiB of disk for spans: above it the oldest content goes, then the oldest rows. Empty: no limit.",
    ),
    Setting(
        "assumed_output_tokens",
        int,
        4096,
        "Tokens that a call under a limit of tokens or money is taken to make when it sets no `max_tokens`; what it made counts in the end.",
    ),
    Setting("content", str, "full", "`full` keeps messages with the spans, `none` keeps only figures."),
    Setting(
        "cache_memory_mb", float, 64.0, "Most MiB of memory for cached answers; what was used last stays."
    ),
    Setting(
        "cache_disk_mb",
        float,
        256.0,
        "Most MiB of disk for cached answers, and as many again for answers kept under an Idempotency-Key. 0, or `content` `none`: only in memory, until a restart.",
    ),
    Setting("session_hours", float, 168.0, "Hours until a browser login ends."),
    Setting(
        "allowed_hosts",
        str,
        "",
        "Further host names, comma separated, under which the UI may be reached (against DNS rebinding).",
    ),
    Setting(
        "trusted_proxies",
        str,
        "",
        "Addresses or networks of proxies, comma separated, whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    ),
    Setting("shutdown_s", float, 20.0, "Seconds that running calls get to finish after SIGTERM."),
    Setting("log_level", str, "info", "debug, info, warning or error."),
)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The table's values, typed."""

    host: str
    port: int
    data: str
    database_url: str | None
    admin_key: str | None
    secret_key: str | None
    durability: Literal["grouped", "strict"]
    max_body_mb: float
    max_file_mb: float
    max_project_files_mb: float
    batch_concurrency: int
    max_spool_mb: float
    min_free_disk_mb: float
    content_days: int
    row_days: int
    max_store_mb: float | None
    assumed_output_tokens: int
    content: Literal["full", "none"]
    cache_memory_mb: float
    cache_disk_mb: float
    session_hours: float
    allowed_hosts: str
    trusted_proxies: str
    shutdown_s: float
    log_level: Literal["debug", "info", "warning", "error"]

    @property
    def data_path(self) -> Path:
        """The data directory."""
        return Path(self.data)


def load(
    *,
    chosen: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge the command line (`chosen`, None values are not chosen), the environment and a `[server]` table.

    Raises `BadRequest` naming the setting and where its bad value came from.
    """
    environ = os.environ if environ is None else environ
    file = file or {}
    known = {row.name for row in TABLE}
    for name in file:
        if name not in known:
            raise BadRequest(
                f"[server] has no setting {name!r}", param=name, hint=f"Known: {', '.join(sorted(known))}."
            )
    values: dict[str, Any] = {}
    for row in TABLE:
        values[row.name] = _value(row, chosen or {}, environ, file)
    try:
        return msgspec.convert(values, Settings)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"A setting cannot be used: {error}", hint="See docs/reference/settings.md."
        ) from error


def _value(
    row: Setting, chosen: Mapping[str, Any], environ: Mapping[str, str], file: Mapping[str, Any]
) -> Any:
    variable = f"ASSAY_{row.name.upper()}"
    for source, raw in (
        ("the command line", chosen.get(row.name)),
        (variable, environ.get(variable)),
        ("[server]", file.get(row.name)),
    ):
        if raw is None or raw == "":
            continue
        try:
            return msgspec.convert(raw, row.type, strict=False)
        except msgspec.ValidationError as error:
            raise BadRequest(f"{row.name} from {source} is {raw!r}: {error}", param=row.name) from error
    return row.default
