"""The Sber gateway's REST protocol: saved cards, wallet tokens, SBP codes and its own page.

An order's number is ours and is taken once: a second registration is refused by the gateway, and
then the order is asked for. Refunds have no number there, so what is left decides about a repeat.
"""

import base64
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec

from gateway.acquirers import sber_checksum, wire
from gateway.acquirers.exchange import Exchange
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    DECLINED,
    PENDING,
    UNKNOWN,
    Answer,
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
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal

# orderStatus of getOrderStatusExtended.do. A refund does not undo that the money was taken.
ORDER_STATUSES: Final = {
    "0": PENDING,  # registered, not paid
    "1": PENDING,  # held: passes at once, as we ask for one stage
    "2": ACCEPTED,  # deposited
    "3": DECLINED,  # reversed
    "4": ACCEPTED,  # refunded, in whole or in part
    "5": PENDING,  # the issuer's access control server was asked
    "6": DECLINED,  # declined
}
# actionCode of a declined order; the others are the issuer's and say no more than that.
ACTION_REASONS: Final = {
    "-2007": "expired",
    "-2006": "authentication_failed",
    "-2011": "authentication_failed",
    "-2012": "authentication_failed",
    "-2013": "authentication_failed",
    "-2019": "authentication_failed",
    "-2002": "limit_exceeded",
    "-2003": "suspected_fraud",
    "101": "card_invalid",
    "111": "card_invalid",
    "116": "insufficient_funds",
    "121": "limit_exceeded",
    "123": "limit_exceeded",
    "208": "suspected_fraud",
    "209": "suspected_fraud",
}
REGISTERED_BEFORE: Final = "1"
NOT_FOUND: Final = "6"
# errorCode of a request that was refused before anything was done; 7 is a fault of the gateway's.
REFUSED: Final = frozenset({"2", "3", "4", "5"})
DESCRIPTION_MAX: Final = 99

_REVERSED: Final = "3"
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON: Final = {"Content-Type": "application/json"}
_WALLET_PATHS: Final = {
    "apple_pay": "/applepay/payment.do",
    "google_pay": "/google/payment.do",
}
_REQUEST_REFUSED: Final = Answer(DECLINED, reason="request_refused")


