"""Templates that nobody saved are rendered in a process that the kernel ends."""

import subprocess
import sys
import time

import pytest

from assay.errors import BadRequest
from assay.prompts import PromptContent, TemplateMessage, adhoc


def test_it_renders_like_a_saved_one() -> None:
    content = PromptContent(
        messages=(TemplateMessage("system", "Be {{ tone }}."), TemplateMessage("user", "{{ text }}"))
    )
    messages = adhoc.render_adhoc(content, {"tone": "kind", "text": "hi"})
    assert [message.content for message in messages] == ["Be kind.", "hi"]


def test_an_error_comes_back_whole() -> None:
    with pytest.raises(BadRequest) as caught:
        adhoc.render_adhoc(PromptContent("{{ text }}"), {"txt": 1})
    assert caught.value.param == "inputs.text"
    assert caught.value.hint is not None


@pytest.mark.linux
@pytest.mark.parametrize("loop", ["while True: pass", "import re; re.match('(a+)+$', 'a' * 60 + 'b')"])
def test_the_timer_ends_even_code_that_never_returns_to_python(loop: str) -> None:
    program = f"from assay.prompts import adhoc; adhoc.TIME_LIMIT_S = 0.2; adhoc._limit(); {loop}"
    if loop.startswith("while"):
        program = f"from assay.prompts import adhoc\nadhoc.TIME_LIMIT_S = 0.2\nadhoc._limit()\n{loop}"
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode < 0
    assert time.monotonic() - began < 20


@pytest.mark.linux
def test_memory_is_limited() -> None:
    program = "from assay.prompts import adhoc; adhoc._limit(); bytearray(4 << 30)"
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    assert ended.returncode != 0
    assert b"MemoryError" in ended.stderr
