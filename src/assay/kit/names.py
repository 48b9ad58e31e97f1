"""The rule for names that people give to things and that stand in paths."""

import re

from assay.errors import BadRequest

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_name(name: str, *, param: str = "name") -> str:
    """The same name: at most 100 letters, digits, `.`, `_` and `-`. Raises `BadRequest` that names `param`."""
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} cannot be a name",
            param=param,
            hint="Use at most 100 letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        )
    return name
