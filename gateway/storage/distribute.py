"""Spreads a migrated schema over the nodes of Citus, as `placement.py` says, in one transaction.

What names a table by its identity (views, functions with a body that is parsed once) is taken away
and made again, since a table that Citus takes over is another one under the same name. Views and
functions stay on the coordinator: they are asked there, and Citus reads them as part of a query.
"""

from graphlib import TopologicalSorter
from pathlib import Path
from typing import Final

import asyncpg

from gateway.config import StartRefused
from gateway.storage.placement import PLACES, Kind, Place

# What is written anew for a spread schema: bodies of functions, under the names that callers know.
BODIES: Final = Path(__file__).parent / "distributed"
TIMEOUT_S: Final = 86_400.0

_SETTINGS = """
    SET LOCAL citus.multi_shard_modify_mode TO 'sequential';
    SET LOCAL citus.enable_unsafe_triggers TO on;
    SET LOCAL citus.override_table_visibility TO on;
    SET LOCAL client_min_messages TO warning
"""
# For every session on this database: a statement over many shards uses one connection a node, so
# that a worker's pool is as large on a node as it is here; and the catalogue is read as it is, for
# Citus' own filter costs a driver that looks up a type two seconds.
_DATABASE_SETTINGS = """
    SELECT format('ALTER DATABASE %I SET %s TO %s', current_database(), name, setting) AS statement
    FROM (VALUES ('citus.multi_shard_modify_mode', 'sequential'),
                 ('citus.override_table_visibility', 'off')) AS s (name, setting)
"""
_VIEWS = """
    SELECT c.oid, format('DROP VIEW %I', c.relname) AS drop,
           format('CREATE VIEW %I AS %s', c.relname, pg_get_viewdef(c.oid)) AS make,
           ARRAY (SELECT DISTINCT d.refobjid
                  FROM pg_rewrite AS r
                  JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                  WHERE r.ev_class = c.oid AND d.refobjid <> c.oid) AS needs
    FROM pg_class AS c
    WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = c.oid AND e.deptype = 'e')
"""
_FUNCTIONS = """
    SELECT p.oid, 'DROP FUNCTION ' || p.oid::regprocedure AS drop,
           pg_get_functiondef(p.oid) AS make,
           ARRAY (SELECT v.oid FROM pg_class AS v
                  WHERE v.reltype = p.prorettype AND v.relkind = 'v') AS needs
    FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace
      AND p.provolatile <> 'i' AND (p.prosqlbody IS NOT NULL OR EXISTS (
          SELECT FROM pg_class AS v WHERE v.reltype = p.prorettype AND v.relkind = 'v'))
      AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = p.oid AND e.deptype = 'e')
"""
# Functions of their arguments alone: each node has them, for they are asked beside the rows.
_PURE = """
    SELECT p.oid::regprocedure::text AS function FROM pg_proc AS p
    WHERE p.pronamespace = 'public'::regnamespace AND p.provolatile = 'i'
      AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = p.oid AND e.deptype = 'e')
"""
_ON_EACH_NODE = "SELECT create_distributed_function($1::text::regprocedure)"
_NARROW_IDENTITIES = """
    SELECT format(
        'ALTER TABLE %1$I ALTER %2$I DROP IDENTITY;'
        'CREATE SEQUENCE %1$s_numbers AS integer OWNED BY %1$I.%2$I;'
        'SELECT setval(''%1$s_numbers'', coalesce(max(%2$I), 0) + 1, false) FROM %1$I;'
        'ALTER TABLE %1$I ALTER %2$I SET DEFAULT nextval(''%1$s_numbers'')',
        c.relname, a.attname) AS widen
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attidentity <> ''
      AND a.atttypid <> 'int8'::regtype ORDER BY 1
"""
_PLACED = """
    SELECT c.relname AS table FROM pg_dist_partition AS p
    JOIN pg_class AS c ON c.oid = p.logicalrelid
"""
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
      AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.objid = oid AND e.deptype = 'e')
