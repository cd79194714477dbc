"""Check digits of requisites, on published pairs and on every single wrong digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.requisites import (
    account_key_holds,
    account_with_key,
    check_bank_account,
    check_bic,
    check_inn,
    check_kpp,
    inn_has_shape,
    inn_with_check_digits,
)

INN_GOOD = ["1841008627", "6168108630", "7802532605", "7707083893", "500100732259"]
INN_BAD = ["6200098765", "0524967340", "6368082584"]

ACCOUNTS_GOOD = [
    # account, BIC, whose
    ("40702810268000010356", "049401601", "organisation"),
    ("40702810952090030727", "046015602", "organisation"),
    ("40702810138250123017", "044525225", "organisation"),
    ("40703810990200000032", "044030790", "non-profit organisation"),
    ("40702810200203001037", "044525545", "organisation"),
    ("30101810400000000225", "044525225", "correspondent"),
    ("30101810200000000827", "044030827", "correspondent"),
    ("30101810900000000790", "044030790", "correspondent"),
    ("30101810400000000601", "049401601", "correspondent"),
    ("30101810600000000602", "046015602", "correspondent"),
    ("30101810300000000545", "044525545", "correspondent"),
    ("30101810945250000420", "044525420", "correspondent"),
]
ACCOUNTS_BAD = [
    ("40902830202010056769", "048073601", "made up"),
    ("30102110300320000206", "048073601", "made up"),
    ("40702810268000010357", "049401601", "last digit changed"),
    ("40702810268000010356", "044525225", "another bank"),
]


@pytest.mark.parametrize("inn", INN_GOOD)
def test_inn_with_its_check_digits_is_good(inn: str) -> None:
    assert check_inn(inn)


@pytest.mark.parametrize("inn", INN_BAD)
def test_inn_with_other_check_digits_is_bad_but_has_the_shape(inn: str) -> None:
    assert not check_inn(inn)
    assert inn_has_shape(inn)


@pytest.mark.parametrize(
    "text",
    ["", "770708389", "77070838930", "7707083893\n", " 7707083893", "٧٧٠٧٠٨٣٨٩٣", "0000000000"],
)
def test_inn_is_ascii_digits_of_a_real_region_and_nothing_else(text: str) -> None:
    assert not check_inn(text)
    assert not inn_has_shape(text)


@pytest.mark.parametrize("inn", INN_GOOD)
def test_inn_is_made_whole_from_its_bare_digits(inn: str) -> None:
    bare = inn[:9] if len(inn) == 10 else inn[:10]
    assert inn_with_check_digits(bare) == inn


@pytest.mark.parametrize("digits", ["", "12345678", "12345678901", "12345678x", "١٢٣٤٥٦٧٨٩"])
def test_inn_is_not_made_from_anything_else(digits: str) -> None:
    with pytest.raises(ValueError, match="Expected 9 or 10 digits"):
        inn_with_check_digits(digits)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("616801001", True),
        ("7802AB001", True),
        ("78020100", False),
        ("7802ab001", False),
        ("7802АВ001", False),  # Cyrillic letters
        ("780201001\n", False),
        ("٧٨٠٢٠١٠٠١", False),
    ],
)
def test_kpp(text: str, good: bool) -> None:
    assert check_kpp(text) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("044525225", True),
        ("049401601", True),
        ("04452522", False),
        ("144525225", False),
        ("044525225\n", False),
        ("04452522٥", False),
    ],
)
def test_bic(text: str, good: bool) -> None:
    assert check_bic(text) is good


@pytest.mark.parametrize(("account", "bic", "whose"), ACCOUNTS_GOOD)
def test_account_key_holds(account: str, bic: str, whose: str) -> None:
    assert account_key_holds(account, bic), whose


@pytest.mark.parametrize(("account", "bic", "why"), ACCOUNTS_BAD)
def test_account_key_does_not_hold(account: str, bic: str, why: str) -> None:
    assert not account_key_holds(account, bic), why


@pytest.mark.parametrize(("account", "bic", "whose"), ACCOUNTS_GOOD)
def test_any_one_wrong_digit_breaks_the_key(account: str, bic: str, whose: str) -> None:
    for at in range(len(account)):
        wrong = account[:at] + str((int(account[at]) + 1) % 10) + account[at + 1 :]
        if at >= 3:  # The first three digits choose the rule of a correspondent account.
            assert not account_key_holds(wrong, bic), f"{whose}, position {at + 1}"


@pytest.mark.parametrize(("account", "bic", "whose"), ACCOUNTS_GOOD)
def test_key_is_computed(account: str, bic: str, whose: str) -> None:
    for key in "0123456789":
        assert account_with_key(account[:8] + key + account[9:], bic) == account, whose


def test_letter_in_position_six_counts_as_its_digit() -> None:
    for letter, digit in zip("ABCEHKMPTX", "0123456789", strict=True):
        with_letter = account_with_key(f"40702{letter}10000000000001", "044525225")
        with_digit = account_with_key(f"40702{digit}10000000000001", "044525225")
        assert with_letter[8] == with_digit[8]
        assert account_key_holds(with_letter, "044525225")


def test_account_in_a_settlement_centre_is_weighed_as_a_correspondent_one() -> None:
    account = account_with_key("40702810000000000001", "040173001")
    assert account_key_holds(account, "040173001")
    assert account_key_holds(account, "040173000")  # Only digits 5 and 6 of the BIC count.
    assert account[8] != account_with_key(account, "040173604")[8]


@pytest.mark.parametrize(
    "account",
    [
        "",
        "4070281013825012301",
        "00702810138250123017",
        "40702D10138250123017",
        "40702А10138250123017",  # a Cyrillic letter
        "40702810138250123017\n",
        "٤0702810138250123017",
    ],
)
def test_account_of_another_shape_has_no_key(account: str) -> None:
    assert not check_bank_account(account)
    assert not account_key_holds(account, "044525225")
    with pytest.raises(ValueError, match="Expected a 20-digit bank account"):
        account_with_key(account, "044525225")


@given(st.text(max_size=24), st.text(max_size=12))
def test_no_text_makes_a_check_raise(one: str, other: str) -> None:
    assert check_inn(one) in (True, False)
    assert check_kpp(one) in (True, False)
    assert check_bic(one) in (True, False)
    assert account_key_holds(one, other) in (True, False)
