"""Agreements: proposed by one person, decided by another, in force for payments from then on.

An approval takes the cut alone, as every change of terms does: no payment is split by a version
that another worker does not know, and what was split before keeps the version it was split by.
"""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.agreements import store as agreement_store
from gateway.domain.agreement import Agreement, AgreementVersion, Decision, Tariff
from gateway.domain.ids import AGREEMENT, PAYMENT, SETTLEMENT_BATCH, shown
from gateway.domain.party import Caller, Recipient
from gateway.domain.payment import METHODS, Claim
from gateway.domain.refusals import Refusal
from gateway.domain.states import AGREEMENT as STATES
from gateway.domain.states import next_state
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.flows.set_terms import check_fee, check_requisites
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import reading
from gateway.journal.rows import Cut
from gateway.parties import store as party_store
from gateway.settlement import store as settlement_store
from gateway.splitting import store as splitting_store
from gateway.steps import timed
from splitcore import PPM, SECOND_LEVEL_MAX, FeeRule

_EVENTS = {"approved": "approve", "rejected": "reject"}


@timed("agreements", "propose")
async def propose(
    context: Context,
    claim: Claim,
    caller: Caller,
    id_: UUID,
    content: Agreement,
    accept_inn: bool,
) -> Answer:
    """Store a version that somebody else is to decide on.

    Refuses `recipient_unknown`, `fee_out_of_range`, `second_level_out_of_range`, and what a
    recipient's requisites are refused with.
    """
    _check(content, accept_inn, context.clock.now())

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        now = context.clock.now()
        named = {entry.recipient for entry in content.second_level}
        if content.recipient is not None:
            named.add(content.recipient)
        elif not await agreement_store.is_acquirer(conn, content.acquirer or ""):
            raise Refusal("recipient_unknown", "Expected the name of an acquirer that has a key")
        numbers = await party_store.numbers(conn, named)
        if numbers.keys() != named:
            raise Refusal("recipient_unknown", "Expected recipients that are registered")
        await agreement_store.add(conn, id_, content, numbers, moments(content), now, caller)
        return shown_version(await _found(conn, id_))

    return await once(context, claim, id_, act)


@timed("agreements", "decide")
async def decide(
    context: Context,
    claim: Claim,
    caller: Caller,
    id_: UUID,
    state: str,
    reason: str | None,
) -> Answer:
    """Approve or reject (`state`) a proposed version; an approved one is in force from now on, on
    the days that it says.

    Refuses `not_found`, `forbidden` for whoever proposed it, and `state_conflict` where it was
    decided before, or has ended already.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        version = await agreement_store.lock(conn, id_)
        if version is None:
            raise Refusal("not_found", "Expected the id of an agreement")
        if version.proposed_by == caller.name:
            raise Refusal("forbidden", "Expected another person than the one who proposed it")
        following = next_state(STATES, version.state, _EVENTS[state])
        now = context.clock.now()
        number = None
        if following == "approved":
            if version.ends_at is not None and version.ends_at <= now:
                raise Refusal("state_conflict", "Expected a version that has not ended yet")
            number = await splitting_store.next_version(conn)
        decision = Decision(following, now, caller.name, reason, number)
        await agreement_store.decide(conn, version, decision, caller)
        return shown_version(await _found(conn, id_))

    return await once(context, claim, id_, act, alone=True)


async def show(context: Context, caller: Caller, id_: UUID) -> dict[str, object]:
    """A version as it stands; refuses `not_found`, also what is not the caller's own."""
    async with context.connection() as conn:
        version = await _found(conn, id_)
    if caller.recipient is not None and version.content.recipient != caller.recipient:
        raise Refusal("not_found", "Expected the id of an agreement")
    return shown_version(version)


