"""Views of webhooks and events: a recipient's key reaches its own, an operator's names whose."""

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.refusals import Refusal
from gateway.flows.webhooks import Wanted
from gateway.methods.pan import contains_pan
from gateway.storage.keys import check_name

_SEQUENCE_MAX = 2**53

_webhook_body = msgspec.json.Decoder(bodies.WebhookBody)
_secret_body = msgspec.json.Decoder(bodies.WebhookSecretBody)
_no_body = msgspec.json.Decoder(bodies.NoBody)


async def put(house: House, call: Call) -> Reply:
    """PUT /v1/webhooks/{name}: 201 with the secret where it is new, the only time it is shown."""
    recipient = _whose(call, call.query("recipient"))
    name = call.names[0]
    check_name(name)
    body = strict_json.decode(_webhook_body, call.content)
    if contains_pan(body.url) or contains_pan(name):
        raise Refusal("pan_not_allowed", "Expected a URL and a name without a card number")
    wanted = Wanted(body.url, body.types, body.state)
    found, new = await house.webhooks.put(call.caller, recipient, name, wanted)
    return Reply(replies.CREATED if new else replies.OK, encode.json(found))


async def rotate(house: House, call: Call) -> Reply:
    """PUT /v1/webhooks/{name}/secret: those before sign beside it for 24 hours."""
    recipient = _whose(call, call.query("recipient"))
    body = strict_json.decode(_secret_body, call.content or b"{}")
    found = await house.webhooks.rotate(recipient, call.names[0], body.secret)
    return Reply(replies.OK, encode.json(found))


async def show(house: House, call: Call) -> Reply:
    """GET /v1/webhooks/{name}, without the secret."""
    recipient = _whose(call, call.query("recipient"))
    return Reply(replies.OK, encode.json(await house.webhooks.show(recipient, call.names[0])))


async def list_all(house: House, call: Call) -> Reply:
    """GET /v1/webhooks."""
    recipient = _whose(call, call.query("recipient"))
    found = await house.webhooks.list_all(recipient)
    return Reply(replies.OK, encode.json({"webhooks": found}))


async def remove(house: House, call: Call) -> Reply:
    """DELETE /v1/webhooks/{name}: with what waits for it."""
    recipient = _whose(call, call.query("recipient"))
    await house.webhooks.remove(recipient, call.names[0])
    return Reply(replies.OK, encode.json({"state": "removed"}))


async def deliveries(house: House, call: Call) -> Reply:
    """GET /v1/webhooks/{name}/deliveries, the newest event first."""
    told = call.query("recipient", "before", "limit")
    recipient = _whose(call, told)
    before = None
    if "before" in told:
        before = decode.whole_number(told["before"], "before", 1, _SEQUENCE_MAX)
    limit = _limit(told)
    found = await house.webhooks.deliveries(recipient, call.names[0], before, limit)
    return Reply(replies.OK, encode.json({"deliveries": found}))


async def test(house: House, call: Call) -> Reply:
    """POST /v1/webhooks/{name}/test."""
    recipient = _whose(call, call.query("recipient"))
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("webhook_tests", body, recipient, call.names[0])
    return kept(replies.OK, await house.webhooks.test(claim, recipient, call.names[0]))


async def redeliver(house: House, call: Call) -> Reply:
    """POST /v1/events/{id}/redeliver: under the same id."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("redeliveries", body, call.names[0])
    event = decode.path_id(ids.EVENT, call.names[0])
    return kept(replies.OK, await house.webhooks.redeliver(claim, call.caller, event))


async def events(house: House, call: Call) -> Reply:
    """GET /v1/events: a recipient's, after a sequence."""
    told = call.query("recipient", "after", "limit")
    recipient = _whose(call, told)
    after = decode.whole_number(told.get("after", "0"), "after", 0, _SEQUENCE_MAX)
    found = await house.webhooks.events(recipient, after, _limit(told))
    return Reply(replies.OK, encode.json(found))


def _limit(told: dict[str, str]) -> int:
    return decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)


def _whose(call: Call, told: dict[str, str]) -> str:
    """The recipient that a call is about; Refusals forbidden, malformed."""
    own, named = call.caller.recipient, told.get("recipient")
    if own is None:
        if named is None:
            raise Refusal("malformed", "Expected a recipient in the query")
        return named
    if named not in (None, own):
        raise Refusal("forbidden", "Expected no recipient but your own")
    return own
