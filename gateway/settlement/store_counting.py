"""SQL of counting a settlement batch: netted by plan and place, then made positions."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from msgspec import Struct

from gateway.domain.business_days import OwnDays, PositionDays
from gateway.settlement.netting import Netting

_SEEN = "SELECT all_is_seen()"
# What does not fit this memory goes to disk; a sort by plan would move every record once more.
_STRINGING = "SET LOCAL work_mem = '32MB'; SET LOCAL enable_sort = off"
# Vectors of one plan are strung together, so that they come here and are added up by the thousand
# and not one by one. Blocks bound what is in memory at once, here and in the database.
_SPLITS = """
    SELECT plan, count(*) AS splits, string_agg(shares, ''::bytea) AS shares,
           string_agg(commissions, ''::bytea) AS commissions
    FROM (SELECT plan, shares, commissions, row_number() OVER () / $2 AS block FROM allocations
          WHERE settlement_batch = $1) AS a
    GROUP BY block, plan
"""
_REFUNDS = """
    SELECT plan, string_agg(shares, ''::bytea) AS shares
    FROM (SELECT plan, shares, row_number() OVER () / $2 AS block FROM refunds
          WHERE settlement_batch = $1 AND shares IS NOT NULL) AS r
    GROUP BY block, plan
"""
_MOVES = """
    SELECT plan, sign, string_agg(shares, ''::bytea) AS shares,
           string_agg(commissions, ''::bytea) AS commissions
    FROM (SELECT plan, sign, shares, commissions, row_number() OVER () / $2 AS block FROM moves
          WHERE settlement_batch = $1) AS l
    GROUP BY block, plan, sign
"""
_PLACES = """
    SELECT plan, count(*) AS parts,
           (SELECT count(*) FROM split_plan_recipients AS r WHERE r.plan = p.plan) AS recipients
    FROM split_plan_parts AS p GROUP BY plan
