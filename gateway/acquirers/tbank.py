"""T-Bank's internet acquiring (protocol v2): saved cards, wallet tokens, SBP codes and Mir Pay.

A payment there has two steps: Init names the order and moves no money, the second step takes it.
An order's number is not unique there, so it is authorised once and then only asked about.
"""

import base64
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.acquirers import tbank_token, wire
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
from gateway.domain.refusals import Refusal

# Status of a payment; a refund does not undo that the money was taken. With it the reason, where
# the status itself says why. AUTHORIZED passes at once, as we ask for one stage.
STATUSES: Final[Mapping[str, tuple[str, str | None]]] = {
    "NEW": (PENDING, None),
    "FORM_SHOWED": (PENDING, None),
    "PREAUTHORIZING": (PENDING, None),
    "AUTHORIZING": (PENDING, None),
    "AUTHORIZED": (PENDING, None),
    "3DS_CHECKING": (PENDING, None),
    "3DS_CHECKED": (PENDING, None),
    "CHECKING": (PENDING, None),
    "CHECKED": (PENDING, None),
    "PROCESSING": (PENDING, None),
    "COMPLETING": (PENDING, None),
    "COMPLETED": (PENDING, None),
    "CONFIRMING": (PENDING, None),
    "REVERSING": (PENDING, None),
    "CONFIRMED": (ACCEPTED, None),
    "REFUNDING": (ACCEPTED, None),
    "ASYNC_REFUNDING": (ACCEPTED, None),
    "PARTIAL_REFUNDED": (ACCEPTED, None),
    "REFUNDED": (ACCEPTED, None),
    "REJECTED": (DECLINED, None),
    "AUTH_FAIL": (DECLINED, None),
    "CANCELED": (DECLINED, "cancelled"),
    "REVERSED": (DECLINED, "cancelled"),
    "DEADLINE_EXPIRED": (DECLINED, "expired"),
    "ATTEMPTS_EXPIRED": (DECLINED, "expired"),
    # A part of what was held is held still; we never ask for that.
    "PARTIAL_REVERSED": (UNKNOWN, None),
    "UNKNOWN": (UNKNOWN, None),
}
# What has become of a refund, by the status of its payment.
REFUND_STATUSES: Final = {
    "REFUNDED": ACCEPTED,
    "PARTIAL_REFUNDED": ACCEPTED,
    "REVERSED": ACCEPTED,
    "PARTIAL_REVERSED": ACCEPTED,
    "REFUNDING": PENDING,
    "ASYNC_REFUNDING": PENDING,
    "REVERSING": PENDING,
}
# ErrorCode of a payment that was declined; the others say no more than that it was.
ERROR_REASONS: Final = {
    "101": "authentication_failed",
    "103": "authentication_failed",
    "106": "authentication_failed",
    "1082": "authentication_failed",
    "116": "insufficient_funds",
    "1051": "insufficient_funds",
    "1014": "card_invalid",
    "1015": "card_invalid",
    "1033": "card_invalid",
    "1054": "card_invalid",
    "1061": "limit_exceeded",
    "1065": "limit_exceeded",
    "1034": "suspected_fraud",
    "1041": "suspected_fraud",
    "1043": "suspected_fraud",
    "1059": "suspected_fraud",
}
# "Try later": nothing was refused for good.
TEMPORARY: Final = frozenset({"3", "231", "999", "9999"})
DESCRIPTION_MAX: Final = 140
TAKEN: Final = b"OK"

_JSON: Final = {"Content-Type": "application/json"}
_SOURCES: Final = {"apple_pay": "ApplePay", "google_pay": "GooglePay"}
_SBP_SOURCE: Final = "qrsbp"
_REQUEST_REFUSED: Final = Answer(DECLINED, reason="request_refused")


