"""The reference's whole numbers in JSON text, taken out of it and packed.

Two texts that leave the same rest differ in their numbers and one string alone: whoever has read
one of them strictly knows the other's shape without reading it again.
"""

import re
from typing import Final

from splitcore.limits import AMOUNT_MAX, TEXT_BYTES_MAX, TEXT_NUMBERS_MAX
from splitcore.reference_plans import pack

_PIECE: Final = re.compile(rb'"[^"]*"|"|[0-9]+')
_VALUE: Final = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_NAMED: Final = re.compile(rb'"([^"]*)"')
# Within a value laid aside, where a string may have escapes.
_NESTED: Final = re.compile(rb'[^"{}]+|"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)
_LEADING_ZERO: Final = re.compile(rb"0[0-9]")
_DIGITS_MAX: Final = len(str(AMOUNT_MAX))


def numbers_apart(
    text: bytes, name: bytes, aside: bytes
) -> tuple[bytes, bytes, bytes | None, bytes] | None:
    """What is left of a JSON text; the string called `name`; the object or string called `aside`,
    if there is one; and the other numbers as a packed vector.

    Numbers outside of strings leave a 0, the string its quotes, the value laid aside braces, which
    nothing else leaves there: `{"who": "A", "due": 15, "more": {"n": 7}}` with the names `who` and
    `more` leaves `{"who": "", "due": 0, "more": {}}`, `A`, `{"n": 7}` and [15].

    None where the rest would not tell all else of the text: an escape, a number that is negative,
    not whole, above AMOUNT_MAX or with a leading 0, no string of that name (the first counts), more
    than TEXT_BYTES_MAX or TEXT_NUMBERS_MAX. Whether what was laid aside is JSON is not looked at.
    """
    if len(text) > TEXT_BYTES_MAX:
        return None
    rest: list[bytes] = []
    numbers: list[int] = []
    named: bytes | None = None
    laid: bytes | None = None
    at = 0
    while (piece := _PIECE.search(text, at)) is not None:
        rest.append(text[at : piece.start()])
        found, at = piece[0], piece.end()
        if found == b'"':
            return None
        if not found.startswith(b'"'):
            if not _is_plain(text, piece) or len(numbers) == TEXT_NUMBERS_MAX:
                return None
            numbers.append(int(found))
            rest.append(b"0")
            continue
        rest.append(found)
        begins = _VALUE.match(text, at)
        if named is None and found[1:-1] == name:
            string = None if begins is None else _NAMED.match(text, begins.end())
            if string is None:
                return None
            named, at = string[1], string.end()
            rest += [text[piece.end() : string.start(1)], b'"']
        elif laid is None and found[1:-1] == aside and begins is not None:
            if text[begins.end() : begins.end() + 1] not in (b"{", b'"'):
                continue
            rest += [begins[0], b"{}"]
            at = _end_of_value(text, begins.end())
            laid = text[begins.end() : at]
            if at > len(text):
                return None
    left = b"".join([*rest, text[at:]])
    if named is None or b"\\" in left + named:
        return None
    return left, named, laid, pack(numbers)


def _is_plain(text: bytes, digits: re.Match[bytes]) -> bool:
    """Whether digits are a whole number from 0 to AMOUNT_MAX as JSON writes it."""
    before = text[digits.start() - 1 : digits.start()]
    after = text[digits.end() : digits.end() + 1]
    if before in (b"-", b"+", b".") or after in (b".", b"e", b"E"):
        return False
    if _LEADING_ZERO.match(digits[0]) or len(digits[0]) > _DIGITS_MAX:
        return False
    return int(digits[0]) <= AMOUNT_MAX


def _end_of_value(text: bytes, at: int) -> int:
    """The end of the object or string that begins at a place; beyond the text if it has none."""
    depth = 0
    while (piece := _NESTED.match(text, at)) is not None:
        depth += {b"{": 1, b"}": -1}.get(piece[0], 0)
        at = piece.end()
        if depth == 0:
            return at
    return len(text) + 1
