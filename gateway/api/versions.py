"""Views of what recipients and fees from above were before, and who made them so.

They name people of the centre, so recipients do not see them.
"""

from typing import Any, Final

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.refusals import Refusal
from gateway.flows import versions

# A version is one change by a person.
VERSION_MAX: Final = 999_999_999

_no_body = msgspec.json.Decoder(bodies.NoBody)


async def of_recipient(house: House, call: Call) -> Reply:
    """GET /v1/recipients/{id}/versions."""
    before, limit = _page(call)
    shown = await versions.of_recipient(house.context, call.names[0], before, limit + 1)
    return Reply(replies.OK, encode.json(_paged(shown, limit)))


async def of_surcharge(house: House, call: Call) -> Reply:
    """GET /v1/surcharges/{method}/versions."""
    number = method(call.names[0])
    before, limit = _page(call)
    shown = await versions.of_surcharge(house.context, number, before, limit + 1)
    return Reply(replies.OK, encode.json({"method": call.names[0], **_paged(shown, limit)}))


async def confirm_recipient(house: House, call: Call) -> Reply:
    """POST /v1/recipients/{id}/versions/{version}/confirm, by another person than who set it."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("recipient_confirmations", body, *call.names)
    version = _version(call.names[1])
    answer = await versions.confirm_recipient(
        house.context, claim, call.caller, call.names[0], version
    )
    return kept(replies.OK, answer)


async def confirm_surcharge(house: House, call: Call) -> Reply:
    """POST /v1/surcharges/{method}/versions/{version}/confirm, by another than who set it."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("surcharge_confirmations", body, *call.names)
    number, version = method(call.names[0]), _version(call.names[1])
    answer = await versions.confirm_surcharge(house.context, claim, call.caller, number, version)
    return kept(replies.OK, answer)


async def of_batch(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches/{id}/changes: what its approval answers for, beside the sums."""
    call.query()
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    return Reply(replies.OK, encode.json(await versions.of_batch(house.context, batch)))


def _version(text: str) -> int:
    try:
        return decode.whole_number(text, "version", 1, VERSION_MAX)
    except Refusal:
        raise Refusal("not_found", "Expected the number of a version") from None


def method(name: str) -> int:
    """A way to pay by its name in a path; Refusal not_found."""
    number = decode.METHOD_NUMBERS.get(name)
    if number is None:
        names = ", ".join(decode.METHOD_NUMBERS)
        raise Refusal("not_found", f"Expected a method of {names}")
    return number


def _page(call: Call) -> tuple[int, int]:
    """(the version to begin below, how many); Refusal malformed."""
    told = call.query("cursor", "limit")
    before = decode.whole_number(told.get("cursor", str(VERSION_MAX)), "cursor", 1, VERSION_MAX)
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    return before, limit


def _paged(shown: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    cursor = str(shown[limit - 1]["version"]) if len(shown) > limit else None
    return {"versions": shown[:limit], "next_cursor": cursor}
