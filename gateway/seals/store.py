"""SQL of seals, and the pass over a batch's rows that makes one."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain import merkle
from gateway.storage import leaves

_UNSEALED = """
    SELECT b.number, s.stage
    FROM settlement_batches AS b
    CROSS JOIN (VALUES ('counted', 1), ('approved', 2)) AS s (stage, place)
    WHERE CASE s.stage WHEN 'counted' THEN b.state <> 'cut' ELSE b.approved_at IS NOT NULL END
      AND NOT EXISTS (SELECT FROM seals AS m
                      WHERE m.settlement_batch = b.number AND m.stage = s.stage)
    ORDER BY s.place, b.number
"""
_LAST = "SELECT number, chain FROM seals ORDER BY number DESC LIMIT 1"
_ADD_PAGE = "INSERT INTO seal_pages (seal, page, root, entries) VALUES ($1, $2, $3, $4)"
_ADD = """
    INSERT INTO seals (number, settlement_batch, stage, version, made_at, leaves, root, chain)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_OF_BATCH = """
    SELECT s.number, s.stage, s.version, s.leaves, s.root, s.chain, s.made_at
    FROM seals AS s JOIN settlement_batches AS b ON b.number = s.settlement_batch
    WHERE b.id = $1 ORDER BY s.number
"""
_OF_STAGE = """
    SELECT number, stage, version, leaves, root, chain, made_at FROM seals
    WHERE settlement_batch = $1 AND stage = $2
"""
_PAGE_OF = """
    SELECT page, entries FROM seal_pages WHERE seal = $1 AND substring(entries FOR 17) <= $2
    ORDER BY page DESC LIMIT 1
"""
_PAGE_ROOTS = "SELECT root FROM seal_pages WHERE seal = $1 ORDER BY page"
# A sort of a million keys; what does not fit goes to disk.
_SORTING = "SET LOCAL work_mem = '32MB'"
SEAL_TIMEOUT_S = 600.0


class Seal(Struct, frozen=True):
    """A seal: its place in the chain, what it is of, and the root over its leaves."""

    number: int
    stage: str
    version: int
    leaves: int
    root: bytes
    chain: bytes
    made_at: datetime


async def unsealed(conn: Any) -> list[tuple[int, str]]:
    """Batches by number and the stage they are not sealed in, in the order to seal them."""
    return [tuple(row) for row in await conn.fetch(_UNSEALED)]


async def seal(conn: Any, batch: int, stage: str, now: datetime) -> None:
    """Seal a batch's rows as they are, in a transaction that makes one seal at a time.

    They come a page at a time, and others have their turn between two pages.
    """
    last = await conn.fetchrow(_LAST)
    number, before = (1, merkle.FIRST_LINK) if last is None else (last[0] + 1, last[1])
    await conn.execute(_SORTING)
    roots: list[bytes] = []
    count = 0
    async for page in _pages(conn, leaves.ENTRIES[leaves.VERSION, stage], batch):
        count += len(page)
        roots.append(merkle.root([entry[leaves.KEY_BYTES :] for entry in page]))
        await conn.execute(_ADD_PAGE, number, len(roots) - 1, roots[-1], b"".join(page))
    root = merkle.root(roots)
    chain = merkle.link(before, batch, stage, count, root)
    await conn.execute(_ADD, number, batch, stage, leaves.VERSION, now, count, root, chain)


async def _pages(conn: Any, query: str, batch: int) -> AsyncIterator[Sequence[bytes]]:
    cursor = await conn.cursor(query, batch, timeout=SEAL_TIMEOUT_S)
    while rows := await cursor.fetch(merkle.PAGE_LEAVES, timeout=SEAL_TIMEOUT_S):
        yield [row[0] for row in rows]


async def of_batch(conn: Any, batch: UUID) -> list[Seal]:
    """The seals of a batch in the order they were made."""
    return [Seal(*row.values()) for row in await conn.fetch(_OF_BATCH, batch)]


class Leaf(Struct, frozen=True):
    """A sealed row as it is now, with the page it is on and the roots of all pages."""

    seal: Seal
    content: bytes
    page: int
    entries: list[bytes]
    page_roots: list[bytes]


async def find_leaf(conn: Any, stage: str, kind: int, id_: UUID) -> Leaf | None:
    """The leaf of a row by its kind and id; None where it is in no seal of that stage."""
    key = bytes([kind]) + id_.bytes
    batch = await conn.fetchval(leaves.BATCH_NOW[kind], id_)
    row = await conn.fetchrow(_OF_STAGE, batch, stage)
    if row is None:
        return None
    seal = Seal(*row.values())
    content = await conn.fetchval(
        leaves.CONTENTS[seal.version, stage], batch, key, timeout=SEAL_TIMEOUT_S
    )
    page = await conn.fetchrow(_PAGE_OF, seal.number, key)
    if content is None or page is None:
        return None
    size, strung = leaves.ENTRY_BYTES, page["entries"]
    entries = [strung[at : at + size] for at in range(0, len(strung), size)]
    roots = [found[0] for found in await conn.fetch(_PAGE_ROOTS, seal.number)]
    return Leaf(seal, content, page["page"], entries, roots)
