"""Texts that differ only in their values, written from kopecks and what stands beside them. The
reference.
"""

from collections.abc import Iterable
from typing import cast, final

from splitcore.errors import SplitError

_NUMBER_END = (1 << 63) - 1


@final
class Template:
    """A text with a place for a whole number between each two of its pieces (bytes)."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        told = list(pieces)
        if not told or not all(type(piece) is bytes for piece in told):
            raise SplitError("malformed", "Expected pieces of bytes, at least one")
        self._pieces = told

    def filled(self, *columns: tuple[int, ...]) -> bytes:
        """The text with the rows of these columns in its places, one after another, in decimal.

        >>> Template([b"[", b" of ", b", ", b" of ", b"]"]).filled((1, 2), (30, 40))
        b'[1 of 30, 2 of 40]'

        Columns are tuples of one length, of integers in 0..2^63-2, that fill every place;
        SplitError malformed for others.
        """
        places = len(self._pieces) - 1
        if not all(
            type(column) is tuple and len(column) * len(columns) == places for column in columns
        ) or (places and not columns):
            raise SplitError("malformed", "Expected tuples that fill a template, was other")
        text = [self._pieces[0]]
        rest = iter(self._pieces[1:])
        for row in zip(*columns, strict=True):
            for number in row:
                if type(number) is not int or not 0 <= number < _NUMBER_END:
                    raise SplitError("malformed", "Expected whole numbers from 0 in a text")
                text.append(b"%d" % number)
                text.append(next(rest))
        return b"".join(text)


@final
class Sentence:
    """A text with a place between each two of its pieces (bytes), for a value of the kind that
    `kinds` has a letter for.

    A number (n) and a list of them (l, with commas between) in decimal, bytes as they are (b), a
    JSON string without its quotes (t), bytes in hexadecimal (x), and a Template with
    its columns behind it (f).
    """

    def __init__(self, pieces: Iterable[bytes], kinds: str) -> None:
        told = list(pieces)
        Template(told)
        if type(kinds) is not str or set(kinds) - set("nlbtxf"):
            raise SplitError("malformed", "Expected kinds of values, was other")
        if len(kinds) != len(told) - 1:
            raise SplitError("malformed", "Expected a kind for each place, was other")
        self._pieces = told
        self._kinds = kinds

    def filled(self, values: tuple[object, ...]) -> bytes | None:
        """The text with these values in its places.

        >>> Sentence([b"<", b": ", b">"], "tl").filled(("paid", (1, 20)))
        b'<paid: 1,20>'

        None where a string would need an escape; SplitError malformed for values of other kinds,
        and for numbers that a Template would not take.
        """
        if type(values) is not tuple or len(values) != len(self._kinds):
            raise SplitError("malformed", "Expected a tuple with every value, was other")
        text = [self._pieces[0]]
        for kind, value, piece in zip(self._kinds, values, self._pieces[1:], strict=True):
            written = _written(kind, value)
            if written is None:
                return None
            text += (written, piece)
        return b"".join(text)


def _written(kind: str, value: object) -> bytes | None:
    match kind, value:
        case "n", _:
            return _listed((value,))
        case "l", tuple() if type(value) is tuple:
            return _listed(value)
        case "b", bytes() if type(value) is bytes:
            return value
        case "t", str() if type(value) is str:
            unsafe = any(one < " " or one in '"\\' for one in value)
            return None if unsafe else value.encode()
        case "x", bytes() if type(value) is bytes:
            return value.hex().encode()
        case "f", (Template() as inner, *columns) if type(value) is tuple:
            return inner.filled(*cast("list[tuple[int, ...]]", columns))
    raise SplitError("malformed", f"Expected a value of kind {kind}, was other")


def _listed(numbers: tuple[object, ...]) -> bytes:
    for number in numbers:
        if type(number) is not int or not 0 <= number < _NUMBER_END:
            raise SplitError("malformed", "Expected whole numbers from 0 in a text")
    return ",".join(map(str, numbers)).encode()
