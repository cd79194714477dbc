"""A row written again is, byte for byte, what PostgreSQL's record_send makes of it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from gateway.archive import fields

ROWS = [
    ("SELECT 1::smallint, -1::smallint, 32767::smallint, (-32768)::smallint", ()),
    ("SELECT 0, -1, 2147483647, -2147483648", ()),
    ("SELECT $1::bigint, $2::bigint, NULL::bigint", (2**63 - 1, -(2**63))),
    ("SELECT $1::text, ''::text, NULL::text", ("Ёлка 😀",)),
    ("SELECT $1::bytea, ''::bytea", (bytes(range(256)),)),
    ("SELECT true, false, NULL::boolean", ()),
    ('SELECT \'{"b" : 1,  "a":1.50}\'::json', ()),
    ("SELECT $1::date, $2::date, '2000-01-01'::date", (date(1, 1, 2), date(9999, 12, 30))),
    (
        "SELECT $1::timestamptz, $2::timestamptz, '2000-01-01 00:00Z'::timestamptz",
        (datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, 23, 59, 59, 999999, UTC)),
    ),
    ("SELECT $1::uuid", (UUID(int=2**128 - 1),)),
    ("SELECT '{}'::text[], '{\"\"}'::text[], '{one,\"dva, три\"}'::text[]", ()),
]


@pytest.mark.parametrize(("select", "arguments"), ROWS)
async def test_a_record_is_as_postgresql_sends_it(
    database_url: str, select: str, arguments: tuple[object, ...]
) -> None:
    conn = await asyncpg.connect(database_url, server_settings={"timezone": "UTC"})
    try:
        statement = await conn.prepare(select)
        oids = [attribute.type.oid for attribute in statement.get_attributes()]
        row = await statement.fetchrow(*arguments)
        assert row is not None
        sent = await conn.fetchval(
            select.replace("SELECT ", "SELECT record_send(ROW(", 1) + "))", *arguments
        )
    finally:
        await conn.close()

    assert fields.record(oids, [fields.kept(value) for value in row.values()]) == sent


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="was a Decimal"):
        fields.kept(Decimal(1))
