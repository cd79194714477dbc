"""Views of payments: take, show, list, quote, refund, resolve."""

import asyncio

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.bill import check_account
from gateway.domain.payment import METHODS, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import find_payments, refund_payment, resolve_suspense
from gateway.flows import quote as quoting
from gateway.flows.context import Answer
from gateway.telemetry import UNKNOWN_METHOD

PAGE_DEFAULT = 100
PAGE_MAX = 1000

_quote_body = msgspec.json.Decoder(bodies.QuoteBody)
_refund_body = msgspec.json.Decoder(bodies.RefundBody)
_resolve_body = msgspec.json.Decoder(bodies.ResolveBody)


async def take(house: House, call: Call) -> Reply:
    """POST /v1/payments: answered once the payment is durable."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    method = UNKNOWN_METHOD
    try:
        request = decode.payment(call.content, call.key(), call.caller.number)
        method = METHODS[request.method]
        receipt = await house.intake.accept(request)
    except Exception as failure:
        house.telemetry.payment(method, failed_as(failure))
        raise
    house.telemetry.payment(method, outcome_of(receipt))
    house.telemetry.payment_seconds.observe(loop.time() - started)
    content = encode.payment(receipt.payment)
    extra = replies.REPLAYED if receipt.replayed else b""
    return Reply(replies.CREATED, content, replies.JSON, extra)


def outcome_of(receipt: Receipt) -> str:
    """What became of a payment that is durable, as the metrics name it."""
    if receipt.replayed:
        return "replayed"
    return "suspense" if receipt.payment.state == "suspense" else "accepted"


def failed_as(failure: Exception) -> str:
    """What became of a payment that was not taken, as the metrics name it."""
    if isinstance(failure, Refusal):
        return "refused"
    return "unavailable" if isinstance(failure, Unavailable) else "failed"


async def show(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    found = await find_payments.find(house.context, call.caller, payment)
    return Reply(replies.OK, encode.payment(found))


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
    answer = await refund_payment.refund(house.context, claim, call.caller, payment, body.amount)
    return kept(replies.CREATED, answer)


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
