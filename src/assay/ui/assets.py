"""Static files: read once, addressed by content, cached for ever by browsers."""

import mimetypes
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.params import FromPath

from assay.errors import NotFound
from assay.kit.hashing import content_hash

DIRECTORY = Path(__file__).parent / "static"

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(msgspec.Struct, frozen=True):
    """One static file as it is served."""

    body: bytes
    media_type: str
    version: str


def load(directory: Path = DIRECTORY) -> dict[str, Asset]:
    """Every file under the directory by its path relative to it."""
    found: dict[str, Asset] = {}
    for file in sorted(directory.rglob("*")):
        if file.is_file() and file.suffix in {*_TYPES, ".png", ".woff2"}:
            body = file.read_bytes()
            kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
            found[file.relative_to(directory).as_posix()] = Asset(body, kind, content_hash(body)[:16])
    return found


ASSETS = load()


def url(path: str) -> str:
    """The address of a static file with the hash of its content. A name that is not there is a `KeyError`."""
    return f"/static/{path}?v={ASSETS[path].version}"


@get("/static/{path:path}", include_in_schema=False, sync_to_thread=False, opt={"public": True})
def serve(request: Request[Any, Any, Any], path: FromPath[str]) -> Response[bytes]:
    """One static file: immutable when asked for by its present hash, else to be checked again each time."""
    asset = ASSETS.get(str(path).lstrip("/"))
    if asset is None:
        raise NotFound(f"There is no static file {path!r}")
    tag = f'"{asset.version}"'
    current = request.query_params.get("v") == asset.version
    headers = {
        "etag": tag,
        "cache-control": "public, max-age=31536000, immutable" if current else "no-cache",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "same-origin",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)


handlers = [serve]
