"""What a batch that is being counted pays on obligations, in the transaction of its positions.

Where nobody owes anything this is one look at an index.
"""

from typing import Any

from gateway.domain.ids import derived_id
from gateway.obligations import store as obligation_store
from gateway.obligations.covering import Earned
from gateway.obligations.covering import cover as covered
from gateway.settlement import store as settlement_store
from gateway.settlement import store_counting
from gateway.settlement.netting import Netting


async def cover(conn: Any, number: int, netting: Netting) -> None:
    """Store the transfers of a batch that was netted and has no positions yet."""
    debtors = await obligation_store.debtors(conn, number)
    if not debtors:
        return
    earned = await store_counting.earned(conn, number, netting, debtors)
    debts = await obligation_store.debts(conn, number, debtors)
    transfers = []
    for debtor, owed in sorted(debts.items()):
        had = earned[debtor]
        transfers += covered(owed, Earned(had.shared, had.refunded, had.commission, had.before))
    if not transfers:
        return
    # The same count, done again, makes the same transfers under the same ids.
    batch = (await settlement_store.find_numbered(conn, number)).id
    ids = [derived_id(batch, f"obligation {one.number} {one.service}") for one in transfers]
    await obligation_store.add_transfers(conn, number, ids, transfers)
