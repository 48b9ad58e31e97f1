"""Check digits: published numbers are taken, and numbers that are one digit off are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.detect.checksums import IBAN_LENGTHS, is_card, is_iban, is_phone, is_resident_id, is_ssn, luhn

digits = st.text("0123456789", min_size=15, max_size=15)


def with_luhn(payload: str) -> str:
    """The payload with the check digit that makes it right."""
    return next(payload + str(check) for check in range(10) if luhn(payload + str(check)))


def as_iban(country: str, account: str) -> str:
    """The account with its check digits, computed as ISO 13616 says: 98 less the remainder."""
    turned = "".join(str(int(each, 36)) for each in f"{account}{country}00")
    return f"{country}{98 - int(turned) % 97:02d}{account}"


@pytest.mark.parametrize(
    "number",
    [
        "4111111111111111",
        "4012888888881881",
        "4222222222222",
        "5555555555554444",
        "5105105105105100",
        "2223003122003222",
        "378282246310005",
        "371449635398431",
        "6011111111111117",
        "6011000990139424",
        "3530111333300000",
        "30569309025904",
        "38520000023237",
        "6250941006528599",
    ],
)
def test_numbers_that_card_networks_publish_for_tests_are_cards(number: str) -> None:
    assert is_card(number)


@given(digits)
def test_a_card_with_one_digit_changed_is_none(payload: str) -> None:
    number = with_luhn("4" + payload[1:])
    for at in range(1, 16):
        changed = number[:at] + str((int(number[at]) + 1) % 10) + number[at + 1 :]
        assert not is_card(changed)


@given(digits)
def test_luhn_takes_one_check_digit_of_ten(payload: str) -> None:
    assert sum(luhn(payload + str(check)) for check in range(10)) == 1


def test_a_right_check_digit_is_not_enough_without_an_issuer() -> None:
    assert luhn("9" * 15 + with_luhn("9" * 15)[-1])
    assert not is_card(with_luhn("9" * 15))
    assert not is_card("0" * 16)


@pytest.mark.parametrize(
    "number",
    [
        "GB82WEST12345698765432",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "CH9300762011623852957",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "BR1800360305000010009795493C1",
    ],
)
def test_accounts_of_the_registry_are_ibans(number: str) -> None:
    assert is_iban(number)


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.randoms(use_true_random=False))
def test_an_account_is_an_iban_only_with_its_check_digits_and_its_length(
    country: str, random: object
) -> None:
    choose = random.choice  # type: ignore[attr-defined]
    account = "".join(choose("0123456789ABCXYZ") for _ in range(int(IBAN_LENGTHS[country]) - 4))
    right = as_iban(country, account)
    assert is_iban(right)
    assert not is_iban(right[:2] + f"{(int(right[2:4]) + 1) % 97:02d}" + right[4:])
    assert not is_iban(right + "0")
    assert not is_iban("ZZ" + right[2:])


@pytest.mark.parametrize(
    ("number", "can_be"),
    [
        ("123456789", True),
        ("000456789", False),
        ("666456789", False),
        ("900456789", False),
        ("123006789", False),
        ("123450000", False),
        ("078051120", False),
    ],
)
def test_social_security_numbers_that_were_never_given_out_are_none(number: str, can_be: bool) -> None:
    assert is_ssn(number) is can_be


def test_a_resident_identity_number_has_its_check_digit_and_a_date() -> None:
    assert is_resident_id("11010519491231002X")
    assert is_resident_id("11010519491231002x")
    assert not is_resident_id("110105194912310021")
    assert not is_resident_id("11010519491331002X")
    assert not is_resident_id("99010519491231002X")


@given(st.integers(0, 99999999999))
def test_one_of_eleven_check_characters_is_right(seed: int) -> None:
    payload = f"3301061990{1 + seed % 12:02d}{1 + seed % 28:02d}{seed % 1000:03d}"
    assert sum(is_resident_id(payload + check) for check in "0123456789X") == 1


def test_a_telephone_number_begins_with_a_code_that_is_in_use() -> None:
    assert is_phone("49301234567")
    assert is_phone("8613812345678")
    assert not is_phone("999301234567"), "no country has 999"
    assert not is_phone("4930123"), "too short"
    assert not is_phone("4930123456789012"), "too long"
