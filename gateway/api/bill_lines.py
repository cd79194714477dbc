"""Lines of a load of bills to bills, many at a time. Pure, but for what it remembers of a load."""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.api import decode
from gateway.domain.bill import Bill
from gateway.domain.refusals import Refusal

SHAPES_MAX: Final = 256
SHAPE_BYTES_MAX: Final = 4_096
_DIGITS: Final = b"0123456789"

_bill: Final = msgspec.json.Decoder(Bill)


class BillLines:
    """Reads the lines of one load.

    The shape of a line is all of it but its digits. No key of a bill has a digit, so a line of a
    shape that was read strictly before holds no key twice and is no deeper: its type alone is left
    to check. Only a `payer` brings keys of its own, and an escape hides some; such lines are read
    strictly each time.
    """

    def __init__(self) -> None:
        self._shapes: set[bytes] = set()

    def read(self, lines: Sequence[bytes | msgspec.Raw | None]) -> list[Bill | Refusal]:
        """The bill of each line, or why it is none; None is a line that is too long."""
        return [self._read(line) for line in lines]

    def _read(self, line: bytes | msgspec.Raw | None) -> Bill | Refusal:
        if line is None:
            return Refusal("body_too_large", "Expected a shorter line")
        content = bytes(line)
        shape = content.translate(None, _DIGITS)
        if shape in self._shapes:
            try:
                return _bill.decode(content)
            except ValueError:
                pass
        try:
            bill = decode.bill(content)
        except Refusal as refusal:
            return refusal
        if bill.payer is None and b"\\" not in shape and len(shape) <= SHAPE_BYTES_MAX:
            self._remember(shape)
        return bill

    def _remember(self, shape: bytes) -> None:
        if len(self._shapes) >= SHAPES_MAX:
            self._shapes.clear()
        self._shapes.add(shape)
