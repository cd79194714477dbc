"""A file of SQL is cut at its semicolons, and at none that stands in something."""

import re

import asyncpg
import pytest

from gateway.storage.migrate import migrations
from gateway.storage.split_sql import statements


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        (" ; ;\n", []),
        ("-- nothing; here\n", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', 'it''s;';SELECT 2", ["SELECT ';', 'it''s;'", "SELECT 2"]),
        ('SELECT 1 AS "a;b"; SELECT 2', ['SELECT 1 AS "a;b"', "SELECT 2"]),
        ("-- a; b\nSELECT 1 /* ; */;", ["-- a; b\nSELECT 1 /* ; */"]),
        ("DO $$ BEGIN; END $$; DO $x$ $$;$$ $x$", ["DO $$ BEGIN; END $$", "DO $x$ $$;$$ $x$"]),
        ("SELECT $1; SELECT 2", ["SELECT $1", "SELECT 2"]),
    ],
)
def test_statements(text: str, found: list[str]) -> None:
    assert list(statements(text)) == found


async def test_the_products_migrations_apply_one_statement_at_a_time(
    empty_database_url: str, database_url: str
) -> None:
    """And make the schema that they make as they stand, but for months, which come afterwards."""
    conns = [await asyncpg.connect(url) for url in (empty_database_url, database_url)]
    try:
        for migration in migrations():
            cut = list(statements(migration.sql))
            assert re.sub(r"[;\s]", "", "".join(cut)) in re.sub(r"[;\s]", "", migration.sql)
            for statement in cut:
                await conns[0].execute(statement)
        shape = """
            SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> 'schema_migrations'
              AND table_name !~ '^payments_[0-9]' ORDER BY 1, 2
        """
        functions = """
            SELECT pg_get_functiondef(oid) FROM pg_proc
            WHERE pronamespace = 'public'::regnamespace AND prokind = 'f' ORDER BY 1
        """
        for query in (shape, functions):
            one, other = [await conn.fetch(query) for conn in conns]
            assert one == other != []
    finally:
        for conn in conns:
            await conn.close()
