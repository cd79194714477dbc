"""Rows of fields as a binary COPY of PostgreSQL takes them. The reference."""

from collections.abc import Iterable
from typing import Final, final

from splitcore.errors import SplitError, found

_SIZES: Final = {"h": 2, "i": 4, "q": 8}
_FIELDS_MAX: Final = 1_600
_LENGTH_MAX: Final = 2**31 - 1


@final
class FieldRows:
    """Rows of one shape: the number of fields (16 bits), then each one's length and content.

    `kinds` has a letter for each field of a row's own: h, i and q are integers of 2, 4 and 8 bytes,
    b is bytes and t is text. `alike` is how many fields follow them that a call's rows have in
    common.
    """

    def __init__(self, kinds: str, alike: int) -> None:
        if (
            type(kinds) is not str
            or not set(kinds) <= {*_SIZES, "b", "t"}
            or type(alike) is not int
        ):
            raise SplitError("malformed", "Expected kinds of fields, was other")
        if not 1 <= len(kinds) <= _FIELDS_MAX or not 0 <= alike <= _FIELDS_MAX:
            raise SplitError("malformed", f"Expected 1..{_FIELDS_MAX} fields, was other")
        self._kinds = kinds
        self._count = (len(kinds) + alike).to_bytes(2, "big")

    def packed(self, rows: Iterable[tuple[object, ...]], end: bytes) -> bytes:
        """The rows, each with the fields `end`, which are packed already, behind its own.

        >>> FieldRows("ht", 1).packed([(7, "a"), (None, "b")], bytes(4)).hex(" ", -4)
        '00030000 00020007 00000001 61000000 000003ff ffffff00 00000162 00000000'

        None is null, whatever the kind. SplitError malformed for a row of another shape.
        """
        if type(end) is not bytes:
            raise SplitError("malformed", f"Expected bytes, was {found(end)}")
        pieces = []
        for row in rows:
            if type(row) is not tuple or len(row) != len(self._kinds):
                raise SplitError("malformed", "Expected a tuple with every field, was other")
            pieces.append(self._count)
            pieces += (_field(kind, value) for kind, value in zip(self._kinds, row, strict=True))
            pieces.append(end)
        return b"".join(pieces)


def _field(kind: str, value: object) -> bytes:
    if value is None:
        return b"\xff\xff\xff\xff"
    if kind in _SIZES and type(value) is int:
        size = _SIZES[kind]
        if -(1 << (8 * size - 1)) <= value < 1 << (8 * size - 1):
            return size.to_bytes(4, "big") + value.to_bytes(size, "big", signed=True)
    elif kind == "b" and type(value) is bytes and len(value) <= _LENGTH_MAX:
        return len(value).to_bytes(4, "big") + value
    elif kind == "t" and type(value) is str:
        content = value.encode()
        if len(content) <= _LENGTH_MAX:
            return len(content).to_bytes(4, "big") + content
    raise SplitError("malformed", f"Expected a field of kind {kind}, was {found(value)}")
