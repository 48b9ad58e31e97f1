"""What people give on a page becomes a score, or is refused by name."""

from collections.abc import Callable
from typing import Any

import pytest

from assay.errors import BadRequest
from assay.traces.feedback import FeedbackForm, Marks, filled, marks, panel, score_of
from assay.wire.scores import Score, ScoreSource


def score(name: str = "thumbs", value: Any = True, *, at: int = 1, **fields: Any) -> Score:
    given: dict[str, Any] = {"author": "Ada", "source": ScoreSource.HUMAN, "trace_id": "t", **fields}
    return Score(score_id=f"s{at}", project="p", name=name, value=value, at_ns=at, **given)


def test_a_thumb_takes_the_comment_along() -> None:
    sent = filled(FeedbackForm(thumb="down", comment=" too long "), trace_id="t")
    assert (sent.name, sent.value, sent.comment, sent.trace_id) == ("thumbs", False, "too long", "t")
    assert sent.source is ScoreSource.HUMAN
    assert filled(FeedbackForm(thumb="up"), trace_id="t").comment is None


def test_a_comment_alone_is_a_text_of_its_own() -> None:
    sent = filled(FeedbackForm(comment="Nice."), trace_id="t")
    assert (sent.name, sent.value, sent.comment) == ("comment", "Nice.", None)


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("yes_no", "Yes", True),
        ("yes_no", "no", False),
        ("number", "-0.5", -0.5),
        ("number", " 3 ", 3.0),
        ("text", "rude", "rude"),
        ("text", "0.5", "0.5"),
    ],
)
def test_a_score_has_the_kind_of_value_that_was_chosen(kind: str, written: str, value: Any) -> None:
    sent = filled(FeedbackForm(name="tone", kind=kind, value=written, comment="so"), trace_id="t")
    assert (sent.name, sent.value, sent.comment) == ("tone", value, "so")
    assert type(sent.value) is type(value)


@pytest.mark.parametrize(
    ("about", "targets"),
    [
        ("trace", ("t", None, None)),
        ("span", ("t", "b", None)),
        ("session", (None, None, "c")),
    ],
)
def test_it_is_about_what_was_chosen(about: str, targets: tuple[str | None, ...]) -> None:
    sent = filled(FeedbackForm(about=about, span_id="b", session_id="c", thumb="up"), trace_id="t")
    assert (sent.trace_id, sent.span_id, sent.session_id) == targets


@pytest.mark.parametrize(
    ("form", "param"),
    [
        (FeedbackForm(), "comment"),
        (FeedbackForm(comment="  \n"), "comment"),
        (FeedbackForm(thumb="sideways"), "thumb"),
        (FeedbackForm(name="x", kind="number", value="much"), "value"),
        (FeedbackForm(name="x", kind="number", value="inf"), "value"),
        (FeedbackForm(name="x", kind="yes_no", value="maybe"), "value"),
        (FeedbackForm(name="x", kind="text", value=" "), "value"),
        (FeedbackForm(name="x", kind="colour", value="red"), "kind"),
        (FeedbackForm(name="x" * 101, kind="text", value="y"), "name"),
        (FeedbackForm(about="planet", thumb="up"), "about"),
        (FeedbackForm(about="session", thumb="up"), "about"),
        (FeedbackForm(about="span", thumb="up"), "about"),
        (FeedbackForm(comment="c" * 10_001), "value"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(form: FeedbackForm, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        score_of(filled(form, trace_id="t"), project="p", author="Ada", now_ns=1)
    assert caught.value.param == param


def test_the_thumb_shown_is_the_last_of_whoever_looks_about_the_same_thing(
    make_span: Callable[..., Any],
) -> None:
    span = make_span(trace_id="t", span_id="b", session_id="c")
    given = [
        score(value=True, at=1),
        score(value=False, at=2),
        score(value=True, at=3, author="Bob"),
        score(value=True, at=4, span_id="b"),
        score("comment", "hm", at=5),
        score(value=True, at=6, trace_id=None, session_id="c"),
    ]

    def thumb(about: str, author: str = "Ada") -> bool | None:
        form = FeedbackForm(about=about)
        return panel(form, action="/", span=span, scores=given, author=author).thumb

    assert [thumb("trace"), thumb("span"), thumb("session")] == [False, True, True]
    assert [thumb("trace", "Bob"), thumb("span", "Bob")] == [True, None]


def test_a_session_can_be_judged_only_where_there_is_one(make_span: Callable[..., Any]) -> None:
    def choices(**fields: Any) -> list[str]:
        span = make_span(**fields)
        made = panel(FeedbackForm(), action="/", span=span, scores=[], author="Ada")
        return [value for value, _ in made.choices]

    assert choices(session_id="c") == ["span", "trace", "session"]
    assert choices() == ["span", "trace"]


def test_marks_count_the_last_thumb_of_each_person_and_all_of_an_applications_users() -> None:
    given = [
        score(value=True, at=1),
        score(value=False, at=2, explanation="no"),
        score(value=True, at=3, author="Bob"),
        score(value=True, at=4, author="app", source=ScoreSource.USER),
        score(value=True, at=5, author="app", source=ScoreSource.USER),
        score("comment", "hm", at=6),
        score("thumbs", 0.5, at=7),
        score(value=True, at=8, trace_id=None, session_id="c"),
        score(value=True, at=9, trace_id="other"),
    ]
    assert marks(given) == {"t": Marks(up=3, down=1, comments=2), "other": Marks(up=1)}
