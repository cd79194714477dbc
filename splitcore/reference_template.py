"""Texts that differ only in their numbers, written from columns of kopecks. The reference."""

from collections.abc import Iterable
from typing import final

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
