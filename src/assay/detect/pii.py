"""Personal identifiers: each a pattern, and a check that makes a number one of its kind.

What can be checked is: cards by issuer, length and Luhn, accounts by country and remainder, identity numbers by date and check
digit. Names, addresses and what else only a reader can tell are not looked for.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

from assay.detect.checksums import is_card, is_iban, is_nanp, is_phone, is_resident_id, is_ssn
from assay.detect.patterns import PatternSet, encodable
from assay.detect.types import Finding, merged

PII_KINDS = ("email", "credit_card", "iban", "us_ssn", "phone", "ip_address", "cn_resident_id")
"""What `find_pii` looks for."""

_Check = Callable[[str, Any], Iterator[Finding]]

_NOT_DOMAINS = re.compile(
    r"\.(?:png|jpe?g|gif|svg|webp|bmp|ico|css|js|ts|py|rs|go|md|txt|json|ya?ml|toml)$", re.IGNORECASE
)
"""`logo@2x.png` is a picture."""
_LETTER = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
"""Or a digit; of scripts that put spaces between words, so that what stands before an address does not become part of it."""
_LOCAL = re.compile(rf"{_LETTER}(?:{_LETTER}|[._%+'-]){{0,63}}$")
_DOMAIN = re.compile(
    rf"{_LETTER}(?:{_LETTER}|-)*(?:\.{_LETTER}(?:{_LETTER}|-)*)*\.(?:(?![0-9]){_LETTER}){{2,24}}"
)
_SSN_WORDS = re.compile(r"ssn|social\W{0,3}security|\bsoc(?:ial)?\W{0,2}sec", re.IGNORECASE)
_VERSION_WORDS = re.compile(r"(?:version|release|\bv|build|ver\.?)\W{0,3}$", re.IGNORECASE)
_GROUPS = re.compile(r"\d+")
_LONGEST_CARD = 19


def _emails(text: str, match: Any) -> Iterator[Finding]:
    at = match.start()
    local = _LOCAL.search(text, max(at - 65, 0), at)
    domain = _DOMAIN.match(text, at + 1, at + 256)
    if local is None or domain is None or _NOT_DOMAINS.search(domain[0]) or "-." in domain[0]:
        return
    if local[0].endswith(".") or ".." in local[0]:
        return
    if local[0] == "git" and text[domain.end() : domain.end() + 1] == ":":  # an address of a repository
        return
    yield Finding(local.start(), domain.end(), "email", 0.95)


def _cards(text: str, match: Any) -> Iterator[Finding]:
    """The groups of a run of digits that make a card: the run may begin or end with digits of something else."""
    if not _stands_alone(text, match.start(), match.end()):
        return
    groups = [(found.start() + match.start(), found.group()) for found in _GROUPS.finditer(match.group())]
    at = 0
    while at < len(groups):
        digits = ""
        for last in range(at, len(groups)):
            digits += groups[last][1]
            if len(digits) > _LONGEST_CARD:
                break
            if len(digits) >= 13 and is_card(digits):
                grouped = [len(group) for _, group in groups[at : last + 1]]
                usual = grouped in ([4, 4, 4, 4], [4, 6, 5], [4, 6, 4], [4, 4, 4, 4, 3], [len(digits)])
                end = groups[last][0] + len(groups[last][1])
                yield Finding(groups[at][0], end, "credit_card", 0.95 if usual else 0.7)
                at = last
                break
        at += 1


def _ibans(text: str, match: Any) -> Iterator[Finding]:
    start = match.start()
    compact, end = "", start
    for character in match.group():
        end += 1
        if character in " -":
            continue
        compact += character
        if (
            len(compact) >= 15
            and is_iban(compact.upper())
            and not _continues(text, end)
            and not _precedes(text, start)
        ):
            yield Finding(start, end, "iban", 0.99)
            return


def _ssns(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    shown = match.group()
    digits = shown.replace("-", "").replace(" ", "")
    if not _stands_alone(text, start, end) or not is_ssn(digits):
        return
    named = _SSN_WORDS.search(text, max(start - 40, 0), start) is not None
    if shown[3:4] != shown[6:7] and not shown.isdecimal():
        return
    if named:
        yield Finding(start, end, "us_ssn", 0.99)
    elif "-" in shown:
        yield Finding(start, end, "us_ssn", 0.8)


def _phones(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    shown = match.group()
    digits = "".join(character for character in shown if character.isdecimal())
    if not shown.startswith("+"):  # 00 is dialled for it, and stands in the middle of many a number
        digits = digits[2:]
        if text[max(start - 2, 0) : start - 1].isdecimal():
            return
    if _precedes(text, start) or not is_phone(digits) or _continues(text, end):
        return
    yield Finding(start, end, "phone", 0.9)


def _nanp(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    digits = "".join(character for character in match.group() if character.isdecimal())
    if _stands_alone(text, start, end) and is_nanp(digits):
        yield Finding(start, end, "phone", 0.7)


def _addresses(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    if not _stands_alone(text, start, end) or _VERSION_WORDS.search(text, max(start - 12, 0), start):
        return
    yield from _address(start, end, match.group())


def _long_addresses(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    shown = match.group()
    groups = [group for group in shown.split(":") if group]
    if len(groups) < 3 or not any(character.isdecimal() for character in shown):
        return
    if not _precedes(text, start) and not _continues(text, end):
        yield from _address(start, end, shown)


def _address(start: int, end: int, shown: str) -> Iterator[Finding]:
    try:
        address = ipaddress.ip_address(shown)
    except ValueError:
        return
    yield Finding(start, end, "ip_address", 0.9 if address.is_global else 0.3)


def _residents(text: str, match: Any) -> Iterator[Finding]:
    start, end = match.span()
    if _stands_alone(text, start, end) and is_resident_id(match.group()):
        yield Finding(start, end, "cn_resident_id", 0.99)


def _precedes(text: str, start: int) -> bool:
    return start > 0 and (
        (text[start - 1].isascii() and text[start - 1].isalnum()) or text[start - 1] in "_+"
    )


def _continues(text: str, end: int) -> bool:
    return end < len(text) and ((text[end].isascii() and text[end].isalnum()) or text[end] == "_")


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether the digits are not part of a longer number, word or identifier. A letter of a script without spaces may stand
    beside them."""
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    if before and (
        (before[-1].isascii() and before[-1].isalnum())
        or before[-1] == "_"
        or (before[-1] in ".-" and before[:1].isdecimal())
    ):
        return False
    return not (
        after
        and (
            (after[0].isascii() and after[0].isalnum())
            or after[0] == "_"
            or (after[0] in ".-" and after[1:].isdecimal())
        )
    )


_LOOKED_FOR: tuple[tuple[str, _Check], ...] = (
    (r"@[\pL\pN]", _emails),
    (r"\d(?:[ -]?\d){12,}", _cards),
    (r"[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,60}", _ibans),
    (r"\d{3}[ -]?\d{2}[ -]?\d{4}", _ssns),
    (r"(?:\+|\b00)\(?[1-9](?:[ .()/-]{0,3}\d){7,14}", _phones),
    (r"\(?[2-9]\d{2}(?:\) ?|[ .-])[2-9]\d{2}[ .-]\d{4}", _nanp),
    (r"(?:\d{1,3}\.){3}\d{1,3}", _addresses),
    (r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:]{1,40}", _long_addresses),
    (r"[1-9]\d{5}(?:18|19|20)\d{9}[0-9Xx]", _residents),
)

_set = PatternSet([pattern for pattern, _ in _LOOKED_FOR])


def find_pii(text: str) -> list[Finding]:
    """Every personal identifier in the text, by place, without overlaps."""
    text = encodable(text)
    found = [
        finding
        for number in _set.which(text)
        for match in _set.matches(number, text)
        for finding in _LOOKED_FOR[number][1](text, match)
    ]
    return merged(found) if len(found) > 1 else found
