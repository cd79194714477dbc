"""Lines of a bulk body to payments, many at a time. Pure, but for what it remembers of a body.

A bank writes its lines by one form: the same keys in the same order, and only values differ. The
form of a line that was read strictly is made into one expression: whatever matches it is JSON of
the same keys, each once, whose values can only be good, and is read by one match.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct

from gateway.api import decode
from gateway.domain import ids
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.payment import Claim, PaymentRequest
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.methods import USUAL_CARD

FORMS_MAX: Final = 4
# A form costs as much as ten lines, and a hundred where no other body has had it before.
LINES_MIN: Final = 20
LINE_BYTES_MAX: Final = 2_048

_KEY: Final = b"idempotency_key"
_ACCOUNT: Final = b"subscriber_account"
_AMOUNTS: Final = (b"amount", b"total")
_REFERENCE: Final = b"reference"
_PAID_AT: Final = b"paid_at"
# Of each member the values that are good whatever else the line says, and are written in JSON as
# they stand here. What is good beyond them is read the general way.
_SHAPES: Final = {
    _KEY: rb"[!#-\[\]-~]{1,255}",
    _ACCOUNT: SUBSCRIBER_ACCOUNT.pattern.encode(),
    _AMOUNTS[0]: rb"[1-9][0-9]{0,12}",
    _AMOUNTS[1]: rb"[1-9][0-9]{0,12}",
    _REFERENCE: rb"[ !#-\[\]-~]{1,128}",
    _PAID_AT: rb"[0-9T:.+Z-]{20,35}",
    **{name.encode(): shape.encode() for name, shape in USUAL_CARD.items() if name != "type"},
}
_NEEDED: Final = {_KEY, _ACCOUNT, b"network", b"masked_pan"}
_CARD: Final = re.compile(rb'"type"\s*:\s*"card"')
_TOKEN: Final = re.compile(rb'("[^"]*"|[0-9]+)')
_COLON: Final = re.compile(rb"\s*:")

_Values = Sequence[bytes]


class _Form(Struct, frozen=True, eq=False):
    """How lines of a form are read: `match` gives the values, in the order they stand in.

    `canonical` and `facts` are texts with a %b for each of the values that the functions beside
    them choose. The places of `reference` and `paid_at` are -1 where a form has none.
    """

    match: Callable[[bytes], re.Match[bytes] | None]
    first: Callable[[_Values], tuple[bytes, bytes, bytes]]
    is_total: bool
    canonical: bytes
    of_canonical: Callable[[_Values], tuple[Any, ...]]
    facts: bytes
    of_facts: Callable[[_Values], tuple[Any, ...]]
    reference: int
    paid_at: int

    def read(self, line: bytes, caller: int) -> PaymentRequest | None:
        """The payment of a line of this form; None for any other line."""
        match = self.match(line)
        if match is None:
            return None
        values: _Values = match.groups()
        moment = None
        if self.paid_at >= 0:
            try:
                moment, spelt = decode.paid_at(values[self.paid_at])
            except Refusal:
                return None
            values = [*values]
            values[self.paid_at] = spelt
        key, account, kopecks = self.first(values)
        fingerprint = decode.digest(self.canonical % self.of_canonical(values))
        return PaymentRequest(
            Claim(caller, key.decode(), "payments", fingerprint),
            ids.new_id(),
            account.decode(),
            int(kopecks),
            self.is_total,
            decode.CARD,
            self.facts % self.of_facts(values),
            (),
            values[self.reference].decode() if self.reference >= 0 else None,
            moment,
        )


class BulkLines:
    """Reads the lines of one body of a caller."""

    def __init__(self, caller: int) -> None:
        self._caller = caller
        self._forms: list[_Form] = []

    def read(self, lines: Sequence[bytes | None]) -> list[PaymentRequest | Exception]:
        """The payment of each line, or why it is none; None is a line that is too long."""
        many = len(lines) >= LINES_MIN
        return [self._read(line, many) for line in lines]

    def _read(self, line: bytes | None, many: bool) -> PaymentRequest | Exception:
        if line is None:
            return Refusal("body_too_large", "Expected a shorter line")
        for form in self._forms:
            known = form.read(line, self._caller)
            if known is not None:
                return known
        try:
            request = decode.bulk_payment(line, self._caller)
            if many and len(self._forms) < FORMS_MAX and len(line) <= LINE_BYTES_MAX:
                self._remember(line, request)
        except Exception as failure:
            return failure
        return request

    def _remember(self, line: bytes, request: PaymentRequest) -> None:
        form = _form_of(line, request)
        if form is None:
            return
        again = form.read(line, self._caller)
        if again is None:
            return
        if _but_id(again) != _but_id(request):
            raise InvariantBroken("Expected a line to read alike both ways, was other")
        self._forms.append(form)


def _form_of(line: bytes, request: PaymentRequest) -> _Form | None:
    """The form of a line that was read strictly; None where something in it is out of the usual."""
    if b"\\" in line or request.designation or _CARD.search(line) is None:
        return None
    names: list[bytes] = []
    expression = b""
    for token, name in _members(line):
        if name is None:
            expression += re.escape(token)
        else:
            names.append(name)
            shape = b"(%b)" % _SHAPES[name]
            expression += b'"%b"' % shape if token[:1] == b'"' else shape
    if len(set(names)) < len(names) or not set(names) >= _NEEDED:
        return None
    canonical, of_canonical = _template(decode.bulk_canonical(line), names)
    facts, of_facts = _template(request.facts, names)
    amount = _AMOUNTS[request.is_total]
    return _Form(
        re.compile(expression).fullmatch,
        itemgetter(*(names.index(name) for name in (_KEY, _ACCOUNT, amount))),
        request.is_total,
        canonical,
        of_canonical,
        facts,
        of_facts,
        names.index(_REFERENCE) if _REFERENCE in names else -1,
        names.index(_PAID_AT) if _PAID_AT in names else -1,
    )


def _template(text: bytes, names: Sequence[bytes]) -> tuple[bytes, Callable[[_Values], Any]]:
    """A JSON text with a %b for each value of these names, and what chooses its values."""
    template = b""
    places = []
    for token, name in _members(text):
        if name is None:
            template += token.replace(b"%", b"%%")
        else:
            places.append(names.index(name))
            template += b'"%b"' if token[:1] == b'"' else b"%b"
    return template, itemgetter(*places)


def _members(text: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """A JSON text without escapes in pieces, with the name of each that is a value of _SHAPES."""
    pieces = _TOKEN.split(text)
    name = b""
    for at, piece in enumerate(pieces):
        is_value = at % 2 == 1
        if is_value and _COLON.match(pieces[at + 1]) is not None:
            is_value = False
            name = piece[1:-1]
        yield piece, name if is_value and name in _SHAPES else None


def _but_id(request: PaymentRequest) -> tuple[Any, ...]:
    return tuple(getattr(request, name) for name in request.__struct_fields__ if name != "id")
