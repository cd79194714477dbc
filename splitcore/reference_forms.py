"""Texts of one form, whose values are taken out and written elsewhere. The reference."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

from splitcore.errors import SplitError

PLACES_MAX = 32
_DIGITS_MAX = 18
_NUMBER_MOST = 2**31 - 1

Run = tuple[bytes, int, int]
"""Signs of an ASCII alphabet, from least to most of them, one after another."""


@final
class TextForm:
    """A text with a place between each two of its pieces (bytes), for a value made of runs.

    A run takes as many signs as it may, whatever comes behind it. `chosen` are places with the
    kind that their values are read as: bytes (b), a string (t) or a number (n). `written` are texts
    made of the values: pieces, and the places between them.
    """

    _match: Callable[[bytes], re.Match[bytes] | None] | None = None

    def __init__(
        self,
        pieces: Iterable[bytes],
        values: Iterable[Iterable[Run]],
        chosen: Sequence[tuple[int, str]],
        written: Iterable[tuple[Iterable[bytes], Iterable[int]]],
    ) -> None:
        if self._match is not None:
            raise TypeError("Expected a form made once, was made again")
        told = list(pieces)
        runs = [list(value) for value in values]
        if (
            len(told) != len(runs) + 1
            or not all(runs)
            or len(runs) > PLACES_MAX
            or not all(type(piece) is bytes for piece in told)
        ):
            raise SplitError("malformed", "Expected a piece of bytes around each value, was other")
        if any(type(kind) is not str or kind not in ("b", "t", "n") for _, kind in chosen):
            raise SplitError("malformed", "Expected the kind of a value, was other")
        self._chosen = [(_place(place, len(runs)), kind) for place, kind in chosen]
        self._written = [_written(text, at, len(runs)) for text, at in written]
        expression = re.escape(told[0])
        for value, piece in zip(runs, told[1:], strict=True):
            expression += b"(" + b"".join(map(_expression, value)) + b")" + re.escape(piece)
        self._match = re.compile(expression, re.DOTALL).fullmatch

    def read(self, text: bytes, place: int = -1, spelt: bytes = b"") -> tuple[Any, ...] | None:
        """The chosen values, and behind them the written texts; None for a text of another form.

        >>> due = [(b"123456789", 1, 1), (b"0123456789", 0, 12)]
        >>> form = TextForm([b"<due ", b">"], [due], [(0, "n")], [([b"(", b")"], [0])])
        >>> form.read(b"<due 150>"), form.read(b"<due 0>")
        ((150, b'(150)'), None)

        `spelt` is taken for the value of `place`, if there is such a place. None too for a number
        that is no digits or more than 18.
        """
        if self._match is None:
            raise TypeError("Expected a form that was made, was not")
        match = self._match(text)
        if match is None:
            return None
        values = list(match.groups())
        if 0 <= place < len(values):
            values[place] = spelt
        found: list[Any] = []
        for at, kind in self._chosen:
            value = values[at]
            if kind == "n" and not (value.isdigit() and len(value) <= _DIGITS_MAX):
                return None
            found.append(
                int(value) if kind == "n" else value.decode("ascii") if kind == "t" else value
            )
        for pieces, places in self._written:
            rest = zip(places, pieces[1:], strict=True)
            found.append(pieces[0] + b"".join(values[at] + piece for at, piece in rest))
        return tuple(found)


def _place(place: object, count: int) -> int:
    if type(place) is not int or not 0 <= place < count:
        raise SplitError("malformed", "Expected the number of a place, was other")
    return place


def _written(
    text: Iterable[bytes], places: Iterable[int], count: int
) -> tuple[list[bytes], list[int]]:
    pieces, at = list(text), [_place(place, count) for place in places]
    if len(pieces) != len(at) + 1 or not all(type(piece) is bytes for piece in pieces):
        raise SplitError("malformed", "Expected a piece of bytes around each place, was other")
    return pieces, at


def _expression(run: Run) -> bytes:
    alphabet, least, most = run
    if not (
        type(alphabet) is bytes
        and alphabet.isascii()
        and type(least) is int
        and type(most) is int
        and 0 <= least <= most <= _NUMBER_MOST
    ):
        raise SplitError("malformed", "Expected an ASCII alphabet and bounds, was other")
    signs = b"|".join(re.escape(bytes((sign,))) for sign in alphabet) or b"(?!)"
    return b"(?:%b){%d,%d}+" % (signs, least, most)
