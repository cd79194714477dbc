"""Views of restores: whether settlement is held, what was paid before, and that it goes on."""

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.corrections import text_of
from gateway.api.payments import kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.flows import after_restore

_restore_body = msgspec.json.Decoder(bodies.RestoreBody)
_line_body = msgspec.json.Decoder(bodies.RestoredLineBody)
_lift_body = msgspec.json.Decoder(bodies.LiftBody)
_no_body = msgspec.json.Decoder(bodies.NoBody)


async def show(house: House, call: Call) -> Reply:
    """GET /v1/restores."""
    call.query()
    return Reply(replies.OK, encode.json(await after_restore.show(house.context)))


async def say(house: House, call: Call) -> Reply:
    """POST /v1/restores: a person knows that the database was put back."""
    body = strict_json.decode(_restore_body, call.content)
    claim = call.claim("restores", body)
    reason = text_of(body.reason, "reason")
    return kept(replies.CREATED, await after_restore.say(house.context, claim, call.caller, reason))


async def decide(house: House, call: Call) -> Reply:
    """POST /v1/restores/{id}/lines: whose a line on a lost order is."""
    body = strict_json.decode(_line_body, call.content)
    claim = call.claim("restored_lines", body, call.names[0])
    decode.path_id(ids.RESTORE, call.names[0])
    statement = decode.path_id(ids.STATEMENT, body.statement)
    answer = await after_restore.decide(
        house.context,
        claim,
        call.caller,
        statement,
        body.line,
        body.recipient,
        text_of(body.reason, "reason"),
    )
    return kept(replies.OK, answer)


async def ask(house: House, call: Call) -> Reply:
    """POST /v1/restores/{id}/lift: settlement goes on once somebody else approves."""
    body = strict_json.decode(_lift_body, call.content)
    claim = call.claim("restore_lifts", body, call.names[0])
    restore = decode.path_id(ids.RESTORE, call.names[0])
    answer = await after_restore.ask(
        house.context,
        claim,
        call.caller,
        restore,
        text_of(body.reason, "reason"),
        text_of(body.document, "document"),
    )
    return kept(replies.CREATED, answer)


async def approve(house: House, call: Call) -> Reply:
    """POST /v1/restore-lifts/{id}/approve, by another person than who asked or decided."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("lifted_restores", body, call.names[0])
    lift = decode.path_id(ids.LIFT, call.names[0])
    return kept(replies.OK, await after_restore.approve(house.context, claim, call.caller, lift))
