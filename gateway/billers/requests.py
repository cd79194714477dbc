"""A `pay` as a payment to be made, and a `cancel` as a claim to give one back (pure).

The key is the asker's operation for ever: however often and by whichever worker it comes, it is
one payment.
"""

from hashlib import blake2b
from typing import Final

from gateway.domain import ids
from gateway.domain.biller import Asked
from gateway.domain.payment import METHODS, Claim, PaymentRequest
from gateway.domain.refusals import InvariantBroken

METHOD: Final = METHODS.index("cash")
"""How agents' payments are made. The protocols do not tell; an agent's files say the same."""

_FINGERPRINT_SIZE: Final = 16


def key(protocol: str, number: str) -> str:
    """The key of an operation. Keys of callers hold no spaces, so none of theirs can be one."""
    return f"{protocol} {number}"


def payment(caller: int, asked: Asked) -> PaymentRequest:
    """The payment; the sum is its total, as what the asker passes on is all that there is."""
    if asked.total is None:
        raise InvariantBroken("Expected a sum in what was read as a payment")
    claim = Claim(
        caller,
        key(asked.protocol, asked.number),
        "payments",
        _digest(f"{asked.total} {asked.account}"),
    )
    return PaymentRequest(
        claim,
        ids.new_id(),
        asked.account,
        asked.total,
        True,
        METHOD,
        b'{"protocol":"%b"}' % asked.protocol.encode(),
        (),
        asked.number,
        asked.paid_at,
    )


def cancellation(caller: int, asked: Asked) -> Claim:
    """The key of giving a payment back: one for each payment, whatever number asks for it."""
    name = f"{asked.protocol} cancel {asked.cancels}"
    return Claim(caller, name, "refunds", _digest(name))


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_FINGERPRINT_SIZE).digest()