"""


async def is_distributed(conn: asyncpg.Connection) -> bool:
    """Whether the schema of this database was spread already."""
    if await conn.fetchval("SELECT to_regclass('pg_dist_partition')") is None:
        return False
    return bool(await conn.fetchval("SELECT EXISTS (SELECT FROM pg_dist_partition)"))


async def distribute(conn: asyncpg.Connection) -> list[str]:
    """Spreads the tables that are not spread yet, rows and all; their names.

    The schema is the newest, no gateway runs, and the caller holds the lock of migrations.
    StartRefused where the database has no Citus, its coordinator no address, or a table no place.
    """
    await _check_cluster(conn)
    async with conn.transaction():
        await conn.execute(_SETTINGS)
        await _check_placed(conn)
        placed = {row["table"] for row in await conn.fetch(_PLACED)}
        fresh = {name: place for name, place in PLACES.items() if name not in placed}
        made_again = await _take_away(conn)
        await _widen_identities(conn)
        for name, place in fresh.items():
            await _place(conn, name, place)
        for row in await conn.fetch(_PURE):
            await conn.execute(
                "SELECT create_distributed_function($1::text::regprocedure)", row["function"]
            )
        on_each_node, *bodies = [path.read_text() for path in sorted(BODIES.glob("*.sql"))]
        await conn.execute(on_each_node)
        # On the coordinator alone: a node has no copy of what they read.
        await conn.execute("SET LOCAL citus.enable_ddl_propagation TO off")
        for statement in made_again:
            await conn.execute(statement)
        for row in await conn.fetch(_DATABASE_SETTINGS):
            await conn.execute(row["statement"])
        for body in bodies:
            await conn.execute(body)
        return list(fresh)


async def _check_cluster(conn: asyncpg.Connection) -> None:
    if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"):
        raise StartRefused(
            "Expected a database with Citus, was one without: CREATE EXTENSION citus on each node"
        )
    if not await conn.fetchval("SELECT EXISTS (SELECT FROM pg_dist_node WHERE groupid = 0)"):
        raise StartRefused(
            "Expected a coordinator that its nodes can reach, was one without an address: "
            "SELECT citus_set_coordinator_host('…')"
        )


async def _check_placed(conn: asyncpg.Connection) -> None:
    """Each table has a place, and each place a table: nothing is spread by guess."""
    tables = {row["relname"] for row in await conn.fetch(_TABLES)}
    if tables != PLACES.keys():
        odd = ", ".join(sorted(tables ^ PLACES.keys()))
        raise StartRefused(f"Expected a place for each table, was another set: {odd}")


async def _take_away(conn: asyncpg.Connection) -> list[str]:
    """Drops views and functions bound to tables; what makes them again, in order."""
    found = {row["oid"]: row for row in await conn.fetch(_VIEWS)}
    found |= {row["oid"]: row for row in await conn.fetch(_FUNCTIONS)}
    needs = {oid: [n for n in row["needs"] if n in found] for oid, row in found.items()}
    order = list(TopologicalSorter(needs).static_order())
    for oid in reversed(order):
        await conn.execute(found[oid]["drop"])
    return [found[oid]["make"] for oid in order]


async def _widen_identities(conn: asyncpg.Connection) -> None:
    """Citus spreads identities of 64 bits alone; narrower ones become defaults by a sequence."""
    for row in await conn.fetch(_NARROW_IDENTITIES):
        await conn.execute(row["widen"])


async def _place(conn: asyncpg.Connection, name: str, place: Place) -> None:
    match place.kind:
        case Kind.SPREAD:
            await conn.execute(
                "SELECT create_distributed_table($1::text::regclass, $2, colocate_with => $3)",
                name,
                place.column,
                place.beside or "none",
                timeout=TIMEOUT_S,
            )
        case Kind.EVERYWHERE:
            await conn.execute(
                "SELECT create_reference_table($1::text::regclass)", name, timeout=TIMEOUT_S
            )
        case Kind.COORDINATOR:
            # Those that a foreign key binds to one before are placed with it.
            await conn.execute(
                """
                SELECT citus_add_local_table_to_metadata($1::text::regclass, true)
                WHERE NOT EXISTS (
                    SELECT FROM pg_dist_partition WHERE logicalrelid = $1::text::regclass)
                """,
                name,
                timeout=TIMEOUT_S,
            )
