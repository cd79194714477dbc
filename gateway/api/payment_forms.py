"""The form a bank writes its payments by: the same keys in the same order, and only values differ.

The form of a text that was read strictly is made into one expression: whatever matches it is JSON
of the same keys, each once, whose values can only be good, and is read by one match. Pure.
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

# What callers of many forms gain nothing by: each form is tried in turn.
FORMS_MAX: Final = 4
TEXT_BYTES_MAX: Final = 2_048

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
_NEEDED: Final = {_ACCOUNT, b"network", b"masked_pan"}
_CARD: Final = re.compile(rb'"type"\s*:\s*"card"')
_TOKEN: Final = re.compile(rb'("[^"]*"|[0-9]+)')
_COLON: Final = re.compile(rb"\s*:")

_Values = Sequence[bytes]


class Form(Struct, frozen=True, eq=False):
    """How texts of a form are read: `match` gives the values, in the order they stand in.

    `canonical` and `facts` are texts with a %b for each of the values that the functions beside
    them choose. The places of `key`, `reference` and `paid_at` are -1 where a form has none.
    """

    match: Callable[[bytes], re.Match[bytes] | None]
    first: Callable[[_Values], tuple[bytes, bytes]]
    is_total: bool
    canonical: bytes
    of_canonical: Callable[[_Values], tuple[Any, ...]]
    facts: bytes
    of_facts: Callable[[_Values], tuple[Any, ...]]
    key: int
    reference: int
    paid_at: int

    def read(self, text: bytes, caller: int, key: str = "") -> PaymentRequest | None:
        """The payment of a text of this form; None for any other text.

        `key` is its idempotency key, unless the text has it.
        """
        match = self.match(text)
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
        account, kopecks = self.first(values)
        fingerprint = decode.digest(self.canonical % self.of_canonical(values))
        return PaymentRequest(
            Claim(
                caller,
                values[self.key].decode() if self.key >= 0 else key,
                "payments",
                fingerprint,
            ),
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


def form_of(text: bytes, canonical: bytes, request: PaymentRequest) -> Form | None:
    """The form of a text that was read strictly, as `request` and in its one spelling; None where
    something in it is out of the usual.
    """
    form = _form_of(text, canonical, request)
    again = None if form is None else form.read(text, request.claim.caller, request.claim.key)
    if again is not None and _but_id(again) != _but_id(request):
        raise InvariantBroken("Expected a text to read alike both ways, was other")
    return None if again is None else form


def _form_of(text: bytes, canonical: bytes, request: PaymentRequest) -> Form | None:
    if b"\\" in text or request.designation or _CARD.search(text) is None:
        return None
    names: list[bytes] = []
    expression = b""
    for token, name in _members(text):
        if name is None:
            expression += re.escape(token)
        else:
            names.append(name)
            shape = b"(%b)" % _SHAPES[name]
            expression += b'"%b"' % shape if token[:1] == b'"' else shape
    if len(set(names)) < len(names) or not set(names) >= _NEEDED:
        return None
    spelt, of_canonical = _template(canonical, names)
    facts, of_facts = _template(request.facts, names)
    amount = _AMOUNTS[request.is_total]
    return Form(
        re.compile(expression).fullmatch,
        itemgetter(*(names.index(name) for name in (_ACCOUNT, amount))),
        request.is_total,
        spelt,
        of_canonical,
        facts,
        of_facts,
        names.index(_KEY) if _KEY in names else -1,
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
