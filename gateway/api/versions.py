"""Views of what recipients and fees from above were before, and who made them so.

They name people of the centre, so recipients do not see them.
"""

from typing import Any, Final

from gateway.api import decode, encode, replies
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX
from gateway.api.replies import Reply
from gateway.domain.refusals import Refusal
from gateway.flows import set_terms
from gateway.parties.store_versions import RecipientVersion, SurchargeVersion

# A version is one change by a person.
VERSION_MAX: Final = 999_999_999


async def of_recipient(house: House, call: Call) -> Reply:
    """GET /v1/recipients/{id}/versions."""
    before, limit = _page(call)
    found = await set_terms.recipient_versions(house.context, call.names[0], before, limit + 1)
    shown = [_recipient(one) for one in found]
    return Reply(replies.OK, encode.json(_paged(shown, limit)))


async def of_surcharge(house: House, call: Call) -> Reply:
    """GET /v1/surcharges/{method}/versions."""
    number = method(call.names[0])
    before, limit = _page(call)
    found = await set_terms.surcharge_versions(house.context, number, before, limit + 1)
    shown = [_surcharge(one) for one in found]
    return Reply(replies.OK, encode.json({"method": call.names[0], **_paged(shown, limit)}))


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


def _recipient(one: RecipientVersion) -> dict[str, Any]:
    return {
        **encode.recipient_members(one.recipient),
        "version": one.version,
        "terms_version": one.terms_version,
        "set_at": one.set_at.isoformat(),
        "set_by": one.set_by,
    }


def _surcharge(one: SurchargeVersion) -> dict[str, Any]:
    return {
        **encode.fee_members(one.rule),
        "version": one.version,
        "set_at": one.set_at.isoformat(),
        "set_by": one.set_by,
    }
