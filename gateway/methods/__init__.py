"""How it was paid: each way's facts checked and put in one shape; pure, without I/O or clock.

Must not look at bills, move money or keep anything; must never let a full card number through.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.domain.refusals import Refusal
from gateway.methods import card, cash, qr, wallets
from gateway.methods.card import USUAL as USUAL_CARD
from gateway.methods.facts import ISSUED_IDENTIFIERS, MethodFacts, refuse_card_numbers
from gateway.methods.pan import contains_pan

__all__ = ["USUAL_CARD", "MethodFacts", "contains_pan", "normalise"]

_NORMALISERS: Final[dict[str, Callable[[Mapping[str, object]], MethodFacts]]] = {
    "card": card.normalise,
    "mir": card.normalise,
    "cash": cash.normalise,
    "qr": qr.normalise,
    "apple_pay": wallets.normalise,
    "google_pay": wallets.normalise,
}
# Text of its own form: qr looks for card numbers in its payload's free-text fields, and a token is
# base64 in fields that hold nothing else, refused as a whole or not kept.
_UNCHECKED: Final = {
    "qr": ISSUED_IDENTIFIERS | {"payload"},
    "apple_pay": ISSUED_IDENTIFIERS | {"token"},
    "google_pay": ISSUED_IDENTIFIERS | {"token"},
}


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """The `method` object of a payment, checked and normalised.

    Refusals: pan_not_allowed, qr_invalid, and method_invalid for a type that is unknown or not
    taken, an unknown key, or a value of a wrong type, length or shape.
    """
    usual = card.as_usual(method)
    if usual is not None:
        return usual
    told = method.get("type")
    name = told if isinstance(told, str) else ""
    refuse_card_numbers(method, _UNCHECKED.get(name, ISSUED_IDENTIFIERS))
    normaliser = _NORMALISERS.get(name)
    if normaliser is None:
        raise Refusal("method_invalid", f"Expected method.type one of {', '.join(_NORMALISERS)}")
    return normaliser(method)