class Sber:
    """One service account of the gateway; the URL is that of `…/payment`."""

    def __init__(
        self, exchange: Exchange, options: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self._options = options
        self._credentials = {
            "userName": options["user"],
            "password": secrets["password"],
        }
        try:
            self._holds = sber_checksum.check_with(secrets["callback_key"])
        except ValueError:
            raise StartRefused("Expected callback_key as a shared key or an RSA key") from None

    async def authorise(self, order: Order) -> Answer:
        """Register the order and pay it, or tell how the payer does."""
        if isinstance(order.instrument, WalletToken):
            return await self._pay_by_wallet(order, order.instrument)
        told = await self._call("/rest/register.do", self._registration(order))
        code, operation = _error(told), wire.text(told, "orderId")
        if code == REGISTERED_BEFORE:
            return await self.status(order, None)
        if code in REFUSED:
            return _REQUEST_REFUSED
        if code != "0" or operation is None:
            raise NoAnswer(f"Expected an order to be registered, was error {code}")
        match order.instrument:
            case SavedCard(reference):
                return await self._pay_by_binding(order, operation, reference)
            case SbpQr():
                return await self._show_code(operation)
            case MirPay():
                page = wire.text(told, "formUrl", wire.URL_MAX) or ""
                return Answer(PENDING, operation, step=Step("redirect", url=page))

    async def status(self, order: Order, operation: str | None) -> Answer:
        """Ask by the gateway's id of the order, or by ours."""
        asked = {"orderNumber": order.number} if operation is None else {"orderId": operation}
        told = await self._call("/rest/getOrderStatusExtended.do", asked)
        code = _error(told)
        if code == NOT_FOUND and operation is None:
            return Answer(ABSENT)
        if code != "0" or told.get("orderNumber") != order.number:
            raise NoAnswer(f"Expected the status of this order, was error {code}")
        return _answer(told, operation)

    async def refund(self, refund: Refund) -> Answer:
        """Give back in whole or in part, unless what is left says that it was done before."""
        before = await self.refund_status(refund)
        if before.state != ABSENT:
            return before
        asked = {"orderId": refund.operation, "amount": str(refund.amount)}
        code = _error(await self._call("/rest/refund.do", asked))
        if code in REFUSED or code == NOT_FOUND:
            return _REQUEST_REFUSED
        if code != "0":
            raise NoAnswer(f"Expected a refund, was error {code}")
        return Answer(ACCEPTED, refund.number, amount=refund.amount)

    async def refund_status(self, refund: Refund) -> Answer:
        """Done where as much is left as then should be, absent where it is that much more."""
        asked = {"orderId": refund.operation}
        told = await self._call("/rest/getOrderStatusExtended.do", asked)
        taken = wire.kopecks(told, "amount")
        returned = wire.kopecks(wire.inner(told, "paymentAmountInfo"), "refundedAmount")
        if _error(told) != "0" or taken is None or returned is None:
            raise NoAnswer("Expected what was refunded of this order")
        left = taken - returned
        if left == refund.left:
            return Answer(ACCEPTED, refund.number, amount=refund.amount)
        return Answer(ABSENT if left == refund.left + refund.amount else UNKNOWN)

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """A callback's fields, from its query or its form; only money taken is believed at once.

        A failed attempt may be followed by a good one of the same order, so that one is asked for.
        """
        fields = wire.of_form(body)
        if not self._holds(fields):
            raise Refusal("signature_invalid", "Expected the checksum of these fields")
        told = (fields.get("operation"), fields.get("status"))
        answer = None
        operation, amount = wire.text(fields, "mdOrder"), wire.kopecks(fields, "amount")
        if told == ("deposited", "1") and amount is not None:
            # The checksum holds still where a field's name has swallowed the sum, so without one
            # the order is asked for.
            answer = Answer(ACCEPTED, operation, amount=amount)
        elif told == ("declinedByTimeout", "1"):
            answer = Answer(DECLINED, operation, reason="expired")
        return Notice(wire.order_id(fields.get("orderNumber")), answer)

    def _registration(self, order: Order) -> dict[str, str]:
        return {
            "orderNumber": order.number,
            "amount": str(order.total),
            "currency": "643",
            "returnUrl": order.return_url or self._options["return_url"],
            "description": order.description[:DESCRIPTION_MAX],
            "language": "ru",
            "sessionTimeoutSecs": str(_payable_s(order)),
        }

    async def _pay_by_binding(self, order: Order, operation: str, reference: str) -> Answer:
        asked = {"mdOrder": operation, "bindingId": reference}
        told = await self._call("/rest/paymentOrderBinding.do", asked)
        code = _error(told)
        found = await self.status(order, operation)
        if code in REFUSED and found.state == PENDING:
            # Registered and not paid, and its page was shown to nobody.
            reason = "card_invalid" if code == "2" else "request_refused"
            return Answer(DECLINED, operation, reason=reason)
        page = self._options.get("acs_page")
        if found.state == PENDING and "acsUrl" in told and page is not None:
            # The gateway's page that takes the payer to the issuer's and back.
            return Answer(PENDING, operation, step=Step("redirect", url=page + operation))
        return found

    async def _show_code(self, operation: str) -> Answer:
        path = self._options.get("sbp_path", "/rest/sbp/c2b/qr/dynamic/get.do")
        told = await self._call(path, {"mdOrder": operation})
        payload = wire.text(told, "payload", wire.URL_MAX)
        if _error(told) in REFUSED:
            return Answer(DECLINED, operation, reason="request_refused")
        if payload is None:
            raise NoAnswer("Expected a code of the faster payments system")
        return Answer(PENDING, operation, step=Step("qr", payload=payload))

    async def _pay_by_wallet(self, order: Order, wallet: WalletToken) -> Answer:
        if "merchant" not in self._options:
            return _REQUEST_REFUSED
        asked: dict[str, object] = {
            "merchant": self._options["merchant"],
            "orderNumber": order.number,
            "description": order.description[:DESCRIPTION_MAX],
            "language": "ru",
            "paymentToken": base64.b64encode(wallet.token).decode(),
        }
        if wallet.wallet == "google_pay":
            asked["amount"] = order.total
            asked["returnUrl"] = order.return_url or self._options["return_url"]
        reply = await self._exchange.ask(
            "POST", _WALLET_PATHS[wallet.wallet], _JSON, msgspec.json.encode(asked)
        )
        told = wire.of_reply(reply)
        found = await self.status(order, wire.text(wire.inner(told, "data"), "orderId"))
        if told.get("success") is False and found.state == ABSENT:
            return _REQUEST_REFUSED
        return found

    async def _call(self, path: str, fields: Mapping[str, str]) -> wire.JsonObject:
        body = urlencode({**self._credentials, **fields}).encode()
        reply = await self._exchange.ask("POST", path, _FORM, body)
        return wire.of_reply(reply)


def _answer(told: wire.JsonObject, operation: str | None) -> Answer:
    status = wire.text(told, "orderStatus")
    state = ORDER_STATUSES.get(status or "", UNKNOWN)
    reason = None
    if state == DECLINED:
        action = wire.text(told, "actionCode") or ""
        reason = "cancelled" if status == _REVERSED else ACTION_REASONS.get(action)
        reason = reason or "refused_by_bank"
    return Answer(
        state,
        operation or _its_id(told),
        reason,
        amount=wire.kopecks(told, "amount") if state == ACCEPTED else None,
    )


def _its_id(told: wire.JsonObject) -> str | None:
    for attribute in wire.objects(told, "attributes"):
        if attribute.get("name") == "mdOrder":
            return wire.text(attribute, "value")
    return None


def _error(told: wire.JsonObject) -> str:
    """The errorCode; its absence is success, as the documents have it."""
    return wire.text(told, "errorCode") or "0"


def _payable_s(order: Order) -> int:
    return max(1, int((order.expires_at - order.created_at).total_seconds()))
