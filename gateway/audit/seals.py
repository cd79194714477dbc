"""The seals proved again: each row of a sealed batch as it was, each root, and the chain of them.

Both the leaves that are kept and the rows as they are come in the order of their keys; where they
part, the row is named: changed, deleted, added, or moved to another batch.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final
from uuid import UUID

from gateway.audit import store
from gateway.domain import merkle
from gateway.storage import leaves

Problem = tuple[str, str, str]
_DETAILS: Final = {
    "row_changed": "is not what it was when its batch was sealed",
    "row_deleted": "was in its batch when that was sealed, and is gone",
    "row_added": "was not in its batch when that was sealed",
}


def missing(unsealed: list[tuple[int, bool]]) -> Iterator[Problem]:
    """Batches without a seal that must have one, of all that have none."""
    for batch, must in unsealed:
        if must:
            yield "seal_missing", f"settlement batch {batch}", "was approved or passed unsealed"


async def broken(conn: Any) -> AsyncIterator[Problem]:
    """What is not as it was sealed: rows, leaves that were kept, links of the chain."""
    recipients = await store.recipient_ids(conn)
    before, expected = merkle.FIRST_LINK, 1
    for seal in await store.seals(conn):
        place = f"seal {seal['number']} of settlement batch {seal['settlement_batch']}"
        said = (seal["settlement_batch"], seal["stage"], seal["leaves"], seal["root"])
        if seal["number"] != expected or merkle.link(before, *said) != seal["chain"]:
            yield "seal_chain_broken", place, "does not follow from the seal before it"
        before, expected = seal["chain"], seal["number"] + 1
        if (seal["version"], seal["stage"]) not in leaves.ENTRIES:
            yield "seal_broken", place, "is of a version that is not known"
            continue
        pages = _Pages(conn, seal["number"])
        async for check, key in _differences(conn, seal, pages):
            row = _name(key, seal["settlement_batch"], recipients)
            yield check, row, await _detail(conn, check, key, seal["settlement_batch"])
        if not pages.whole(seal["leaves"], seal["root"]):
            yield "seal_broken", place, "its leaves do not make its root"


class _Pages:
    """The kept leaves of a seal, and what their root is."""

    def __init__(self, conn: Any, seal: int) -> None:
        self._pages = store.seal_pages(conn, seal)
        self._roots: list[bytes] = []
        self._count = 0
        self._same = True

    async def next(self) -> list[bytes]:
        """The entries of the next page; none at the end."""
        page = await anext(self._pages, None)
        if page is None:
            return []
        root, content = page
        size = leaves.ENTRY_BYTES
        entries = [content[at : at + size] for at in range(0, len(content), size)]
        made = merkle.root([entry[leaves.KEY_BYTES :] for entry in entries] or [b""])
        self._same = self._same and made == root
        self._roots.append(made)
        self._count += len(entries)
        return entries

    def whole(self, count: int, root: bytes) -> bool:
        """Whether all that was read is what the seal says."""
        made = merkle.root(self._roots) if self._roots else b""
        return self._same and (self._count, made) == (count, root)


async def _differences(conn: Any, seal: Any, pages: _Pages) -> AsyncIterator[tuple[str, bytes]]:
    """(what, key) of the rows that are not as they were; reads the pages to their end."""
    batch = seal["settlement_batch"]
    rows = store.entries(conn, seal["version"], seal["stage"], batch)
    kept: list[bytes] = []
    now: list[bytes] = []
    while True:
        kept = kept or await pages.next()
        while len(now) < max(len(kept), 1) and (entry := await anext(rows, None)) is not None:
            now.append(entry)
        if not kept and not now:
            return
        if kept == now:
            kept, now = [], []
            continue
        # What is beyond the end of the shorter may still be met.
        last = min(kept[-1:] + now[-1:]) if kept and now else max(kept[-1:] + now[-1:])
        old = [entry for entry in kept if entry[: leaves.KEY_BYTES] <= last[: leaves.KEY_BYTES]]
        new = [entry for entry in now if entry[: leaves.KEY_BYTES] <= last[: leaves.KEY_BYTES]]
        kept, now = kept[len(old) :], now[len(new) :]
        for difference in _compared(old, new):
            yield difference


def _compared(kept: list[bytes], now: list[bytes]) -> Iterator[tuple[str, bytes]]:
    before, after = Counter(kept), Counter(now)
    gone = {entry[: leaves.KEY_BYTES] for entry in before - after}
    come = {entry[: leaves.KEY_BYTES] for entry in after - before}
    for key in sorted(gone | come):
        if key in gone and key in come:
            yield "row_changed", key
        else:
            yield ("row_deleted" if key in gone else "row_added"), key


def _name(key: bytes, batch: int, recipients: dict[int, str]) -> str:
    kind, id_ = key[0], key[1:]
    of = f"of settlement batch {batch}"
    recipient = recipients.get(int.from_bytes(id_[-4:]), "?")
    match kind:
        case leaves.BATCH:
            return f"settlement batch {batch}"
        case leaves.PAYMENT:
            return "pay_" + id_.hex()
        case leaves.RESOLUTION:
            return "resolution of pay_" + id_.hex()
        case leaves.REFUND:
            return "ref_" + id_.hex()
        case leaves.RETURNED:
            came_from = int.from_bytes(id_[-8:-4])
            return f"money back of {recipient} from settlement batch {came_from}"
        case leaves.POSITION:
            return f"position of {recipient} in settlement batch {batch}"
        case leaves.APPROVAL:
            return f"approval {of}"
        case leaves.OBLIGATION:
            return "obl_" + id_.hex()
        case leaves.TRANSFER:
            return "obt_" + id_.hex()
        case leaves.REDUCTION:
            return "obw_" + id_.hex()
        case leaves.PAYOUT:
            return "po_" + id_.hex()
        case leaves.MOVE:
            return "move " + id_.hex()
        case leaves.CORRECTION:
            return "cor_" + id_.hex()
        case leaves.CHARGEBACK:
            return "chb_" + id_.hex()
        case leaves.REVERSAL:
            return "rev_" + id_.hex()
        case leaves.DEBT:
            return "dbt_" + id_.hex()
        case leaves.HISTORY:
            return f"history seal {int.from_bytes(id_[-4:])}"
        case _:
            return f"payout file {id_.decode(errors='replace').strip()} {of}"


async def _detail(conn: Any, check: str, key: bytes, batch: int) -> str:
    detail = _DETAILS[check]
    if check == "row_deleted":
        now = await store.batch_now(conn, key[0], UUID(bytes=key[1:]))
        if now is not None and now != batch:
            return f"was moved to settlement batch {now} after its own was sealed"
    return f"{detail} (settlement batch {batch})"
