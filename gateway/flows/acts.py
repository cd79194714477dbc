"""A recipient's act of one batch: printed once it is asked for, kept, and the same for ever."""

from typing import Any
from uuid import UUID

from gateway.agreements import store as agreement_store
from gateway.domain.ids import SETTLEMENT_BATCH, shown
from gateway.domain.party import Recipient
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows import agreed_days
from gateway.flows.context import Context
from gateway.flows.seal_batches import counted_root
from gateway.journal.db_transaction import reading, writing
from gateway.parties import store as party_store
from gateway.payouts.centre import TRIAL_CENTRE, party
from gateway.settlement import store as settlement_store
from gateway.settlement import store_acts, store_restores
from gateway.settlement.act import Act, Side, said
from gateway.settlement.press import Press
from gateway.settlement.store import BatchRow


async def act(context: Context, press: Press, batch: UUID, recipient: str) -> bytes:
    """The PDF of an act. No connection is held while it is printed.

    Refuses `not_found` (no such batch, or no position of this recipient in it), `state_conflict`
    before the approval and after a cancellation; Unavailable where too many are printed.
    """
    async with context.connection() as conn, reading(conn):
        row = await settlement_store.find(conn, batch)
        known = await party_store.find(conn, recipient)
        if row is None or known is None:
            raise Refusal("not_found", "Expected a settlement batch and a recipient")
        positions = await settlement_store.positions(conn, row.number)
        if not any(one.recipient == recipient for one in positions):
            raise Refusal("not_found", "Expected a recipient with a position in the batch")
        if row.approved_at is None or row.state == "cancelled":
            raise Refusal("state_conflict", f"Expected an approved batch, was {row.state}")
        number = known[0]
        kept = await store_acts.find(conn, row.number, number)
    if kept is not None:
        return kept
    root = await counted_root(context, batch)
    async with context.connection() as conn, reading(conn):
        told = await _told(context, conn, row, number, known[1], root.hex())
    printed = await press.printed(said(told))
    async with context.connection() as conn, writing(conn):
        await store_acts.keep(conn, row.number, number, context.clock.now(), printed)
    async with context.connection() as conn:
        kept = await store_acts.find(conn, row.number, number)
    if kept is None:
        raise InvariantBroken("Expected the act that was kept")
    return kept


async def _told(
    context: Context, conn: Any, row: BatchRow, number: int, recipient: Recipient, root: str
) -> Act:
    agreed = (await agreement_store.recipients_in_force(conn, row.closed_at)).get(recipient.id)
    content = None if agreed is None else agreed.content
    positions = await settlement_store.positions(conn, row.number)
    position = next(one for one in positions if one.recipient == recipient.id)
    paid = await store_acts.paid(conn, row.number, number)
    centre = await party_store.find_centre(conn)
    payer = TRIAL_CENTRE if centre is None else party(centre[1])
    if paid is None:
        to = party(recipient)
        side = Side(to.name, to.inn, to.kpp, to.account, to.bic)
    else:
        side = Side(paid.name, paid.inn, paid.kpp, paid.account, paid.bic)
    own = await agreed_days.of_recipient(conn, row.number, recipient.id)
    if own is None:
        first, last = await store_acts.first_day(conn, row.number), row.business_date
    else:
        first, last = own.first_day, own.last_day
    return Act(
        batch=shown(SETTLEMENT_BATCH, row.id),
        number=row.number,
        business_date=last,
        first_day=first or last,
        centre=Side(payer.name, payer.inn, payer.kpp, payer.account, payer.bic),
        recipient=side,
        contract=None if content is None else content.contract,
        contract_date=None if content is None else content.valid_from,
        position=position,
        order_date=None if paid is None else paid.order_date,
        vat_percent=context.settings.commission_vat_percent,
        root=root,
        paid_before=sum(
            one.owed for one in await store_restores.booked_in(conn, row.number, number)
        ),
    )
