"""The reader of the pages notices when a page is not true."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conftest import AssayProcess
from tests.docs.blocks import Block
from tests.docs.reader import Reader, assert_has


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Follows a block of this language and text, without a server."""

    def start(config: str, folder: Path) -> AssayProcess:
        raise AssertionError(f"nothing is started here: {config}, {folder}")

    reader = Reader(tmp_path, upstream="http://127.0.0.1:1/v1", start=start)
    yield lambda language, text, title=None: reader.follow(Block("page.md", 7, language, title, text, None))
    reader.close()


def test_output_that_is_shown_must_be_printed(follow: Callable[..., None]) -> None:
    follow("console", "$ echo one two three\none … three\n")
    with pytest.raises(AssertionError, match=r"page.md:7: 'one … four' is not in"):
        follow("console", "$ echo one two three\none … four\n")


def test_a_command_must_exit_as_it_is_said_to(follow: Callable[..., None]) -> None:
    follow("console", "$ false  # exits 1\n")
    for said in ("$ false\n", "$ true  # exits 1\n"):
        with pytest.raises(AssertionError, match=r"page\.md:7"):
            follow("console", said)


def test_variables_and_folders_stay_from_block_to_block(follow: Callable[..., None]) -> None:
    follow("bash", "mkdir inner && cd inner\nNAME='two words'\n")
    follow("console", '$ echo "$NAME" in $(basename $PWD)\ntwo words in inner\n')
    follow("python", "import os\nassert os.environ['NAME'] == 'two words'\n")


def test_python_blocks_are_one_script_and_their_lines_are_those_of_the_page(
    follow: Callable[..., None],
) -> None:
    follow("python", "import asyncio\nn = await asyncio.sleep(0, 41)\n")
    follow("python", "n += 1\nassert n == 42\n")
    with pytest.raises(AssertionError, match=r'page\.md", line 8, in <module>'):
        follow("python", "n = 0\n1 / n\n")


def test_an_answer_that_is_shown_must_have_come(follow: Callable[..., None]) -> None:
    answer = """$ echo '{"items": [{"id": "x", "n": 1}], "next": null}'\n"""
    follow("console", answer)
    follow("json", '{"items": [{"id": "y"}], "next": "z"}')
    follow("console", answer)
    with pytest.raises(AssertionError, match="name"):
        follow("json", '{"items": [{"name": "y"}]}')


def test_a_value_of_another_kind_is_no_likeness() -> None:
    assert_has({"n": 1.5}, {"n": 2}, "here")
    with pytest.raises(AssertionError, match="'1' stands for 1"):
        assert_has({"n": 1}, {"n": "1"}, "here")
    with pytest.raises(AssertionError, match="the list is empty"):
        assert_has([], [1], "here")


def test_a_titled_block_is_a_file(follow: Callable[..., None], tmp_path: Path) -> None:
    follow("text", "hello\n", "notes/a.txt")
    assert (tmp_path / "notes/a.txt").read_text() == "hello\n"
