"""Personal identifiers in text: found where they stand, and not where they only seem to."""

import gzip
import json
import time
from collections import Counter
from pathlib import Path

import pytest

from assay.detect import find_pii, redacted
from assay.detect.types import Finding, merged


def kinds(text: str, *, least: float = 0.5) -> list[str]:
    """What is found with at least this confidence."""
    return [each.kind for each in find_pii(text) if each.confidence >= least]


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("Write to jane.doe+news@mail.example.co.uk.", "Write to [EMAIL]."),
        ("Schreib an jörg.müller@köln.example!", "Schreib an [EMAIL]!"),
        ("发到wang@example.cn吧", "发到[EMAIL]吧"),
        ("pay with 4111 1111 1111 1111 today", "pay with [CREDIT_CARD] today"),
        ("amex 3782-822463-10005", "amex [CREDIT_CARD]"),
        ("卡号4111111111111111。", "卡号[CREDIT_CARD]。"),
        ("order 12 4111 1111 1111 1111", "order 12 [CREDIT_CARD]"),
        ("IBAN DE89 3704 0044 0532 0130 00, BIC", "IBAN [IBAN], BIC"),
        ("gb82west12345698765432", "[IBAN]"),
        ("his SSN: 123-45-6789", "his SSN: [US_SSN]"),
        ("social security number 123456789", "social security number [US_SSN]"),
        ("call +49 (0)30 1234567 now", "call [PHONE] now"),
        ("call 0044 20 7946 0958", "call [PHONE]"),
        ("call (415) 555-2671", "call [PHONE]"),
        ("电话+8613812345678", "电话[PHONE]"),
        ("from 8.8.8.8 to us", "from [IP_ADDRESS] to us"),
        ("at 2001:4860:4860::8888.", "at [IP_ADDRESS]."),
        ("身份证11010519491231002X号", "身份证[CN_RESIDENT_ID]号"),
    ],
)
def test_what_identifies_a_person_is_found_in_its_place(text: str, without: str) -> None:
    assert redacted(text, find_pii(text)) == without


@pytest.mark.parametrize(
    "text",
    [
        "logo@2x.png and @mention and user@localhost",
        "git clone git@github.com:owner/project.git",
        "4111 1111 1111 1112 has a wrong check digit",
        "order id 94111111111111111 is longer",
        "id_4111111111111111 is a name",
        "0.4111111111111111 is a fraction",
        "DE89 3704 0044 0532 0130 01 has wrong check digits",
        "part no 123-45-6789-00",
        "the digits 123456789 alone",
        "version 1.2.3.4 and 1.2.3.4.5",
        "2 +1234567 is a sum",
        "std::vector::iterator at 12:34:56",
        "999.1.1.1 and 300.300.300.300",
        "a timestamp of 1699999999999 and 2024-01-15T12:34:56.789Z",
        "uuid 123e4567-e89b-12d3-a456-426614174000",
        "sha 4111a1111b1111c1111",
        "11010519491231002Y",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert kinds(text) == []


def test_addresses_that_lead_nowhere_are_hardly_anybodys() -> None:
    assert [each.confidence for each in find_pii("127.0.0.1 and 10.0.0.8 and 8.8.4.4")] == [0.3, 0.3, 0.9]


def test_places_are_counted_in_characters_whatever_stands_before() -> None:
    text = "😀é漢 a@example.com"
    (found,) = find_pii(text)
    assert text[found.start : found.end] == "a@example.com"


def test_a_lone_surrogate_is_no_error() -> None:
    assert kinds("\ud800 a@example.com") == ["email"]


def test_findings_that_overlap_become_one() -> None:
    assert merged([Finding(5, 9, "b", 0.9), Finding(0, 6, "a", 0.5)]) == [Finding(0, 9, "b", 0.9)]
    assert redacted("0123456789", [Finding(5, 9, "b", 0.9), Finding(0, 6, "a", 0.5)]) == "[B]9"


@pytest.mark.parametrize(
    "piece", ["1", "1 ", "a@", "@a", "+1 ", "1.", "1:", "DE89 ", "a@a.", "(415) ", "é1-", "11010519"]
)
def test_no_text_takes_longer_than_its_length_asks(piece: str) -> None:
    began = time.perf_counter()
    find_pii(piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 5, "200 kB in linear time take well below a second"


@pytest.mark.data
def test_real_texts_have_almost_nothing_to_find(data_sets: Path) -> None:
    counted: Counter[str] = Counter()
    for path in sorted(data_sets.glob("*/*.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                for value in json.loads(line).values():
                    if isinstance(value, str):
                        counted.update(kinds(value))
    assert counted == {"email": 12}, "4 addresses that stand in the texts, some of them twice and more"
