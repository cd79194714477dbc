"""YooKassa (API v3): saved payment methods, SBP codes, its own page with Mir Pay.

A request with the key of an earlier one is answered as that was, so what went unanswered is sent
again. Callbacks are not signed: their address is looked at, and the payment is asked for.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from gateway.acquirers import wire
from gateway.acquirers.exchange import Exchange, Reply
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    DECLINED,
    NOTHING,
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
from gateway.acquirers.yookassa_order import Unfit, payment_order
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal

STATUSES: Final = {
    "pending": PENDING,
    # Captured at once, as we ask for that.
    "waiting_for_capture": PENDING,
    "succeeded": ACCEPTED,
    "canceled": DECLINED,
}
# cancellation_details.reason; the others say no more than that it was declined.
REASONS: Final = {
    "3d_secure_failed": "authentication_failed",
    "identification_required": "authentication_failed",
    "invalid_csc": "authentication_failed",
    "call_issuer": "refused_by_bank",
    "country_forbidden": "refused_by_bank",
    "general_decline": "refused_by_bank",
    "issuer_unavailable": "refused_by_bank",
    "payment_method_restricted": "refused_by_bank",
    "permission_revoked": "refused_by_bank",
    "card_expired": "card_invalid",
    "invalid_card_number": "card_invalid",
    "fraud_suspected": "suspected_fraud",
    "insufficient_funds": "insufficient_funds",
    "payment_method_limit_exceeded": "limit_exceeded",
    "canceled_by_merchant": "cancelled",
    "deal_expired": "expired",
    "expired_on_capture": "expired",
    "expired_on_confirmation": "expired",
    "internal_timeout": "other",
    "unsupported_mobile_operator": "other",
}
# Where YooKassa calls back from, unless the option `networks` says another.
NETWORKS: Final = (
    "185.71.76.0/27",
    "185.71.77.0/27",
    "77.75.153.0/25",
    "77.75.154.128/25",
    "77.75.156.11",
    "77.75.156.35",
    "2a02:5180::/32",
)
# Refused for what stands in the request, or who asks: nothing was done.
REFUSED: Final = frozenset({400, 401, 403, 404, 405, 415})
OK: Final = 200
MISSING: Final = 404
DESCRIPTION_MAX: Final = 128
TRIES: Final = 2
# A payment whose answer was lost is looked for among those made around the order's own moment.
SOUGHT_BEFORE: Final = timedelta(minutes=1)
SOUGHT_AFTER: Final = timedelta(minutes=2)
PAGE: Final = 100
PAGES_MAX: Final = 100

_REQUEST_REFUSED: Final = Answer(DECLINED, reason="request_refused")


class YooKassa:
    """One shop; the URL is that of `…/v3`."""

    def __init__(
        self, exchange: Exchange, options: Mapping[str, str], secrets: Mapping[str, str]
    ) -> None:
        self._exchange = exchange
        self._options = options
        told = f"{options['shop']}:{secrets['key']}".encode()
        self._headers = {
            "Content-Type": "application/json",
            "Authorization": f"Basic {base64.b64encode(told).decode()}",
        }
        named = options.get("networks")
        try:
            self._networks = [ip_network(one) for one in (named.split(",") if named else NETWORKS)]
        except ValueError:
            raise StartRefused("Expected the option networks, separated by commas") from None

    async def authorise(self, order: Order) -> Answer:
        """Make a payment, captured at once."""
        try:
            asked = self._payment(order)
        except Unfit:
            return _REQUEST_REFUSED
        reply = await self._make("/payments", order.number, asked)
        if reply.status in REFUSED:
            return _REQUEST_REFUSED
        return self._answer(_object(reply), order)

    async def status(self, order: Order, operation: str | None) -> Answer:
        """Ask by YooKassa's id of the payment, or look for ours among those of its time."""
        if operation is None:
            return await self._sought(order)
        reply = await self._get(f"/payments/{quote(operation, safe='')}")
        return self._answer(_object(reply), order)

    async def refund(self, refund: Refund) -> Answer:
        """Give back in whole or in part; the key makes a repeat the same refund."""
        asked = {
            "payment_id": refund.operation,
            "amount": _money(refund.amount),
            "description": _refund_text(refund),
        }
        reply = await self._make("/refunds", refund.number, asked)
        if reply.status in REFUSED:
            return _REQUEST_REFUSED
        return _refund_answer(_object(reply), refund)

    async def refund_status(self, refund: Refund) -> Answer:
        """Ask by YooKassa's id of the refund, or look for ours among those of the payment."""
        known = refund.operation_of_refund
        if known is not None:
            reply = await self._get(f"/refunds/{quote(known, safe='')}")
            return _refund_answer(_object(reply), refund)
        asked = {"payment_id": refund.operation}
        async for told in _Pages(self, "/refunds", asked):
            if told.get("description") == _refund_text(refund):
                return _refund_answer(told, refund)
        return Answer(ABSENT)

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """A callback from an address of YooKassa's; nothing in it is believed but the order."""
        if not self._knows(peer):
            raise Refusal("signature_invalid", "Expected a callback from the acquirer's addresses")
        told = wire.inner(wire.of_callback(body), "object")
        return Notice(wire.order_id(wire.text(wire.inner(told, "metadata"), "order")), None)

    async def page(self, path: str, query: Mapping[str, str]) -> wire.JsonObject:
        """One page of a list."""
        return _object(await self._get(f"{path}?{urlencode(query)}"))

    def _knows(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks)

    def _payment(self, order: Order) -> dict[str, object]:
        page = {"type": "redirect", "return_url": order.return_url or self._options["return_url"]}
        built: dict[str, object] = {
            "amount": _money(order.total),
            "capture": True,
            "description": order.description[:DESCRIPTION_MAX],
            "metadata": {"order": order.number},
            "payment_order": payment_order(order, self._options),
        }
        match order.instrument:
            case SavedCard(reference):
                built["payment_method_id"] = reference
            case SbpQr():
                built["payment_method_data"] = {"type": "sbp"}
                built["confirmation"] = {"type": "qr"}
            case MirPay():
                # The page of a card offers Mir Pay to who has it.
                built["payment_method_data"] = {"type": "bank_card"}
                built["confirmation"] = page
            case WalletToken():
                raise Unfit("payment_method_data")
        return built

    async def _sought(self, order: Order) -> Answer:
        asked = {
            "created_at.gte": _utc(order.created_at - SOUGHT_BEFORE),
            "created_at.lte": _utc(order.created_at + SOUGHT_AFTER),
        }
        async for told in _Pages(self, "/payments", asked):
            if wire.inner(told, "metadata").get("order") == order.number:
                return self._answer(told, order)
        return Answer(ABSENT)

    def _answer(self, told: wire.JsonObject, order: Order) -> Answer:
        operation = wire.text(told, "id")
        if operation is None or wire.inner(told, "metadata").get("order") != order.number:
            raise NoAnswer("Expected a payment of this order")
        state = STATUSES.get(wire.text(told, "status") or "", UNKNOWN)
        if state == ACCEPTED:
            amount = _amount(told)
            # Taken, but nobody can tell what: another currency, or a sum with half kopecks.
            return Answer(ACCEPTED if amount is not None else UNKNOWN, operation, amount=amount)
        step = _step(told) if state == PENDING else NOTHING
        return Answer(state, operation, _reason(told, state), step)

    async def _make(self, path: str, key: str, fields: Mapping[str, object]) -> Reply:
        """A request that makes something, sent again with its key where no answer came."""
        headers = {**self._headers, "Idempotence-Key": key}
        body = msgspec.json.encode(fields)
        for _ in range(TRIES - 1):
            try:
                return await self._exchange.ask("POST", path, headers, body)
            except NoAnswer:
                continue
        return await self._exchange.ask("POST", path, headers, body)

    async def _get(self, path: str) -> Reply:
        return await self._exchange.ask("GET", path, self._headers)


