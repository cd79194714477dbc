"""A region with twenty million stored payments in a few minutes, made while nobody uses it.

The server of the load throws durability away and writes no log; what it leaves is made durable and
serves as any other data directory does, with the product's own settings. Rows are such as the audit
takes for real ones: every round of payments is a settlement batch, closed and sealed, which the
gateway would else do beside whatever is measured next.

`bulk_loaded.py` adds payments to a gateway that runs.
"""

import asyncio
import random
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import orjson
import uvloop

from gateway.bills import store as bill_store
from gateway.domain.clock import SystemClock
from gateway.domain.ids import new_id
from gateway.seals import store as seal_store
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import PlanShelf
from gateway.storage.data_directory import held
from gateway.storage.embedded import EmbeddedPostgres, binary
from gateway.storage.server_user import command_prefix, server_user
from loadtests import cold_rows, first_month, households
from loadtests.gateway_process import gateway_on
from splitcore import pack, unpack

# A house of a hundred flats is a model: its flats share the structure of their bills.
MODELS = 10_000
_LOAD = 5_000
_STATEMENT_S = 3_600.0
_QUEUED = 4
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # A table that is emptied and filled in one transaction is not logged at all.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_wal_size": "64GB",
    "checkpoint_timeout": "1h",
    "shared_buffers": "512MB",
    "maintenance_work_mem": "1GB",
    # Two indexes are made at once, each by two processes.
    "max_parallel_maintenance_workers": "1",
    "jit": "off",
}
# Keys and accounts come by chance: years of them leave an index's pages so full, as splits do.
_BY_CHANCE = ("idempotency_keys_pkey", f"{first_month.TABLE}_by_account")
_FILLED = 70

_COPY_BILLS = """
    INSERT INTO bills (subscriber_account, number, period, plan, overpayment, counts_from,
                       loaded_after, loaded_by, loaded_at, as_of, due, weight, payer)
    OVERRIDING SYSTEM VALUE
    SELECT '22' || lpad(n::text, 7, '0'), n + 1, period, plan, overpayment, counts_from,
           loaded_after, loaded_by, loaded_at, as_of, due, weight, payer
    FROM generate_series($1::int, $2::int - 1) AS n
    JOIN (SELECT substr(subscriber_account, 3)::int AS model, * FROM bills) AS m
         ON m.model = n % $1
    ORDER BY n
"""
_BILLS_NUMBERED = "SELECT setval('bills_number_seq', (SELECT max(number) FROM bills))"
_MODELS_PAID = """
    CREATE TEMPORARY TABLE paid_models ON COMMIT DROP AS
    SELECT * FROM unnest($1::int[], $2::int[], $3::bytea[], $4::bytea[])
        AS m (model, sequence, paid, nothing)
"""
_OPEN_BILLS = """
    INSERT INTO open_bills (subscriber_account, bill, plan, sequence, counts_from, overpayment,
                            period, due, weight, paid)
    SELECT b.subscriber_account, b.number, b.plan,
           CASE WHEN n < $2 THEN m.sequence ELSE 0 END, b.counts_from, b.overpayment, b.period,
           b.due, b.weight, CASE WHEN n < $2 THEN m.paid ELSE m.nothing END
    FROM bills AS b
    CROSS JOIN LATERAL (SELECT substr(b.subscriber_account, 3)::int AS n) AS household
    JOIN paid_models AS m ON m.model = n % $1
"""
_BILL_NUMBERS = """
    SELECT array_agg(number ORDER BY subscriber_account) FROM bills WHERE subscriber_account < $1
"""
# What is no payment's stays: answers to other routes.
_OTHER_KEYS = """
    CREATE TEMPORARY TABLE other_keys ON COMMIT DROP AS
    SELECT * FROM idempotency_keys WHERE route <> 0
"""
_KEEP_OTHER_KEYS = "INSERT INTO idempotency_keys SELECT * FROM other_keys"
_CALLERS = """
    SELECT (SELECT number FROM callers WHERE role = 'acquirer'),
           (SELECT number FROM callers WHERE role = 'operator')
"""
_INDEXES = """
    SELECT i.indexrelid::regclass::text AS name, i.indrelid::regclass::text AS owner,
           c.conname IS NOT NULL AS is_key, pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
    WHERE i.indrelid IN ('payments_first'::regclass, 'idempotency_keys'::regclass)
    ORDER BY c.conname IS NULL, name
"""
_CLEAR_BATCHES = "TRUNCATE settlement_batches CASCADE"
_ADD_BATCH = """
    INSERT INTO settlement_batches (number, id, state, business_date, closed_at, closed_by,
                                    payments, refunds)
    SELECT $1, $2, 'closed', now()::date, now(), $3, $4, 0
"""
_ADD_POSITIONS = """
    INSERT INTO positions (settlement_batch, recipient, gross, commission, refunds, net,
                           carried_in, payable, carried_out)
    SELECT $1, recipient, gross, 0, 0, gross, 0, gross, 0
    FROM unnest($2::int[], $3::bigint[]) AS p (recipient, gross) WHERE gross > 0
"""
_NEXT_BATCH = "UPDATE cut SET settlement_batch = $1"
_SETTLE_DOWN = "VACUUM (FREEZE, ANALYZE) bills, open_bills, payments, idempotency_keys"
_SEALS_SETTLE_DOWN = "VACUUM (FREEZE, ANALYZE) seals, seal_pages"