class TBank:
    """One terminal; the URL is that of `…/v2`."""

    def __init__(
        self, exchange: Exchange, options: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self._options = options
        self._password = secrets["password"]

    async def authorise(self, order: Order) -> Answer:
        """Name the order, then charge it or tell how the payer pays it."""
        told = await self._call("/Init", self._naming(order))
        operation = wire.text(told, "PaymentId")
        if told.get("Success") is False and _code(told) not in TEMPORARY:
            return _REQUEST_REFUSED
        if told.get("Success") is not True or operation is None:
            raise NoAnswer(f"Expected a payment to be named, was error {_code(told)}")
        match order.instrument:
            case SavedCard(reference):
                asked: dict[str, object] = {"PaymentId": operation, "RebillId": reference}
                return await self._charge("/Charge", order, asked)
            case WalletToken(wallet, token):
                asked = {
                    "PaymentId": operation,
                    "Amount": order.total,
                    "Route": "ACQ",
                    "Source": _SOURCES[wallet],
                    "EncryptedPaymentData": base64.b64encode(token).decode(),
                }
                return await self._charge("/FinishAuthorize", order, asked)
            case SbpQr():
                told = await self._call("/GetQr", {"PaymentId": operation, "DataType": "PAYLOAD"})
                return _shown(told, operation, "qr", "Data")
            case MirPay():
                told = await self._call("/MirPay/GetDeepLink", {"PaymentId": operation})
                return _shown(told, operation, "deeplink", "Deeplink")

    async def status(self, order: Order, operation: str | None) -> Answer:
        """Ask by the bank's id of the payment, or for all payments of the order."""
        if operation is None:
            return await self._of_order(order)
        told = await self._call("/GetState", {"PaymentId": operation})
        if told.get("Success") is not True and "Status" not in told:
            raise NoAnswer(f"Expected a status, was error {_code(told)}")
        return _answer(told, order)

    async def refund(self, refund: Refund) -> Answer:
        """Give back in whole or in part; for cards the bank knows a repeat by our number.

        For the faster payments system it knows none, so ask for a refund's status first.
        """
        asked = {
            "PaymentId": refund.operation,
            "Amount": refund.amount,
            "ExternalRequestId": refund.number,
        }
        told = await self._call("/Cancel", asked)
        if told.get("Success") is False and _code(told) not in TEMPORARY:
            return Answer(DECLINED, reason="refused_by_bank")
        state = REFUND_STATUSES.get(wire.text(told, "Status") or "", UNKNOWN)
        if told.get("Success") is not True or state == UNKNOWN:
            raise NoAnswer(f"Expected a refund, was error {_code(told)}")
        return Answer(state, refund.number, amount=refund.amount)

    async def refund_status(self, refund: Refund) -> Answer:
        """What the payment's status says of this refund; absent also where a repeat is safe."""
        told = await self._call("/GetState", {"PaymentId": refund.operation})
        status = wire.text(told, "Status")
        if told.get("Success") is not True:
            raise NoAnswer(f"Expected a status, was error {_code(told)}")
        if status == "CONFIRMED":
            return Answer(ABSENT)
        if status in ("REFUNDED", "REVERSED"):
            return Answer(ACCEPTED, refund.number, amount=refund.amount)
        if status in ("REFUNDING", "ASYNC_REFUNDING", "REVERSING"):
            return Answer(PENDING, refund.operation_of_refund)
        if status != "PARTIAL_REFUNDED":
            return Answer(UNKNOWN)
        source = _source(told)
        if source is None:
            return Answer(UNKNOWN)
        if source != _SBP_SOURCE:
            # Asked again with the same number, the bank tells what became of it.
            return Answer(ABSENT)
        return await self._of_sbp_refund(refund)

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """A notification; only a payment's own end is believed at once, the rest is asked for."""
        fields = wire.of_callback(body)
        ours = fields.get("TerminalKey") == self._options["terminal"]
        if not tbank_token.holds(fields, self._password) or not ours:
            raise Refusal("signature_invalid", "Expected the token of these fields")
        status = wire.text(fields, "Status") or ""
        state, _ = STATUSES.get(status, (UNKNOWN, None))
        order = wire.order_id(wire.text(fields, "OrderId"))
        decides = status == "CONFIRMED" or state == DECLINED
        answer = _told(fields) if order and decides and _is_whole(fields) else None
        return Notice(order, answer, TAKEN)

    def _naming(self, order: Order) -> dict[str, object]:
        asked: dict[str, object] = {
            "OrderId": order.number,
            "Amount": order.total,
            "Description": order.description[:DESCRIPTION_MAX],
            "PayType": "O",
            "Language": "ru",
            "RedirectDueDate": wire.moment(order.expires_at),
        }
        if order.return_url is not None:
            asked |= {"SuccessURL": order.return_url, "FailURL": order.return_url}
        if "notification_url" in self._options:
            asked["NotificationURL"] = self._options["notification_url"]
        if "initiator" in self._options and isinstance(order.instrument, SavedCard):
            asked["DATA"] = {"OperationInitiatorType": self._options["initiator"]}
        return asked

    async def _charge(self, path: str, order: Order, asked: dict[str, object]) -> Answer:
        told = await self._call(path, asked)
        operation = str(asked["PaymentId"])
        state, _ = STATUSES.get(wire.text(told, "Status") or "", (UNKNOWN, None))
        if state == UNKNOWN:
            return await self.status(order, operation)
        return _answer(told, order)

    async def _of_order(self, order: Order) -> Answer:
        told = await self._call("/CheckOrder", {"OrderId": order.number})
        absent = self._options.get("absent_codes", "").split(",")
        if told.get("Success") is False and _code(told) in absent:
            return Answer(ABSENT)
        if told.get("Success") is not True:
            raise NoAnswer(f"Expected the payments of an order, was error {_code(told)}")
        answers = [_told(payment) for payment in wire.objects(told, "Payments")]
        if not answers:
            return Answer(ABSENT)
        taken = [one for one in answers if one.state == ACCEPTED]
        if len(taken) > 1:
            # Never by our doing, and nobody's to decide but a person's.
            return Answer(UNKNOWN)
        for state in (ACCEPTED, UNKNOWN, PENDING):
            for one in answers:
                if one.state == state:
                    return one
        return answers[0]

    async def _of_sbp_refund(self, refund: Refund) -> Answer:
        told = await self._call("/GetQrState", {"PaymentId": refund.operation})
        if told.get("Success") is not True:
            raise NoAnswer(f"Expected the state of a refund, was error {_code(told)}")
        same = wire.kopecks(told, "Amount") == refund.amount
        if refund.operation_of_refund is not None:
            return Answer(ACCEPTED if same else UNKNOWN, refund.number, amount=refund.amount)
        # The last refund is of this sum: of this one or of another, nobody can tell.
        return Answer(UNKNOWN if same else ABSENT)

    async def _call(self, path: str, fields: Mapping[str, object]) -> wire.JsonObject:
        asked = {"TerminalKey": self._options["terminal"], **fields}
        asked[tbank_token.FIELD] = tbank_token.token(asked, self._password)
        reply = await self._exchange.ask("POST", path, _JSON, msgspec.json.encode(asked))
        return wire.of_reply(reply)


def _answer(told: wire.JsonObject, order: Order) -> Answer:
    """A payment of this order; raises NoAnswer where the reply is about another."""
    if told.get("OrderId", order.number) != order.number:
        raise NoAnswer("Expected the status of this order")
    return _told(told)


def _told(told: wire.JsonObject) -> Answer:
    status = wire.text(told, "Status") or ""
    state, reason = STATUSES.get(status, (UNKNOWN, None))
    if state == DECLINED and reason is None:
        reason = ERROR_REASONS.get(_code(told), "refused_by_bank")
    # After a refund the sum may be what is left or what was given back.
    amount = wire.kopecks(told, "Amount") if status == "CONFIRMED" else None
    return Answer(state, wire.text(told, "PaymentId"), reason, amount=amount)


def _is_whole(fields: wire.JsonObject) -> bool:
    """Whether a notification has all that it is documented to have, in its shape.

    The token covers values and not their names, so a field by another name is a field missing.
    """
    numbers = ("Amount", "ErrorCode", "PaymentId")
    in_shape = all(wire.kopecks(fields, name) is not None for name in numbers)
    return in_shape and isinstance(fields.get("Success"), bool)


def _shown(told: wire.JsonObject, operation: str, step: str, name: str) -> Answer:
    """What the payer is to be shown; declined where there is nothing, as nobody can pay then."""
    shown = wire.text(told, name, wire.URL_MAX)
    if told.get("Success") is False and _code(told) not in TEMPORARY:
        return Answer(DECLINED, operation, reason="request_refused")
    if told.get("Success") is not True or shown is None:
        raise NoAnswer(f"Expected {name}, was error {_code(told)}")
    return Answer(
        PENDING,
        operation,
        step=Step(step, payload=shown) if step == "qr" else Step(step, url=shown),
    )


def _source(told: wire.JsonObject) -> str | None:
    for parameter in wire.objects(told, "Params"):
        if parameter.get("Key") == "Source":
            return wire.text(parameter, "Value")
    return None


def _code(told: wire.JsonObject) -> str:
    return wire.text(told, "ErrorCode") or "0"
