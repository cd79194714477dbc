"""A batch after its approval: sent by whoever claims it first, or cancelled before it is sent."""

from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

from gateway.domain.ids import new_id
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.domain.states import PAYOUT, SETTLEMENT_BATCH, next_state
from gateway.flows import after_restore, notice_restore, tell_recipients
from gateway.flows.answers import once
from gateway.flows.close_batch import batch_shown
from gateway.flows.context import Answer, Context
from gateway.flows.payout_files import payout_file
from gateway.journal.rows import Cut
from gateway.payouts import store as payout_store
from gateway.payouts.store import Move, Returned
from gateway.settlement import store as settlement_store
from gateway.settlement.store import BatchRow
from gateway.settlement.witness import SENT
from gateway.steps import timed

# The role of whoever brings files to the bank.
SENDER: Final = "operator"
UNCLAIMED: Final = "Expected a batch that somebody has claimed for sending"


@timed("settlement", "send")
async def send(
    context: Context, claim: Claim, caller: Caller, batch: UUID, override: str | None = None
) -> Answer:
    """Claim an approved batch for sending it to the bank; only one claim can succeed.

    Refuses `not_found`, and `state_conflict` where somebody else was first, while a restore holds
    settlement, or where the batch was approved before it came out of a backup and no `override`
    says why the bank has it not.
    """

    await notice_restore.notice(context)

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await _locked(conn, batch)
        state = next_state(SETTLEMENT_BATCH, row.state, "send")
        await after_restore.check(conn, row.number)
        if _may_have_been_sent(row) and override is None:
            raise Refusal(
                "state_conflict",
                "Expected an override with a reason: this batch came out of a backup approved, and"
                " may have been sent since",
            )
        await _move(context, conn, row, "send", state, caller, override)
        return await batch_shown(conn, batch)

    answer = await once(context, claim, new_id(), act, stamps=False)
    await notice_restore.remember(context, batch, SENT)
    return answer


@timed("payouts", "file")
async def fetch(context: Context, caller: Caller, batch: UUID, name: str) -> tuple[bytes, bool]:
    """The bytes of a batch's payout file, and whether this call has claimed the batch for them.

    What left the house may be paid, so the first who takes a file of an approved batch is who sends
    it, as `kopeck settle export` has it: afterwards nobody can claim it or cancel it. Later ones
    get the same bytes, and are told that they came later. Whoever only reads gets them once they
    are claimed. Refuses as `payout_file` and `send` do.
    """
    await payout_file(context, batch, name)
    if not await _is_unclaimed(context, batch):
        return await _claimed_before(context, batch, name), False
    if caller.role != SENDER:
        raise Refusal("state_conflict", UNCLAIMED)
    # A key with a space is none that came over HTTP.
    fingerprint = blake2b(batch.bytes, digest_size=16).digest()
    claim = Claim(caller.number, f"payout-file {new_id().hex}", "payout_claims", fingerprint)
    try:
        await send(context, claim, caller, batch)
    except Refusal:
        # Somebody may have been first a moment ago.
        if await _is_unclaimed(context, batch):
            raise
        return await _claimed_before(context, batch, name), False
    return await payout_file(context, batch, name), True


async def fetch_again(context: Context, batch: UUID, name: str) -> bytes:
    """The file of a batch that somebody has claimed; refuses as `payout_file`, and `state_conflict`
    where nobody has.
    """
    await payout_file(context, batch, name)
    if await _is_unclaimed(context, batch):
        raise Refusal("state_conflict", UNCLAIMED)
    return await _claimed_before(context, batch, name)


async def _claimed_before(context: Context, batch: UUID, name: str) -> bytes:
    """The file, once it is remembered that it left: whoever claimed it may have died before."""
    content = await payout_file(context, batch, name)
    await notice_restore.remember(context, batch, SENT)
    return content


async def _is_unclaimed(context: Context, batch: UUID) -> bool:
    async with context.connection() as conn:
        row = await settlement_store.find(conn, batch)
    return row is not None and row.state == "approved"


@timed("settlement", "cancel")
async def cancel(
    context: Context, claim: Claim, caller: Caller, batch: UUID, reason: str
) -> Answer:
    """Cancel a batch that the bank has not; what it owed is owed again in the open one.

    Refuses `not_found`, and `state_conflict` once it was sent or a statement told of it, and while
    a restore holds what was approved: the bank's statements may yet tell of it.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        row = await _locked(conn, batch)
        state = next_state(SETTLEMENT_BATCH, row.state, "cancel")
        if row.approved_at is not None:
            await after_restore.check_held(conn)
        payouts = await payout_store.of_batch(conn, row.number)
        if row.approved_at is None:
            returned = await _unpaid(conn, row.number)
        else:
            returned = [
                Returned(row.number, payout.number, payout.amount, payout.id) for payout in payouts
            ]
        await _move(context, conn, row, "cancel", state, caller, reason)
        if row.approved_at is None:
            positions = await settlement_store.positions(conn, row.number)
            now = context.clock.now()
            await tell_recipients.of_positions(conn, now, "position.cancelled", row, positions)
        await payout_store.add_returned(conn, cut.settlement_batch, returned, context.clock.now())
        return await batch_shown(conn, batch)

    return await once(context, claim, new_id(), act)


def _may_have_been_sent(row: BatchRow) -> bool:
    if row.restored_at is None or row.approved_at is None:
        return False
    return row.approved_at < row.restored_at


async def _locked(conn: Any, batch: UUID) -> BatchRow:
    row = await settlement_store.lock(conn, batch)
    if row is None:
        raise Refusal("not_found", "Expected the id of a settlement batch")
    return row


async def _unpaid(conn: Any, number: int) -> list[Returned]:
    amounts = await settlement_store.payable(conn, number)
    return [Returned(number, recipient, amount, None) for recipient, amount in amounts]


async def _move(
    context: Context,
    conn: Any,
    row: BatchRow,
    event: str,
    state: str,
    caller: Caller,
    reason: str | None,
) -> None:
    """The batch and all of its payouts, from the states they are seen in."""
    now = context.clock.now()
    payouts = await payout_store.of_batch(conn, row.number)
    moves = [
        Move(payout.id, event, payout.state, next_state(PAYOUT, payout.state, event))
        for payout in payouts
    ]
    await settlement_store.move(conn, row.number, row.state, state)
    await settlement_store.add_event(conn, row.number, event, state, now, caller.number, reason)
    await payout_store.move(conn, moves, now, caller.number)
    await tell_recipients.of_batch(conn, now, event, row, payouts)
