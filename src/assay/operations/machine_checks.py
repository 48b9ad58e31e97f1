"""The machine and the data directory: disk, permissions, lock, port, clock, packages."""

import importlib.metadata
import os
import shutil
import socket
import stat
import sys
from collections.abc import Iterator

import assay
from assay.kit.clock import rfc3339
from assay.operations.findings import Finding, Patient, fail, ok, warn

_MIB = 2**20
_LITTLE = 0.1
_PACKAGES = (
    "uvicorn",
    "uvloop",
    "litestar",
    "msgspec",
    "sqlalchemy",
    "alembic",
    "duckdb",
    "dbos",
    "cryptography",
    "xllamacpp",
)
_OPTIONAL = {"xllamacpp": "local"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_FUTURE_S = 120.0


def check_versions(patient: Patient) -> Iterator[Finding]:
    """Which Assay, Python and packages run."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            extra = _OPTIONAL.get(name)
            if extra is None:
                yield fail("versions", f"{name} is not installed", 'pip install "assay[server]"')
            else:
                yield ok("versions", f"{name} is not installed: no local models (extra {extra!r})")
    python = ".".join(map(str, sys.version_info[:3]))
    listed = ", ".join(f"{name} {version}" for name, version in found.items())
    yield ok("versions", f"assay {assay.__version__}, Python {python}, {listed}")


def check_directory(patient: Patient) -> Iterator[Finding]:
    """Whether the data directory is there, the owner's alone, and free or held."""
    data = patient.data
    if not data.exists():
        yield warn("data directory", f"{data} is not there", "The first `assay up` makes it.")
        return
    about = data.stat()
    if not os.access(data, os.W_OK | os.X_OK):
        yield fail(
            "data directory", f"{data} cannot be written by this user", f"It belongs to user {about.st_uid}."
        )
        return
    if about.st_mode & 0o077:
        yield warn(
            "data directory",
            f"{data} can be entered by others (mode {stat.S_IMODE(about.st_mode):o})",
            f"chmod 700 {data}",
        )
    if hasattr(os, "getuid") and about.st_uid != os.getuid():
        yield warn(
            "data directory",
            f"{data} belongs to user {about.st_uid}, this is user {os.getuid()}",
            "Run the server and the commands as the same user.",
        )
    open_files = [path for path in data.glob("*.sqlite*") if path.stat().st_mode & 0o077]
    for path in open_files:
        yield warn("data directory", f"{path.name} can be read by others", f"chmod 600 {path}")
    held = (
        "nobody holds it"
        if patient.running is None
        else f"a server holds it{patient.running and f', at {patient.running}'}"
    )
    yield ok("data directory", f"{data}: {held}")


def check_disk(patient: Patient) -> Iterator[Finding]:
    """Whether there is room."""
    place = next(
        path for path in (patient.data.absolute(), *patient.data.absolute().parents) if path.exists()
    )
    usage = shutil.disk_usage(place)
    least = patient.settings.min_free_disk_mb * _MIB
    said = f"{usage.free / _MIB:,.0f} MiB of {usage.total / _MIB:,.0f} are free"
    if usage.free < least:
        yield fail("disk", f"{said}: telemetry is refused below {least / _MIB:,.0f}", "Free some disk.")
    elif usage.free < usage.total * _LITTLE or usage.free < 10 * least:
        yield warn("disk", said, "Free some, set max_store_mb, or shorten the retention.")
    else:
        yield ok("disk", said)
    if hasattr(os, "statvfs") and (files := os.statvfs(place)).f_files and files.f_favail < 1000:
        yield fail("disk", f"Only {files.f_favail} more files fit on it", "Remove files that nobody needs.")


def check_port(patient: Patient) -> Iterator[Finding]:
    """Whether the address can be listened on, and by whom it may be reached."""
    host, port = patient.settings.host, patient.settings.port
    if patient.running is not None:
        yield ok("port", f"The server is at {patient.running}" if patient.running else "The server listens")
    elif port == 0:
        yield ok("port", "A free one is taken")
    elif (error := _cannot_bind(host, port)) is not None:
        yield fail("port", f"{host}:{port} cannot be listened on: {error}", "Choose another with --port.")
    else:
        yield ok("port", f"{host}:{port} is free")
    if host not in _LOOPBACK:
        yield warn(
            "port",
            f"The server listens on {host}, which other machines may reach",
            "Put TLS in front, and name the address under which people reach it in allowed_hosts.",
        )


def check_clock(patient: Patient) -> Iterator[Finding]:
    """Whether the clock has gone back behind what was written."""
    now_s = patient.clock.now_ns() / 1e9
    newest = max(
        (path.stat().st_mtime for path in (*patient.data.glob("*.sqlite*"), *patient.data.glob("spool/*/*"))),
        default=now_s,
    )
    ahead_s = newest - now_s
    if ahead_s > _FUTURE_S:
        yield fail(
            "clock",
            f"It is {rfc3339(patient.clock.now_ns())[:19]} here, {ahead_s:,.0f} s before something that was written already",
            "Set the clock; days and retention go by it.",
        )
    else:
        yield ok("clock", f"It is {rfc3339(patient.clock.now_ns())[:19]}Z")


def _cannot_bind(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            return str(error)
    return None


CHECKS = (check_versions, check_directory, check_disk, check_port, check_clock)
