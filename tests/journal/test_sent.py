"""Payments as bytes of our own making, and what PostgreSQL reads out of them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest

from gateway.domain.bill import OpenBill
from gateway.domain.payment import Claim, PaymentRequest
from gateway.journal import sent
from gateway.journal.db_transaction import CUT_LOCK
from gateway.journal.idempotency import route_number
from gateway.journal.rows import AcceptedRow, PaidBill
from splitcore import GroupAllocation

NOW = datetime(2026, 11, 24, 20, 37, 5, 123_456, UTC)
BILL = OpenBill("ЛС-7", 2**40, "2026-11", 3, 0, 4, 0, b"\x04", None, b"\x04old")


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    made = await asyncpg.connect(database_url)
    await sent.send_as_bytes(made)
    yield made
    await made.close()


def request(number: int, account: str, **other: Any) -> PaymentRequest:
    claim = Claim(2**31 - 1, f"key-{number}", "payments", bytes([number] * 16))
    facts = '{"network":"мир"}'.encode()
    return PaymentRequest(
        claim, UUID(int=2**127 + number), account, 10**13, False, 6, facts, **other
    )


def split(commissions: bytes | None) -> GroupAllocation:
    parts = SimpleNamespace(
        packed_parts=b"\x08" + bytes(range(64)),
        packed_commissions=commissions,
        commission=0 if commissions is None else 2**33,
    )
    return cast(GroupAllocation, parts)


async def test_every_field_is_read_as_it_was(conn: asyncpg.Connection) -> None:
    far = datetime(1999, 12, 31, 23, 59, 59, 1, timezone(timedelta(hours=5)))
    held = request(1, "nobody's", paid_at=far, reference="ж" * 128)
    first = request(2, "ЛС-7", designation=(('Вода "1"', 5),))
    last = request(3, "ЛС-7", paid_at=NOW)
    payments = [
        AcceptedRow(held, None, 7, 0, None, 0),
        AcceptedRow(first, split(None), 2**40, 2**35, BILL, 5),
        AcceptedRow(last, split(b"\x04abcd"), 10**13, 1, BILL, 6),
    ]

    rows = await conn.fetch(
        "SELECT u.*, u.designation ->> 'Вода \"1\"' AS named FROM unnest($1::sent_payment[]) AS u",
        sent.rows(payments, [PaidBill(BILL, b"\x04new", 6)]),
    )

    for row, payment in zip(rows, payments, strict=True):
        asked = payment.request
        assert (row["key"], row["fingerprint"]) == (asked.claim.key, asked.claim.fingerprint)
        assert row["caller"] == asked.claim.caller
        assert row["route"] == route_number(asked.claim)
        assert (row["id"], row["subscriber_account"]) == (asked.id, asked.subscriber_account)
        assert (row["method"], row["amount"]) == (asked.method, payment.amount)
        assert row["surcharge"] == payment.surcharge
        assert row["facts"] == asked.facts.decode()
        assert (row["paid_at"], row["reference"]) == (asked.paid_at, asked.reference)
    of_bill = ("bill", "plan", "sequence", "shares", "commission", "commissions", "seen", "paid")
    shares = split(None).packed_parts
    assert [tuple(row[name] for name in of_bill) for row in rows] == [
        (None, None, None, None, 0, None, None, None),
        (BILL.bill, 3, 5, shares, 0, None, None, None),
        # The last of its account alone tells what is then paid, and what was seen before.
        (BILL.bill, 3, 6, shares, 2**33, b"\x04abcd", 4, b"\x04new"),
    ]
    assert [row["named"] for row in rows] == [None, "5", None]


async def test_a_text_that_is_none_is_refused_by_the_server(conn: asyncpg.Connection) -> None:
    payment = AcceptedRow(request(1, "A\0B"), None, 7, 0, None, 0)
    with pytest.raises(asyncpg.CharacterNotInRepertoireError):
        await conn.fetch("SELECT unnest($1::sent_payment[])", sent.rows([payment], []))


@pytest.mark.parametrize("count", [0, 2])
async def test_one_is_one(conn: asyncpg.Connection, count: int) -> None:
    payments = [AcceptedRow(request(n, "A"), None, 7, 0, None, 0) for n in range(count)]
    with pytest.raises(asyncpg.RaiseError, match="expected one payment"):
        await conn.fetchval(
            "SELECT commit_one($1, 0, $2, $3, 0)", CUT_LOCK, NOW, sent.rows(payments, [])
        )
    assert await conn.fetchval("SELECT count(*) FROM idempotency_keys") == 0
