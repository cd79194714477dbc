"""The form a bank writes its payments by: the same keys in the same order, and only values differ.

The form of a text that was read strictly is kept with an alphabet for each value: whatever is of
it is JSON of the same keys, each once, whose values can only be good, and the kernel reads it in
one pass. Pure.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from gateway.api import decode
from gateway.domain import ids
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.payment import Claim, PaymentRequest
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.methods import USUAL_CARD
from splitcore import TextForm

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
# A class or a sign, and how many of it.
_RUN: Final = re.compile(r"(\[(?:\\.|[^\]])+\]|\\.)(?:\{([0-9]+)(?:,([0-9]+))?\})?")


def _runs(shape: bytes) -> list[tuple[bytes, int, int]]:
    """An expression of classes one after another, as the kernel takes them."""
    return [
        (
            bytes(sign for sign in range(128) if re.fullmatch(signs, chr(sign))),
            int(least or 1),
            int(most or least or 1),
        )
        for signs, least, most in _RUN.findall(shape.decode())
    ]


_VALUES: Final = {name: _runs(shape) for name, shape in _SHAPES.items()}


class Form(Struct, frozen=True, eq=False):
    """How texts of a form are read: `text` gives account, amount, what else there is of key,
    reference and paid_at, the one spelling of all, and the facts.

    The places of `key`, `reference` and `paid_at` in it are 0 where a form has none; `moment` is
    the place of paid_at in the text.
    """

    text: TextForm
    is_total: bool
    key: int
    reference: int
    paid_at: int
    moment: int

    def read(self, text: bytes, caller: int, key: str = "") -> PaymentRequest | None:
        """The payment of a text of this form; None for any other text.

        `key` is its idempotency key, unless the text has it.
        """
        found = self.text.read(text)
        if found is None:
            return None
        paid_at = None
        if self.paid_at:
            told = found[self.paid_at]
            try:
                paid_at, spelt = decode.paid_at(told)
            except Refusal:
                return None
            if spelt != told:
                found = self.text.read(text, self.moment, spelt)
                if found is None:
                    return None
        return PaymentRequest(
            Claim(
                caller,
                found[self.key] if self.key else key,
                "payments",
                decode.digest(found[-2]),
            ),
            ids.new_id(),
            found[0],
            found[1],
            self.is_total,
            decode.CARD,
            found[-1],
            (),
            found[self.reference] if self.reference else None,
            paid_at,
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
    pieces, names = _template(text)
    if len(set(names)) < len(names) or not set(names) >= _NEEDED:
        return None
    chosen = [
        (name, kind)
        for name, kind in (
            *((_ACCOUNT, "t"), (_AMOUNTS[request.is_total], "n"), (_KEY, "t"), (_REFERENCE, "t")),
            (_PAID_AT, "b"),
        )
        if name in names
    ]
    order = [name for name, _ in chosen]
    written = [_template(canonical), _template(request.facts)]
    return Form(
        TextForm(
            pieces,
            [_VALUES[name] for name in names],
            [(names.index(name), kind) for name, kind in chosen],
            [(text, [names.index(name) for name in at]) for text, at in written],
        ),
        request.is_total,
        key=order.index(_KEY) if _KEY in order else 0,
        reference=order.index(_REFERENCE) if _REFERENCE in order else 0,
        paid_at=order.index(_PAID_AT) if _PAID_AT in order else 0,
        moment=names.index(_PAID_AT) if _PAID_AT in names else -1,
    )


def _template(text: bytes) -> tuple[list[bytes], list[bytes]]:
    """A JSON text in pieces, and the names of the values between them."""
    pieces = [b""]
    names = []
    for token, name in _members(text):
        if name is None:
            pieces[-1] += token
            continue
        names.append(name)
        quote = token[:1] if token[:1] == b'"' else b""
        pieces[-1] += quote
        pieces.append(quote)
    return pieces, names


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
