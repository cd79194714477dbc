"""The reference's whole numbers in JSON text, taken out of it and packed.

Two texts that leave the same rest differ in their numbers and one string alone: whoever has read
one of them strictly knows the other's shape without reading it again.
"""

import re
from typing import Final

from splitcore.limits import AMOUNT_MAX, TEXT_BYTES_MAX, TEXT_NUMBERS_MAX
from splitcore.reference_plans import pack

_PIECE: Final = re.compile(rb'"[^"]*"|"|[0-9]+')
_NAMED: Final = re.compile(rb'[ \t\r\n]*:[ \t\r\n]*"([^"]*)"')
_LEADING_ZERO: Final = re.compile(rb"0[0-9]")
_DIGITS_MAX: Final = len(str(AMOUNT_MAX))


def numbers_apart(text: bytes, key: bytes) -> tuple[bytes, bytes, bytes] | None:
    """What is left of a JSON text, the string named by `key`, and its numbers as a packed vector.

    Numbers outside of strings leave a 0, the string its quotes: `{"who": "A", "due": 15}` with the
    key `who` leaves `{"who": "", "due": 0}`, `A` and [15].

    None where the rest would not tell all of the text: an escape, a number that is negative, not
    whole, above AMOUNT_MAX or with a leading 0, no string of that name (the first counts), more
    than TEXT_BYTES_MAX or TEXT_NUMBERS_MAX.
    """
    if len(text) > TEXT_BYTES_MAX or b"\\" in text:
        return None
    rest: list[bytes] = []
    numbers: list[int] = []
    named, at = None, 0
    while (piece := _PIECE.search(text, at)) is not None:
        rest.append(text[at : piece.start()])
        found, at = piece[0], piece.end()
        if found == b'"':
            return None
        if found.startswith(b'"'):
            rest.append(found)
            if named is None and found[1:-1] == key:
                following = _NAMED.match(text, at)
                if following is None:
                    return None
                named, at = following[1], following.end()
                rest += [text[piece.end() : following.start(1)], b'"']
            continue
        before, after = text[piece.start() - 1 : piece.start()], text[at : at + 1]
        if before in (b"-", b"+", b".") or after in (b".", b"e", b"E"):
            return None
        if _LEADING_ZERO.match(found) or len(found) > _DIGITS_MAX or int(found) > AMOUNT_MAX:
            return None
        if len(numbers) == TEXT_NUMBERS_MAX:
            return None
        numbers.append(int(found))
        rest.append(b"0")
    if named is None:
        return None
    return b"".join([*rest, text[at:]]), named, pack(numbers)
