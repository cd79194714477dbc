"""SQL of payouts and of the files that were made of them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from gateway.payouts.files.order import Order

_NUMBERS = "SELECT nextval('payment_order_numbers') FROM generate_series(1, $1)"
_ADD = """
    INSERT INTO payouts (id, settlement_batch, recipient, state, amount, order_number, order_date,
                         name, inn, kpp, bic, account, correspondent_account, purpose)
    SELECT u.id, $1, u.recipient, 'approved', u.amount, u.order_number, $2, u.name, u.inn, u.kpp,
           u.bic, u.account, u.correspondent_account, u.purpose
    FROM unnest($3::uuid[], $4::int[], $5::bigint[], $6::int[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::text[], $12::text[], $13::text[])
         AS u (id, recipient, amount, order_number, name, inn, kpp, bic, account,
               correspondent_account, purpose)
"""
_ADD_FILE = """
    INSERT INTO payout_files (settlement_batch, format, made_at, content) VALUES ($1, $2, $3, $4)
"""
_FILE = "SELECT content FROM payout_files WHERE settlement_batch = $1 AND format = $2"
_UNITS = 999
_THOUSANDS = 1000


async def order_numbers(conn: Any, count: int) -> list[int]:
    """New payment order numbers: up to six digits, the last three never 000."""
    rows = await conn.fetch(_NUMBERS, count)
    return [
        (row["nextval"] - 1) // _UNITS % _THOUSANDS * _THOUSANDS + (row["nextval"] - 1) % _UNITS + 1
        for row in rows
    ]


async def add(conn: Any, batch: int, day: date, payouts: Sequence[tuple[UUID, int, Order]]) -> None:
    """Store payouts: (id, recipient number, order) with the requisites as they stand now."""
    parties = [order.recipient for _, _, order in payouts]
    await conn.execute(
        _ADD,
        batch,
        day,
        [payout for payout, _, _ in payouts],
        [recipient for _, recipient, _ in payouts],
        [order.amount_kopecks for _, _, order in payouts],
        [order.number for _, _, order in payouts],
        [party.name for party in parties],
        [party.inn for party in parties],
        [party.kpp for party in parties],
        [party.bic for party in parties],
        [party.account for party in parties],
        [party.correspondent for party in parties],
        [order.purpose for _, _, order in payouts],
    )


async def add_file(conn: Any, batch: int, name: str, content: bytes, at: datetime) -> None:
    """Keep a payout file; these bytes never change."""
    await conn.execute(_ADD_FILE, batch, name, at, content)


async def find_file(conn: Any, batch: int, name: str) -> bytes | None:
    """The bytes of a payout file."""
    content: bytes | None = await conn.fetchval(_FILE, batch, name)
    return content
