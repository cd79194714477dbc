"""SQL of bills and open bills."""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from gateway.bills import rows
from gateway.bills.rows import BillRow
from gateway.domain.bill import OpenBill
from gateway.storage.binary_copy import copy

# Accounts come as one text: none has a space, and asyncpg takes 0.3 µs to look at an entry of an
# array before it sends it.
_FIND = "SELECT * FROM find_open_bills($1)"
_OPEN_BILL = """
    SELECT subscriber_account, bill, period, plan, overpayment, sequence, counts_from, due, weight,
           paid
    FROM open_bills WHERE subscriber_account = """
_FIND_BY_INDEX = _OPEN_BILL + "ANY (string_to_array($1, ' '))"
# An array of one costs a lone payment half as much again.
_FIND_ONE = _OPEN_BILL + "$1"
# What `find_by_index` says, for whoever keeps statements prepared.
FOUND_BY_INDEX = frozenset({_FIND_BY_INDEX, _FIND_ONE})
_LOCK = "SELECT * FROM lock_open_bills($1)"
_PAYER = "SELECT payer FROM bills WHERE subscriber_account = $1 AND number = $2"
_SAVE_PAID = "SELECT save_paid($1, $2, $3)"
_NUMBERS = """
    SELECT array(SELECT nextval('bills_number_seq') FROM generate_series(1, $1))
"""
# Whatever the planner believes of the tables, a load looks up its own accounts alone: a plan that
# reads all open bills costs every part of a load as much as all accounts.
_BY_INDEX = """
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;
    SET LOCAL enable_mergejoin = off; SET LOCAL client_min_messages = warning
"""
# Of this connection alone, made by its first load, and empty outside of a transaction.
_NEXT = "next_bills"
_MAKE_NEXT = f"""
    CREATE TEMPORARY TABLE IF NOT EXISTS {_NEXT} (LIKE open_bills) ON COMMIT DELETE ROWS
"""
_OPEN_NEXT = f"""
    UPDATE open_bills AS o
    SET bill = n.bill, period = n.period, plan = n.plan, overpayment = n.overpayment,
        counts_from = n.counts_from, due = n.due, weight = n.weight, paid = n.paid
    FROM {_NEXT} AS n WHERE o.subscriber_account = n.subscriber_account
"""
# Account by account, and payment by payment: nothing else keeps the planner from reading every
# payment or refund there is.
_LAST_KNOWN = """
    SELECT u.account, greatest(
               (SELECT coalesce(max(a.sequence), 0) FROM allocations AS a
                WHERE a.subscriber_account = u.account AND a.at <= u.as_of),
               (SELECT max(l.counts_as) FROM moves AS l
                WHERE l.subscriber_account = u.account AND l.lot = l.id AND l.at <= u.as_of)
           ) AS sequence
    FROM unnest($1::text[], $2::timestamptz[]) AS u (account, as_of)
"""
_RECEIVED = """
    SELECT u.account, found.service, found.kopecks
    FROM unnest($1::text[], $2::int[]) AS u (account, counts_from)
    CROSS JOIN LATERAL (
        SELECT part.service, sum(moved.sign * s.kopecks)::bigint AS kopecks
        FROM (
            SELECT a.payment, a.payment AS lot, a.plan, a.shares FROM allocations AS a
            WHERE a.subscriber_account = u.account AND a.sequence > u.counts_from
            UNION ALL
            SELECT NULL, g.lot, g.plan, g.shares FROM moves AS g
            WHERE g.subscriber_account = u.account AND g.counts_as > u.counts_from AND g.lot = g.id
        ) AS a
        CROSS JOIN LATERAL (
            SELECT a.plan, a.shares, 1 AS sign
            UNION ALL
            SELECT r.plan, r.shares, -1 FROM refunds AS r WHERE r.payment = a.payment
            UNION ALL
            SELECT l.plan, l.shares, l.sign FROM moves AS l
            WHERE l.subscriber_account = u.account AND l.lot = a.lot AND l.lot <> l.id
        ) AS moved
        CROSS JOIN LATERAL unpack(moved.shares) AS s
        JOIN split_plan_parts AS part ON part.plan = moved.plan AND part.place = s.place
        WHERE s.kopecks > 0
        GROUP BY part.service
    ) AS found
"""


