"""Check digits and the rules around them: what makes a number one of its kind, rather than any number."""

import re
from datetime import date

# --- Payment cards: ISO/IEC 7812 ---

_CARDS: tuple[tuple[int, int, int, tuple[int, ...]], ...] = (
    # digits of the prefix, first, last, lengths
    (1, 4, 4, (13, 16, 19)),  # Visa
    (2, 51, 55, (16,)),  # Mastercard
    (4, 2221, 2720, (16,)),
    (2, 34, 34, (15,)),  # American Express
    (2, 37, 37, (15,)),
    (4, 6011, 6011, (16, 19)),  # Discover
    (3, 644, 649, (16, 19)),
    (2, 65, 65, (16, 19)),
    (4, 3528, 3589, (16, 17, 18, 19)),  # JCB
    (3, 300, 305, (14, 16, 19)),  # Diners Club
    (4, 3095, 3095, (14, 16, 19)),
    (2, 36, 36, (14, 16, 19)),
    (2, 38, 39, (14, 16, 19)),
    (2, 62, 62, (16, 17, 18, 19)),  # UnionPay
    *((4, prefix, prefix, (16, 17, 18, 19)) for prefix in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6763)),
)


def is_card(digits: str) -> bool:
    """Whether the digits are a card's number: an issuer's prefix, that issuer's length, Luhn's check digit."""
    return (
        digits[0] in "23456"
        and any(
            len(digits) in lengths and first <= int(digits[:size]) <= last
            for size, first, last, lengths in _CARDS
        )
        and luhn(digits)
        and len(set(digits)) > 1
    )


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + at % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# --- Bank accounts: ISO 13616 ---

IBAN_LENGTHS: dict[str, str] = dict(
    re.findall(
        r"(\w\w):(\d\d)",
        "AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24 DE:22 DJ:27 "
        "DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28 HR:21 HU:28 IE:22 "
        "IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 "
        "MN:20 MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22 RU:33 SA:24 SC:31 "
        "SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29 VA:22 VG:24 XK:20 YE:30",
    )
)
"""Country → characters of an account's number there, as text."""


def is_iban(compact: str) -> bool:
    """Whether the characters, without spaces and in capitals, are an IBAN: a country, its length, remainder 1 of 97."""
    if IBAN_LENGTHS.get(compact[:2]) != str(len(compact)):
        return False
    turned = compact[4:] + compact[:4]
    return int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


# --- Social security numbers of the United States ---

_PRINTED = frozenset({"078051120", "219099999"})
"""Numbers of advertisements, which belong to nobody."""


def is_ssn(digits: str) -> bool:
    """Whether nine digits can have been given out: there is no area 000, 666 or from 900, no group 00, no serial 0000."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return (
        area not in ("000", "666")
        and area < "900"
        and group != "00"
        and serial != "0000"
        and digits not in _PRINTED
    )


# --- Resident identity numbers of China: GB 11643-1999 ---

_PROVINCES = frozenset(
    re.findall(
        r"\d+",
        "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83",
    )
)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


def is_resident_id(text: str) -> bool:
    """Whether 18 characters are such a number: a province, a date of birth, ISO 7064's MOD 11-2."""
    if text[:2] not in _PROVINCES:
        return False
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, text, strict=False))
    return 1850 <= born.year <= 2100 and _CHECKS[total % 11] == text[17].upper()


# --- Telephone numbers: ITU-T E.164 ---

_CODES = frozenset(
    re.findall(
        r"\d+",
        "1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 "
        "90 91 92 93 94 95 98 211 212 213 216 218 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 "
        "373 374 375 376 377 378 379 380 381 382 383 385 386 387 389 420 421 423 670 672 673 674 675 676 677 678 679 680 "
        "681 682 683 685 686 687 688 689 690 691 692 800 808 850 852 853 855 856 870 878 880 881 882 883 886 888 960 961 "
        "962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 979 992 993 994 995 996 998",
    )
) | {str(code) for code in (*range(220, 270), *range(500, 510), *range(590, 600))}


def is_phone(digits: str) -> bool:
    """Whether digits with a country's code before them can be dialled: 8 to 15 of them, after a code that is in use."""
    return 8 <= len(digits) <= 15 and any(digits[:size] in _CODES for size in (1, 2, 3))


def is_nanp(digits: str) -> bool:
    """Whether ten digits can be a number of North America: neither area nor exchange begins with 0 or 1, or is N11."""
    return all(part[0] in "23456789" and part[1:] != "11" for part in (digits[:3], digits[3:6]))
