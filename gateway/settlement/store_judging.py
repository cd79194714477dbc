"""SQL of what a batch owes by the journal alone, for the gate before an approval.

Nothing here reads what positions say of money: they are what is judged.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.settlement.netting import Netting

# The kernel's sums of a batch's rows by recipient, and what else the batch brought to each.
_MOVED = """
    SELECT recipient, sum(kopecks)::bigint AS kopecks
    FROM (SELECT p.recipient, m.kopecks
          FROM unnest($2::int[], $3::int[], $4::bigint[]) AS m (plan, place, kopecks)
          JOIN split_plan_parts AS p USING (plan, place)
          UNION ALL
          SELECT p.recipient, -m.kopecks
          FROM unnest($5::int[], $6::int[], $7::bigint[]) AS m (plan, place, kopecks)
          JOIN split_plan_parts AS p USING (plan, place)
          UNION ALL
          SELECT p.recipient, -m.kopecks
          FROM unnest($8::int[], $9::int[], $10::bigint[]) AS m (plan, place, kopecks)
          JOIN split_plan_recipients AS p USING (plan, place)
          UNION ALL
          SELECT recipient, amount FROM returned_money WHERE settlement_batch = $1
          UNION ALL
          SELECT recipient, amount FROM debt_settlements WHERE settlement_batch = $1
          UNION ALL
          SELECT recipient, amount FROM paid_before WHERE settlement_batch = $1
          UNION ALL
          SELECT debtor, -amount FROM obligation_transfers WHERE settlement_batch = $1
          UNION ALL
          SELECT creditor, amount FROM obligation_transfers WHERE settlement_batch = $1) AS moved
    GROUP BY recipient
"""
# The same money in one sum, by the double entry and without the kernel: of batches that have no
# payouts yet. What a cancelled batch never put in a payout was never taken off either.
_IN_THE_LEDGER = """
    SELECT (SELECT coalesce(sum(credit_kopecks - debit_kopecks), 0) FROM ledger
            WHERE ledger_account = 'recipients' AND settlement_batch = $1)
         + (SELECT coalesce(sum(amount), 0) FROM returned_money
            WHERE settlement_batch = $1 AND payout IS NULL)
"""
# What an earlier batch took off: its payouts, or while it has none what it is said to pay, which is
# judged before it is paid.
_TAKEN = """
    SELECT p.recipient, CASE WHEN b.approved_at IS NULL THEN p.payable
                             ELSE coalesce(o.amount, 0) END AS kopecks
    FROM positions AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch
    LEFT JOIN payouts AS o ON o.settlement_batch = p.settlement_batch AND o.recipient = p.recipient
    WHERE p.settlement_batch = $1
"""
_MAY_WAIT = """
    SELECT recipient FROM waiting_balances WHERE settlement_batch = $1
    UNION
    SELECT recipient FROM position_days WHERE settlement_batch = $1 AND held_until IS NOT NULL
"""
_LAST_JUDGED = "SELECT max(settlement_batch) FROM judged_batches WHERE settlement_batch < $1"
_BALANCES = "SELECT recipient, amount FROM judged_balances WHERE settlement_batch = $1"
_NUMBERS = "SELECT number, id FROM recipients"
_ADD_JUDGED = "INSERT INTO judged_batches (settlement_batch, judged_at) VALUES ($1, $2)"
_ADD_BALANCES = """
    INSERT INTO judged_balances (settlement_batch, recipient, amount)
    SELECT $1, r.number, u.amount
    FROM unnest($2::text[], $3::bigint[]) AS u (recipient, amount)
    JOIN recipients AS r ON r.id = u.recipient
"""
LEDGER_TIMEOUT_S = 600.0


async def moved(conn: Any, number: int, netting: Netting) -> dict[int, int]:
    """Kopecks that a batch brought to each recipient (by number), below zero what it took."""
    columns: list[list[int]] = []
    for sums in (netting.shared(), netting.returned(), netting.withheld()):
        columns += [[entry[at] for entry in sums] for at in range(3)]
    return _by_recipient(await conn.fetch(_MOVED, number, *columns))


async def in_the_ledger(conn: Any, number: int) -> int:
    """What a batch without payouts brought to all recipients together, in kopecks."""
    return int(await conn.fetchval(_IN_THE_LEDGER, number, timeout=LEDGER_TIMEOUT_S))


async def taken(conn: Any, number: int) -> dict[int, int]:
    """Kopecks that an earlier batch paid, or is to pay, to each recipient (by number)."""
    return _by_recipient(await conn.fetch(_TAKEN, number))


async def may_wait(conn: Any, number: int) -> set[int]:
    """Recipients (by number) whose money a batch may carry on instead of paying it."""
    return {row["recipient"] for row in await conn.fetch(_MAY_WAIT, number)}


async def last_judged(conn: Any, number: int) -> tuple[int, dict[int, int]]:
    """The last batch before this one that was judged, 0 for none, and what it left to each."""
    last = await conn.fetchval(_LAST_JUDGED, number) or 0
    rows = await conn.fetch(_BALANCES, last)
    return last, {row["recipient"]: row["amount"] for row in rows}


async def ids(conn: Any) -> Mapping[int, str]:
    """Recipients' ids by their numbers."""
    return {row["number"]: row["id"] for row in await conn.fetch(_NUMBERS)}


async def add_judged(conn: Any, number: int, left: Mapping[str, int], at: datetime) -> None:
    """Keep what an approved batch leaves owed to recipients (ids), or owed by them, in kopecks."""
    balances: Sequence[tuple[str, int]] = [one for one in left.items() if one[1] != 0]
    await conn.execute(_ADD_JUDGED, number, at)
    await conn.execute(
        _ADD_BALANCES, number, [one for one, _ in balances], [amount for _, amount in balances]
    )


def _by_recipient(rows: Sequence[Any]) -> dict[int, int]:
    return {row["recipient"]: row["kopecks"] for row in rows}
