"""Runs the Python blocks of a page as one script that grows: names of one block are there in the next.

A program of its own, so that what an example imports, starts and leaves behind stays out of the tests. It takes one JSON
object a line, `{"source", "file", "line", "environ"}`, and answers `{"said", "error"}`.
"""

import ast
import asyncio
import inspect
import io
import json
import os
import sys
import traceback
from contextlib import redirect_stdout


def run(names: dict[str, object], source: str, file: str, line: int) -> str | None:
    """Execute one block; the traceback if it failed. `await` is allowed at the top, as in a notebook."""
    text = "\n" * (line - 1) + source
    try:
        made = eval(compile(text, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307
        if inspect.iscoroutine(made):
            asyncio.run(made)
    except BaseException:  # noqa: BLE001 - whatever an example does wrong is what the test says
        return traceback.format_exc()
    return None


def main() -> None:
    """Until nobody asks any more."""
    names: dict[str, object] = {"__name__": "__main__"}
    for asked in map(json.loads, sys.stdin):
        os.environ.update(asked["environ"])
        with redirect_stdout(io.StringIO()) as said:
            error = run(names, asked["source"], asked["file"], asked["line"])
        print(json.dumps({"said": said.getvalue(), "error": error}), flush=True)


if __name__ == "__main__":
    main()
