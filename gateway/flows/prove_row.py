"""A proof that one row is in a sealed batch, for somebody who knows nothing but its root."""

from hashlib import sha256
from typing import Final
from uuid import UUID

from gateway.domain import ids, merkle
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Context
from gateway.journal.db_transaction import reading
from gateway.seals import store as seal_store
from gateway.storage import leaves

_KINDS: Final = {
    ids.PAYMENT: ("counted", leaves.PAYMENT),
    ids.REFUND: ("counted", leaves.REFUND),
    ids.CORRECTION: ("counted", leaves.CORRECTION),
    ids.CHARGEBACK: ("counted", leaves.CHARGEBACK),
    ids.REVERSAL: ("counted", leaves.REVERSAL),
    ids.DEBT: ("counted", leaves.DEBT),
    ids.PAYOUT: ("approved", leaves.PAYOUT),
    ids.OBLIGATION: ("counted", leaves.OBLIGATION),
    ids.TRANSFER: ("counted", leaves.TRANSFER),
    ids.WITHDRAWAL: ("counted", leaves.REDUCTION),
}


async def prove(context: Context, row: str) -> dict[str, object]:
    """The leaf of a payment, refund, payout or debt by its id, and its way to the root of its seal.

    Refuses `malformed`, and `not_found` where no seal has it; InvariantBroken where the row is not
    as it was sealed.
    """
    stage, kind, id_ = _read(row)
    async with context.connection() as conn, reading(conn):
        found = await seal_store.find_leaf(conn, stage, kind, id_)
    if found is None:
        raise Refusal("not_found", "Expected a row of a batch that is sealed")
    entry = bytes([kind]) + id_.bytes + sha256(found.content).digest()
    if entry not in found.entries:
        raise InvariantBroken("Expected a row as it was sealed, was another; see kopeck audit")
    at = found.entries.index(entry)
    hashes = [kept[leaves.KEY_BYTES :] for kept in found.entries]
    path = merkle.path(hashes, at) + merkle.path(found.page_roots, found.page)
    return {
        "row": row,
        "stage": stage,
        "root": found.seal.root.hex(),
        "leaves": found.seal.leaves,
        "place": found.page * merkle.PAGE_LEAVES + at,
        "columns": leaves.COLUMNS[found.seal.version, kind],
        "leaf": found.content.hex(),
        "path": [node.hex() for node in path],
    }


def _read(row: str) -> tuple[str, int, UUID]:
    for prefix, (stage, kind) in _KINDS.items():
        if (id_ := ids.read_id(prefix, row)) is not None:
            return stage, kind, id_
    raise Refusal("malformed", f"Expected an id of {', '.join(_KINDS)}")