"""
# What each recipient is owed after a batch: `owed`.
_OWED = """
    WITH moved AS (
        SELECT p.recipient, m.kopecks AS gross, 0 AS refunds, 0 AS commission, 0 AS carried_in,
               0 AS returned, 0 AS transferred
        FROM unnest($2::int[], $3::int[], $4::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_parts AS p USING (plan, place)
        UNION ALL
        SELECT p.recipient, 0, m.kopecks, 0, 0, 0, 0
        FROM unnest($5::int[], $6::int[], $7::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_parts AS p USING (plan, place)
        UNION ALL
        SELECT p.recipient, 0, 0, m.kopecks, 0, 0, 0
        FROM unnest($8::int[], $9::int[], $10::bigint[]) AS m (plan, place, kopecks)
        JOIN split_plan_recipients AS p USING (plan, place)
        UNION ALL
        SELECT recipient, 0, 0, 0, carried_out, 0, 0 FROM positions
        WHERE settlement_batch = $1 - 1 AND carried_out <> 0
        UNION ALL
        SELECT recipient, 0, 0, 0, 0, amount, 0 FROM returned_money WHERE settlement_batch = $1
        UNION ALL
        SELECT recipient, 0, 0, 0, 0, amount, 0 FROM debt_settlements WHERE settlement_batch = $1
        UNION ALL
        SELECT recipient, 0, 0, 0, 0, amount, 0 FROM paid_before WHERE settlement_batch = $1
        UNION ALL
        SELECT u.recipient, 0, 0, 0, 0, 0, u.amount
        FROM obligation_transfers AS t
        CROSS JOIN LATERAL (VALUES (t.debtor, -t.amount), (t.creditor, t.amount))
            AS u (recipient, amount)
        WHERE t.settlement_batch = $1),
    balance AS (
        SELECT recipient, sum(gross)::bigint AS gross, sum(refunds)::bigint AS refunds,
               sum(commission)::bigint AS commission, sum(carried_in)::bigint AS carried_in,
               sum(returned)::bigint AS returned, sum(transferred)::bigint AS transferred
        FROM moved GROUP BY recipient),
    owed AS (
        SELECT *, carried_in + returned + gross - commission - refunds + transferred AS amount
        FROM balance)
"""
# Three statements of one transaction, in this order: whose money is held, whose waits for its
# minimum, and what the positions then are. None reads what another batch writes after it.
_DAYS = f"""{_OWED},
    own AS (
        SELECT * FROM unnest($13::int[], $14::uuid[], $15::date[], $16::date[],
                             $17::timestamptz[], $18::timestamptz[])
            AS c (recipient, agreement, first_day, last_day, due_at, following_at))
    INSERT INTO position_days (settlement_batch, recipient, agreement, first_day, last_day,
                               since_day, settled_to, held_until, waits_since)
    SELECT $1, o.recipient, c.agreement, c.first_day, c.last_day,
           least(h.since_day, c.first_day), CASE WHEN h.recipient IS NULL THEN $11
                                                 ELSE h.settled_to END,
           CASE WHEN s.held THEN c.following_at END,
           CASE WHEN s.held THEN waited_since($1, o.recipient) END
    FROM owed AS o
    JOIN own AS c ON c.recipient =
        CASE WHEN o.recipient = ANY ($13) THEN o.recipient ELSE 0 END
    LEFT JOIN position_days AS h ON h.settlement_batch = $1 - 1
        AND h.recipient = o.recipient AND h.held_until IS NOT NULL
    -- Least: a clock that was ahead may have settled what is yet to come. Whatever was agreed
    -- since, money is held no longer than was said.
    CROSS JOIN LATERAL (SELECT o.amount > 0 AND NOT $12
        AND c.due_at <= least(h.settled_to, $11)
        AND coalesce(h.held_until > $19, true) AS held) AS s
"""
_WAIT = f"""{_OWED},
    agreed AS (
        SELECT v.*, (s.closed_at AT TIME ZONE v.time_zone)::date AS on_day
        FROM settlement_batches AS s
        CROSS JOIN LATERAL agreements_in_force(
            (SELECT coalesce(max(d.terms_version), 0) FROM agreement_decisions AS d
             WHERE d.decided_at <= s.closed_at), s.closed_at) AS v
        WHERE s.number = $1 AND v.recipient IS NOT NULL)
    INSERT INTO waiting_balances (settlement_batch, recipient, agreement, amount,
                                  minimum_payout, since, on_day, waits_until)
    SELECT $1, o.recipient, v.agreement, o.amount, v.minimum_payout,
           w.since, v.on_day, w.since + v.carry_days
    FROM owed AS o JOIN agreed AS v USING (recipient)
    CROSS JOIN LATERAL (
        SELECT coalesce(waited_since($1, o.recipient), v.on_day) AS since) AS w
    WHERE o.amount > 0 AND o.amount < v.minimum_payout AND v.on_day < w.since + v.carry_days
      AND o.recipient NOT IN (SELECT d.recipient FROM position_days AS d
                              WHERE d.settlement_batch = $1 AND d.held_until IS NOT NULL)
"""
_COUNT = f"""{_OWED},
    carried AS (
        SELECT recipient FROM waiting_balances WHERE settlement_batch = $1
        UNION ALL
        SELECT recipient FROM position_days
        WHERE settlement_batch = $1 AND held_until IS NOT NULL)
    INSERT INTO positions (settlement_batch, recipient, gross, commission, refunds, net,
                           carried_in, returned, transferred, payable, carried_out)
    SELECT $1, recipient, gross, commission, refunds, gross - commission - refunds, carried_in,
           returned, transferred, CASE WHEN waits THEN 0 ELSE greatest(amount, 0) END,
           CASE WHEN waits THEN amount ELSE least(amount, 0) END
    FROM (SELECT o.*, w.recipient IS NOT NULL AS waits
          FROM owed AS o LEFT JOIN carried AS w USING (recipient)) AS settled
"""
# What some recipients earned by service, and what was owed to them already.
_EARNED = """
    SELECT p.recipient, p.service, sum(m.shared)::bigint AS shared,
           sum(m.refunded)::bigint AS refunded
    FROM (SELECT plan, place, kopecks AS shared, 0 AS refunded
          FROM unnest($1::int[], $2::int[], $3::bigint[]) AS m (plan, place, kopecks)
          UNION ALL
          SELECT plan, place, 0, kopecks
          FROM unnest($4::int[], $5::int[], $6::bigint[]) AS m (plan, place, kopecks)) AS m
    JOIN split_plan_parts AS p USING (plan, place)
    WHERE p.recipient = ANY ($7::int[]) GROUP BY p.recipient, p.service
"""
_WITHHELD = """
    SELECT p.recipient, sum(m.kopecks)::bigint AS commission
    FROM unnest($1::int[], $2::int[], $3::bigint[]) AS m (plan, place, kopecks)
    JOIN split_plan_recipients AS p USING (plan, place)
    WHERE p.recipient = ANY ($4::int[]) GROUP BY p.recipient
"""
_OWED_BEFORE = """
    SELECT recipient, sum(amount)::bigint AS amount
    FROM (SELECT recipient, carried_out AS amount FROM positions WHERE settlement_batch = $1 - 1
          UNION ALL
          SELECT recipient, amount FROM returned_money WHERE settlement_batch = $1
          UNION ALL
          SELECT recipient, amount FROM debt_settlements WHERE settlement_batch = $1
          UNION ALL
          SELECT recipient, amount FROM paid_before WHERE settlement_batch = $1) AS o
    WHERE recipient = ANY ($2::int[]) GROUP BY recipient
"""
_COUNTED = """
    UPDATE settlement_batches
    SET state = $2, payments = $3,
        refunds = (SELECT count(*) FROM refunds WHERE settlement_batch = $1)
    WHERE number = $1
"""
# Few, so that payers whom this worker serves wait for few.
ROWS_AT_ONCE = 16
BLOCK_RECORDS = 32_768
COUNT_TIMEOUT_S = 600.0


class EarnedRow(Struct):
    """What a recipient earned in a batch, in kopecks: shares and refunds by service, what was
    withheld, and what was owed to it before (below zero where it owes).
    """

    shared: dict[str, int]
    refunded: dict[str, int]
    commission: int
    before: int


async def net(conn: Any, number: int) -> Netting:
    """Add the rows of a batch up by plan and place.

    The rows pass through the kernel's sums: the database would take several times as long to
    unpack them. The audit adds them up again in SQL.
    """
    await conn.execute(_SEEN, timeout=COUNT_TIMEOUT_S)
    return await add_up(conn, number)


async def add_up(conn: Any, number: int) -> Netting:
    """As `net`, of a batch that was counted: all of its rows are seen. Settings of the database
    transaction are changed, so it comes last in one that asks for other things.
    """
    await conn.execute(_STRINGING)
    places = {row["plan"]: (row["parts"], row["recipients"]) for row in await conn.fetch(_PLACES)}
    netting = Netting(places)
    async for row in _strung(conn, _SPLITS, number):
        netting.split(row["plan"], row["splits"], row["shares"], row["commissions"])
    async for row in _strung(conn, _REFUNDS, number):
        netting.refund(row["plan"], row["shares"])
    async for row in _strung(conn, _MOVES, number):
        netting.move(row["plan"], row["sign"], row["shares"], row["commissions"])
    return netting


async def earned(
    conn: Any, number: int, netting: Netting, recipients: Sequence[int]
) -> dict[int, EarnedRow]:
    """What these recipients (numbers) earned in a batch that is netted."""
    found = {recipient: EarnedRow({}, {}, 0, 0) for recipient in recipients}
    shared, returned = _columns(netting.shared()), _columns(netting.returned())
    for row in await conn.fetch(_EARNED, *shared, *returned, recipients):
        found[row["recipient"]].shared[row["service"]] = row["shared"]
        found[row["recipient"]].refunded[row["service"]] = row["refunded"]
    for row in await conn.fetch(_WITHHELD, *_columns(netting.withheld()), recipients):
        found[row["recipient"]].commission = row["commission"]
    for row in await conn.fetch(_OWED_BEFORE, number, recipients):
        found[row["recipient"]].before = row["amount"]
    return found


async def count(
    conn: Any, number: int, state: str, netting: Netting, days: PositionDays | None
) -> None:
    """Make positions of what a batch was netted to and of what it transferred.

    Batches are counted in the order of their numbers. Without `days` all are paid, as agreements'
    minimums let them.
    """
    own = () if days is None else days.own
    columns: list[list[int]] = []
    for sums in (netting.shared(), netting.returned(), netting.withheld()):
        columns += _columns(sums)
    await conn.execute(
        _DAYS,
        number,
        *columns,
        None if days is None else days.settled_to,
        days is None or days.pays_all,
        *([getattr(one, name) for one in own] for name in OwnDays.__struct_fields__),
        None if days is None else days.moment,
    )
    await conn.execute(_WAIT, number, *columns)
    await conn.execute(_COUNT, number, *columns)
    await conn.execute(_COUNTED, number, state, netting.splits, timeout=COUNT_TIMEOUT_S)


def _columns(sums: Sequence[tuple[int, int, int]]) -> list[list[int]]:
    return [[entry[at] for entry in sums] for at in range(3)]


async def _strung(conn: Any, query: str, number: int) -> AsyncIterator[Any]:
    cursor = await conn.cursor(query, number, BLOCK_RECORDS, timeout=COUNT_TIMEOUT_S)
    while rows := await cursor.fetch(ROWS_AT_ONCE, timeout=COUNT_TIMEOUT_S):
        for row in rows:
            yield row
