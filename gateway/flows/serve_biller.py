"""What banks and agents ask by the biller protocols: check an account, pay, take a payment back.

A payment takes the same road as any other. It is refused only before it is begun; once it was
given to the road, whatever is not a refusal is to be asked again.
"""

from uuid import UUID

import orjson

from gateway.acquirer_reports import requests as reported
from gateway.billers import masks, requests
from gateway.billers import store as biller_store
from gateway.bills import store as bill_store
from gateway.config import Settings
from gateway.domain import biller as words
from gateway.domain.bill import OpenBill
from gateway.domain.biller import Asked, OperationDiffers, Told
from gateway.domain.ids import REFUND, read_id
from gateway.domain.party import Caller
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows import quote as quoting
from gateway.flows import refund_payment
from gateway.flows.accept_payment import Intake
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal import store as journal_store
from gateway.journal.rows import PaymentRow
from gateway.steps import REFUSED
from splitcore import AMOUNT_MAX, unpack

SUSPENSE = "suspense"


async def answer(context: Context, intake: Intake, caller: Caller, asked: Asked) -> Told:
    """The answer to a request; raises what the road does, and OperationDiffers."""
    if asked.misread is not None:
        return Told(verdict=asked.misread)
    with context.steps.step("billers", asked.command) as step:
        if asked.command == words.CHECK:
            told = await check(context, asked)
        elif asked.command == words.PAY:
            told = await pay(context, intake, caller, asked)
        else:
            told = await cancel(context, caller, asked)
        if told.verdict not in (words.DONE, words.REPEATED):
            step.outcome = REFUSED
        return told


async def check(context: Context, asked: Asked) -> Told:
    """What the account owes and, masked, whose it is; with a sum also whether it would be taken."""
    async with context.connection() as conn:
        bill = (await bill_store.find(conn, [asked.account])).get(asked.account)
        objection = _objection(context, asked, bill)
        if objection is not None or bill is None:
            return Told(verdict=objection or words.UNKNOWN_ACCOUNT)
        payer = await bill_store.payer_of(conn, bill)
        terms = await quoting.terms_for(context, conn, bill)
        due = _due(bill)
        if asked.total is not None:
            quoting.quote_of(context, bill, terms, asked.total, True, requests.METHOD, ())
        recommended = _total_for(context, bill, terms, due)
    name, address = masks.masked_payer(payer)
    return Told(
        verdict=words.DONE,
        payer=name,
        address=address,
        due=due,
        recommended=recommended,
    )


async def pay(context: Context, intake: Intake, caller: Caller, asked: Asked) -> Told:
    """A payment, durable; one that came before is told as it was."""
    earlier = await _earlier(context, caller, asked.protocol, asked.number)
    if earlier is not None:
        return await _repeated(context, asked, earlier)
    async with context.connection() as conn:
        bill = (await bill_store.find(conn, [asked.account])).get(asked.account)
    objection = _objection(context, asked, bill)
    held = context.settings.biller_unknown_account == SUSPENSE
    if objection is not None and not (objection == words.UNKNOWN_ACCOUNT and held):
        return Told(verdict=objection)
    # From here on the outcome may be unknown, so nothing but a refusal of the road is fatal.
    try:
        receipt = await intake.accept(requests.payment(caller.number, asked))
    except Refusal as refusal:
        if refusal.code != "idempotency_key_reused":
            raise
        earlier = await _earlier(context, caller, asked.protocol, asked.number)
        if earlier is None:
            raise
        return await _repeated(context, asked, earlier)
    payment = receipt.payment
    return Told(
        verdict=words.REPEATED if receipt.replayed else words.DONE,
        number=await _number_of(context, payment.id, payment.subscriber_account),
        total=payment.total,
        at=payment.accepted_at,
        suspense=payment.state == SUSPENSE,
    )


async def cancel(context: Context, caller: Caller, asked: Asked) -> Told:
    """All of a payment given back, also after settlement; again, and by whatever number, the same.

    A payment of which a part was given back before is left as it is.
    """
    earlier = await _earlier(context, caller, asked.protocol, asked.cancels)
    if earlier is None:
        return Told(verdict=words.OTHER)
    if asked.total not in (None, earlier.amount + earlier.surcharge):
        raise OperationDiffers(words.SUM_DIFFERS)
    claim = requests.cancellation(caller.number, asked)
    given = await refund_payment.refund(context, claim, caller, earlier.id, earlier.amount)
    refund = read_id(REFUND, orjson.loads(given.content)["id"])
    if refund is None:
        raise InvariantBroken("Expected the id of a refund in its answer")
    return Told(
        verdict=words.REPEATED if given.replayed else words.DONE,
        number=await _number_of(context, refund, earlier.subscriber_account),
        total=earlier.amount,
    )


def _objection(context: Context, asked: Asked, bill: OpenBill | None) -> str | None:
    """Why a sum, or any sum, is not taken for this account; None where it is."""
    settings = context.settings
    if asked.total is not None and asked.total < settings.biller_amount_min:
        return words.TOO_SMALL
    if asked.total is not None and asked.total > settings.biller_amount_max:
        return words.TOO_BIG
    if bill is None:
        return words.UNKNOWN_ACCOUNT
    return words.INACTIVE_ACCOUNT if _is_inactive(settings, context, bill) else None


def _is_inactive(settings: Settings, context: Context, bill: OpenBill) -> bool:
    if settings.biller_inactive_months == 0:
        return False
    year, month = map(int, bill.period.split("-"))
    now = context.clock.now()
    return (now.year - year) * 12 + now.month - month > settings.biller_inactive_months


def _due(bill: OpenBill) -> int:
    pairs = zip(unpack(bill.due), unpack(bill.paid), strict=True)
    return sum(max(0, due - paid) for due, paid in pairs)


def _total_for(context: Context, bill: OpenBill, terms: int, due: int) -> int:
    """What the payer is to hand over for all that is due, surcharge included."""
    if not 1 <= due <= AMOUNT_MAX:
        return due
    found = quoting.quote_of(context, bill, terms, due, False, requests.METHOD, ())
    return found.allocation.amount + found.allocation.surcharge


async def _earlier(
    context: Context, caller: Caller, protocol: str, number: str
) -> PaymentRow | None:
    """The payment of this operation, made by the protocol or by a row of the caller's file."""
    keys = [
        (caller.number, requests.key(protocol, number)),
        (caller.number, reported.key(number)),
    ]
    async with context.connection() as conn:
        stored = await journal_store.find_claims(conn, keys)
        made = next((stored[key].resource for key in keys if key in stored), None)
        rows = [] if made is None else await journal_store.find_payments(conn, [made])
    return rows[0] if rows else None


async def _repeated(context: Context, asked: Asked, earlier: PaymentRow) -> Told:
    total = earlier.amount + earlier.surcharge
    other_sum = asked.total != total
    if asked.account != earlier.subscriber_account:
        raise OperationDiffers(words.BOTH_DIFFER if other_sum else words.ACCOUNT_DIFFERS)
    if other_sum:
        raise OperationDiffers(words.SUM_DIFFERS)
    return Told(
        verdict=words.REPEATED,
        number=await _number_of(context, earlier.id, earlier.subscriber_account),
        total=total,
        at=earlier.accepted_at,
    )


async def _number_of(context: Context, resource: UUID, account: str) -> int:
    async def attempt() -> int:
        async with context.connection() as conn:
            return await biller_store.number_of(conn, resource, account)

    return await patiently(context, attempt)
