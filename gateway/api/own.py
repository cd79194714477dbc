"""Views of what one recipient may see: its batches, its requisites, and what is coming to it.

A recipient's key reaches its own alone, whatever it names; who reads all names whose.
"""

from typing import Final

from gateway.api import decode, encode, replies
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.refusals import Refusal
from gateway.domain.states import SETTLEMENT_BATCH as STATES
from gateway.flows import close_batch, own_batches, set_terms

BATCH_STATES: Final = tuple(sorted({*(state for state, _ in STATES), *STATES.values()} - {"open"}))


def check_own(call: Call, recipient: str) -> None:
    """Refusal forbidden where a recipient's key names another recipient."""
    if call.caller.recipient not in (None, recipient):
        raise Refusal("forbidden", "Expected no recipient but your own")


async def batches(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches, the newest first; a recipient sees its own figures alone."""
    told = call.query("recipient", "state", "cursor", "limit")
    own = call.caller.recipient
    recipient = told.get("recipient", own)
    if recipient is not None:
        check_own(call, recipient)
    state = told.get("state")
    if state is not None and state not in BATCH_STATES:
        raise Refusal("malformed", f"Expected state one of {', '.join(BATCH_STATES)}")
    cursor = None
    if "cursor" in told:
        cursor = ids.read_id(ids.SETTLEMENT_BATCH, told["cursor"])
        if cursor is None:
            raise Refusal("malformed", "Expected cursor as an answer gave it")
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    found = await own_batches.page(house.context, recipient, state, cursor, limit)
    return Reply(replies.OK, encode.json(found))


async def batch(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches/{id}: all of it, or to a recipient its own figures."""
    call.query()
    id_ = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    own = call.caller.recipient
    if own is None:
        found = await close_batch.show(house.context, id_)
    else:
        found = await own_batches.show(house.context, own, id_)
    return Reply(replies.OK, encode.json(found))


async def requisites(house: House, call: Call) -> Reply:
    """GET /v1/recipients/{id}; a recipient sees itself."""
    call.query()
    check_own(call, call.names[0])
    found = await set_terms.find_recipient(house.context, call.names[0])
    return Reply(replies.OK, encode.json(encode.recipient_members(found)))


async def coming(house: House, call: Call) -> Reply:
    """GET /v1/recipients/{id}/coming."""
    call.query()
    check_own(call, call.names[0])
    return Reply(replies.OK, encode.json(await house.coming.show(call.names[0])))