class OpenedMeanwhile(Exception):
    """Another load opened one of these accounts first: nothing may be kept, look again."""


async def find(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """Open bills by account; accounts without one are left out."""
    return _by_account(await conn.fetch(_FIND, " ".join(accounts)))


async def find_by_index(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """As `find`, at a lower cost, on a connection that plans by index."""
    find = _FIND_BY_INDEX if len(accounts) > 1 else _FIND_ONE
    return _by_account(await conn.fetch(find, " ".join(accounts)))


async def lock(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """As `find`, and until the commit nobody else splits a payment to these accounts.

    Rows are locked in the order of the accounts, so that groups cannot wait for each other.
    """
    return _by_account(await conn.fetch(_LOCK, " ".join(accounts)))


async def payer_of(conn: Any, bill: OpenBill) -> object:
    """What the billing centre told of the payer: a JSON object, a text, or None."""
    text = await conn.fetchval(_PAYER, bill.subscriber_account, bill.bill)
    return None if text is None else orjson.loads(text)


async def save_paid(conn: Any, paid: Sequence[tuple[str, bytes, int]]) -> None:
    """Write what is paid on locked open bills: (account, packed paid, sequence)."""
    await conn.execute(
        _SAVE_PAID,
        [account for account, _, _ in paid],
        [packed for _, packed, _ in paid],
        [sequence for _, _, sequence in paid],
    )


async def last_known(conn: Any, as_of: Sequence[tuple[str, datetime]]) -> dict[str, int]:
    """The sequence of each account's last payment at or before a moment, 0 where none."""
    rows = await conn.fetch(_LAST_KNOWN, [a for a, _ in as_of], [moment for _, moment in as_of])
    return {row["account"]: row["sequence"] for row in rows}


async def received(
    conn: Any, counts_from: Sequence[tuple[str, int]]
) -> Mapping[str, dict[str, int]]:
    """What services received from the payments after a sequence, less refunds, by account."""
    found: dict[str, dict[str, int]] = {}
    rows = await conn.fetch(_RECEIVED, [a for a, _ in counts_from], [n for _, n in counts_from])
    for row in rows:
        found.setdefault(row["account"], {})[row["service"]] = row["kopecks"]
    return found


async def by_index(conn: Any) -> None:
    """Until the commit, accounts are looked up by index however many there are."""
    await conn.execute(_BY_INDEX)


async def add(
    conn: Any, added: Sequence[BillRow], opened: Set[str], caller: int, at: datetime
) -> None:
    """Store bills, one an account, and make them the open ones.

    `opened` are the accounts whose open bill is locked. The others must have none, which nobody
    can lock: so bills come in the order of their accounts, and two loads of one account wait for
    each other there. Raises OpenedMeanwhile in the one that waited.
    """
    numbers = await conn.fetchval(_NUMBERS, len(added))
    bills, first, following = rows.copied(added, numbers, opened, caller, at)
    await copy(conn, "bills", rows.BILL_COLUMNS, bills)
    if following is not None:
        await conn.execute(_MAKE_NEXT)
        await copy(conn, _NEXT, rows.OPEN_COLUMNS, following)
        await conn.execute(_OPEN_NEXT)
    if first is not None:
        try:
            await copy(conn, "open_bills", rows.OPEN_COLUMNS, first)
        except asyncpg.UniqueViolationError:
            raise OpenedMeanwhile from None


def _by_account(rows: Sequence[Any]) -> dict[str, OpenBill]:
    return {row["subscriber_account"]: OpenBill(*row.values()) for row in rows}
