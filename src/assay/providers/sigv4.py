"""AWS Signature Version 4: what a request must carry so that AWS knows who sent it, and that nobody changed it.

Written by hand, since it is four hashes: the request in a canonical form, a text to sign about it, a key derived from the
secret for a day, region and service, and the signature. Signed are the headers given here and `host`, as the network will
send it; what the network adds besides (`user-agent`, `content-length`) is not signed and may be anything.
"""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import msgspec

from assay.providers.dialing import origin

ALGORITHM = "AWS4-HMAC-SHA256"
_SPACES = re.compile(r"\s+")

Headers = tuple[tuple[str, str], ...]


class Credentials(msgspec.Struct, frozen=True):
    """A pair of keys; one for some hours has a token too."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


def signed_headers(
    method: str,
    url: str,
    headers: Headers,
    body: bytes,
    *,
    credentials: Credentials,
    region: str,
    service: str,
    now_ns: int,
) -> Headers:
    """The headers to send: those given, the time, the token if there is one, and the signature."""
    at = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC)
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    sent = [*headers, ("x-amz-date", stamp)]
    if credentials.session_token is not None:
        sent.append(("x-amz-security-token", credentials.session_token))
    scope = f"{day}/{region}/{service}/aws4_request"
    canonical, names = _canonical(method, url, tuple(sent), body)
    to_sign = "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = signing_key(credentials.secret_access_key, day, region, service)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    said = f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return (*sent, ("authorization", said))


def signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of a day (`YYYYMMDD`), for one service in one region."""
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def _canonical(method: str, url: str, headers: Headers, body: bytes) -> tuple[str, str]:
    """The canonical request, and the names of what it signs."""
    parts = urlsplit(url)
    named: dict[str, list[str]] = {"host": [origin(url).authority]}
    for name, value in headers:
        named.setdefault(name.lower(), []).append(_SPACES.sub(" ", value.strip()))
    lines = "".join(f"{name}:{','.join(named[name])}\n" for name in sorted(named))
    names = ";".join(sorted(named))
    # The path as it is sent, escaped once more: AWS's rule for every service but S3.
    path = quote(_without_dots(parts.path), safe="/-._~")
    pairs = sorted(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((method, path, query, lines, names, digest)), names


def _without_dots(path: str) -> str:
    """RFC 3986 §5.2.4, and no slash twice."""
    kept: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del kept[-1:]
        elif step not in ("", "."):
            kept.append(step)
    ends_open = path.endswith(("/", "/.", "/..")) and bool(kept)
    return "/" + "/".join(kept) + ("/" if ends_open else "")
