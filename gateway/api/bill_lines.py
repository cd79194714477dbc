"""Lines of a load of bills to bills, many at a time. Pure, but for what it remembers of a load.

Of a month's bills only accounts and numbers differ. A line that leaves the same text as one that
was read strictly, once those are taken out, holds the same keys and strings, each once: its
account and its numbers are all there is to read.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import orjson
from msgspec import Struct

from gateway.api import decode
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.packed_bill import BillForm, PackedBill, packed_weights
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.bill_forms import BillForms
from splitcore import numbers_apart, pack, unpack

TEXTS_MAX: Final = 4_096
TEXT_BYTES_MAX: Final = 4_096
FORMS_MAX: Final = 256
_ACCOUNT: Final = b"subscriber_account"


class _Text(Struct, frozen=True, eq=False):
    """What stands where among the numbers of lines that leave the same text.

    `forms` are by the numbers that are no money: tiers, parts per million, a charge's index.
    """

    dues: list[int]
    weights: list[int | None]
    others: list[int]
    only_dues: bool
    forms: dict[tuple[int, ...], BillForm]


class BillLines:
    """Reads the lines of one load."""

    def __init__(self, forms: BillForms) -> None:
        self._bill_forms = forms
        self._texts: dict[bytes, _Text] = {}

    def read(self, lines: Sequence[bytes | msgspec.Raw | None]) -> list[PackedBill | Refusal]:
        """The bill of each line, or why it is none; None is a line that is too long."""
        return [self._read(line) for line in lines]

    def _read(self, line: bytes | msgspec.Raw | None) -> PackedBill | Refusal:
        if line is None:
            return Refusal("body_too_large", "Expected a shorter line")
        content = bytes(line)
        apart = numbers_apart(content, _ACCOUNT)
        if apart is not None:
            rest, account, numbers = apart
            text = self._texts.get(rest)
            if text is not None and (known := _known(text, account, numbers)) is not None:
                return known
        try:
            bill = decode.bill(content)
            read = self._bill_forms.pack(bill)
        except Refusal as refusal:
            return refusal
        # A payer brings keys of its own, and no two lines have the same.
        if apart is not None and bill.payer is None and len(apart[0]) <= TEXT_BYTES_MAX:
            self._remember(content, apart, read)
        return read

    def _remember(
        self, content: bytes, apart: tuple[bytes, bytes, bytes], read: PackedBill
    ) -> None:
        rest, account, numbers = apart
        text = self._texts.get(rest)
        if text is None:
            if len(self._texts) >= TEXTS_MAX:
                self._texts.clear()
            text = self._texts[rest] = _text(content)
        if len(text.forms) >= FORMS_MAX:
            text.forms.clear()
        values = unpack(numbers)
        text.forms[tuple([values[at] for at in text.others])] = read.form
        if _known(text, account, numbers) != read:
            raise InvariantBroken("Expected a line to read alike both ways, was other")


def _known(text: _Text, account: bytes, numbers: bytes) -> PackedBill | None:
    """The bill of a known text; None where its account or other numbers were not met before."""
    try:
        name = account.decode()
    except UnicodeDecodeError:
        return None
    if SUBSCRIBER_ACCOUNT.fullmatch(name) is None:
        return None
    if text.only_dues:
        return PackedBill(name, text.forms[()], numbers, None, None)
    values = unpack(numbers)
    form = text.forms.get(tuple([values[at] for at in text.others]))
    if form is None:
        return None
    dues = [values[at] for at in text.dues]
    told = [None if at is None else values[at] for at in text.weights]
    return PackedBill(name, form, pack(dues), packed_weights(dues, told), None)


def _text(content: bytes) -> _Text:
    """The places of a bill's numbers, in the order in which they stand in its line."""
    bill = orjson.loads(content)
    dues: list[int] = []
    weights: list[int | None] = [None] * len(bill["charges"])
    others: list[int] = []
    for place, (name, charge) in enumerate(_numbers(bill, "", 0)):
        if name == "due":
            dues.append(place)
        elif name == "weight":
            weights[charge] = place
        else:
            others.append(place)
    only_dues = not others and weights.count(None) == len(weights)
    return _Text(dues, weights, others, only_dues, {})


def _numbers(value: object, name: str, charge: int) -> Iterator[tuple[str, int]]:
    """The name of each number and the charge it stands in; depth was checked before."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _numbers(inner, key, charge)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _numbers(inner, name, at if name == "charges" else charge)
    elif isinstance(value, int):
        yield name, charge
