"""Rules that every template of every room keeps."""

import re
from pathlib import Path

import jinja2
import pytest

from assay.ui import shell

TEMPLATES = sorted(shell.ROOMS.glob("*/templates/**/*.html"))
ROOMS = sorted({path.relative_to(shell.ROOMS).parts[0] for path in TEMPLATES} - {"ui"})


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_carries_no_inline_script_or_style_and_marks_nothing_safe(path: Path) -> None:
    text = re.sub(r"\{#.*?#\}", "", path.read_text(), flags=re.DOTALL)
    assert not re.search(r"<[^>]*\sstyle\s*=", text)
    assert not re.search(r"<[a-z][^>]*\son[a-z]+\s*=", text)
    assert not re.search(r"<style\b", text)
    assert not re.search(r"\bhx-on|js:|javascript:", text)
    assert "|safe" not in text.replace(" ", "")
    assert "autoescape" not in text
    assert all("src=" in tag for tag in re.findall(r"<script\b[^>]*>", text))


def test_every_template_compiles() -> None:
    made = shell.environment(ROOMS)
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)


def test_a_name_that_is_not_there_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        shell.environment([]).from_string("{{ nothing }}").render()
