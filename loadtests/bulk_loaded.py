"""Millions of stored payments in seconds: rows as the gateway stores them, put into its tables.

A few model households are loaded and pay through the gateway itself. Every other household has the
bill of its model and has paid the same amounts in the same order, so that its rows are those of the
model under other accounts, keys and ids. `kopeck audit` finds nothing wrong with them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count as counting
from itertools import cycle
from typing import Any

import asyncpg
import orjson
import uvloop

from loadtests import first_month, households, http_load
from loadtests.gateway_process import Gateway
from loadtests.rows.stored import DURABLE

MODELS = 480
# From there on numbers of households are the scenarios'.
ACCOUNTS_MAX = 9_000_000
CHUNK = 50_000
LANES = 2
_PAID_S_MAX = 120.0
_STATEMENT_S = 3_600.0
_SETTINGS = {
    "work_mem": "64MB",
    "maintenance_work_mem": "512MB",
    # A connection of our own for each index is quicker than helpers for one after another.
    "max_parallel_maintenance_workers": "0",
    "jit": "off",
    "timezone": "UTC",
}
_runs = counting()

# What is loaded, and the models. `first` and `last` are household numbers of those to be made,
# `bill` is what a household's number lacks to be its bill's; ids and times of payments say that
# ten came a millisecond, the last of them now.
_PREPARE = """
    DROP SCHEMA IF EXISTS load CASCADE;
    CREATE SCHEMA load;
    CREATE TABLE load.made (run text, first bigint, households bigint, models bigint,
                            bill bigint, began_ms bigint);
    CREATE TABLE load.indexes AS
    SELECT i.indrelid::regclass::text AS owner, i.indexrelid::regclass::text AS name, c.conname,
           pg_get_indexdef(i.indexrelid) AS definition
    FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
    WHERE i.indrelid IN ('payments_first'::regclass, 'idempotency_keys'::regclass);
    CREATE PROCEDURE load.drop_indexes() LANGUAGE plpgsql AS $$
    DECLARE i record;
    BEGIN
        FOR i IN SELECT * FROM load.indexes LOOP
            IF i.conname IS NULL THEN EXECUTE format('DROP INDEX %s', i.name);
            ELSE EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', i.owner, i.conname);
            END IF;
        END LOOP;
    END $$;
    CREATE PROCEDURE load.make_index(index text) LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE (SELECT definition FROM load.indexes WHERE name = index);
    END $$;
    CREATE PROCEDURE load.make_keys() LANGUAGE plpgsql AS $$
    DECLARE i record;
    BEGIN
        FOR i IN SELECT * FROM load.indexes WHERE conname IS NOT NULL LOOP
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I PRIMARY KEY USING INDEX %I',
                           i.owner, i.conname, i.name);
        END LOOP;
    END $$;
    CREATE FUNCTION load.account(number bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT (220000000 + number)::text
    $$
"""
_MADE = """
    INSERT INTO load.made
    SELECT $1, $2::bigint, $3::bigint, $4, nextval('bills_number_seq') - $2::bigint,
           extract(epoch FROM now())::bigint * 1000 - $3::bigint * $5::bigint / 10
"""
_MODELS = """
    CREATE TABLE load.models AS
    SELECT dense_rank() OVER (ORDER BY p.subscriber_account) - 1 AS model,
           dense_rank() OVER (PARTITION BY p.subscriber_account ORDER BY p.sequence) - 1 AS turn,
           p.*, k.route
    FROM payments AS p JOIN idempotency_keys AS k ON k.resource = p.id
    WHERE p.subscriber_account = ANY ($1::text[]);
"""
_BILLS = """
    WITH made AS (SELECT * FROM load.made),
    models AS (SELECT row_number() OVER (ORDER BY subscriber_account) - 1 AS model, * FROM bills
               WHERE subscriber_account = ANY ($1::text[]))
    INSERT INTO bills (subscriber_account, number, period, plan, overpayment, counts_from,
                       loaded_after, loaded_by, loaded_at, as_of, due, weight, payer)
    OVERRIDING SYSTEM VALUE
    SELECT load.account(made.first + n), made.bill + made.first + n, period, plan, overpayment,
           counts_from, loaded_after, loaded_by, loaded_at, as_of, due, weight, payer
    FROM made CROSS JOIN generate_series(0, made.households - 1) AS n
    JOIN models ON models.model = n % made.models
"""
_BILLS_NUMBERED = "SELECT setval('bills_number_seq', (SELECT max(number) FROM bills))"
_OPEN_BILLS = """
    WITH made AS (SELECT * FROM load.made),
    models AS (SELECT row_number() OVER (ORDER BY subscriber_account) - 1 AS model, *
               FROM open_bills WHERE subscriber_account = ANY ($1::text[]))
    INSERT INTO open_bills (subscriber_account, bill, plan, sequence, counts_from, overpayment,
                            period, due, weight, paid)
    SELECT load.account(made.first + n), made.bill + made.first + n, plan, sequence, counts_from,
           overpayment, period, due, weight, paid
    FROM made CROSS JOIN generate_series(0, made.households - 1) AS n
    JOIN models ON models.model = n % made.models
"""
# Everybody pays for the n-th time before anybody does again, in an order like chance's: the factor
# is a prime, so that multiples of it visit everybody. An id is the millisecond and the payment's
# number in this load.
_CHUNK = """
    FROM (SELECT made.*, i, (i % households * 982451653) % households AS n
          FROM load.made CROSS JOIN generate_series($1::bigint, $2::bigint) AS i) AS payer
    JOIN load.models AS m ON m.model = n % models AND m.turn = i / households
"""
_ID = """
    encode(int8send((began_ms + i / 10) << 16 | 28672)
           || int8send(i - 9223372036854775807), 'hex')::uuid
"""
_PAYMENTS = f"""
    INSERT INTO payments_first
        (id, accepted_at, paid_at, amount, surcharge, total, commission, bill, terms_version,
         caller, settlement_batch, sequence, plan, method, subscriber_account, shares,
         commissions, facts, designation, reference)
    SELECT {_ID}, to_timestamp((began_ms + i / 10) / 1000.0), paid_at, amount, surcharge, total,
           commission, payer.bill + first + n, terms_version, caller, settlement_batch, sequence,
           plan, method, load.account(first + n), shares, commissions, facts, designation,
           run || '-op-' || i
    {_CHUNK}
"""
_KEYS = f"""
    INSERT INTO idempotency_keys (caller, route, resource, key, fingerprint, subscriber_account)
    SELECT caller, route, {_ID}, run || '-' || i,
           int8send(hashint8extended(i, 1)) || int8send(hashint8extended(i, 2)),
           load.account(first + n)
    {_CHUNK}
"""
_INDEXES = "SELECT name FROM load.indexes ORDER BY name DESC"
_DROP_INDEXES = "CALL load.drop_indexes()"
_MAKE_INDEX = "CALL load.make_index($1)"
_MAKE_KEYS = "CALL load.make_keys()"
_SETTLE_DOWN = ("VACUUM ANALYZE payments, idempotency_keys, bills, open_bills", "CHECKPOINT")
_CLEAR_AWAY = "DROP SCHEMA load CASCADE"


def bulk_load(
    gateway: Gateway,
    accounts: int,
    rounds: int,
    models: int = MODELS,
    bills: Callable[..., Iterator[dict[str, Any]]] = households.bills,
) -> int:
    """Add `accounts` households with their bills, each of whom has paid `rounds` times.

    `models` of them are real ones, whose bills `bills` makes as `households.bills` does.
    Returns how many payments there are more. Indexes are made again afterwards, so they are as
    dense as they can be. Nobody else may use the gateway meanwhile.
    """
    first = gateway.accounts
    if not models < accounts <= ACCOUNTS_MAX - first:
        raise ValueError(
            f"Expected {models + 1} to {ACCOUNTS_MAX - first} accounts, was {accounts}"
        )
    made = list(bills(models, first=first))
    names = [bill["subscriber_account"] for bill in made]
    run = f"load{next(_runs)}"
    gateway.load_bills(_lines(made), models)
    _pay(gateway, run, names, rounds)
    copies = _Copies(gateway.database_url, run, names)
    uvloop.run(copies.make(gateway.accounts, accounts - models, rounds))
    gateway.accounts = first + accounts
    return accounts * rounds


def _lines(bodies: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE) for body in bodies)


def _pay(gateway: Gateway, run: str, names: Sequence[str], rounds: int) -> None:
    """Let each of the models pay `rounds` times."""
    lines = len(names) * rounds
    bodies = [
        {**body, "subscriber_account": name}
        for body, name in zip(households.payments(1, lines, f"{run}-m"), cycle(names), strict=False)
    ]
    request = households.bulk_request(
        gateway.acquirer, iter(bodies), "/v1/payments/bulk", f"{run}-m"
    )
    plan = http_load.Plan(
        port=gateway.port,
        connections=1,
        seconds=_PAID_S_MAX,
        status=200,
        token=DURABLE,
        times=lines,
    )
    http_load.load(plan, [request])


class _Copies:
    """Rows of households like their models, made by a few connections at once."""

    def __init__(self, url: str, run: str, models: list[str]) -> None:
        self._url = url
        self._run = run
        self._models = models
        self._lanes: list[Any] = []

    async def make(self, first: int, households_: int, rounds: int) -> None:
        """Rows of households from number `first` on."""
        payments = households_ * rounds
        self._lanes = [
            await asyncpg.connect(
                self._url, command_timeout=_STATEMENT_S, server_settings=_SETTINGS
            )
            for _ in range(LANES)
        ]
        try:
            lane = self._lanes[0]
            await lane.execute(_PREPARE)
            await lane.execute(_MADE, self._run, first, households_, len(self._models), rounds)
            await lane.execute(_MODELS, self._models)
            indexes = [row["name"] for row in await lane.fetch(_INDEXES)]
            attach = await first_month.apart(lane)
            await lane.execute(_DROP_INDEXES)
            await self._all((query, (self._models,)) for query in (_BILLS, _OPEN_BILLS))
            await lane.execute(_BILLS_NUMBERED)
            chunks = [(at, min(at + CHUNK, payments) - 1) for at in range(0, payments, CHUNK)]
            await self._all((query, chunk) for chunk in chunks for query in (_PAYMENTS, _KEYS))
            await self._all((_MAKE_INDEX, (name,)) for name in indexes)
            for statement in (_MAKE_KEYS, attach, *_SETTLE_DOWN, _CLEAR_AWAY):
                await lane.execute(statement)
        finally:
            for lane in self._lanes:
                lane.terminate()

    async def _all(self, work: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        """Every statement, each by whichever connection is free, begun in order."""
        waiting = iter(list(work))

        async def by(lane: Any) -> None:
            for query, values in waiting:
                await lane.execute(query, *values)

        async with asyncio.TaskGroup() as tasks:
            for lane in self._lanes:
                tasks.create_task(by(lane))
