"""The connector of the sandbox: the bank of `kopeck sandbox`, which plays every outcome on demand.

Its protocol is our own and as strict as a bank's: JSON over HTTP, each request, reply and callback
signed by HMAC-SHA256 with one key over what it says.
"""

import hmac
from collections.abc import Mapping
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.acquirers.exchange import Exchange, Reply
from gateway.acquirers.words import (
    ABSENT,
    NOTHING,
    Answer,
    Instrument,
    MirPay,
    NoAnswer,
    Notice,
    Order,
    Refund,
    SavedCard,
    SbpQr,
    Step,
    WalletToken,
)
from gateway.domain.refusals import Refusal

SIGNATURE: Final = "X-Sandbox-Signature"
SBP: Final = "sbp"
MIR_PAY: Final = "mir_pay"
TAKEN: Final = b'{"taken":true}'
_NOT_FOUND: Final = 404
_OK: Final = 200


class OrderSaid(Struct, forbid_unknown_fields=True):
    """An order as the sandbox is told it; `outcome` is what a test card's reference names."""

    order: str
    total: int
    description: str
    instrument: str
    outcome: str
    expires_at: str


class RefundSaid(Struct, forbid_unknown_fields=True):
    """A refund as the sandbox is told it."""

    refund: str
    order: str
    amount: int


class OutcomeSaid(Struct, forbid_unknown_fields=True):
    """What became of an order or a refund, in a reply and in a callback alike."""

    number: str
    state: str
    operation: str
    amount: int
    reason: str | None = None
    step: Step = NOTHING


_order: Final = msgspec.json.Encoder()
_said: Final = msgspec.json.Decoder(OutcomeSaid)


def signature(key: str, content: bytes) -> str:
    """The signature of what is said: hex of HMAC-SHA256."""
    return hmac.digest(key.encode(), content, "sha256").hex()


def is_signed(key: str, content: bytes, given: str) -> bool:
    """Whether a signature is the one of this content."""
    # A header may hold any bytes, which are read as surrogates.
    told = given.encode("utf-8", "surrogateescape")
    return hmac.compare_digest(signature(key, content).encode(), told)


class Sandbox:
    """Speaks to the sandbox as to any acquirer."""

    def __init__(self, exchange: Exchange, key: str) -> None:
        self._exchange = exchange
        self._key = key

    async def authorise(self, order: Order) -> Answer:
        """POST /orders."""
        instrument, outcome = _instrument(order.instrument)
        said = OrderSaid(
            order.number,
            order.total,
            order.description,
            instrument,
            outcome,
            order.expires_at.isoformat(),
        )
        return self._answer(await self._post("/orders", said))

    async def status(self, order: Order, operation: str | None) -> Answer:
        """GET /orders/{number}."""
        return self._answer(await self._get(f"/orders/{order.number}"))

    async def refund(self, refund: Refund) -> Answer:
        """POST /refunds; the same refund again is the same."""
        said = RefundSaid(refund.number, refund.order.hex, refund.amount)
        return self._answer(await self._post("/refunds", said))

    async def refund_status(self, refund: Refund) -> Answer:
        """GET /refunds/{number}."""
        return self._answer(await self._get(f"/refunds/{refund.number}"))

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """A callback is what a reply would say, signed in its header."""
        if not is_signed(self._key, body, headers.get(SIGNATURE.lower(), "")):
            raise Refusal("signature_invalid", "Expected the sandbox's signature of this body")
        try:
            said = _said.decode(body)
            order = UUID(hex=said.number)
        except (ValueError, msgspec.ValidationError):
            raise Refusal("malformed", "Expected a callback of the sandbox") from None
        return Notice(order, _as_answer(said), TAKEN, "application/json")

    async def _post(self, path: str, said: Struct) -> Reply:
        content = _order.encode(said)
        headers = {
            "Content-Type": "application/json",
            SIGNATURE: signature(self._key, content),
        }
        return await self._exchange.ask("POST", path, headers, content)

    async def _get(self, path: str) -> Reply:
        headers = {SIGNATURE: signature(self._key, path.encode())}
        return await self._exchange.ask("GET", path, headers)

    def _answer(self, reply: Reply) -> Answer:
        if reply.status == _NOT_FOUND:
            return Answer(ABSENT)
        if reply.status != _OK:
            raise NoAnswer(f"Expected 200 or 404, was {reply.status}")
        try:
            return _as_answer(_said.decode(reply.body))
        except (ValueError, msgspec.ValidationError):
            raise NoAnswer("Expected a reply of the sandbox, was another") from None


def _as_answer(said: OutcomeSaid) -> Answer:
    return Answer(said.state, said.operation, said.reason, said.step, said.amount)


def _instrument(instrument: Instrument) -> tuple[str, str]:
    """The instrument's name, and the outcome that is asked for by it."""
    match instrument:
        case SavedCard(reference):
            return "card", reference
        case WalletToken(wallet, token):
            return wallet, _outcome_of(token)
        case SbpQr():
            return SBP, ""
        case MirPay():
            return MIR_PAY, ""


def _outcome_of(token: bytes) -> str:
    try:
        told = msgspec.json.decode(token)
    except msgspec.DecodeError:
        return ""
    outcome = told.get("outcome") if isinstance(told, dict) else None
    return outcome if isinstance(outcome, str) else ""
