"""Raiffeisen's SBP API: a code for one payment, its state, refunds and signed callbacks.

A code is known by its id, which the register's reply alone tells. Where that was lost nobody has
seen the code, so nobody can pay it, and asking for the order makes another; an order that was paid
is not registered again.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from gateway.acquirers import wire
from gateway.acquirers.exchange import Exchange
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    DECLINED,
    PENDING,
    UNKNOWN,
    Answer,
    NoAnswer,
    Notice,
    Order,
    Refund,
    SbpQr,
    Step,
)
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal

# paymentStatus of a code's last payment. One that failed leaves the code payable, so the code's own
# state decides about it.
PAYMENT_STATUSES: Final[Mapping[str, str | None]] = {
    "SUCCESS": ACCEPTED,
    "IN_PROGRESS": PENDING,
    "DECLINED": None,
    "NO_INFO": None,
}
# qrStatus of a code that no payment is known of.
CODE_STATUSES: Final[Mapping[str, tuple[str, str | None]]] = {
    "NEW": (PENDING, None),
    "IN_PROGRESS": (PENDING, None),
    "PAID": (PENDING, None),
    "EXPIRED": (DECLINED, "expired"),
    "CANCELLED": (DECLINED, "cancelled"),
}
REFUND_STATUSES: Final = {
    "IN_PROGRESS": PENDING,
    "COMPLETED": ACCEPTED,
    "DECLINED": DECLINED,
}
SUCCESS: Final = "SUCCESS"
ALREADY_REGISTERED: Final = "ERROR.ORDER_NUMBER_ALREADY_REGISTERED"
TOO_LATE: Final = "ERROR.QR_EXPIRATION_DATE_NOT_VALID"
NOT_FOUND: Final = "ERROR.NOT_FOUND"
REFUND_NOT_FOUND: Final = "ERROR.REFUND_NOT_FOUND"
REFUND_TOO_MUCH: Final = "ERROR.REFUND_INSUFFICIENT_FUNDS"
# Codes of a request that was refused for what stands in it: nothing was registered.
REFUSED: Final = frozenset(
    {
        "ERROR.ACCOUNT_IS_NOT_REGISTERED",
        "ERROR.INVALID_REQUEST",
        "ERROR.INVALID_ORDER",
        "ERROR.MERCHANT_NOT_REGISTERED",
        "ERROR.SBP_MERCHANT_ID_IS_MISSING",
        "ERROR.DYNAMIC_QR_WITHOUT_AMOUNT",
    }
)
SIGNATURE: Final = "x-api-signature-sha256"
SIGNED: Final = ("amount", "sbpMerchantId", "order", "paymentStatus", "transactionDate")
PURPOSE_MAX: Final = 185
REFUND_PURPOSE_MAX: Final = 140

_REQUEST_REFUSED: Final = Answer(DECLINED, reason="request_refused")


def signature(fields: Mapping[str, object], key: str) -> str | None:
    """64 hexadecimal digits over the five signed fields as they are written; None without one."""
    values = [fields.get(name) for name in SIGNED]
    if not all(isinstance(value, str) for value in values):
        return None
    content = "|".join(str(value) for value in values).encode("utf-8", "surrogatepass")
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


class Raiffeisen:
    """One merchant of the faster payments system; the URL is that of `…/api`."""

    def __init__(
        self, exchange: Exchange, options: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self._member = options["merchant"]
        self._account = options.get("account")
        self._key = secrets["key"]
        if self._account is not None and not (self._account.isascii() and self._account.isdigit()):
            raise StartRefused("Expected the option account of 20 digits")
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._key}",
        }

    async def authorise(self, order: Order) -> Answer:
        """Register a code for this order."""
        if not isinstance(order.instrument, SbpQr):
            return _REQUEST_REFUSED
        told = await self._call("POST", "/sbp/v1/qr/register", self._registration(order))
        code, operation = wire.text(told, "code"), wire.text(told, "qrId")
        payload = wire.text(told, "payload", wire.URL_MAX)
        if code == ALREADY_REGISTERED:
            # Paid, by what the bank says; how much and by which code its callback tells.
            return Answer(UNKNOWN)
        if code == TOO_LATE:
            return Answer(DECLINED, reason="expired")
        if code in REFUSED:
            return _REQUEST_REFUSED
        if code != SUCCESS or operation is None or payload is None:
            raise NoAnswer("Expected a code to be registered")
        return Answer(PENDING, operation, step=Step("qr", payload=payload))

    async def status(self, order: Order, operation: str | None) -> Answer:
        """What became of the code; another one where the id of the first was lost."""
        if operation is None:
            return await self.authorise(order)
        place = f"/sbp/v1/qr/{quote(operation, safe='')}/payment-info"
        told = await self._call("GET", place)
        if wire.text(told, "code") == NOT_FOUND:
            raise NoAnswer("Expected the bank to know its own code")
        if wire.text(told, "code") != SUCCESS or told.get("order") != order.number:
            raise NoAnswer("Expected what became of this order")
        status = wire.text(told, "paymentStatus") or ""
        if status not in PAYMENT_STATUSES:
            return Answer(UNKNOWN, operation)
        state = PAYMENT_STATUSES[status]
        if state is None:
            return await self._of_code(operation, declined=status == "DECLINED")
        amount = wire.roubles(told, "amount") if state == ACCEPTED else None
        if state == ACCEPTED and amount is None and "amount" in told:
            return Answer(UNKNOWN, operation)
        return Answer(state, operation, amount=amount)

    async def refund(self, refund: Refund) -> Answer:
        """Give back in whole or in part, by our number of the refund."""
        asked = {
            "amount": msgspec.Raw(wire.in_roubles(refund.amount).encode()),
            "order": refund.order.hex,
            "refundId": refund.number,
        }
        told = await self._call("POST", "/sbp/v1/refund", asked)
        code = wire.text(told, "code")
        if code == SUCCESS:
            return _refund_answer(told, refund)
        # A repeat is an error as well, so what the bank knows of this number decides.
        found = await self.refund_status(refund)
        if found.state != ABSENT:
            return found
        if code == REFUND_TOO_MUCH:
            return Answer(DECLINED, reason="limit_exceeded")
        if code in REFUSED or code == NOT_FOUND:
            return _REQUEST_REFUSED
        raise NoAnswer("Expected a refund")

    async def refund_status(self, refund: Refund) -> Answer:
        """What the bank knows of our number of the refund."""
        told = await self._call("GET", f"/sbp/v1/refund/{refund.number}")
        code = wire.text(told, "code")
        if code == REFUND_NOT_FOUND:
            return Answer(ABSENT)
        if code != SUCCESS:
            raise NoAnswer("Expected what became of a refund")
        return _refund_answer(told, refund)

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """A callback; of its fields only the signed ones are read, and only a success believed."""
        fields = wire.of_callback(body)
        told, expected = headers.get(SIGNATURE, ""), signature(fields, self._key)
        if expected is None or not hmac.compare_digest(
            told.encode("utf-8", "surrogateescape"), expected.encode()
        ):
            raise Refusal("signature_invalid", "Expected the signature of these fields")
        order = wire.order_id(wire.text(fields, "order"))
        ours = fields.get("sbpMerchantId") == self._member
        answer = None
        amount = wire.roubles(fields, "amount")
        if ours and fields.get("paymentStatus") == SUCCESS and amount is not None:
            answer = Answer(ACCEPTED, amount=amount)
        return Notice(order if ours else None, answer)

    def _registration(self, order: Order) -> dict[str, object]:
        asked: dict[str, object] = {
            "qrType": "QRDynamic",
            "order": order.number,
            "amount": msgspec.Raw(wire.in_roubles(order.total).encode()),
            "currency": "RUB",
            "sbpMerchantId": self._member,
            "paymentDetails": order.utilities.purpose[:PURPOSE_MAX],
            "createDate": wire.moment(order.created_at),
            "qrExpirationDate": wire.moment(order.expires_at),
        }
        if self._account is not None:
            asked["account"] = msgspec.Raw(self._account.encode())
        return asked

    async def _of_code(self, operation: str, *, declined: bool) -> Answer:
        told = await self._call("GET", f"/sbp/v2/qrs/{quote(operation, safe='')}")
        status = wire.text(told, "qrStatus")
        if told.get("qrId") != operation or status is None:
            raise NoAnswer("Expected the state of this code")
        state, reason = CODE_STATUSES.get(status, (UNKNOWN, None))
        if state == DECLINED and declined:
            reason = "refused_by_bank"
        return Answer(state, operation, reason)

    async def _call(
        self, method: str, path: str, fields: Mapping[str, object] | None = None
    ) -> wire.JsonObject:
        body = None if fields is None else msgspec.json.encode(fields)
        return wire.of_reply(await self._exchange.ask(method, path, self._headers, body))


def _refund_answer(told: wire.JsonObject, refund: Refund) -> Answer:
    state = REFUND_STATUSES.get(wire.text(told, "refundStatus") or "", UNKNOWN)
    amount = wire.roubles(told, "amount")
    if amount is not None and amount != refund.amount:
        return Answer(UNKNOWN, refund.number)
    reason = "refused_by_bank" if state == DECLINED else None
    return Answer(state, refund.number, reason, amount=amount if state == ACCEPTED else None)
