"""Names answer in the order in which people expect them."""

import pytest

from assay.search.matching import rank


@pytest.mark.parametrize(
    ("asked", "name", "expected"),
    [
        ("polish", "Polish", 0),
        ("pol", "polish", 1),
        ("v2", "polish / v2", 2),
        ("large", "acme/large", 2),
        ("oli", "polish", 3),
        ("plsh", "polish", 4),
        ("hp", "polish", None),
        ("xyz", "polish", None),
        ("", "polish", 0),
        ("straße", "STRASSE", 0),
        ("po", "a long name with p and o", None),
    ],
)
def test_the_rank_of_a_name(asked: str, name: str, expected: int | None) -> None:
    assert rank(asked, name) == expected
