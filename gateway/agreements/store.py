"""SQL of agreements: versions and decisions, which are only ever added."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from gateway.domain.agreement import (
    Agreement,
    AgreementVersion,
    Decision,
    Requisites,
    SecondLevelPercent,
    Tariff,
)
from gateway.domain.bill import SecondLevel
from gateway.domain.business_days import CutOff, cut_off_at
from gateway.domain.party import BankAccount, Caller
from splitcore import FeeRule

_ADD = """
    INSERT INTO agreements (id, recipient, acquirer, contract, valid_from, valid_until, time_zone,
                            begins_at, ends_at, cut_off, minimum_payout, carry_days, report_format,
                            name, inn, kpp, bic, account, correspondent_account, bank_name,
                            proposed_at, proposed_by, proposed_by_name)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19,
            $20, $21, $22, $23)
"""
_ADD_TARIFFS = """
    INSERT INTO agreement_tariffs (agreement, place, channel, payer_category, above_ppm,
                                   above_fixed, above_min, above_max, below_ppm, below_fixed,
                                   below_min, below_max)
    SELECT $1, * FROM unnest($2::smallint[], $3::smallint[], $4::text[], $5::int[], $6::bigint[],
                             $7::bigint[], $8::bigint[], $9::int[], $10::bigint[], $11::bigint[],
                             $12::bigint[])
"""
_ADD_SECOND_LEVELS = """
    INSERT INTO agreement_second_levels (agreement, place, service, recipient, ppm)
    SELECT $1, * FROM unnest($2::smallint[], $3::text[], $4::int[], $5::int[])
"""
_DECIDE = """
    INSERT INTO agreement_decisions (agreement, state, terms_version, decided_at, decided_by,
                                     decided_by_name, proposed_by_name, reason)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_IS_ACQUIRER = """
    SELECT EXISTS (SELECT FROM callers WHERE name = $1 AND role = 'acquirer')
        OR EXISTS (SELECT FROM authorisations WHERE acquirer = $1)
"""
_LOCK = "SELECT 1 FROM agreements WHERE id = $1 FOR UPDATE"
_VERSIONS = """
    SELECT a.id, r.id AS recipient, a.acquirer, a.contract, a.valid_from, a.valid_until,
           a.time_zone, a.begins_at, a.ends_at, a.cut_off, a.minimum_payout, a.carry_days,
           a.report_format, a.name, a.inn, a.kpp, a.bic, a.account, a.correspondent_account,
           a.bank_name, a.proposed_at, a.proposed_by_name, d.state, d.decided_at, d.reason,
           d.decided_by_name, d.terms_version
    FROM agreements AS a
    LEFT JOIN recipients AS r ON r.number = a.recipient
    LEFT JOIN agreement_decisions AS d ON d.agreement = a.id
"""
_BY_ID = _VERSIONS + " WHERE a.id = $1"
# Ids sort by the moment they were made at, so a page begins where the one before ended.
_PAGE = (
    _VERSIONS
    + """
    WHERE ($1::text IS NULL OR r.id = $1) AND ($2::text IS NULL OR a.acquirer = $2)
      AND ($3::text IS NULL OR coalesce(d.state, 'proposed') = $3)
      AND ($4::uuid IS NULL OR a.id < $4)
    ORDER BY a.id DESC LIMIT $5
"""
)
_ACQUIRER_FEES = "SELECT * FROM acquirer_fees($1)"
FEES_TIMEOUT_S = 600.0
_TARIFFS = """
    SELECT agreement, channel, payer_category, above_ppm, above_fixed, above_min, above_max,
           below_ppm, below_fixed, below_min, below_max
    FROM agreement_tariffs WHERE agreement = ANY ($1::uuid[]) ORDER BY agreement, place
"""
_SECOND_LEVELS = """
    SELECT s.agreement, s.service, r.id, s.ppm
    FROM agreement_second_levels AS s JOIN recipients AS r ON r.number = s.recipient
    WHERE s.agreement = ANY ($1::uuid[]) ORDER BY s.agreement, s.place
"""
_IN_FORCE = """
    SELECT agreement FROM agreements_in_force((SELECT terms_version FROM cut), $1)
    WHERE recipient IS NOT NULL
"""
_LEVELS_IN_FORCE = """
    SELECT w.id, s.service, r.id, s.ppm
    FROM agreements_in_force((SELECT terms_version FROM cut), $1) AS v
    JOIN agreement_second_levels AS s ON s.agreement = v.agreement
    JOIN recipients AS w ON w.number = v.recipient
    JOIN recipients AS r ON r.number = s.recipient
    ORDER BY s.agreement, s.place
"""
_CUT_OFFS = """
    SELECT DISTINCT cut_off, time_zone
    FROM agreements_in_force((SELECT terms_version FROM cut), $1)
    WHERE recipient IS NOT NULL AND cut_off IS NOT NULL ORDER BY 1, 2
"""
# Of the versions that somebody had decided on by then, whatever was decided since.
_OWN_CUT_OFFS = """
    SELECT recipient, agreement, cut_off, time_zone
    FROM agreements_in_force(
        (SELECT coalesce(max(terms_version), 0) FROM agreement_decisions WHERE decided_at <= $1),
        $1)
    WHERE recipient IS NOT NULL AND cut_off IS NOT NULL ORDER BY recipient
"""
_SPLITS = "SELECT plan, terms_version, at FROM allocations WHERE payment = $1"
_OF_SPLIT = """
    SELECT v.agreement, r.id, v.contract, v.valid_from, v.terms_version
    FROM split_plan_recipients AS p
    JOIN LATERAL agreements_in_force($2, $3) AS v ON v.recipient = p.recipient
    JOIN recipients AS r ON r.number = v.recipient
    WHERE p.plan = $1 ORDER BY p.place
"""


