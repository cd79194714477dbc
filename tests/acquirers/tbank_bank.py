"""T-Bank's acquiring as its documents have it, written from them alone: a server for tests."""

import base64
import hashlib
import json
from dataclasses import dataclass

from aiohttp import web

from tests.acquirers.talk import Line

TERMINAL, PASSWORD = "CentreTerminal", "usaf8fw8fsw21g"
CARDS = {"145919": ("CONFIRMED", "0"), "poor": ("REJECTED", "1051"), "acs": ("3DS_CHECKING", "0")}


@dataclass
class BankPayment:
    id: str
    order: str
    amount: int
    status: str = "NEW"
    code: str = "0"
    source: str = "cards"
    left: int = 0
    last_refund: int = 0


def signed(fields: dict[str, object]) -> dict[str, object]:
    """The fields with their token, as the bank reckons it."""
    flat = {name: value for name, value in fields.items() if not isinstance(value, dict | list)}
    flat["Password"] = PASSWORD
    text = "".join(
        str(value).lower() if isinstance(value, bool) else str(value)
        for _, value in sorted(flat.items())
    )
    return {**fields, "Token": hashlib.sha256(text.encode()).hexdigest()}


class TBankBank:
    def __init__(self) -> None:
        self.line = Line()
        self.payments: dict[str, BankPayment] = {}
        self.charges = 0
        self._cancelled: dict[str, str] = {}
        self.app = web.Application(middlewares=[self.line.fail])
        for name, handler in (
            ("Init", self._init),
            ("Charge", self._charge),
            ("FinishAuthorize", self._finish),
            ("GetQr", self._qr),
            ("MirPay/GetDeepLink", self._deeplink),
            ("GetState", self._state),
            ("GetQrState", self._qr_state),
            ("CheckOrder", self._orders),
            ("Cancel", self._cancel),
        ):
            self.app.router.add_post(f"/v2/{name}", handler)

    def pay(self, payment: str) -> None:
        """The payer pays by the code or in Mir Pay."""
        found = self.payments[payment]
        assert found.status == "FORM_SHOWED"
        self._take(found)

    def notification(self, payment: str, status: str | None = None) -> bytes:
        """What the bank posts to the shop."""
        found = self.payments[payment]
        fields: dict[str, object] = {
            "TerminalKey": TERMINAL,
            "OrderId": found.order,
            "Success": True,
            "Status": status or found.status,
            "PaymentId": int(found.id),
            "ErrorCode": found.code,
            "Amount": found.amount,
            "Pan": "220138******0047",
            "Data": {"Source": "Cards"},
        }
        return json.dumps(signed(fields)).encode()

    async def _fields(self, request: web.Request) -> dict[str, object]:
        assert request.content_type == "application/json"
        told: dict[str, object] = json.loads(await request.read())
        token = told.pop("Token", None)
        if told.get("TerminalKey") != TERMINAL or signed(told)["Token"] != token:
            raise web.HTTPOk(
                text='{"Success":false,"ErrorCode":"204","Message":"Неверный токен."}',
                content_type="application/json",
            )
        return told

    async def _init(self, request: web.Request) -> web.Response:
        told = await self._fields(request)
        amount, order = told["Amount"], told["OrderId"]
        if not isinstance(amount, int) or amount < 1000 or len(str(order)) > 36:
            return _no("308")
        assert str(told["RedirectDueDate"]).endswith("+03:00")
        assert len(str(told["Description"])) <= 140
        assert told["PayType"] == "O"
        made = BankPayment(str(2304882 + len(self.payments)), str(order), amount)
        self.payments[made.id] = made
        return _yes(made)

    async def _charge(self, request: web.Request) -> web.Response:
        told = await self._fields(request)
        found = self.payments[str(told["PaymentId"])]
        if str(told["RebillId"]) not in CARDS:
            found.status, found.code = "REJECTED", "1014"
            return _no("1014", found)
        return self._take(found, *CARDS[str(told["RebillId"])])

    async def _finish(self, request: web.Request) -> web.Response:
        told = await self._fields(request)
        found = self.payments[str(told["PaymentId"])]
        assert (told["Route"], told["Amount"]) == ("ACQ", found.amount)
        assert told["Source"] in ("ApplePay", "GooglePay")
        json.loads(base64.b64decode(str(told["EncryptedPaymentData"]), validate=True))
        return self._take(found)

    async def _qr(self, request: web.Request) -> web.Response:
        told = await self._fields(request)
        found = self.payments[str(told["PaymentId"])]
        found.status, found.source = "FORM_SHOWED", "qrsbp"
        return _yes(found, Data=f"https://qr.nspk.ru/AD{found.id:0>30}?type=02&crc=0000")

    async def _deeplink(self, request: web.Request) -> web.Response:
        found = self.payments[str((await self._fields(request))["PaymentId"])]
        found.status, found.source = "FORM_SHOWED", "MirPay"
        return _yes(found, Deeplink="mirpay://pay.mironline.ru/inapp/eyJhbGciOiJQUzI1NiJ9")

    async def _state(self, request: web.Request) -> web.Response:
        found = self.payments[str((await self._fields(request))["PaymentId"])]
        return _yes(found, Params=[{"Key": "Source", "Value": found.source}])

    async def _qr_state(self, request: web.Request) -> web.Response:
        found = self.payments[str((await self._fields(request))["PaymentId"])]
        return _yes(found, Amount=found.last_refund)

    async def _orders(self, request: web.Request) -> web.Response:
        order = (await self._fields(request))["OrderId"]
        found = [one for one in self.payments.values() if one.order == order]
        payments = [
            {
                "PaymentId": one.id,
                "Amount": one.amount,
                "Status": one.status,
                "Success": "true",
                "ErrorCode": int(one.code),
            }
            for one in found
        ]
        return _json({"Success": True, "ErrorCode": "0", "OrderId": order, "Payments": payments})

    async def _cancel(self, request: web.Request) -> web.Response:
        told = await self._fields(request)
        found = self.payments[str(told["PaymentId"])]
        amount, number = told["Amount"], str(told.get("ExternalRequestId", ""))
        assert isinstance(amount, int)
        before = found.left
        known = self._cancelled.get(number) if found.source != "qrsbp" else None
        if known is None:
            if found.status not in ("CONFIRMED", "PARTIAL_REFUNDED") or amount > found.left:
                return _no("8", found)
            found.left -= amount
            found.last_refund = amount
            found.status = "PARTIAL_REFUNDED" if found.left else "REFUNDED"
            self._cancelled[number] = found.status
        status = "ASYNC_REFUNDING" if found.source == "qrsbp" else found.status
        return _yes(found, Status=status, OriginalAmount=before, NewAmount=found.left)

    def _take(
        self, payment: BankPayment, status: str = "CONFIRMED", code: str = "0"
    ) -> web.Response:
        assert payment.status in ("NEW", "FORM_SHOWED"), "Expected one charge of a payment"
        payment.status, payment.code = status, code
        if status == "CONFIRMED":
            self.charges += 1
            payment.left = payment.amount
        page = {"ACSUrl": "https://acs.example/auth"} if status == "3DS_CHECKING" else {}
        return _no(code, payment) if code != "0" else _yes(payment, **page)


def _yes(payment: BankPayment, **more: object) -> web.Response:
    told: dict[str, object] = {
        "Success": True,
        "ErrorCode": "0",
        "TerminalKey": TERMINAL,
        "OrderId": payment.order,
        "PaymentId": payment.id,
        "Amount": payment.amount,
        "Status": payment.status,
    }
    return _json({**told, **more})


def _no(code: str, payment: BankPayment | None = None) -> web.Response:
    told: dict[str, object] = {"Success": False, "ErrorCode": code, "Message": "Ошибка"}
    if payment is not None:
        told |= {"Status": payment.status, "PaymentId": payment.id, "OrderId": payment.order}
    return _json(told)


def _json(told: dict[str, object]) -> web.Response:
    return web.Response(text=json.dumps(told), content_type="application/json")
