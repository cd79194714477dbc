"""SQL of split plans and fee rules."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import splitcore
from gateway.domain.agreement import Tariffs, tariffs_of
from gateway.splitting.plans import Draft, Plan, PlanShelf
from gateway.splitting.terms import TermsShelf
from splitcore import FeeRule

_PLANS = """
    SELECT p.number, p.plan, p.services, p.recipients, p.digest,
           p.payer_category,
           array(SELECT r.id FROM unnest(p.recipients) WITH ORDINALITY AS u (number, place)
                 JOIN recipients AS r ON r.number = u.number ORDER BY u.place) AS ids
    FROM split_plans AS p WHERE p.number = ANY ($1::int[])
"""
_COMMISSIONS = """
    SELECT DISTINCT ON (recipient) recipient AS subject, ppm, fixed, min, max
    FROM commission_terms WHERE version <= $1 ORDER BY recipient, version DESC
"""
_SURCHARGES = """
    SELECT DISTINCT ON (method) method AS subject, ppm, fixed, min, max
    FROM surcharge_terms WHERE version <= $1 ORDER BY method, version DESC
"""
_AGREEMENTS = "SELECT * FROM agreement_terms WHERE terms_version <= $1"
_ADD_PLANS = """
    INSERT INTO split_plans (digest, plan, services, recipients, payer_category)
    SELECT digest, plan, string_to_array(services, E'\\x01'), recipients::int[], payer_category
    FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::text[])
         AS u (digest, plan, services, recipients, payer_category)
    ORDER BY digest
    ON CONFLICT (digest) DO NOTHING RETURNING number, digest
"""
_ADD_PARTS = """
    INSERT INTO split_plan_parts (plan, place, charge, service, recipient)
    SELECT * FROM unnest($1::int[], $2::int[], $3::int[], $4::text[], $5::int[])
"""
_ADD_RECIPIENTS = """
    INSERT INTO split_plan_recipients (plan, place, recipient)
    SELECT * FROM unnest($1::int[], $2::int[], $3::int[])
"""
_NEXT_VERSION = "UPDATE cut SET terms_version = terms_version + 1 RETURNING terms_version"
_ADD_COMMISSION = """
    INSERT INTO commission_terms (recipient, version, ppm, fixed, min, max, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_ADD_SURCHARGE = """
    INSERT INTO surcharge_terms (method, version, ppm, fixed, min, max, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def fetch_plans(conn: Any, shelf: PlanShelf, numbers: Iterable[int]) -> None:
    """Put the plans of these numbers on the shelf."""
    missing = shelf.missing(numbers)
    if not missing:
        return
    for row in await conn.fetch(_PLANS, missing):
        split = splitcore.Plan.from_bytes(row["plan"])
        shelf.put(
            Plan(
                row["number"],
                split,
                row["services"],
                row["recipients"],
                row["ids"],
                row["digest"],
                row["payer_category"],
            )
        )


async def fetch_terms(conn: Any, shelf: TermsShelf, version: int) -> None:
    """Bring the shelf to the fee rules of a version."""
    if shelf.version == version:
        return
    commissions = await terms(conn, _COMMISSIONS, version)
    surcharges = await terms(conn, _SURCHARGES, version)
    shelf.replace(version, commissions, surcharges, await agreements(conn, version))


async def agreements(conn: Any, version: int) -> dict[int, list[Tariffs]]:
    """Approved versions of agreements by recipient number, whenever they hold."""
    return tariffs_of(await conn.fetch(_AGREEMENTS, version))


async def terms(conn: Any, query: str, version: int) -> dict[int, FeeRule]:
    """Rules in force at a version, by recipient or method number."""
    rows = await conn.fetch(query, version)
    return {
        row["subject"]: FeeRule(row["ppm"], row["fixed"], row["min"], row["max"]) for row in rows
    }


async def current_version(conn: Any) -> int:
    """The version of the fee rules in force."""
    version: int = await conn.fetchval("SELECT terms_version FROM cut")
    return version


async def next_version(conn: Any) -> int:
    """Put other fee rules in force; the caller of this holds the cut lock and adds them."""
    version: int = await conn.fetchval(_NEXT_VERSION)
    return version


async def add_commission(
    conn: Any, recipient: int, rule: FeeRule, at: datetime, caller: int
) -> int:
    """Put a commission rule in force, by its terms version; the caller of this holds the cut
    lock.
    """
    version = await next_version(conn)
    await conn.execute(_ADD_COMMISSION, recipient, version, *rule, at, caller)
    return version


async def add_surcharge(conn: Any, method: int, rule: FeeRule, at: datetime, caller: int) -> None:
    """Put a surcharge rule in force; the caller of this holds the cut lock."""
    version = await next_version(conn)
    await conn.execute(_ADD_SURCHARGE, method, version, *rule, at, caller)


async def number_plans(conn: Any, drafts: Sequence[Draft]) -> dict[bytes, int]:
    """The number of each draft's plan by digest, new ones added."""
    unique = {draft.digest: draft for draft in drafts}
    numbers = await _find_numbers(conn, unique)
    fresh = [draft for digest, draft in unique.items() if digest not in numbers]
    if not fresh:
        return numbers
    rows = await conn.fetch(
        _ADD_PLANS,
        [draft.digest for draft in fresh],
        [draft.body for draft in fresh],
        ["\x01".join(draft.services) for draft in fresh],
        ["{" + ",".join(map(str, draft.recipients)) + "}" for draft in fresh],
        [draft.payer_category for draft in fresh],
    )
    for row in rows:
        await _describe(conn, row["number"], unique[row["digest"]])
    return await _find_numbers(conn, unique)


async def _find_numbers(conn: Any, digests: Iterable[bytes]) -> dict[bytes, int]:
    rows = await conn.fetch(
        "SELECT number, digest FROM split_plans WHERE digest = ANY ($1::bytea[])", list(digests)
    )
    return {row["digest"]: row["number"] for row in rows}


async def _describe(conn: Any, number: int, draft: Draft) -> None:
    charges = draft.split.part_charge
    places = list(range(len(charges)))
    await conn.execute(
        _ADD_PARTS,
        [number] * len(places),
        places,
        list(charges),
        [draft.services[charge] for charge in charges],
        [draft.recipients[recipient] for recipient in draft.split.part_recipient],
    )
    await conn.execute(
        _ADD_RECIPIENTS,
        [number] * len(draft.recipients),
        list(range(len(draft.recipients))),
        draft.recipients,
    )