async def page(
    context: Context,
    recipient: str | None,
    acquirer: str | None,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> list[dict[str, object]]:
    """Versions with who proposed and decided on each, the newest first."""
    async with context.connection() as conn:
        found = await agreement_store.page(conn, recipient, acquirer, state, before, limit)
    return [shown_version(version) for version in found]


async def acquirer_fees(context: Context, batch: UUID) -> dict[str, object]:
    """What acquirers keep of a batch by their agreements, the centre's cost; refuses `not_found`.

    It is no part of any split: what is withheld from recipients is their own agreements' alone.
    """
    async with context.connection() as conn, reading(conn):
        row = await settlement_store.find(conn, batch)
        if row is None:
            raise Refusal("not_found", "Expected the id of a settlement batch")
        found = await agreement_store.acquirer_fees(conn, row.number)
    return {
        "settlement_batch": shown(SETTLEMENT_BATCH, batch),
        "fee": sum(fee for *_, fee in found),
        "acquirers": [
            {
                "acquirer": acquirer,
                "channel": METHODS[channel],
                "payments": payments,
                "total": total,
                "fee": fee,
            }
            for acquirer, channel, payments, total, fee in found
        ],
    }


async def report_format(context: Context, recipient: str) -> str | None:
    """The form that a recipient's agreement has its reports in, where it says one."""
    async with context.connection() as conn:
        found = await agreement_store.recipients_in_force(conn, context.clock.now())
    return found[recipient].content.report_format if recipient in found else None


async def of_payment(context: Context, payment: UUID) -> dict[str, object]:
    """The versions that a payment was split by, a recipient each; none where terms alone did it.

    Refuses `not_found`.
    """
    async with context.connection() as conn:
        if not await journal_store.find_payments(conn, [payment]):
            raise Refusal("not_found", "Expected the id of a payment")
        rows = await agreement_store.of_payment(conn, payment)
    return {
        "payment": shown(PAYMENT, payment),
        "agreements": [
            {
                "id": shown(AGREEMENT, version),
                "recipient": recipient,
                "contract": contract,
                "valid_from": day.isoformat(),
                "terms_version": number,
            }
            for version, recipient, contract, day, number in rows
        ],
    }


def moments(content: Agreement) -> tuple[datetime, datetime | None]:
    """When a version begins and ends: midnights in its zone, the last day being in it."""
    zone = ZoneInfo(content.time_zone)
    begins = datetime.combine(content.valid_from, time(), zone).astimezone(UTC)
    if content.valid_until is None:
        return begins, None
    after = content.valid_until + timedelta(days=1)
    return begins, datetime.combine(after, time(), zone).astimezone(UTC)


async def _found(conn: Any, id_: UUID) -> AgreementVersion:
    version = await agreement_store.find(conn, id_)
    if version is None:
        raise Refusal("not_found", "Expected the id of an agreement")
    return version


def _check(content: Agreement, accept_inn: bool, now: datetime) -> None:
    for tariff in content.tariffs:
        for rule in (tariff.above, tariff.below):
            if rule is not None:
                check_fee(rule)
    by_service: dict[str | None, int] = {}
    for entry in content.second_level:
        by_service[entry.service] = by_service.get(entry.service, 0) + entry.ppm
    within = (
        len(content.second_level) <= SECOND_LEVEL_MAX
        and all(entry.ppm >= 0 for entry in content.second_level)
        and all(ppm <= PPM for ppm in by_service.values())
    )
    if not within:
        raise Refusal(
            "second_level_out_of_range",
            f"Expected at most {SECOND_LEVEL_MAX} entries that add up to at most {PPM} ppm",
        )
    requisites = content.requisites
    if requisites is not None:
        party = Recipient(
            "agreement",
            requisites.name,
            "supplier",
            requisites.inn,
            requisites.kpp,
            requisites.bank_account,
        )
        check_requisites(party, accept_inn, now)


def shown_version(version: AgreementVersion) -> dict[str, object]:
    """A version as everybody reads it: its content, and its trail."""
    content, decision = version.content, version.decision
    return {
        "id": shown(AGREEMENT, version.id),
        "state": version.state,
        "recipient": content.recipient,
        "acquirer": content.acquirer,
        "contract": content.contract,
        "valid_from": content.valid_from.isoformat(),
        "valid_until": None if content.valid_until is None else content.valid_until.isoformat(),
        "time_zone": content.time_zone,
        "cut_off": None if content.cut_off is None else content.cut_off.isoformat("minutes"),
        "tariffs": [_tariff(tariff) for tariff in content.tariffs],
        "second_level": [
            {"service": entry.service, "recipient": entry.recipient, "ppm": entry.ppm}
            for entry in content.second_level
        ],
        "requisites": _requisites(content),
        "minimum_payout": content.minimum_payout,
        "carry_days": content.carry_days,
        "report_format": content.report_format,
        "begins_at": version.begins_at.isoformat(),
        "ends_at": None if version.ends_at is None else version.ends_at.isoformat(),
        "proposed_at": version.proposed_at.isoformat(),
        "proposed_by": version.proposed_by,
        "decided_at": None if decision is None else decision.at.isoformat(),
        "decided_by": None if decision is None else decision.by,
        "reason": None if decision is None else decision.reason,
        "terms_version": None if decision is None else decision.terms_version,
    }


def _tariff(tariff: Tariff) -> dict[str, object]:
    return {
        "channel": None if tariff.channel is None else METHODS[tariff.channel],
        "payer_category": tariff.category,
        "above": _fee(tariff.above),
        "below": _fee(tariff.below),
    }


def _fee(rule: FeeRule | None) -> dict[str, int | None] | None:
    return None if rule is None else rule._asdict()


def _requisites(content: Agreement) -> dict[str, object] | None:
    found = content.requisites
    if found is None:
        return None
    account = found.bank_account
    return {
        "name": found.name,
        "inn": found.inn,
        "kpp": found.kpp,
        "bank_account": {name: getattr(account, name) for name in account.__struct_fields__},
    }
