"""Recipients and fee rules, set by an operator; rules are in force from their commit on."""

from datetime import datetime
from typing import Any

from msgspec import structs

from gateway.domain.party import Caller, Recipient
from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_inn
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import cutting
from gateway.methods import contains_pan
from gateway.parties import store as party_store
from gateway.parties import store_versions as version_store
from gateway.payouts.centre import TRIAL_CENTRE, party
from gateway.payouts.files import one_c
from gateway.payouts.files.order import Order
from gateway.splitting import store as splitting_store
from gateway.steps import timed
from splitcore import AMOUNT_MAX, PPM, FeeRule

NO_FEE = FeeRule()


@timed("parties", "recipient")
async def set_recipient(
    context: Context, caller: Caller, recipient: Recipient, accept_inn: bool
) -> None:
    """Write a recipient, put its commission in force, and keep it as a version of its own; the
    same again changes nothing.

    Refuses `account_key_invalid`, `inn_invalid` (unless `accept_inn`), `malformed`,
    `fee_out_of_range`.
    """
    check_requisites(recipient, accept_inn, context.clock.now())
    rule = recipient.commission or NO_FEE
    check_fee(rule)

    async def attempt() -> None:
        async with (
            context.connection() as conn,
            cutting(conn),
        ):
            await _set(conn, recipient, rule, context.clock.now(), caller.number)

    await patiently(context, attempt)


async def _set(conn: Any, recipient: Recipient, rule: FeeRule, now: datetime, caller: int) -> None:
    before = await party_store.find(conn, recipient.id)
    last = None
    if before is not None:
        last = (await version_store.latest(conn, [before[0]])).get(before[0])
    told = structs.replace(recipient, commission=rule)
    if before is not None and last is not None and told == before[1] == last.recipient:
        return
    number = await party_store.set_recipient(conn, recipient, now, caller)
    known = last is not None and last.recipient.commission == rule
    terms_version = last.terms_version if last is not None and known else None
    if terms_version is None or before is None or before[1].commission != rule:
        terms_version = await splitting_store.add_commission(conn, number, rule, now, caller)
    version = 1 if last is None else last.version + 1
    await version_store.add(conn, number, version, told, terms_version, now, caller)


@timed("splitting", "surcharge")
async def set_surcharge(context: Context, caller: Caller, method: int, rule: FeeRule) -> None:
    """Put the surcharge on payments by a method in force; refuses `fee_out_of_range`."""
    check_fee(rule)

    async def attempt() -> None:
        async with (
            context.connection() as conn,
            cutting(conn),
        ):
            now = context.clock.now()
            await splitting_store.add_surcharge(conn, method, rule, now, caller.number)

    await patiently(context, attempt)


async def find_recipient(context: Context, recipient: str) -> Recipient:
    """A recipient by id; refuses `not_found`."""
    async with context.connection() as conn:
        found = await party_store.find(conn, recipient)
    if found is None:
        raise Refusal("not_found", "Expected the id of a recipient")
    return found[1]


async def recipients(context: Context) -> list[Recipient]:
    """Every recipient, by id."""
    async with context.connection() as conn:
        return list((await party_store.find_all(conn)).values())


def check_fee(rule: FeeRule) -> None:
    """Refuses `fee_out_of_range` for a rule outside the limits of the splitting rules."""
    ceiling = AMOUNT_MAX if rule.max is None else rule.max
    within = (
        0 <= rule.ppm <= PPM
        and 0 <= rule.fixed <= AMOUNT_MAX
        and 0 <= rule.min <= ceiling <= AMOUNT_MAX
    )
    if not within:
        raise Refusal("fee_out_of_range", f"Expected ppm in 0..{PPM} and 0 <= min <= max <= 10^13")


def check_requisites(recipient: Recipient, accept_inn: bool, now: datetime) -> None:
    """Refuses a recipient that no payment order could be written to: `inn_invalid`,
    `account_key_invalid`, `malformed`, `pan_not_allowed`.
    """
    if not accept_inn and not check_inn(recipient.inn):
        raise Refusal("inn_invalid", "Expected an INN whose check digits hold")
    if contains_pan(recipient.name) or contains_pan(recipient.bank_account.bank_name or ""):
        raise Refusal("pan_not_allowed", "Expected names without a card number")
    order = Order(1, now.date(), 1, party(recipient), "Проверка реквизитов")
    try:
        one_c.write(TRIAL_CENTRE, [order], now)
    except Refusal as refusal:
        code = "malformed" if refusal.code == "state_conflict" else refusal.code
        raise Refusal(code, refusal.detail) from refusal
