"""Plain SQL on the gateway's own PostgreSQL: what its figures are compared with.

One asyncpg connection, in a schema of its own; the product's tables are only read.
"""

import asyncio
import io
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import uvloop

from gateway.domain.ids import new_id
from loadtests import households

GROUP = 1_000
Result = TypeVar("Result")

# The payment rows alone: no split, no shares, no balance of a bill.
_TABLES = """
    CREATE SCHEMA IF NOT EXISTS peer;
    DROP TABLE IF EXISTS peer.payments;
    CREATE TABLE peer.payments (
        id uuid NOT NULL PRIMARY KEY, caller integer NOT NULL, key text NOT NULL,
        fingerprint bytea NOT NULL, subscriber_account text NOT NULL, amount bigint NOT NULL,
        method smallint NOT NULL, accepted_at timestamptz NOT NULL, UNIQUE (caller, key))
"""
_INSERT_GROUP = """
    INSERT INTO peer.payments
        (id, caller, key, fingerprint, subscriber_account, amount, method, accepted_at)
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bytea[], $5::text[], $6::bigint[],
                         $7::smallint[], $8::timestamptz[])
    ON CONFLICT (caller, key) DO NOTHING RETURNING id, key
"""
_INSERT_ONE = """
    INSERT INTO peer.payments
        (id, caller, key, fingerprint, subscriber_account, amount, method, accepted_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_LOADED = {
    "bills": "SELECT * FROM bills WHERE subscriber_account >= $1",
    "open_bills": "SELECT * FROM open_bills WHERE subscriber_account >= $1",
}
_LIKE_LOADED = """
    DROP TABLE IF EXISTS peer.bills, peer.open_bills;
    CREATE TABLE peer.bills (LIKE bills INCLUDING CONSTRAINTS INCLUDING INDEXES);
    CREATE TABLE peer.open_bills (LIKE open_bills INCLUDING CONSTRAINTS INCLUDING INDEXES)
"""
_SIZES = """
    SELECT coalesce(i.inhparent, c.oid)::regclass::text AS relname,
           sum(pg_total_relation_size(c.oid))::bigint AS size
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE n.nspname = 'public' AND c.relkind = 'r' GROUP BY 1
"""
_UNPACK = """
    CREATE TEMPORARY TABLE batch_shares AS
    SELECT recipient, amount_kopecks FROM shares WHERE settlement_batch =
        (SELECT max(number) FROM settlement_batches)
"""
_GROUP_BY = "SELECT recipient, sum(amount_kopecks) FROM batch_shares GROUP BY recipient"
# The rows of all reports as their readers want them, so that COPY has nothing to do but write.
_REPORT_ROWS = """
    DROP TABLE IF EXISTS peer.report_rows;
    CREATE UNLOGGED TABLE peer.report_rows AS
    SELECT s.at AS accepted_at, s.subscriber_account, s.service, b.period,
           s.amount_kopecks AS gross_kopecks, 0::bigint AS commission_kopecks,
           s.amount_kopecks AS net_kopecks, 'pay_' || replace(s.payment::text, '-', '') AS payment,
           'payment' AS kind
    FROM shares AS s
    JOIN bills AS b ON b.subscriber_account = s.subscriber_account AND b.number = s.bill
    WHERE s.settlement_batch = (SELECT max(number) FROM settlement_batches);
    ANALYZE peer.report_rows
"""
_COPY_REPORT_ROWS = "SELECT * FROM peer.report_rows"

PaymentValues = tuple[UUID, int, str, bytes, str, int, int, datetime]


def payment_rows(count: int, run: str) -> list[PaymentValues]:
    """Rows of payments as an acquirer's keys and random fingerprints make them."""
    now = datetime.now(UTC)
    bodies = households.payments(count, count, run)
    return [
        (
            new_id(),
            1,
            body["idempotency_key"],
            os.urandom(16),
            body["subscriber_account"],
            body["amount"],
            0,
            now,
        )
        for body in bodies
    ]


class Peers:
    """The connection and its comparisons; times are in seconds."""

    def __init__(self, runner: asyncio.Runner, conn: Any) -> None:
        self._runner = runner
        self._conn = conn

    def insert_groups(self, rows: list[PaymentValues]) -> float:
        """Rows a second: groups of a thousand, a commit each."""
        columns = [
            [list(column) for column in zip(*rows[at : at + GROUP], strict=True)]
            for at in range(0, len(rows), GROUP)
        ]

        async def work() -> None:
            for group in columns:
                await self._conn.fetch(_INSERT_GROUP, *group)

        return len(rows) / self._timed(work)

    def insert_one_by_one(self, rows: list[PaymentValues]) -> list[float]:
        """Seconds of each single-row INSERT, a commit each, in ascending order."""

        async def work() -> list[float]:
            statement = await self._conn.prepare(_INSERT_ONE)
            times = []
            for row in rows:
                started = time.perf_counter()
                await statement.fetch(*row)
                times.append(time.perf_counter() - started)
            return sorted(times)

        return self._runner.run(work())

    def copy_bills(self, first: str) -> float:
        """Seconds to COPY what was loaded of accounts from `first` on into tables like those."""

        async def work() -> float:
            await self._conn.execute(_LIKE_LOADED)
            seconds = 0.0
            for table, query in _LOADED.items():
                rows = io.BytesIO()
                await self._conn.copy_from_query(query, first, output=rows, format="binary")
                rows.seek(0)
                started = time.perf_counter()
                await self._conn.copy_to_table(
                    table, schema_name="peer", source=rows, format="binary"
                )
                seconds += time.perf_counter() - started
            return seconds

        return self._runner.run(work())

    def sizes(self) -> dict[str, int]:
        """Bytes of each table of the product, its indexes and months included."""
        rows = self._runner.run(self._conn.fetch(_SIZES))
        return {row["relname"]: row["size"] for row in rows}

    def rows_of(self, table: str) -> int:
        """How many rows a table of the product has."""
        counts = {"payments": "SELECT count(*) FROM payments"}
        count: int = self._runner.run(self._conn.fetchval(counts[table]))
        return count

    def unpack_last_batch(self) -> None:
        """Unpack the shares of the batch closed last, a row each, where `group_by` finds them."""

        async def work() -> None:
            await self._conn.execute("DROP TABLE IF EXISTS batch_shares")
            await self._conn.execute(_UNPACK)
            await self._conn.execute("ANALYZE batch_shares")

        self._runner.run(work())

    def group_by(self) -> float:
        """Seconds of one GROUP BY over the unpacked shares."""
        return self._timed(lambda: self._conn.fetch(_GROUP_BY))

    def make_report_rows(self) -> None:
        """Make the rows of all reports of the batch closed last, where `copy_report_rows` reads."""
        self._runner.run(self._conn.execute(_REPORT_ROWS))

    def copy_report_rows(self) -> tuple[float, int]:
        """Seconds of one COPY of these rows as CSV to us, and how many bytes it was."""
        size = 0

        async def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)

        async def work() -> None:
            await self._conn.copy_from_query(
                _COPY_REPORT_ROWS, output=take, format="csv", delimiter=";"
            )

        return self._timed(work), size

    def _timed(self, work: Callable[[], Awaitable[object]]) -> float:
        async def run() -> float:
            started = time.perf_counter()
            await work()
            return time.perf_counter() - started

        return self._runner.run(run())


@contextmanager
def peers(url: str) -> Iterator[Peers]:
    """Peers on the database of `url`, with empty tables of their own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        conn = runner.run(asyncpg.connect(url))
        try:
            runner.run(conn.execute(_TABLES))
            yield Peers(runner, conn)
        finally:
            runner.run(conn.close())
