"""The history's seals proved again: each kept row as it was found, each root, and the chain."""

from collections.abc import AsyncIterator
from typing import Any, Final

from gateway.domain import merkle
from gateway.storage.kept_rows import AS_KEPT, KEPT, hashes, of_table

Problem = tuple[str, str, str]
_FETCHED = 4096
_SEALS = """
    SELECT h.number, h.settlement_batch, h.leaves, h.root, h.chain,
           s.chain AS beside, h.after_seal AS said_after
    FROM history_seals AS h LEFT JOIN seals AS s ON s.number = h.after_seal ORDER BY h.number
"""
_ROWS = "SELECT seal, hash FROM history_rows ORDER BY seal, of_table, key"
# Rows of a form that is not the newest are hashed by theirs.
_DIFFERENT = """
    SELECT h.key, t.hash IS NULL AS gone
    FROM history_rows AS h LEFT JOIN (:hashes) AS t ON t.key = h.key
    WHERE h.of_table = ':table' AND h.form = :form AND h.hash IS DISTINCT FROM t.hash
    ORDER BY 1
"""
_FORMS = "SELECT DISTINCT of_table, form FROM history_rows"
# What is final when its batch is counted was not added after that by anybody who may.
_ADDED = """
    SELECT t.key FROM (SELECT ROW(:key)::text AS key, :batch AS batch FROM :table) AS t
    JOIN history_seals AS s ON s.settlement_batch = t.batch
    LEFT JOIN history_rows AS h ON h.of_table = ':table' AND h.key = t.key
    WHERE h.seal IS NULL OR h.seal > s.number ORDER BY 1
"""
_DETAILS: Final = {
    "row_changed": "is not what it was when the history was sealed",
    "row_deleted": "was there when the history was sealed, and is gone",
    "row_added": "was not there when its batch was counted",
}


async def broken(conn: Any) -> AsyncIterator[Problem]:
    """What is not as it was sealed: rows, hashes that were kept, links of the chain."""
    await conn.execute(AS_KEPT)
    async for problem in _rows(conn):
        yield problem
    before, expected = merkle.FIRST_LINK, 1
    roots = _Roots(conn)
    for seal in await conn.fetch(_SEALS):
        place = f"history seal {seal['number']}"
        beside = merkle.FIRST_LINK if seal["said_after"] is None else seal["beside"] or b""
        said = (seal["settlement_batch"], seal["leaves"], seal["root"])
        link = merkle.history_link(before, beside, *said)
        if (seal["number"], seal["chain"]) != (expected, link):
            yield "seal_chain_broken", place, "does not follow from the seals before it"
        before, expected = seal["chain"], seal["number"] + 1
        if await roots.of(seal["number"]) != (seal["leaves"], seal["root"]):
            yield "seal_broken", place, "its rows do not make its root"
    if (stray := await roots.rest()) is not None:
        yield "seal_broken", f"history seal {stray}", "is gone, and its rows are not"


async def _rows(conn: Any) -> AsyncIterator[Problem]:
    for table, form in await conn.fetch(_FORMS):
        if table not in KEPT or form > len(KEPT[table].forms):
            yield "seal_broken", f"{table}, form {form}", "is kept in a way that is not known"
            continue
        query = of_table(_DIFFERENT, table, hashes=hashes(table, form), form=str(form))
        for key, gone in await conn.fetch(query):
            check = "row_deleted" if gone else "row_changed"
            yield check, f"{table} {key}", _DETAILS[check]
    for table, kept in KEPT.items():
        if kept.of_batch is not None:
            query = of_table(_ADDED, table, key=kept.key, batch=kept.of_batch)
            for (key,) in await conn.fetch(query):
                yield "row_added", f"{table} {key}", _DETAILS["row_added"]


class _Roots:
    """The kept hashes in the order of their seals, each seal's made into its root."""

    def __init__(self, conn: Any) -> None:
        self._rows = conn.cursor(_ROWS, prefetch=_FETCHED).__aiter__()
        self._next: Any = None
        self._begun = False

    async def of(self, seal: int) -> tuple[int, bytes]:
        """How many hashes a seal has, and their root; seals are asked for in their order."""
        count, page, roots = 0, [], []
        while (row := await self._first()) is not None and row["seal"] <= seal:
            # One of a seal that is gone makes the next one's root wrong.
            count += 1
            page.append(row["hash"])
            if len(page) == merkle.PAGE_LEAVES:
                roots.append(merkle.root(page))
                page = []
            self._next = await anext(self._rows, None)
        if page:
            roots.append(merkle.root(page))
        return count, merkle.root(roots) if roots else merkle.NOTHING

    async def rest(self) -> int | None:
        """The seal of the first hash that no seal asked for."""
        row = await self._first()
        return None if row is None else row["seal"]

    async def _first(self) -> Any:
        if not self._begun:
            self._begun = True
            self._next = await anext(self._rows, None)
        return self._next
