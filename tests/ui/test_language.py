import pytest

from assay.ui import language
from assay.ui.language import preferred


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("zh", "zh-CN"),
        ("zh-TW", "zh-CN"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr,zh;q=0.5,en;q=0.6", "en"),
        ("fr", "en"),
        ("zh;q=0,en;q=0.1", "en"),
        ("zh;q=much,;;,", "en"),
        ("," * 10_000, "en"),
    ],
)
def test_a_browsers_wish_is_heard(accepted: str, wanted: str) -> None:
    assert preferred(accepted) == wanted


def test_a_language_that_is_none_of_ours_is_english() -> None:
    language.speak("tlh")
    assert language.current() == "en"


def test_what_a_catalogue_lacks_is_said_in_english() -> None:
    language.speak("zh-CN")
    try:
        assert language._("nobody translated this") == "nobody translated this"
        assert language.ngettext("one row", "many rows", 1) == "one row"
    finally:
        language.speak("en")
