"""SQL of bills and open bills."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.domain.bill import OpenBill

_FIND = """
    SELECT subscriber_account, bill, period, plan, overpayment, sequence, counts_from, due, weight,
           paid
    FROM open_bills WHERE subscriber_account = ANY ($1::text[])
"""
_LOCK = _FIND + " ORDER BY subscriber_account FOR UPDATE"
_SAVE_PAID = "SELECT save_paid($1, $2, $3)"
_ADD = """
    INSERT INTO bills (subscriber_account, period, plan, overpayment, counts_from, loaded_after,
                       as_of, due, weight, payer, loaded_by, loaded_at)
    SELECT u.*, $11, $12 FROM unnest
        ($1::text[], $2::text[], $3::int[], $4::smallint[], $5::int[], $6::int[],
         $7::timestamptz[], $8::bytea[], $9::bytea[], $10::jsonb[]) AS u
    RETURNING number
"""
_OPEN = """
    INSERT INTO open_bills (subscriber_account, bill, period, plan, overpayment, sequence,
                            counts_from, due, weight, paid)
    SELECT * FROM unnest
        ($1::text[], $2::bigint[], $3::text[], $4::int[], $5::smallint[], $6::int[], $7::int[],
         $8::bytea[], $9::bytea[], $10::bytea[])
    ON CONFLICT (subscriber_account) DO UPDATE
    SET bill = excluded.bill, period = excluded.period, plan = excluded.plan,
        overpayment = excluded.overpayment, counts_from = excluded.counts_from,
        due = excluded.due, weight = excluded.weight, paid = excluded.paid
"""
# An account's first bill has no row to lock: it is made first, so that two loads of one account
# wait for each other whether or not it existed.
_MAKE_ROOM = """
    INSERT INTO open_bills (subscriber_account, bill, period, plan, overpayment, sequence,
                            counts_from, due, paid)
    SELECT account, 0, '0000-00', 0, -1, 0, 0, '\\x04', '\\x04'
    FROM unnest($1::text[]) AS u (account) ORDER BY account
    ON CONFLICT (subscriber_account) DO NOTHING
"""
_LAST_KNOWN = """
    SELECT u.account, coalesce(max(a.sequence), 0) AS sequence
    FROM unnest($1::text[], $2::timestamptz[]) AS u (account, as_of)
    LEFT JOIN allocations AS a ON a.subscriber_account = u.account AND a.at <= u.as_of
    GROUP BY u.account
"""
_RECEIVED = """
    SELECT s.subscriber_account, s.service, sum(s.amount_kopecks)::bigint AS kopecks
    FROM unnest($1::text[], $2::int[]) AS u (account, counts_from)
    JOIN allocations AS a ON a.subscriber_account = u.account AND a.sequence > u.counts_from
    JOIN shares AS s
        ON s.payment = a.payment AND s.subscriber_account = a.subscriber_account
    GROUP BY s.subscriber_account, s.service
"""


NO_BILL = 0


class BillRow(Struct, frozen=True):
    """A bill ready to be stored, vectors packed; `sequence` is the account's at this moment."""

    subscriber_account: str
    period: str
    plan: int
    overpayment: int
    sequence: int
    counts_from: int
    due: bytes
    weight: bytes | None
    paid: bytes
    payer: str | None
    as_of: datetime | None


async def find(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """Open bills by account; accounts without one are left out."""
    return _by_account(await conn.fetch(_FIND, list(accounts)))


async def lock(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """As `find`, and until the commit nobody else splits a payment to these accounts.

    Rows are locked in the order of the accounts, so that groups cannot wait for each other.
    """
    return _by_account(await conn.fetch(_LOCK, list(accounts)))


async def lock_or_make(conn: Any, accounts: Sequence[str]) -> dict[str, OpenBill]:
    """As `lock`, an account that has no bill yet with an empty one (bill 0) made on the spot."""
    await conn.execute(_MAKE_ROOM, list(accounts))
    rows = await conn.fetch(_LOCK, list(accounts))
    return {row["subscriber_account"]: OpenBill(*row.values()) for row in rows}


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
        found.setdefault(row["subscriber_account"], {})[row["service"]] = row["kopecks"]
    return found


async def replace(conn: Any, rows: Sequence[BillRow], caller: int, at: datetime) -> None:
    """Store bills, one an account, and make them the open ones."""
    numbers = await conn.fetch(
        _ADD,
        [row.subscriber_account for row in rows],
        [row.period for row in rows],
        [row.plan for row in rows],
        [row.overpayment for row in rows],
        [row.counts_from for row in rows],
        [row.sequence for row in rows],
        [row.as_of for row in rows],
        [row.due for row in rows],
        [row.weight for row in rows],
        [row.payer for row in rows],
        caller,
        at,
    )
    await conn.execute(
        _OPEN,
        [row.subscriber_account for row in rows],
        [number["number"] for number in numbers],
        [row.period for row in rows],
        [row.plan for row in rows],
        [row.overpayment for row in rows],
        [row.sequence for row in rows],
        [row.counts_from for row in rows],
        [row.due for row in rows],
        [row.weight for row in rows],
        [row.paid for row in rows],
    )


def _by_account(rows: Sequence[Any]) -> dict[str, OpenBill]:
    return {
        row["subscriber_account"]: OpenBill(*row.values()) for row in rows if row["bill"] != NO_BILL
    }
