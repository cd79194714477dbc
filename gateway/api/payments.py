"""Views of payments: take, show, list, quote, refund, resolve."""

import asyncio
from collections.abc import Callable

import msgspec

from gateway.acquirers.requests import AuthorisationRequest
from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.answers import EntryShown
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.bill import check_account
from gateway.domain.payment import METHODS, Payment, PaymentRequest, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import find_payments, refund_payment, resolve_suspense, show_entries
from gateway.flows import quote as quoting
from gateway.flows.context import Answer
from gateway.telemetry import UNKNOWN_METHOD

PAGE_DEFAULT = 100
PAGE_MAX = 1000

# What becomes of a payment: that it is durable, the answer to what an acquirer is to take, or why
# there is neither.
Outcome = Receipt | Answer | BaseException
Awaited = asyncio.Future[Receipt] | asyncio.Future[Answer] | asyncio.Future[Receipt | Answer]

_quote_body = msgspec.json.Decoder(bodies.QuoteBody)
_refund_body = msgspec.json.Decoder(bodies.RefundBody)
_resolve_body = msgspec.json.Decoder(bodies.ResolveBody)


class Paying:
    """One payment on its way through the door, whatever road it came by: queued, then counted."""

    __slots__ = ("_house", "_method", "_started")

    def __init__(self, house: House) -> None:
        self._house = house
        self._started = 0.0
        self._method = ""

    def queue(
        self, content: bytes, keys: list[str], caller: int
    ) -> asyncio.Future[Receipt] | asyncio.Future[Answer]:
        """The future of the receipt, or of the answer to what an acquirer is to take; refuses what
        decode.payment does, and a full queue.

        `keys` are the values of Idempotency-Key.
        """
        request = self._read(content, keys, caller)
        if isinstance(request, AuthorisationRequest):
            return self._house.asking.enqueue(request)
        return self._house.intake.enqueue(request)

    def queue_telling(
        self, content: bytes, key: str, caller: int, tell: Callable[[Outcome], None]
    ) -> None:
        """As `queue`, but that `tell` is called with what would be the future's outcome: at once
        when it is there, for a payment like nearly all, and so without a future.
        """
        request = self._read(content, [key], caller)
        if isinstance(request, AuthorisationRequest):
            tell_when_done(self._house.asking.enqueue(request), tell)
        elif request.token is not None:
            tell_when_done(self._house.intake.enqueue(request), tell)
        else:
            self._house.intake.enqueue_telling(request, tell)

    def _read(
        self, content: bytes, keys: list[str], caller: int
    ) -> PaymentRequest | AuthorisationRequest:
        self._started = self._house.loop.time()
        self._method = UNKNOWN_METHOD
        key = decode.idempotency_key(keys)
        request = self._house.bodies.read(content, key, caller)
        payment = request.payment if isinstance(request, AuthorisationRequest) else request
        self._method = METHODS[payment.method]
        return request

    def taken(self, receipt: Receipt | Answer) -> Reply:
        """The answer to a payment that is durable."""
        telemetry = self._house.telemetry
        if isinstance(receipt, Answer):
            outcome = "replayed" if receipt.replayed else "started"
            telemetry.payment(self._method, outcome)
            reply = kept(replies.CREATED, receipt)
            reply.outcome = outcome
            return reply
        outcome = outcome_of(receipt)
        telemetry.payment(self._method, outcome)
        telemetry.payment_seconds.observe(self._house.loop.time() - self._started)
        extra = replies.REPLAYED if receipt.replayed else b""
        content = receipt.written or encode.payment(receipt.payment)
        reply = Reply(replies.CREATED, content, replies.JSON, extra)
        reply.outcome = outcome
        return reply

    def failed(self, failure: BaseException) -> None:
        """Counts a payment that was not taken; what was refused before its body is none."""
        if self._method:
            self._house.telemetry.payment(self._method, failed_as(failure))


def tell_when_done(future: Awaited, tell: Callable[[Outcome], None]) -> None:
    """Tells of a future what comes of it, once it does."""

    def done(future: Awaited) -> None:
        if future.cancelled():
            tell(Unavailable("unavailable", "This process is stopping"))
        else:
            tell(future.exception() or future.result())

    future.add_done_callback(done)