class _Pages:
    """The objects of a list, page after page; raises NoAnswer where there are too many."""

    def __init__(self, shop: YooKassa, path: str, query: Mapping[str, str]) -> None:
        self._shop = shop
        self._path = path
        self._query = {**query, "limit": str(PAGE)}
        self._left: list[wire.JsonObject] = []
        self._pages = 0
        self._more = True

    def __aiter__(self) -> "_Pages":
        return self

    async def __anext__(self) -> wire.JsonObject:
        while not self._left:
            if not self._more:
                raise StopAsyncIteration
            await self._turn()
        return self._left.pop(0)

    async def _turn(self) -> None:
        if self._pages == PAGES_MAX:
            raise NoAnswer(f"Expected at most {PAGES_MAX} pages")
        told = await self._shop.page(self._path, self._query)
        if not isinstance(told.get("items"), list):
            raise NoAnswer("Expected a list")
        self._left = wire.objects(told, "items")
        self._pages += 1
        cursor = wire.text(told, "next_cursor")
        self._more = cursor is not None
        if cursor is not None:
            self._query["cursor"] = cursor


def _object(reply: Reply) -> wire.JsonObject:
    if reply.status != OK:
        raise NoAnswer(f"Expected {OK}, was {reply.status}")
    return wire.of_reply(reply)


def _amount(told: wire.JsonObject) -> int | None:
    money = wire.inner(told, "amount")
    return wire.roubles(money, "value") if money.get("currency") == "RUB" else None


def _reason(told: wire.JsonObject, state: str) -> str | None:
    if state != DECLINED:
        return None
    reason = wire.text(wire.inner(told, "cancellation_details"), "reason") or ""
    return REASONS.get(reason, "refused_by_bank")


def _step(told: wire.JsonObject) -> Step:
    confirmation = wire.inner(told, "confirmation")
    payload = wire.text(confirmation, "confirmation_data", wire.URL_MAX)
    page = wire.text(confirmation, "confirmation_url", wire.URL_MAX)
    if payload is not None:
        return Step("qr", payload=payload)
    return NOTHING if page is None else Step("redirect", url=page)


def _refund_answer(told: wire.JsonObject, refund: Refund) -> Answer:
    operation = wire.text(told, "id")
    if operation is None or told.get("payment_id") != refund.operation:
        raise NoAnswer("Expected a refund of this payment")
    state = STATUSES.get(wire.text(told, "status") or "", UNKNOWN)
    amount = _amount(told) if state == ACCEPTED else None
    if state == ACCEPTED and amount != refund.amount:
        return Answer(UNKNOWN, operation)
    return Answer(state, operation, _reason(told, state), amount=amount)


def _refund_text(refund: Refund) -> str:
    return f"Возврат {refund.number}"


def _money(amount: int) -> dict[str, str]:
    return {"value": wire.in_roubles(amount), "currency": "RUB"}


def _utc(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
