"""Earlier questions by what they mean."""

import numpy as np
import pytest

from assay.calls.cache_similarity import Near, Questions


def at_angle(degrees: float, length: float = 1.0) -> list[float]:
    radians = np.deg2rad(degrees)
    return [length * float(np.cos(radians)), length * float(np.sin(radians)), 0.0]


def test_the_nearest_question_is_found_whatever_the_length_of_its_vector() -> None:
    questions = Questions()
    questions.add(b"b", "north", at_angle(0), b"one")
    questions.add(b"b", "north-east", at_angle(40, length=7), b"two")
    near = questions.nearest(b"b", "?", at_angle(30, length=0.1), at_least=0.9)
    assert near is not None
    assert near.digest == b"two"
    assert near.similarity == pytest.approx(np.cos(np.deg2rad(10)), abs=1e-6)
    assert questions.nearest(b"b", "?", at_angle(90), at_least=0.9) is None
    assert questions.nearest(b"b", "?", at_angle(0), at_least=1.0) == Near(b"one", 1.0)


def test_a_bucket_knows_nothing_of_another() -> None:
    questions = Questions()
    questions.add(b"b", "a", at_angle(0), b"one")
    assert questions.nearest(b"c", "a", at_angle(0), at_least=0.1) is None


@pytest.mark.parametrize(
    ("asked", "before", "alike"),
    [
        ("sales in 2023", "sales in 2024", False),
        ("sales in 2023", "the sales of 2023", True),
        ("10 plus 3", "3 plus 10", False),
        ("due 2024-01-02", "due 2024-01-03", False),
        ("how much?", "how much is 5?", False),
        ("chapter 1.2", "chapter 1.3", False),
        ("may I return it?", "may I not return it?", False),
        ("I can't log in", "I can log in", False),
        ("I can't log in", "I cannot log in", True),
        ("with milk", "without milk", False),
        ("可以退货吗", "不可以退货吗", False),
        ("nothing arrived", "notes arrived", True),
    ],
)
def test_questions_with_other_numbers_or_negations_are_not_alike(
    asked: str, before: str, alike: bool
) -> None:
    questions = Questions()
    questions.add(b"b", before, at_angle(0), b"one")
    assert (questions.nearest(b"b", asked, at_angle(1), at_least=0.9) is not None) is alike


def test_a_farther_one_with_the_same_numbers_is_taken() -> None:
    questions = Questions()
    questions.add(b"b", "in 2024", at_angle(0), b"near")
    questions.add(b"b", "in 2023", at_angle(10), b"farther")
    found = questions.nearest(b"b", "of 2023", at_angle(0), at_least=0.9)
    assert found is not None
    assert found.digest == b"farther"


def test_a_question_asked_again_is_one_entry() -> None:
    questions = Questions()
    for degrees in (0, 5):
        questions.add(b"b", "a", at_angle(degrees), b"one")
    assert len(questions) == 1
    assert questions.nearest(b"b", "a", at_angle(5), at_least=1.0) is not None


def test_a_full_bucket_replaces_its_oldest_and_a_full_memory_its_idle_buckets() -> None:
    questions = Questions(most=40, most_in_bucket=30)
    for at in range(100):
        questions.add(b"b", "a", at_angle(at), b"%d" % at)
    assert len(questions) == 30
    near = questions.nearest(b"b", "a", at_angle(99), at_least=0.99999)
    assert near is not None
    assert near.digest == b"99"
    near = questions.nearest(b"b", "a", at_angle(0), at_least=-1)
    assert near is not None
    assert near.digest == b"70"
    for at in range(20):
        questions.add(b"c", "a", at_angle(at), b"c%d" % at)
    assert len(questions) == 20, "the bucket that was used longest ago went"
    assert questions.nearest(b"b", "a", at_angle(99), at_least=0.9) is None
    questions.clear()
    assert len(questions) == 0


def test_another_encoder_begins_anew() -> None:
    questions = Questions()
    questions.add(b"b", "a", at_angle(0), b"one")
    assert questions.nearest(b"b", "a", [1.0, 0.0], at_least=0.1) is None
    questions.add(b"b", "a", [1.0, 0.0], b"two")
    assert len(questions) == 1
    assert questions.nearest(b"b", "a", [1.0, 0.0], at_least=0.9) == Near(b"two", 1.0)
