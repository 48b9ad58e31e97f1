"""The shipped reviews are what the demo says they are."""

from collections import Counter
from importlib.resources import files

from assay.datasets.importing import read_upload
from assay.kit.json import encode

CASES = read_upload((files("assay.demo") / "reviews.jsonl").read_bytes(), "application/x-ndjson")


def test_there_are_more_than_120_reviews_and_half_are_positive() -> None:
    assert len(CASES) >= 120
    counts = Counter(case.reference for case in CASES)
    assert counts["positive"] == counts["negative"] == len(CASES) / 2


def test_no_review_is_there_twice_and_none_says_the_answer() -> None:
    texts = [encode(case.input).decode() for case in CASES]
    assert len(set(texts)) == len(texts)
    assert not [text for text in texts if "positive" in text.lower() or "negative" in text.lower()]


def test_each_subject_has_as_many_good_reviews_as_bad_ones() -> None:
    by_subject = Counter((case.metadata["about"], case.reference) for case in CASES)
    subjects = {subject for subject, _ in by_subject}
    assert all(by_subject[subject, "positive"] == by_subject[subject, "negative"] for subject in subjects)
