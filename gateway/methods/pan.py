"""Card numbers: whose they are and whether a text holds one.

Made to keep full card numbers out of the product; a number found here is never repeated.
"""

import re
from typing import Final

DIGITS_MIN: Final = 13
DIGITS_MAX: Final = 19

# Order matters: narrow ranges stand before wide ones, and Maestro takes what UnionPay and
# Mastercard leave of 5 and 6.
_NETWORKS: Final = (
    ("mir", r"220[0-4]", range(16, 20)),
    ("amex", r"3[47]", (15,)),
    ("diners", r"30[0-5]|36|38|39", range(14, 20)),
    ("jcb", r"35(?:2[89]|[3-8][0-9])", (16,)),
    ("mastercard", r"5[1-5]|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720", (16,)),
    ("visa", r"4", (13, 16, 19)),
    ("unionpay", r"62", range(16, 20)),
    ("maestro", r"50|5[6-8]|6", range(12, 20)),
)
_PREFIX: Final = re.compile("|".join(f"(?P<{name}>{prefix})" for name, prefix, _ in _NETWORKS))
_LENGTHS: Final = {name: frozenset(lengths) for name, _, lengths in _NETWORKS}

# Spaces and dashes as people, word processors and tills print them between groups of digits.
# Up to three in a row: a dash stands between spaces.
_SEPARATOR: Final = r"[ \-\u00a0\u2007\u2009\u202f\u2010-\u2015\u2212]"
# Written out, begun only where a run of digits begins, and never gone back on: half the time of
# a repeated group, and a fifth where a text has no digits. Every payment's texts pass here.
_ENOUGH_DIGITS: Final = re.compile(
    "[0-9](?<![0-9].)" + rf"{_SEPARATOR}{{0,3}}+[0-9]" * (DIGITS_MIN - 1), re.DOTALL
)
_DIGIT_GROUPS: Final = re.compile(rf"[0-9]+(?:{_SEPARATOR}{{1,3}}[0-9]+)*")
_DIGITS: Final = re.compile(r"[0-9]+")
_PRINTED_LAYOUTS: Final = frozenset(
    [(count,) for count in range(DIGITS_MIN, DIGITS_MAX + 1)]
    + [(4, 4, 4, count) for count in range(1, 5)]
    + [(4, 4, 4, 4, count) for count in range(1, 4)]
    + [(6, count) for count in range(DIGITS_MIN - 6, DIGITS_MAX - 5)]
    + [(4, 6, 5)]
)
_PRINTED_GROUPS_MAX: Final = max(map(len, _PRINTED_LAYOUTS))
_LUHN_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def luhn_holds(digits: str) -> bool:
    """Whether ASCII digits end in their Luhn check digit (ISO/IEC 7812-1)."""
    plain = sum(int(digit) for digit in digits[-1::-2])
    doubled = sum(_LUHN_DOUBLED[int(digit)] for digit in digits[-2::-2])
    return (plain + doubled) % 10 == 0


def network_of(number: str) -> str | None:
    """The network of a card number, full or masked, by its first digits; None if none is told."""
    prefix = _PREFIX.match(number)
    return None if prefix is None else prefix.lastgroup


def has_enough_digits(text: str) -> bool:
    """Whether as many digits as a card has stand in the text, parted by few signs."""
    return _ENOUGH_DIGITS.search(text) is not None


def contains_pan(text: str) -> bool:
    """Whether a full card number stands in the text: prefix, length for the network, and Luhn.

    Digits may be parted by spaces or dashes, a few at a time. A longer run of digits, such as a
    20-digit bank account, is not a card; a card in one of the layouts that cards are printed in
    is found between other numbers too.
    """
    if len(text) < DIGITS_MIN or not has_enough_digits(text):
        return False
    return any(
        _is_pan("".join(groups)) or _holds_printed_pan(groups)
        for groups in map(_DIGITS.findall, _DIGIT_GROUPS.findall(text))
    )


def _holds_printed_pan(groups: list[str]) -> bool:
    return any(
        tuple(map(len, window)) in _PRINTED_LAYOUTS and _is_pan("".join(window))
        for start in range(len(groups))
        for window in (groups[start : start + count] for count in range(1, _PRINTED_GROUPS_MAX + 1))
    )


def _is_pan(digits: str) -> bool:
    if not DIGITS_MIN <= len(digits) <= DIGITS_MAX:
        return False
    network = network_of(digits)
    return network is not None and len(digits) in _LENGTHS[network] and luhn_holds(digits)
