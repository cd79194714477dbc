"""YooKassa as its documents have it, written from them alone: a server for tests."""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from aiohttp import web

from tests.acquirers.talk import BEGUN, Line

SHOP, KEY = "506751", "test_Fh8hUAVVBGUGbjmlzba6TB0iyUbos_lueTHE-axOwM0"
METHODS = {"pm-good": ("succeeded", None), "pm-poor": ("canceled", "insufficient_funds")}
PAGE_MAX = 100
Said = dict[str, object]


@dataclass
class Answered:
    body: bytes
    status: int
    text: str


class YooKassaShop:
    def __init__(self) -> None:
        self.line = Line()
        self.payments: dict[str, Said] = {}
        self.refunds: dict[str, Said] = {}
        self.page_size = PAGE_MAX
        self._by_key: dict[str, Answered] = {}
        self.app = web.Application(middlewares=[self.line.fail])
        self.app.router.add_post("/v3/payments", self._pay)
        self.app.router.add_get("/v3/payments", self._payments)
        self.app.router.add_get("/v3/payments/{id}", self._payment)
        self.app.router.add_post("/v3/refunds", self._refund)
        self.app.router.add_get("/v3/refunds", self._refunds)
        self.app.router.add_get("/v3/refunds/{id}", self._refund_by_id)

    def settle(self, payment: str, status: str, reason: str | None = None) -> None:
        """The payer confirms, or does not."""
        found = self.payments[payment]
        assert found["status"] == "pending"
        found["status"], found["paid"] = status, status == "succeeded"
        if reason is not None:
            found["cancellation_details"] = {"party": "payment_network", "reason": reason}

    def callback(self, payment: str) -> bytes:
        """What is posted to the shop, signed by nobody."""
        found = self.payments[payment]
        event = f"payment.{found['status']}"
        return json.dumps({"type": "notification", "event": event, "object": found}).encode()

    async def _once(self, request: web.Request) -> tuple[Said, str] | web.Response:
        """A request's body and key, or the answer that its key had before."""
        told = base64.b64encode(f"{SHOP}:{KEY}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {told}":
            return _refused(401, "invalid_credentials")
        key = request.headers.get("Idempotence-Key", "")
        body = await request.read()
        if not 1 <= len(key) <= 64:
            return _refused(400, "invalid_request")
        before = self._by_key.get(key)
        if before is None:
            return json.loads(body), key
        if before.body != body:
            return _refused(400, "invalid_request")
        return web.Response(status=before.status, text=before.text, content_type="application/json")

    async def _pay(self, request: web.Request) -> web.Response:
        found = await self._once(request)
        if isinstance(found, web.Response):
            return found
        told, key = found
        problem = _problem(told)
        if problem is not None:
            return _refused(400, "invalid_request", problem)
        made: Said = {
            "id": str(uuid4()),
            "status": "pending",
            "paid": False,
            "amount": told["amount"],
            "description": told["description"],
            "metadata": told["metadata"],
            "created_at": BEGUN.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        confirmation = told.get("confirmation")
        if isinstance(confirmation, dict):
            made["confirmation"] = _confirmation(confirmation, str(made["id"]))
        self.payments[str(made["id"])] = made
        saved = told.get("payment_method_id")
        if saved is not None:
            self.settle(str(made["id"]), *METHODS[str(saved)])
        return await self._keep(request, key, made)

    async def _refund(self, request: web.Request) -> web.Response:
        found = await self._once(request)
        if isinstance(found, web.Response):
            return found
        told, key = found
        payment = self.payments.get(str(told["payment_id"]))
        if payment is None or payment["status"] != "succeeded":
            return _refused(404, "not_found")
        left = _kopecks(payment["amount"]) - self.returned(str(told["payment_id"]))
        if not 0 < _kopecks(told["amount"]) <= left:
            return _refused(400, "invalid_request", "amount")
        made: Said = {
            "id": str(uuid4()),
            "payment_id": told["payment_id"],
            "status": "succeeded",
            "amount": told["amount"],
            "description": told["description"],
        }
        self.refunds[str(made["id"])] = made
        return await self._keep(request, key, made)

    def returned(self, payment: str) -> int:
        return sum(
            _kopecks(one["amount"])
            for one in self.refunds.values()
            if one["payment_id"] == payment and one["status"] == "succeeded"
        )

    async def _payment(self, request: web.Request) -> web.Response:
        found = self.payments.get(request.match_info["id"])
        return _refused(404, "not_found") if found is None else _json(found)

    async def _refund_by_id(self, request: web.Request) -> web.Response:
        found = self.refunds.get(request.match_info["id"])
        return _refused(404, "not_found") if found is None else _json(found)

    async def _payments(self, request: web.Request) -> web.Response:
        since = datetime.fromisoformat(request.query["created_at.gte"])
        until = datetime.fromisoformat(request.query["created_at.lte"])
        assert since.tzinfo == until.tzinfo == UTC
        found = [
            one
            for one in self.payments.values()
            if since <= datetime.fromisoformat(str(one["created_at"])) <= until
        ]
        return self._listed(request, found)

    async def _refunds(self, request: web.Request) -> web.Response:
        wanted = request.query["payment_id"]
        found = [one for one in self.refunds.values() if one["payment_id"] == wanted]
        return self._listed(request, found)

    def _listed(self, request: web.Request, found: list[Said]) -> web.Response:
        assert int(request.query["limit"]) <= PAGE_MAX
        begin = int(request.query.get("cursor", "0"))
        end = begin + self.page_size
        told: Said = {"type": "list", "items": found[begin:end]}
        if end < len(found):
            told["next_cursor"] = str(end)
        return _json(told)

    async def _keep(self, request: web.Request, key: str, made: Said) -> web.Response:
        reply = _json(made)
        self._by_key[key] = Answered(await request.read(), 200, reply.text or "")
        return reply


def _problem(told: Said) -> str | None:
    """What is wrong with a payment, by the documents; None for a good one."""
    order, amount = told.get("payment_order"), told["amount"]
    if not isinstance(amount, dict) or re.fullmatch(r"\d+\.\d\d", amount["value"]) is None:
        return "amount"
    if told.get("capture") is not True or len(str(told["description"])) > 128:
        return "capture"
    if not isinstance(order, dict) or order["type"] != "utilities" or order["amount"] != amount:
        return "payment_order"
    bank = order["recipient"]["bank"]
    names = ("name", "bic", "account", "correspondent_account")
    if not all(bank.get(name) for name in names) or len(bank["name"]) > 45:
        return "payment_order.recipient.bank"
    if not all(order["recipient"].get(name) for name in ("name", "inn", "kpp")):
        return "payment_order.recipient"
    if not 1 <= len(order["payment_purpose"]) <= 210:
        return "payment_order.payment_purpose"
    period = order["payment_period"]
    if not (1 <= period["month"] <= 12 and 1920 <= period["year"] <= 2050):
        return "payment_order.payment_period"
    if not 1 <= len(order["account_number"]) <= 30:
        return "payment_order.account_number"
    if "payment_method_id" in told:
        return None if told["payment_method_id"] in METHODS else "payment_method_id"
    return None if {"payment_method_data", "confirmation"} <= told.keys() else "payment_method_data"


def _confirmation(told: Said, payment: str) -> Said:
    if told["type"] == "qr":
        data = f"https://qr.nspk.ru/{payment.replace('-', '').upper()}?type=02"
        return {"type": "qr", "confirmation_data": data}
    assert str(told["return_url"]).startswith("https://")
    return {"type": "redirect", "confirmation_url": f"https://yoomoney.example/{payment}"}


def _kopecks(amount: object) -> int:
    assert isinstance(amount, dict)
    return int(amount["value"].replace(".", ""))


def _refused(status: int, code: str, parameter: str = "") -> web.Response:
    told = {"type": "error", "id": str(uuid4()), "code": code, "parameter": parameter}
    return web.Response(status=status, text=json.dumps(told), content_type="application/json")


def _json(told: Said) -> web.Response:
    return web.Response(text=json.dumps(told, ensure_ascii=False), content_type="application/json")
