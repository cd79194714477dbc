"""SQL of the history's seals, and the pass over tables that makes one; see storage/kept_rows.py.

What a table has and `history_rows` has not is new, whoever wrote it and whenever: nothing is asked
of those who add rows, and nothing falls between two passes.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from gateway.domain import merkle
from gateway.seals.store import SEAL_TIMEOUT_S
from gateway.storage.kept_rows import AS_KEPT, KEPT, hashes, of_table

_LAST = "SELECT number, chain FROM history_seals ORDER BY number DESC LIMIT 1"
_LAST_OF_BATCHES = "SELECT number, chain FROM seals ORDER BY number DESC LIMIT 1"
_ADD_ROWS = """
    INSERT INTO history_rows (of_table, key, seal, form, hash)
    SELECT ':table', t.key, $1, :form, t.hash FROM (:hashes) AS t
    WHERE NOT EXISTS (SELECT FROM history_rows AS h
                      WHERE h.of_table = ':table' AND h.key = t.key)
"""
_ADDED: Final = {
    table: of_table(
        _ADD_ROWS, table, form=str(len(kept.forms)), hashes=hashes(table, len(kept.forms))
    )
    for table, kept in KEPT.items()
}
_HASHES = "SELECT hash FROM history_rows WHERE seal = $1 ORDER BY of_table, key"
_ADD = """
    INSERT INTO history_seals (number, settlement_batch, made_at, leaves, root, after_seal, chain)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
# How many rows were ever added to each table, as the server's statistics have it a moment later.
_WRITTEN = "SELECT relname, n_tup_ins FROM pg_stat_user_tables WHERE relname = ANY($1::text[])"


async def written(conn: Any) -> dict[str, int]:
    """Rows that were ever added to each table that is kept; a moment late."""
    return dict(await conn.fetch(_WRITTEN, list(KEPT)))


async def seal(conn: Any, tables: Iterable[str], batch: int | None, now: datetime) -> bool:
    """Seal the rows of these tables that no seal has, in a transaction that makes one at a time.

    With a batch there is a seal even of nothing, for the batch's tree to hold. Tells whether one
    was made.
    """
    await conn.execute(AS_KEPT)
    last = await conn.fetchrow(_LAST)
    number, before = (1, merkle.FIRST_LINK) if last is None else (last[0] + 1, last[1])
    for table in tables:
        await conn.execute(_ADDED[table], number, timeout=SEAL_TIMEOUT_S)
    roots: list[bytes] = []
    count = 0
    cursor = await conn.cursor(_HASHES, number, timeout=SEAL_TIMEOUT_S)
    while rows := await cursor.fetch(merkle.PAGE_LEAVES, timeout=SEAL_TIMEOUT_S):
        count += len(rows)
        roots.append(merkle.root([row[0] for row in rows]))
    if not count and batch is None:
        return False
    root = merkle.root(roots) if roots else merkle.NOTHING
    beside = await conn.fetchrow(_LAST_OF_BATCHES)
    after, link = (None, merkle.FIRST_LINK) if beside is None else beside
    chain = merkle.history_link(before, link, batch, count, root)
    await conn.execute(_ADD, number, batch, now, count, root, after, chain)
    return True
