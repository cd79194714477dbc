"""Views of codes: what a scanned one names, and the one that is printed on a bill."""

from typing import Final

import msgspec

from gateway.api import bodies, encode, reading, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.domain.bill import check_account
from gateway.domain.refusals import Refusal
from gateway.flows import bill_code, scan
from gateway.scans import codes

PICTURE_TYPES: Final = ("image/png", "image/jpeg")
CODE_TYPES: Final = {
    codes.SVG: "image/svg+xml",
    codes.PNG: "image/png",
    "text": "text/plain; charset=utf-8",
}

_scan_body: Final = msgspec.json.Decoder(bodies.ScanBody)


async def take(house: House, call: Call) -> Reply:
    """POST /v1/scans: a payload or a picture; nothing is stored, so no key is asked for."""
    call.query()
    settings = house.context.settings
    kind = call.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in PICTURE_TYPES:
        with house.darkroom.place():
            content = await reading.whole(
                call.request, settings.image_bytes_max, settings.body_timeout_s
            )
            return await _take_picture(house, content)
    content = await reading.whole(call.request, settings.body_bytes_max, settings.body_timeout_s)
    if codes.is_picture(content):
        # Small ones are taken from senders that name no type, as curl does.
        with house.darkroom.place():
            return await _take_picture(house, content)
    body = strict_json.decode(_scan_body, content)
    return _shown(await scan.scan_text(house.context, house.templates, body.payload))


async def _take_picture(house: House, content: bytes) -> Reply:
    found = await house.darkroom.codes_in(content)
    return _shown(await scan.scan_codes(house.context, house.templates, found))


def _shown(found: scan.Scan) -> Reply:
    return Reply(replies.OK, encode.json(msgspec.to_builtins(found)))


async def code_of_bill(house: House, call: Call) -> Reply:
    """GET /v1/bills/{subscriber_account}/qr."""
    form = call.query("format").get("format", codes.SVG)
    if form not in CODE_TYPES:
        raise Refusal("malformed", f"Expected a format of {', '.join(CODE_TYPES)}")
    account = call.names[0]
    check_account(account)
    content = (await bill_code.text_of(house.context, account)).encode()
    if form != "text":
        with house.darkroom.place():
            content = await house.darkroom.drawn(content, form)
    return Reply(replies.OK, content, CODE_TYPES[form])