async def of_split(
    conn: Any, plan: int, version: int, moment: datetime
) -> list[tuple[UUID, str, str, Any, int]]:
    """As `of_payment`, for one split: its plan, the version of its terms, its moment."""
    return [tuple(row) for row in await conn.fetch(_OF_SPLIT, plan, version, moment)]


async def add(
    conn: Any,
    id_: UUID,
    content: Agreement,
    numbers: Mapping[str, int],
    moments: tuple[datetime, datetime | None],
    at: datetime,
    caller: Caller,
) -> None:
    """Store a proposed version. `numbers` are of the recipients that it names; `moments` are when
    it begins and ends."""
    requisites = content.requisites
    account = None if requisites is None else requisites.bank_account
    await conn.execute(
        _ADD,
        id_,
        None if content.recipient is None else numbers[content.recipient],
        content.acquirer,
        content.contract,
        content.valid_from,
        content.valid_until,
        content.time_zone,
        *moments,
        content.cut_off,
        content.minimum_payout,
        content.carry_days,
        content.report_format,
        requisites and requisites.name,
        requisites and requisites.inn,
        requisites and requisites.kpp,
        account and account.bic,
        account and account.number,
        account and account.correspondent,
        account and account.bank_name,
        at,
        caller.number,
        caller.name,
    )
    tariffs, level = content.tariffs, content.second_level
    await conn.execute(
        _ADD_TARIFFS,
        id_,
        list(range(len(tariffs))),
        [tariff.channel for tariff in tariffs],
        [tariff.category for tariff in tariffs],
        *_rule_columns([tariff.above for tariff in tariffs]),
        *_rule_columns([tariff.below for tariff in tariffs]),
    )
    await conn.execute(
        _ADD_SECOND_LEVELS,
        id_,
        list(range(len(level))),
        [entry.service for entry in level],
        [numbers[entry.recipient] for entry in level],
        [entry.ppm for entry in level],
    )


def _rule_columns(rules: Sequence[FeeRule | None]) -> list[list[int | None]]:
    return [[rule and rule[at] for rule in rules] for at in range(4)]


async def is_acquirer(conn: Any, name: str) -> bool:
    """Whether an acquirer of this name sends us payments, or was asked to take one."""
    found: bool = await conn.fetchval(_IS_ACQUIRER, name)
    return found


async def decide(conn: Any, version: AgreementVersion, decision: Decision, caller: Caller) -> None:
    """Store what was decided on a version that nobody decided on yet."""
    await conn.execute(
        _DECIDE,
        version.id,
        decision.state,
        decision.terms_version,
        decision.at,
        caller.number,
        caller.name,
        version.proposed_by,
        decision.reason,
    )


async def lock(conn: Any, id_: UUID) -> AgreementVersion | None:
    """As `find`, nobody else deciding on it until the commit."""
    await conn.execute(_LOCK, id_)
    return await find(conn, id_)


async def find(conn: Any, id_: UUID) -> AgreementVersion | None:
    """A version by its id."""
    found = await _versions(conn, await conn.fetch(_BY_ID, id_))
    return found[0] if found else None


async def page(
    conn: Any,
    recipient: str | None,
    acquirer: str | None,
    state: str | None,
    before: UUID | None,
    limit: int,
) -> list[AgreementVersion]:
    """Versions, the newest first, of one party and in one state where those are told."""
    rows = await conn.fetch(_PAGE, recipient, acquirer, state, before, limit)
    return await _versions(conn, rows)


