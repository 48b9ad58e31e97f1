import hashlib
import re

from litestar import Litestar
from litestar.testing import TestClient

from assay.ui import assets


def test_a_file_asked_for_by_its_hash_is_cached_for_ever_and_else_checked() -> None:
    with TestClient(Litestar(assets.handlers)) as client:
        known = client.get(assets.url("assay.css"))
        stale = client.get("/static/assay.css?v=0000")
        again = client.get("/static/assay.css", headers={"if-none-match": known.headers["etag"]})
        missing = client.get("/static/../shell.py")
    assert known.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert known.headers["x-content-type-options"] == "nosniff"
    assert known.headers["content-type"].startswith("text/css")
    assert stale.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert missing.status_code >= 400


def test_each_vendored_script_is_named_with_its_hash_and_licence() -> None:
    vendor = assets.DIRECTORY / "vendor"
    listed = dict(re.findall(r"\| `([\w.-]+\.js)` \|.*`([0-9a-f]{64})`", (vendor / "README.md").read_text()))
    assert set(listed) == {file.name for file in vendor.glob("*.js")}
    for name, promised in listed.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == promised
    assert (vendor / "htmx-LICENSE.txt").exists()


def test_own_scripts_need_no_eval_and_styles_load_nothing_from_elsewhere() -> None:
    for file in assets.DIRECTORY.glob("*.js"):
        assert not re.search(r"\beval\(|new Function|innerHTML|document\.write", file.read_text()), file.name
    for file in assets.DIRECTORY.glob("*.css"):
        assert not re.search(r"@import|url\(", file.read_text()), file.name
