"""The Sber gateway as its documents have it, written from them alone: a server for tests."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import uuid4

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.acquirers.talk import Line

USER, PASSWORD, KEY, MERCHANT = "centre-api", "pass & word", "yourSecretToken", "centre"
BINDINGS = {"b-good": ("2", "0"), "b-poor": ("6", "116"), "b-acs": ("5", "-100")}


@dataclass
class SberOrder:
    number: str
    amount: int
    id: str = field(default_factory=lambda: str(uuid4()))
    status: str = "0"
    action: str = "-100"
    refunded: int = 0


class SberBank:
    def __init__(self) -> None:
        self.line = Line()
        self.orders: dict[str, SberOrder] = {}
        self.app = web.Application(middlewares=[self.line.fail])
        for path, handler in (
            ("/payment/rest/register.do", self._register),
            ("/payment/rest/paymentOrderBinding.do", self._binding),
            ("/payment/rest/sbp/c2b/qr/dynamic/get.do", self._code),
            ("/payment/rest/getOrderStatusExtended.do", self._status),
            ("/payment/rest/refund.do", self._refund),
            ("/payment/google/payment.do", self._wallet),
            ("/payment/applepay/payment.do", self._wallet),
        ):
            self.app.router.add_post(path, handler)

    def pay(self, number: str) -> SberOrder:
        """The payer pays what was registered."""
        found = self.orders[number]
        assert found.status == "0"
        found.status, found.action = "2", "0"
        return found

    def callback(self, number: str, operation: str = "deposited", status: str = "1") -> bytes:
        """A callback's query, signed with the shared key."""
        fields = self._callback_fields(number, operation, status)
        signed = "".join(f"{name};{fields[name]};" for name in sorted(fields))
        digest = hmac.new(KEY.encode(), signed.encode(), hashlib.sha256).hexdigest().upper()
        return urlencode({**fields, "checksum": digest}).encode()

    def callback_by_rsa(self, number: str, key: rsa.RSAPrivateKey) -> bytes:
        """A callback's query, signed with the gateway's own key."""
        fields = self._callback_fields(number, "deposited", "1")
        signed = "".join(f"{name};{fields[name]};" for name in sorted(fields))
        made = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA512())
        extra = {"checksum": made.hex().upper(), "sign_alias": "gateway key 1"}
        return urlencode({**fields, **extra}).encode()

    def _callback_fields(self, number: str, operation: str, status: str) -> dict[str, str]:
        found = self.orders[number]
        return {
            "mdOrder": found.id,
            "orderNumber": number,
            "operation": operation,
            "status": status,
            "amount": str(found.amount),
        }

    async def _fields(self, request: web.Request) -> dict[str, str]:
        assert request.content_type == "application/x-www-form-urlencoded"
        fields = {name: str(value) for name, value in (await request.post()).items()}
        if (fields.pop("userName"), fields.pop("password")) != (USER, PASSWORD):
            raise web.HTTPOk(text='{"errorCode":"5","errorMessage":"Доступ запрещён"}')
        return fields

    async def _register(self, request: web.Request) -> web.Response:
        fields = await self._fields(request)
        number, amount = fields["orderNumber"], fields["amount"]
        if not fields["returnUrl"].startswith("https://") or fields["currency"] != "643":
            return _json({"errorCode": "4"})
        if not amount.isdigit() or int(amount) < 100 or len(number) > 32:
            return _json({"errorCode": "5"})
        assert 0 < int(fields["sessionTimeoutSecs"]) <= 7_776_000
        if number in self.orders:
            return _json({"errorCode": "1", "errorMessage": "Заказ с таким номером уже обработан"})
        made = self.orders[number] = SberOrder(number, int(amount))
        page = f"https://3dsec.example/payment/merchants/sbersafe/payment_ru.html?mdOrder={made.id}"
        return _json({"orderId": made.id, "formUrl": page})

    async def _binding(self, request: web.Request) -> web.Response:
        fields = await self._fields(request)
        found = self._by_id(fields["mdOrder"])
        outcome = BINDINGS.get(fields["bindingId"])
        if outcome is None:
            return _json({"errorCode": 2, "errorMessage": "Связка не найдена"})
        assert found.status == "0", "Expected one charge of an order"
        found.status, found.action = outcome
        acs = {"acsUrl": "https://acs.example", "paReq": "eJxV"} if found.status == "5" else {}
        return _json({"redirect": "https://centre.example/back", "errorCode": 0, **acs})

    async def _code(self, request: web.Request) -> web.Response:
        found = self._by_id((await self._fields(request))["mdOrder"])
        payload = f"https://qr.nspk.ru/AD{found.id.replace('-', '')[:30].upper()}?type=02"
        return _json({"payload": payload, "qrId": "1", "qrStatus": "STARTED", "errorCode": "0"})

    async def _status(self, request: web.Request) -> web.Response:
        fields = await self._fields(request)
        found = (
            self._by_id(fields["orderId"])
            if "orderId" in fields
            else self.orders.get(fields["orderNumber"])
        )
        if found is None:
            return _json({"errorCode": "6", "errorMessage": "Заказ не найден"})
        return _json(
            {
                "errorCode": "0",
                "orderNumber": found.number,
                "orderStatus": int(found.status),
                "actionCode": int(found.action),
                "amount": found.amount,
                "currency": "643",
                "attributes": [{"name": "mdOrder", "value": found.id}],
                "paymentAmountInfo": {
                    "approvedAmount": found.amount,
                    "depositedAmount": found.amount - found.refunded,
                    "refundedAmount": found.refunded,
                },
            }
        )

    async def _refund(self, request: web.Request) -> web.Response:
        fields = await self._fields(request)
        found = self._by_id(fields["orderId"])
        amount = int(fields["amount"])
        if found.status not in ("2", "4") or not 0 < amount <= found.amount - found.refunded:
            return _json(
                {"errorCode": "7", "errorMessage": "Платёж должен быть в нужном состоянии"}
            )
        found.refunded += amount
        found.status = "4"
        return _json({"errorCode": "0"})

    async def _wallet(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read())
        assert told["merchant"] == MERCHANT
        token = json.loads(base64.b64decode(told["paymentToken"], validate=True))
        if token.get("broken"):
            error = {"code": 10, "description": "Некорректное значение параметра"}
            return _json({"success": False, "error": error})
        made = SberOrder(told["orderNumber"], told.get("amount", token["amount"]))
        if made.number in self.orders:
            return _json({"success": False, "error": {"code": 1, "message": "Уже обработан"}})
        made.status, made.action = "2", "0"
        self.orders[made.number] = made
        return _json({"success": True, "data": {"orderId": made.id}})

    def _by_id(self, wanted: str) -> SberOrder:
        return next(one for one in self.orders.values() if one.id == wanted)


def _json(told: dict[str, object]) -> web.Response:
    return web.Response(text=json.dumps(told), content_type="application/json")