async def take(house: House, call: Call) -> Reply:
    """POST /v1/payments: answered once the payment is durable."""
    paying = Paying(house)
    try:
        receipt = await paying.queue(call.content, call.keys(), call.caller.number)
    except Exception as failure:
        paying.failed(failure)
        raise
    return paying.taken(receipt)


def outcome_of(receipt: Receipt) -> str:
    """What became of a payment that is durable, as the metrics name it."""
    if receipt.replayed:
        return "replayed"
    return "suspense" if receipt.payment.state == "suspense" else "accepted"


def failed_as(failure: BaseException) -> str:
    """What became of a payment that was not taken, as the metrics name it."""
    if isinstance(failure, Refusal):
        return "refused"
    return "unavailable" if isinstance(failure, Unavailable) else "failed"


async def show(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    found = await find_payments.find(house.context, call.caller, payment)
    if isinstance(found, Payment):
        charged_back, entries = await show_entries.entries(house.context, payment)
        if entries:
            told = msgspec.convert(entries, list[EntryShown])
            return Reply(replies.OK, encode.standing(found, charged_back, told))
    return Reply(replies.OK, encode.started(found))


async def search(house: House, call: Call) -> Reply:
    """GET /v1/payments, oldest first, a page at a time."""
    told = call.query("subscriber_account", "from", "to", "cursor", "limit")
    account = told.get("subscriber_account")
    if account is not None:
        check_account(account)
    start = decode.moment(told["from"], "from") if "from" in told else None
    end = decode.moment(told["to"], "to") if "to" in told else None
    cursor = None
    if "cursor" in told:
        cursor = ids.read_id(ids.PAYMENT, told["cursor"])
        if cursor is None:
            raise Refusal("malformed", "Expected cursor as an answer gave it")
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    page, following = await find_payments.search(
        house.context, call.caller, account, start, end, cursor, limit
    )
    shown = None if following is None else ids.shown(ids.PAYMENT, following)
    return Reply(replies.OK, encode.payments(page, shown))


async def quote(house: House, call: Call) -> Reply:
    """POST /v1/quotes: nothing is stored, so no key is asked for."""
    body = strict_json.decode(_quote_body, call.content)
    decode.check_currency(body.currency)
    amount, is_total = decode.amount_or_total(body.amount, body.total)
    check_account(body.subscriber_account)
    found = await quoting.quote(
        house.context,
        body.subscriber_account,
        amount,
        is_total,
        decode.quoted_method(body.method),
        decode.designation(body.designation),
    )
    return Reply(replies.OK, encode.quote(body.subscriber_account, found))


async def refund(house: House, call: Call) -> Reply:
    """POST /v1/payments/{id}/refunds."""
    body = strict_json.decode(_refund_body, call.content)
    claim = call.claim("refunds", body, call.names[0])
    decode.check_amount(body.amount)
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    one = await house.refunding.taken_by(call.caller, payment)
    if one is None:
        answer = await refund_payment.refund(
            house.context, claim, call.caller, payment, body.amount
        )
    else:
        at_acquirer = call.claim("acquirer_refunds", body, call.names[0])
        answer = await house.refunding.refund(at_acquirer, call.caller, one, body.amount)
    return kept(replies.CREATED, answer)


async def show_refund(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}/refunds/{refund}."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    refund = decode.path_id(ids.REFUND, call.names[1])
    return Reply(replies.OK, encode.json(await house.refunding.show(call.caller, payment, refund)))


async def resolve(house: House, call: Call) -> Reply:
    """POST /v1/payments/{id}/resolve: a payment in suspense finds its account."""
    body = strict_json.decode(_resolve_body, call.content)
    claim = call.claim("resolutions", body, call.names[0])
    check_account(body.subscriber_account)
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    answer = await resolve_suspense.resolve(
        house.context, claim, call.caller, payment, body.subscriber_account
    )
    return kept(replies.OK, answer)


def kept(status: int, answer: Answer) -> Reply:
    """An answer that is kept for its key."""
    extra = replies.REPLAYED if answer.replayed else b""
    return Reply(status, answer.content, replies.JSON, extra)
