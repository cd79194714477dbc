"""Raiffeisen's SBP API as its document has it, written from it alone: a server for tests."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from decimal import Decimal

from aiohttp import web

from tests.acquirers.talk import Line

MERCHANT, KEY = "MA0000000552", "eyJ0eXAiOiJKV1QifQ.test.key"
WHEN = "2026-11-24T12:31:05+03:00"


@dataclass
class Code:
    id: str
    order: str
    amount: Decimal
    payment: str = "NO_INFO"
    state: str = "NEW"


class RaiffeisenBank:
    def __init__(self) -> None:
        self.line = Line()
        self.codes: dict[str, Code] = {}
        self.refunds: dict[str, tuple[str, Decimal, str]] = {}
        self.refund_state = "COMPLETED"
        self.expired = False
        self.app = web.Application(middlewares=[self.line.fail])
        self.app.router.add_post("/api/sbp/v1/qr/register", self._register)
        self.app.router.add_get("/api/sbp/v1/qr/{id}/payment-info", self._payment)
        self.app.router.add_get("/api/sbp/v2/qrs/{id}", self._code)
        self.app.router.add_post("/api/sbp/v1/refund", self._refund)
        self.app.router.add_get("/api/sbp/v1/refund/{id}", self._refund_state)

    def pay(self, code: str) -> None:
        found = self.codes[code]
        assert found.state == "NEW", "Expected a code that can be paid"
        found.payment, found.state = "SUCCESS", "PAID"

    def callback(self, code: str, payment: str | None = None) -> tuple[dict[str, str], bytes]:
        """Headers and body of a callback; the sum is written as a JSON number."""
        found = self.codes[code]
        status = payment or found.payment
        text = "|".join((str(found.amount), MERCHANT, found.order, status, WHEN))
        body = (
            f'{{"transactionId": 41, "amount": {found.amount}, "currency": "RUB", '
            f'"order": "{found.order}", "paymentStatus": "{status}", "qrId": "{found.id}", '
            f'"sbpMerchantId": "{MERCHANT}", "transactionDate": "{WHEN}", "additionalInfo": ""}}'
        )
        digest = hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
        return {"x-api-signature-sha256": digest}, body.encode()

    async def _register(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read(), parse_float=Decimal)
        order, amount = told["order"], told["amount"]
        if not isinstance(amount, Decimal | int) or told["currency"] != "RUB":
            return _refused("ERROR.INVALID_REQUEST")
        if re.fullmatch(r"[A-Za-z0-9_.-]{1,40}", order) is None:
            return _refused("ERROR.INVALID_ORDER")
        if told["sbpMerchantId"] != MERCHANT:
            return _refused("ERROR.MERCHANT_NOT_REGISTERED")
        if self.expired:
            return _refused("ERROR.QR_EXPIRATION_DATE_NOT_VALID")
        assert told["qrType"] == "QRDynamic"
        assert len(told["paymentDetails"]) <= 185
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+03:00", told["qrExpirationDate"])
        if any(one.order == order and one.payment == "SUCCESS" for one in self.codes.values()):
            return _refused("ERROR.ORDER_NUMBER_ALREADY_REGISTERED")
        made = Code(f"AD{len(self.codes) + 1:030}", order, Decimal(amount))
        self.codes[made.id] = made
        payload = f"https://qr.nspk.ru/{made.id}?type=02&bank=100000000007&cur=RUB&crc=AB75"
        return _json({"code": "SUCCESS", "qrId": made.id, "payload": payload, "qrUrl": "https://…"})

    async def _payment(self, request: web.Request) -> web.Response:
        found = self._allowed(request)
        if found is None:
            return _refused("ERROR.NOT_FOUND")
        text = (
            f'{{"amount": {found.amount}, "code": "SUCCESS", "currency": "RUB", "merchantId": 123, '
            f'"order": "{found.order}", "paymentStatus": "{found.payment}", "qrId": "{found.id}", '
            f'"sbpMerchantId": "{MERCHANT}", "createDate": "{WHEN}", "qrExpirationDate": "{WHEN}"}}'
        )
        return web.Response(text=text, content_type="application/json")

    async def _code(self, request: web.Request) -> web.Response:
        found = self._allowed(request)
        if found is None:
            return _refused("ERROR.NOT_FOUND")
        return _json({"qrId": found.id, "qrStatus": found.state, "qrExpirationDate": WHEN})

    async def _refund(self, request: web.Request) -> web.Response:
        _authorised(request)
        told = json.loads(await request.read(), parse_float=Decimal)
        number, order, amount = told["refundId"], told["order"], Decimal(told["amount"])
        paid = sum(
            one.amount
            for one in self.codes.values()
            if one.order == order and one.payment == "SUCCESS"
        )
        if number in self.refunds:
            return _refused("ERROR.REFUND_ID_ALREADY_USED")
        if amount < Decimal("0.01"):
            return _refused("ERROR.INVALID_REQUEST")
        if self.returned(order) + amount > paid:
            return _refused("ERROR.REFUND_INSUFFICIENT_FUNDS")
        self.refunds[number] = (order, amount, "IN_PROGRESS")
        return self._told_of_refund(number)

    async def _refund_state(self, request: web.Request) -> web.Response:
        _authorised(request)
        number = request.match_info["id"]
        if number not in self.refunds:
            return _refused("ERROR.REFUND_NOT_FOUND")
        order, amount, _ = self.refunds[number]
        self.refunds[number] = (order, amount, self.refund_state)
        return self._told_of_refund(number)

    def returned(self, order: str) -> Decimal:
        return sum((one[1] for one in self.refunds.values() if one[0] == order), Decimal())

    def _told_of_refund(self, number: str) -> web.Response:
        _, amount, state = self.refunds[number]
        text = f'{{"code": "SUCCESS", "amount": {amount}, "refundStatus": "{state}"}}'
        return web.Response(text=text, content_type="application/json")

    def _allowed(self, request: web.Request) -> Code | None:
        _authorised(request)
        return self.codes.get(request.match_info["id"])


def _authorised(request: web.Request) -> None:
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        raise web.HTTPUnauthorized


def _refused(code: str) -> web.Response:
    told = json.dumps({"code": code, "message": "…"})
    return web.Response(status=400, text=told, content_type="application/json")


def _json(told: dict[str, object]) -> web.Response:
    return web.Response(text=json.dumps(told), content_type="application/json")
