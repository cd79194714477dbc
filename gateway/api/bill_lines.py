"""Lines of a load of bills to bills, many at a time. Pure, but for what it remembers of a load.

Of a month's bills only accounts, numbers and payers differ. A line that leaves the same text as one
that was read strictly, once those are taken out, holds the same keys and strings, each once: what
was taken out is all there is to read.
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
from gateway.flows.bill_forms import BillForms, payer_text
from splitcore import numbers_apart, pack, unpack

TEXTS_MAX: Final = 4_096
TEXT_BYTES_MAX: Final = 4_096
FORMS_MAX: Final = 256
_ACCOUNT: Final = b"subscriber_account"
_PAYER: Final = b"payer"

# The rest of a line, its account, its payer as it stands there, and its other numbers packed.
_Apart = tuple[bytes, bytes, bytes | None, bytes]


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
        apart = numbers_apart(content, _ACCOUNT, _PAYER)
        if apart is not None:
            text = self._texts.get(apart[0])
            if text is not None and (known := _known(text, apart)) is not None:
                return known
        try:
            read = self._bill_forms.pack(decode.bill(content))
        except Refusal as refusal:
            return refusal
        if apart is not None and len(apart[0]) <= TEXT_BYTES_MAX:
            self._remember(content, apart, read)
        return read

    def _remember(self, content: bytes, apart: _Apart, read: PackedBill) -> None:
        rest = apart[0]
        text = self._texts.get(rest)
        if text is None:
            if len(self._texts) >= TEXTS_MAX:
                self._texts.clear()
            text = self._texts[rest] = _text(content)
        if len(text.forms) >= FORMS_MAX:
            text.forms.clear()
        values = unpack(apart[3])
        text.forms[tuple([values[at] for at in text.others])] = read.form
        if _known(text, apart) != read:
            raise InvariantBroken("Expected a line to read alike both ways, was other")


def _known(text: _Text, apart: _Apart) -> PackedBill | None:
    """The bill of a known text; None where what was taken out is not good, or not met before."""
    _, account, told_payer, numbers = apart
    try:
        name = account.decode()
        payer = None if told_payer is None else payer_text(decode.payer(told_payer))
    except (UnicodeDecodeError, Refusal):
        return None
    if SUBSCRIBER_ACCOUNT.fullmatch(name) is None:
        return None
    if text.only_dues:
        return PackedBill(name, text.forms[()], numbers, None, payer)
    values = unpack(numbers)
    form = text.forms.get(tuple([values[at] for at in text.others]))
    if form is None:
        return None
    dues = [values[at] for at in text.dues]
    told = [None if at is None else values[at] for at in text.weights]
    return PackedBill(name, form, pack(dues), packed_weights(dues, told), payer)


def _text(content: bytes) -> _Text:
    """The places of a bill's numbers, in the order in which they stand in its line."""
    bill = orjson.loads(content)
    bill.pop("payer", None)
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
