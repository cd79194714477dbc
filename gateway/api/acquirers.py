"""Callbacks of acquirers: believed for their signature, and answered as each bank documents.

They bring no key, so what they may cost is bounded here: their size, their time, and how many are
heard at once; one that comes slowly holds up nobody else's.
A callback never makes the gateway ask anybody while it waits; what has to be asked falls due.
"""

from typing import Final

from aiohttp.hdrs import METH_GET

from gateway.acquirers.connected import Connected
from gateway.acquirers.words import Notice
from gateway.api import reading, replies
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.domain.refusals import Refusal, Unavailable

CALLBACK_TYPES: Final = ("application/json", "application/x-www-form-urlencoded")


async def hear(house: House, call: Call) -> Reply:
    """POST (or GET, for banks that speak so) /v1/acquirers/{name}/callbacks."""
    connected = house.acquirers.get(call.names[0])
    if connected is None:
        raise Refusal("not_found", "Expected an acquirer that is connected")
    body = await _body(house, call)
    if house.hearing_turns.locked():
        raise Unavailable("overloaded", "Too many callbacks at once; nothing was done")
    async with house.hearing_turns:
        notice = _notice(house, call, connected, body)
        if notice.order is not None:
            await house.hearing.hear_notice(connected, notice.order, notice.answer)
    return Reply(replies.OK, notice.reply, notice.reply_type)


async def _body(house: House, call: Call) -> bytes:
    request, settings = call.request, house.context.settings
    if request.method == METH_GET:
        return request.rel_url.raw_query_string.encode()
    return await reading.whole(request, settings.body_bytes_max, settings.body_timeout_s)


def _notice(house: House, call: Call, connected: Connected, body: bytes) -> Notice:
    request = call.request
    headers = {name.lower(): value for name, value in request.headers.items()}
    peer_header = connected.settings.peer_header
    if peer_header is None:
        peer = request.remote or ""
    else:
        # The centre's own proxy writes the last of them.
        peer = headers.get(peer_header.lower(), "").rpartition(",")[2].strip()
    try:
        return connected.acquirer.notice(headers, body, peer)
    except Refusal:
        house.telemetry.authorisation(connected.settings.kind, "callback_refused")
        raise