def make_region(data: Path, accounts: int, models: int = MODELS) -> None:
    """A data directory with open bills of so many accounts, and no payment yet.

    Models are loaded through a gateway, the other bills are copies of theirs.
    """
    with gateway_on(data, 1) as gateway:
        gateway.add_recipients()
        for first in range(0, models, _LOAD):
            bodies = list(_bills(first, min(_LOAD, models - first)))
            lines = [orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies]
            gateway.load_bills(b"".join(lines), len(bodies))
    with _server(data) as url:
        uvloop.run(_on(url, lambda conn: _copy_bills(conn, models, accounts)))


def store_payments(data: Path, payers: int, rounds: int, models: int = MODELS) -> None:
    """Make this what has been paid, instead of all payments before: `rounds` by each payer.

    Payers are the first of the region's accounts. Round n is settlement batch n, closed.
    """
    with _server(data) as url:
        uvloop.run(_store(url, payers, rounds, models))


def _bills(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Bills of models; every house has its own structure, here the order of its charges."""
    for number, bill in enumerate(households.bills(count, first=first), first):
        random.Random(number).shuffle(bill["charges"])
        yield bill


@contextmanager
def _server(data: Path) -> Iterator[str]:
    with held(data, "load"):
        postgres = EmbeddedPostgres(data, settings=_SETTINGS)
        postgres.start()
        try:
            yield postgres.url
        finally:
            postgres.stop()
        # Nothing was synced meanwhile.
        program = binary("initdb")
        words = command_prefix(server_user(), (program, postgres.pgdata))
        sync = [*words, str(program), "--sync-only", "-D", str(postgres.pgdata)]
        subprocess.run(sync, check=True, stdout=subprocess.DEVNULL, cwd="/")


async def _on(url: str, work: Any) -> None:
    conn = await asyncpg.connect(url, command_timeout=_STATEMENT_S)
    try:
        await work(conn)
    finally:
        await conn.close()


async def _copy_bills(conn: Any, models: int, accounts: int) -> None:
    if accounts > models:
        await conn.execute(_COPY_BILLS, models, accounts)
    await conn.execute(_BILLS_NUMBERED)
    await _open_bills(conn, await _models(conn, models), 0)
    await conn.execute("VACUUM (FREEZE, ANALYZE) bills, open_bills")


async def _models(conn: Any, count: int) -> cold_rows.Models:
    """The models as they were before they paid."""
    accounts = [households.account(number) for number in range(count)]
    found = await bill_store.find(conn, accounts)
    plans = PlanShelf(count)
    await splitting_store.fetch_plans(conn, plans, {bill.plan for bill in found.values()})
    acquirer, _ = await conn.fetchrow(_CALLERS)
    bills = [
        msgspec.structs.replace(found[account], sequence=0, paid=_nothing(found[account].due))
        for account in accounts
    ]
    return cold_rows.Models(bills, plans, acquirer)


def _nothing(due: bytes) -> bytes:
    return pack([0] * len(unpack(due)))


async def _open_bills(conn: Any, models: cold_rows.Models, payers: int) -> None:
    """Open bills anew, paid as their models' are where a payer's, and not at all where not."""
    bills = models.bills
    columns = (
        list(range(len(bills))),
        [bill.sequence for bill in bills],
        [bill.paid for bill in bills],
        [_nothing(bill.due) for bill in bills],
    )
    async with conn.transaction():
        await conn.execute("TRUNCATE open_bills")
        await conn.execute(_MODELS_PAID, *columns)
        await conn.execute(_OPEN_BILLS, len(bills), payers)


async def _store(url: str, payers: int, rounds: int, models: int) -> None:
    async def work(conn: Any) -> None:
        await _on(url, lambda other: _Load(conn, other, payers, models).store(rounds))

    await _on(url, work)


async def _seal(conn: Any, rounds: int) -> None:
    for number in range(1, rounds + 1):
        async with conn.transaction():
            await seal_store.seal(conn, number, "counted", SystemClock().now())
    await conn.execute(_SEALS_SETTLE_DOWN)


def _dropped(index: Any) -> str:
    if index["is_key"]:
        return f"ALTER TABLE {index['owner']} DROP CONSTRAINT {index['name']}"
    return f"DROP INDEX {index['name']}"


def _made(index: Any) -> str:
    filled = f" WITH (fillfactor = {_FILLED})" if index["name"] in _BY_CHANCE else ""
    return f"{index['definition']}{filled}"


class _Load:
    """Two connections: one fills the payments, the other their keys."""

    def __init__(self, conn: Any, other: Any, payers: int, models: int) -> None:
        self._lanes = (conn, other)
        self._payers = payers
        self._models = models
        self._queues: tuple[asyncio.Queue[bytes], ...] = (
            asyncio.Queue(_QUEUED),
            asyncio.Queue(_QUEUED),
        )

    async def store(self, rounds: int) -> None:
        conn, other = self._lanes
        paid = await _models(conn, self._models)
        indexes = await conn.fetch(_INDEXES)
        attach = await first_month.apart(conn)
        for index in indexes:
            await conn.execute(_dropped(index))
        acquirer, operator = await conn.fetchrow(_CALLERS)
        numbers = await conn.fetchval(_BILL_NUMBERS, households.account(self._payers))
        payers = cold_rows.Payers(numbers, self._models, acquirer)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._make(paid, payers, rounds))
            tasks.create_task(self._fill(conn, first_month.TABLE, cold_rows.PAYMENT_COLUMNS, 0))
            tasks.create_task(self._fill(other, "idempotency_keys", cold_rows.KEY_COLUMNS, 1))
        await self._index(indexes)
        await conn.execute(attach)
        await _open_bills(conn, paid, self._payers)
        await self._close(conn, paid, operator)
        await conn.execute(_SETTLE_DOWN)
        await _seal(conn, rounds)

    async def _make(self, paid: cold_rows.Models, payers: cold_rows.Payers, rounds: int) -> None:
        a_round_ms = self._payers // cold_rows.A_MILLISECOND
        first_ms = int(time.time() * 1000) - rounds * a_round_ms
        await self._put(cold_rows.HEADER, cold_rows.HEADER)
        for number in range(rounds):
            shared = paid.pay(number + 1)
            for rows, keys in payers.pay(shared, first_ms + number * a_round_ms):
                await self._put(rows, keys)
        await self._put(cold_rows.END, cold_rows.END)
        await self._put(b"", b"")

    async def _put(self, *pieces: bytes) -> None:
        for queue, piece in zip(self._queues, pieces, strict=True):
            await queue.put(piece)

    async def _fill(self, conn: Any, table: str, columns: Sequence[str], lane: int) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            while piece := await self._queues[lane].get():
                yield piece

        async with conn.transaction():
            if lane:
                await conn.execute(_OTHER_KEYS)
            await conn.execute(f"TRUNCATE {table}")
            # asyncpg's copy_to_table knows no FREEZE; without it the first vacuum writes all again.
            statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT binary, FREEZE)"
            await conn._copy_in(statement, pieces(), _STATEMENT_S)
            if lane:
                await conn.execute(_KEEP_OTHER_KEYS)

    async def _index(self, indexes: Sequence[Any]) -> None:
        waiting = iter(indexes)

        async def by(conn: Any) -> None:
            for index in waiting:
                await conn.execute(_made(index))

        async with asyncio.TaskGroup() as tasks:
            for conn in self._lanes:
                tasks.create_task(by(conn))
        for index in indexes:
            if index["name"] in _BY_CHANCE:
                await self._lanes[0].execute(f"ALTER INDEX {index['name']} RESET (fillfactor)")
            if index["is_key"]:
                await self._lanes[0].execute(
                    f"ALTER TABLE {index['owner']} ADD CONSTRAINT {index['name']}"
                    f" PRIMARY KEY USING INDEX {index['name']}"
                )

    async def _close(self, conn: Any, paid: cold_rows.Models, operator: int) -> None:
        households_of = [
            len(range(model, self._payers, self._models)) for model in range(self._models)
        ]
        await conn.execute(_CLEAR_BATCHES)
        for number, received in enumerate(paid.received, 1):
            gross: dict[int, int] = {}
            for count, of_model in zip(households_of, received, strict=True):
                for recipient, kopecks in of_model.items():
                    gross[recipient] = gross.get(recipient, 0) + count * kopecks
            await conn.execute(_ADD_BATCH, number, new_id(), operator, self._payers)
            await conn.execute(_ADD_POSITIONS, number, list(gross), list(gross.values()))
        await conn.execute(_NEXT_BATCH, len(paid.received) + 1)