async def second_levels(
    conn: Any, moment: datetime
) -> dict[tuple[str, str | None], tuple[SecondLevel, ...]]:
    """Second levels of the versions in force, by recipient and service (None: any)."""
    found: dict[tuple[str, str | None], tuple[SecondLevel, ...]] = {}
    for whose, service, recipient, ppm in await conn.fetch(_LEVELS_IN_FORCE, moment):
        entry = SecondLevel(recipient, ppm)
        found[whose, service] = (*found.get((whose, service), ()), entry)
    return found


async def recipients_in_force(conn: Any, moment: datetime) -> dict[str, AgreementVersion]:
    """The version in force of each recipient (its id) that has one, at a moment."""
    ids = [row["agreement"] for row in await conn.fetch(_IN_FORCE, moment)]
    rows = await conn.fetch(_VERSIONS + " WHERE a.id = ANY ($1::uuid[])", ids)
    versions = await _versions(conn, rows)
    return {one.content.recipient: one for one in versions if one.content.recipient is not None}


async def cut_offs(conn: Any, moment: datetime) -> list[CutOff]:
    """The cut-offs that agreements in force with recipients have, each once."""
    rows = await conn.fetch(_CUT_OFFS, moment)
    return [cut_off_at(at.hour, at.minute, zone) for at, zone in rows]


async def own_cut_offs(conn: Any, moment: datetime) -> list[tuple[int, UUID, CutOff]]:
    """(recipient's number, version, cut-off) of agreements that were in force at a moment."""
    return [
        (recipient, version, cut_off_at(at.hour, at.minute, zone))
        for recipient, version, at, zone in await conn.fetch(_OWN_CUT_OFFS, moment)
    ]


async def acquirer_fees(conn: Any, batch: int) -> list[tuple[str, int, int, int, int]]:
    """What acquirers keep of a batch: name, method, payments, their totals and fees in kopecks."""
    return [
        (row["acquirer"], row["channel"], row["payments"], int(row["total"]), int(row["fee"]))
        for row in await conn.fetch(_ACQUIRER_FEES, batch, timeout=FEES_TIMEOUT_S)
    ]


async def of_payment(conn: Any, payment: UUID) -> list[tuple[UUID, str, str, Any, int]]:
    """What a payment was split by: version, recipient, contract, first day, terms version."""
    found: list[tuple[UUID, str, str, Any, int]] = []
    for plan, version, moment in await conn.fetch(_SPLITS, payment):
        found += [(*row[:4], version) for row in await of_split(conn, plan, version, moment)]
    return found


async def _versions(conn: Any, rows: Sequence[Any]) -> list[AgreementVersion]:
    ids = [row["id"] for row in rows]
    tariffs: dict[UUID, list[Tariff]] = {}
    for row in await conn.fetch(_TARIFFS, ids):
        above, below = _rule(row, "above"), _rule(row, "below")
        cell = Tariff(row["channel"], row["payer_category"], above, below)
        tariffs.setdefault(row["agreement"], []).append(cell)
    levels: dict[UUID, list[SecondLevelPercent]] = {}
    for agreement, *entry in await conn.fetch(_SECOND_LEVELS, ids):
        levels.setdefault(agreement, []).append(SecondLevelPercent(*entry))
    return [
        _version(row, tuple(tariffs.get(row["id"], ())), tuple(levels.get(row["id"], ())))
        for row in rows
    ]


def _version(
    row: Any, tariffs: tuple[Tariff, ...], level: tuple[SecondLevelPercent, ...]
) -> AgreementVersion:
    requisites = decision = None
    if row["name"] is not None:
        account = BankAccount(
            row["bic"], row["account"], row["correspondent_account"], row["bank_name"]
        )
        requisites = Requisites(row["name"], row["inn"], row["kpp"], account)
    if row["state"] is not None:
        decision = Decision(
            row["state"],
            row["decided_at"],
            row["decided_by_name"],
            row["reason"],
            row["terms_version"],
        )
    content = Agreement(
        recipient=row["recipient"],
        acquirer=row["acquirer"],
        contract=row["contract"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        time_zone=row["time_zone"],
        cut_off=row["cut_off"],
        tariffs=tariffs,
        second_level=level,
        requisites=requisites,
        minimum_payout=row["minimum_payout"],
        carry_days=row["carry_days"],
        report_format=row["report_format"],
    )
    return AgreementVersion(
        row["id"],
        content,
        row["begins_at"],
        row["ends_at"],
        row["proposed_at"],
        row["proposed_by_name"],
        decision,
    )


def _rule(row: Any, side: str) -> FeeRule | None:
    if row[side + "_ppm"] is None:
        return None
    return FeeRule(*(row[f"{side}_{name}"] for name in ("ppm", "fixed", "min", "max")))
