"""Takes the pictures of docs/img from a demo that is really played, with Debian's Chromium.

python scripts/pictures.py [--data FOLDER]   FOLDER keeps what the demo made, so that the next time takes seconds
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
KEY = "sk-assay-pictures-0123456789abcdef0123456789abcdef"
ASSAY = (sys.executable, "-m", "assay")
TURNS = ("The bread was still warm.", "We waited an hour for cold pasta and nobody apologised.")


def main() -> None:
    """Play, look, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    with tempfile.TemporaryDirectory() as folder:
        data = parser.parse_args().data or Path(folder) / "data"
        weights = ROOT / ".assay/models"
        if weights.exists():
            shutil.copytree(weights, data / "models", dirs_exist_ok=True)
        environ = {**os.environ, "ASSAY_ADMIN_KEY": KEY}
        subprocess.run(
            [*ASSAY, "demo", "--no-serve", "--port", "0", "--data", str(data)], env=environ, check=True
        )
        with serving(data, environ) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            for name, path, language in pages(url):
                page = browser.new_page(
                    viewport={"width": 1280, "height": 860}, color_scheme="light", locale=language
                )
                page.goto(url + path)
                sign_in(page)
                page.screenshot(path=ROOT / f"docs/img/{name}.png")
            browser.close()


@contextmanager
def serving(data: Path, environ: dict[str, str]) -> Iterator[str]:
    """`assay up` on the demo's data; its address."""
    command = [*ASSAY, "--data", str(data), "up", "--port", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = next(match for line in server.stdout if (match := re.search(r"is at (http://\S+)", line)))
        yield found[1]
        server.terminate()


def pages(url: str) -> list[tuple[str, str, str]]:
    """Which pages, under which name, in which language."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}, timeout=60) as client:
        messages: list[dict[str, str]] = []
        trace = ""
        for text in TURNS:
            messages.append({"role": "user", "content": text})
            body = {
                "model": "task:sentiment",
                "messages": messages,
                "assay": {"session": "picture", "user": "ada"},
            }
            answer = client.post("/v1/chat/completions", json=body).raise_for_status()
            trace = answer.headers["x-assay-trace-id"]
            messages.append(
                {"role": "assistant", "content": answer.json()["choices"][0]["message"]["content"]}
            )
        decisions = client.get("/api/decisions").raise_for_status().json()["items"]
    comparison = next(
        each["evidence"]["comparison_id"] for each in decisions if each["evidence"]["comparison_id"]
    )
    return [
        ("comparison", f"/comparisons/{comparison}", "en"),
        ("comparison.zh-CN", f"/comparisons/{comparison}", "zh-CN"),
        ("trace", f"/traces/{trace}", "en"),
        ("session", "/sessions/picture", "en"),
    ]


def sign_in(page: Page) -> None:
    """Through the form, where there is one."""
    if "/login" in page.url:
        page.locator("input[name=key]").fill(KEY)
        page.locator("input[name=key]").press("Enter")
        page.wait_for_load_state("networkidle")


if __name__ == "__main__":
    main()
