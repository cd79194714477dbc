"""Card numbers: whose, and where a full one hides in a text. All numbers are test numbers."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.methods.pan import contains_pan, luhn_holds, network_of

TEST_NUMBERS = [
    # number, network
    ("2200000000000004", "mir"),
    ("2200000000000053", "mir"),
    ("4111111111111111", "visa"),
    ("4222222222222", "visa"),
    ("5105105105105100", "mastercard"),
    ("2223000048400011", "mastercard"),
    ("5353756319181169", "mastercard"),
    ("6200000000000005", "unionpay"),
    ("378282246310005", "amex"),
    ("3530111333300000", "jcb"),
    ("6759649826438453", "maestro"),
    ("30569309025904", "diners"),
]

NETWORK_OF_PREFIX = [
    # number or its beginning, network
    ("220000", "mir"),
    ("220499", "mir"),
    ("220500", None),
    ("222099", None),
    ("222100", "mastercard"),
    ("230000", "mastercard"),
    ("269999", "mastercard"),
    ("270000", "mastercard"),
    ("272099", "mastercard"),
    ("272100", None),
    ("500000", "maestro"),
    ("510000", "mastercard"),
    ("559999", "mastercard"),
    ("560000", "maestro"),
    ("580000", "maestro"),
    ("590000", None),
    ("620000", "unionpay"),
    ("630000", "maestro"),
    ("340000", "amex"),
    ("352799", None),
    ("352800", "jcb"),
    ("358999", "jcb"),
    ("359000", None),
    ("427644******1234", "visa"),
    ("2202******1234", "mir"),
    ("22**1234", None),
    ("******1234", None),
    ("", None),
    ("٤111", None),
]

TEXTS_WITH_A_CARD = [
    "4111  1111  1111  1111",
    "4111 - 1111 - 1111 - 1111",
    "30569309025904",
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111\u00a01111\u00a01111\u00a01111",
    "4111–1111–1111–1111",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "411111 1111111111",
    "3782 822463 10005",
    "Оплата картой 4111111111111111 за октябрь",
    "карта:4111111111111111.",
    "кв 5 4111 1111 1111 1111",
    "4111 1111 1111 1111 12-27",
    "4111111111111111 12-27",
    "1234 4111 1111 1111 1111",
    "a1b2c3 2200000000000004",
    "4111111111111111.0",
]

TEXTS_WITHOUT_A_CARD = [
    # text, why
    ("", "empty"),
    ("4111111111111112", "Luhn does not hold"),
    ("411111111111111", "15 digits is no Visa"),
    ("220000000000000", "15 digits is no MIR"),
    ("40702810138250123017", "a bank account"),
    ("30101810400000000225", "a correspondent account"),
    ("40702 810 1 3825 0123017", "a bank account as it is printed"),
    ("41111111111111110", "a longer run of digits"),
    ("94111111111111111", "a longer run of digits"),
    ("4111    1111    1111    1111", "many spaces part numbers"),
    ("4111_1111_1111_1111", "not how a card is written"),
    ("7707083893 616801001", "INN and KPP"),
    ("427644******1234", "masked"),
    ("0000000000000000", "no network"),
    ("8 800 555 35 35", "a telephone"),
    ("2026-11-12 09:31:07", "a time"),
    ("٤١١١١١١١١١١١١١١١", "digits of another script"),
]


@pytest.mark.parametrize(("number", "network"), TEST_NUMBERS)
def test_test_number_passes_luhn_and_tells_its_network(number: str, network: str) -> None:
    assert luhn_holds(number)
    assert network_of(number) == network
    assert contains_pan(number)


@pytest.mark.parametrize(("number", "network"), TEST_NUMBERS)
def test_any_one_changed_digit_breaks_luhn(number: str, network: str) -> None:
    for at, digit in enumerate(number):
        wrong = number[:at] + str((int(digit) + 1) % 10) + number[at + 1 :]
        assert not luhn_holds(wrong), network


@pytest.mark.parametrize(("number", "network"), NETWORK_OF_PREFIX)
def test_network_is_told_by_the_first_digits(number: str, network: str | None) -> None:
    assert network_of(number) == network


@pytest.mark.parametrize("text", TEXTS_WITH_A_CARD)
def test_card_is_found(text: str) -> None:
    assert contains_pan(text)


@pytest.mark.parametrize(("text", "why"), TEXTS_WITHOUT_A_CARD)
def test_other_numbers_are_not_cards(text: str, why: str) -> None:
    assert not contains_pan(text), why


@given(st.text(alphabet="0123456789 -ab", max_size=80), st.sampled_from(TEST_NUMBERS))
def test_card_among_words_is_found_whatever_stands_around(text: str, card: tuple[str, str]) -> None:
    assert contains_pan(f"{text}x{card[0]}x{text}")


@given(st.text(max_size=200))
def test_no_text_makes_the_search_raise(text: str) -> None:
    assert contains_pan(text) in (True, False)


@pytest.mark.parametrize("piece", ["4", "4 ", "4444 ", "4-44 ", "444444 4444444 "])
def test_search_is_linear_in_the_text(piece: str) -> None:
    # A square would take minutes here, so the limit leaves room for any machine.
    text = piece * (200_000 // len(piece))
    began = time.perf_counter()
    contains_pan(text)
    assert time.perf_counter() - began < 5
