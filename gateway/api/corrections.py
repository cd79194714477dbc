"""Views of what becomes of payments afterwards: corrections, chargebacks, debts of recipients."""

from collections.abc import Mapping

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.bill import PERIOD, check_account
from gateway.domain.refusals import Refusal
from gateway.flows import charge_back, correct_payment, receivables
from gateway.flows.correct_payment import Asked
from gateway.methods.pan import contains_pan

_correction_body = msgspec.json.Decoder(bodies.CorrectionBody)
_chargeback_body = msgspec.json.Decoder(bodies.ChargebackBody)
_reversal_body = msgspec.json.Decoder(bodies.ReversalBody)
_debt_body = msgspec.json.Decoder(bodies.DebtBody)
_no_body = msgspec.json.Decoder(bodies.NoBody)


async def correct(house: House, call: Call) -> Reply:
    """POST /v1/payments/{id}/corrections."""
    body = strict_json.decode(_correction_body, call.content)
    claim = call.claim("corrections", body, call.names[0])
    asked = _asked(body)
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    answer = await correct_payment.correct(
        house.context,
        claim,
        call.caller,
        payment,
        asked,
        text_of(body.reason, "reason"),
        text_of(body.document, "document"),
    )
    return kept(replies.CREATED, answer)


def _asked(body: bodies.CorrectionBody) -> Asked:
    if body.amount is not None:
        decode.check_amount(body.amount)
    for account in (body.from_account, body.subscriber_account):
        if account is not None:
            check_account(account)
    if body.amount is not None and body.services is not None:
        raise Refusal("malformed", "Expected amount or services, was both")
    meant = (body.subscriber_account, body.designation, body.period)
    if not any(meant):
        raise Refusal("malformed", "Expected subscriber_account, designation or period")
    if body.period is not None:
        if body.subscriber_account is not None or body.designation is not None:
            raise Refusal("malformed", "Expected period alone, without account or designation")
        if PERIOD.fullmatch(body.period) is None:
            raise Refusal("malformed", "Expected period YYYY-MM")
    return Asked(
        amount=body.amount,
        services=_services(body.services),
        from_account=body.from_account,
        subscriber_account=body.subscriber_account,
        designation=decode.designation(body.designation),
        period=body.period,
    )


def _services(named: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    """Services to take from, by name; Refusals as decode.designation has them, and of nothing."""
    found = decode.designation(named)
    for _, kopecks in found:
        decode.check_amount(kopecks)
    return found


async def charge(house: House, call: Call) -> Reply:
    """POST /v1/payments/{id}/chargebacks."""
    body = strict_json.decode(_chargeback_body, call.content)
    claim = call.claim("chargebacks", body, call.names[0])
    if body.amount is not None:
        decode.check_amount(body.amount)
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    answer = await charge_back.charge_back(
        house.context,
        claim,
        call.caller,
        payment,
        body.amount,
        text_of(body.case, "case"),
        text_of(body.reason_code, "reason_code"),
    )
    return kept(replies.CREATED, answer)


async def reverse(house: House, call: Call) -> Reply:
    """POST /v1/payments/{id}/chargebacks/{chargeback}/reversals."""
    body = strict_json.decode(_reversal_body, call.content)
    claim = call.claim("chargeback_reversals", body, *call.names)
    if body.amount is not None:
        decode.check_amount(body.amount)
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    chargeback = decode.path_id(ids.CHARGEBACK, call.names[1])
    document = text_of(body.document, "document")
    answer = await charge_back.reverse(
        house.context, claim, call.caller, payment, chargeback, body.amount, document
    )
    return kept(replies.CREATED, answer)


async def show_receivables(house: House, call: Call) -> Reply:
    """GET /v1/receivables: a recipient sees its own debt alone."""
    call.query()
    found = await receivables.show(house.context, call.caller.recipient)
    return Reply(replies.OK, encode.json(found))


async def ask_debt(house: House, call: Call) -> Reply:
    """POST /v1/receivables/{recipient}: booked once somebody else approves it."""
    body = strict_json.decode(_debt_body, call.content)
    claim = call.claim("debt_requests", body, call.names[0])
    decode.check_amount(body.amount)
    answer = await receivables.ask(
        house.context,
        claim,
        call.caller,
        call.names[0],
        body.kind,
        body.amount,
        text_of(body.reason, "reason"),
        text_of(body.document, "document"),
    )
    return kept(replies.CREATED, answer)


async def approve_debt(house: House, call: Call) -> Reply:
    """POST /v1/debt-requests/{id}/approve, by another person than who asked."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("debt_settlements", body, call.names[0])
    request = decode.path_id(ids.DEBT, call.names[0])
    return kept(replies.OK, await receivables.approve(house.context, claim, call.caller, request))


def text_of(text: str, name: str) -> str:
    """A text that says something; Refusals malformed, pan_not_allowed."""
    if "\x00" in text or not text.strip():
        raise Refusal("malformed", f"Expected {name} in words")
    if contains_pan(text):
        raise Refusal("pan_not_allowed", f"Expected {name} without a card number")
    return text
