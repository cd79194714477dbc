"""Views of recipients and of the fees from above."""

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.api.versions import method
from gateway.flows import set_terms

_recipient_body = msgspec.json.Decoder(bodies.RecipientBody)
_fee_body = msgspec.json.Decoder(bodies.FeeBody)


async def put(house: House, call: Call) -> Reply:
    """PUT /v1/recipients/{id}: the same again changes nothing."""
    body = strict_json.decode(_recipient_body, call.content)
    recipient = decode.recipient(call.names[0], body)
    await set_terms.set_recipient(house.context, call.caller, recipient, body.accept_inn)
    return Reply(replies.OK, encode.json(encode.recipient_members(recipient)))


async def list_all(house: House, call: Call) -> Reply:
    """GET /v1/recipients: a region has dozens of them, so they come at once."""
    call.query()
    found = await set_terms.recipients(house.context)
    shown = [encode.recipient_members(recipient) for recipient in found]
    return Reply(replies.OK, encode.json({"recipients": shown}))


async def put_surcharge(house: House, call: Call) -> Reply:
    """PUT /v1/surcharges/{method}: in force for payments from now on."""
    number = method(call.names[0])
    rule = decode.fee_rule(strict_json.decode(_fee_body, call.content))
    await set_terms.set_surcharge(house.context, call.caller, number, rule)
    shown = {"method": call.names[0], **encode.fee_members(rule)}
    return Reply(replies.OK, encode.json(shown))
