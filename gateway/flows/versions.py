"""What recipients and fees from above were, who made them so, and who else has looked at it.

Whoever changes one is not alone with it: somebody else approves what is paid by it, or confirms it.
"""

from typing import Any, Final
from uuid import UUID

from msgspec import to_builtins

from gateway.domain.ids import SETTLEMENT_BATCH, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows import payees
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.journal.db_transaction import reading
from gateway.journal.rows import Cut
from gateway.parties import store as party_store
from gateway.parties import store_versions as version_store
from gateway.parties.store_versions import RecipientVersion, SurchargeVersion
from gateway.settlement import store as settlement_store
from gateway.settlement import store_approvals
from gateway.settlement.store_approvals import Change
from gateway.steps import timed

_NO_VERSION: Final = "Expected the number of a version"
_SAME: Final = "Expected another person than the one who made the change"


async def of_recipient(
    context: Context, recipient: str, before: int, limit: int
) -> list[dict[str, Any]]:
    """What a recipient was below a version, the newest first; refuses `not_found`."""
    async with context.connection() as conn:
        found = await version_store.page(conn, await _number(conn, recipient), before, limit)
    return [_recipient(one) for one in found]


async def of_surcharge(
    context: Context, method: int, before: int, limit: int
) -> list[dict[str, Any]]:
    """What payments by a method cost on top below a version, the newest first."""
    async with context.connection() as conn:
        found = await version_store.surcharges(conn, method, before, limit)
    return [_surcharge(one) for one in found]


@timed("parties", "confirm")
async def confirm_recipient(
    context: Context, claim: Claim, caller: Caller, recipient: str, version: int
) -> Answer:
    """Keep that another person looked at a change of a recipient; again changes nothing.

    Refuses `not_found`, and `forbidden` for whoever made it.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        number = await _number(conn, recipient)

        async def find() -> RecipientVersion:
            found = await version_store.page(conn, number, version + 1, 1)
            if not found or found[0].version != version:
                raise Refusal("not_found", _NO_VERSION)
            return found[0]

        if (await find()).set_by == caller.name:
            raise Refusal("forbidden", _SAME)
        await version_store.confirm(conn, number, version, caller.number, context.clock.now())
        return _recipient(await find())

    return await once(context, claim, new_id(), act, stamps=False)


@timed("parties", "confirm")
async def confirm_surcharge(
    context: Context, claim: Claim, caller: Caller, method: int, version: int
) -> Answer:
    """Keep that another person looked at a fee from above; again changes nothing.

    Refuses `not_found`, and `forbidden` for whoever set it.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        async def find() -> SurchargeVersion:
            found = await version_store.surcharges(conn, method, version + 1, 1)
            if not found or found[0].version != version:
                raise Refusal("not_found", _NO_VERSION)
            return found[0]

        if (await find()).set_by == caller.name:
            raise Refusal("forbidden", _SAME)
        now = context.clock.now()
        await version_store.confirm_surcharge(conn, method, version, caller.number, now)
        return _surcharge(await find())

    return await once(context, claim, new_id(), act, stamps=False)


async def of_batch(context: Context, batch: UUID) -> dict[str, object]:
    """What a batch pays by and charged that its makers alone have looked at; of an approved one,
    what they alone had when it was approved.

    Refuses `not_found`, and `state_conflict` before it is counted.
    """
    async with context.connection() as conn, reading(conn):
        row = await settlement_store.find(conn, batch)
        if row is None:
            raise Refusal("not_found", "Expected the id of a settlement batch")
        if row.state == "cut":
            raise Refusal("state_conflict", "Expected a batch that is counted; close it again")
        found = await store_approvals.changes_then(conn, row.number)
        if found is None:
            positions = await settlement_store.positions(conn, row.number)
            paid = await payees.read(conn, positions, context.clock.now())
            found = await store_approvals.changes(conn, row.number, paid.used)
    return {
        "settlement_batch": shown(SETTLEMENT_BATCH, batch),
        "changes": [_change(one) for one in found],
    }


async def _number(conn: Any, recipient: str) -> int:
    found = (await party_store.numbers(conn, [recipient])).get(recipient)
    if found is None:
        raise Refusal("not_found", "Expected the id of a recipient")
    return found


def _recipient(one: RecipientVersion) -> dict[str, Any]:
    rule = one.recipient.commission
    return {
        **to_builtins(one.recipient),
        "commission": None if rule is None else rule._asdict(),
        "version": one.version,
        "terms_version": one.terms_version,
        "set_at": one.set_at.isoformat(),
        "set_by": one.set_by,
        "confirmed_by": one.confirmed_by,
    }


def _surcharge(one: SurchargeVersion) -> dict[str, Any]:
    return {
        **one.rule._asdict(),
        "version": one.version,
        "set_at": one.set_at.isoformat(),
        "set_by": one.set_by,
        "confirmed_by": one.confirmed_by,
    }


def _change(one: Change) -> dict[str, object]:
    is_surcharge = one.what == "surcharge"
    return {
        "what": one.what,
        "recipient": None if is_surcharge else one.of,
        "method": one.of if is_surcharge else None,
        "version": one.version,
        "set_at": one.set_at.isoformat(),
        "set_by": one.set_by,
    }
