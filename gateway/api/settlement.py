"""Views of settlement batches: close, approve, send, cancel, payout files and reports."""

from contextlib import aclosing
from typing import Final

import msgspec
from aiohttp import HttpVersion10, web

from gateway.api import bodies, decode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.refusals import Refusal
from gateway.flows import acts, agreements, batch_life, close_batch, reports
from gateway.methods.pan import contains_pan

# The 1C exchange is text of windows-1251 by its own header.
PAYOUT_FILE_TYPES: Final = {
    "1c": "text/plain; charset=windows-1251",
    "ed101": "application/xml; charset=windows-1251",
    "pain001": "application/xml; charset=utf-8",
}
_ENDINGS: Final = {"1c": "txt", "ed101": "xml", "pain001": "xml"}
REPORT_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "json": replies.JSON,
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

ACT_TYPE: Final = "application/pdf"

# Whether a batch was claimed for sending by this very request, so that two who fetch one file know
# which of them sends it.
CLAIM_HEADER: Final = "Payout-Claim"
CLAIMED_NOW: Final = replies.header(CLAIM_HEADER, "now")
CLAIMED_BEFORE: Final = replies.header(CLAIM_HEADER, "before")

_batch_body = msgspec.json.Decoder(bodies.SettlementBatchBody)
_approval_body = msgspec.json.Decoder(bodies.ApprovalBody)
_cancellation_body = msgspec.json.Decoder(bodies.CancellationBody)


async def close(house: House, call: Call) -> Reply:
    """POST /v1/settlement-batches."""
    body = strict_json.decode(_batch_body, call.content or b"{}")
    claim = call.claim("settlement_batches", body)
    day = decode.business_date(body.business_date)
    return kept(replies.CREATED, await close_batch.close(house.context, claim, call.caller, day))


async def approve(house: House, call: Call) -> Reply:
    """POST /v1/settlement-batches/{id}/approve, by another person than who closed it."""
    body = strict_json.decode(_approval_body, call.content or b"{}")
    claim = call.claim("approvals", body, call.names[0])
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    reason = _reason(body.override)
    answer = await close_batch.approve(house.context, claim, call.caller, batch, reason)
    return kept(replies.OK, answer)


async def send(house: House, call: Call) -> Reply:
    """POST /v1/settlement-batches/{id}/send: only one claim of a batch succeeds."""
    body = strict_json.decode(_approval_body, call.content or b"{}")
    claim = call.claim("payout_claims", body, call.names[0])
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    reason = _reason(body.override)
    answer = await batch_life.send(house.context, claim, call.caller, batch, reason)
    return kept(replies.OK, answer)


async def cancel(house: House, call: Call) -> Reply:
    """POST /v1/settlement-batches/{id}/cancel: what it owed is owed again."""
    body = strict_json.decode(_cancellation_body, call.content)
    claim = call.claim("cancellations", body, call.names[0])
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    reason = _reason(body.reason) or ""
    answer = await batch_life.cancel(house.context, claim, call.caller, batch, reason)
    return kept(replies.OK, answer)


def _reason(text: str | None) -> str | None:
    """A reason that is one; Refusals malformed, pan_not_allowed."""
    if text is None:
        return None
    if "\x00" in text or not text.strip():
        raise Refusal("malformed", "Expected a reason in words")
    if contains_pan(text):
        raise Refusal("pan_not_allowed", "Expected a reason without a card number")
    return text


async def payout_file(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches/{id}/payout-file: the same bytes for ever; the first claims."""
    kind = _format(call, "1c", PAYOUT_FILE_TYPES)
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    content, claimed = await batch_life.fetch(house.context, call.caller, batch, kind)
    name = f"{call.names[0]}.{kind}.{_ENDINGS[kind]}"
    extra = _as_file(name) + (CLAIMED_NOW if claimed else CLAIMED_BEFORE)
    return Reply(replies.OK, content, PAYOUT_FILE_TYPES[kind], extra)


async def report(house: House, call: Call) -> web.StreamResponse:
    """GET /v1/settlement-batches/{id}/reports/{recipient}, a row a share, in chunks."""
    kind = _format(call, "", REPORT_TYPES)
    recipient = call.names[1]
    own = call.caller.recipient
    if own is not None and own != recipient:
        raise Refusal("forbidden", "Expected a report of your own")
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    if not kind:
        kind = await agreements.report_format(house.context, recipient) or "csv"
    pieces = await reports.report(house.context, batch, recipient, kind)
    name = f"{call.names[0]}.{kind}"
    headers = {
        "Content-Type": REPORT_TYPES[kind],
        "Content-Disposition": f'attachment; filename="{name}"',
        **replies.SAFE_HEADERS,
    }
    response = web.StreamResponse(status=replies.OK, headers=headers)
    if call.request.version == HttpVersion10:
        response.force_close()
    async with aclosing(pieces):
        await response.prepare(call.request)
        async for piece in pieces:
            if piece:
                await response.write(piece)
        await response.write_eof()
    return response


async def act(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches/{id}/reports/{recipient}/act: the same bytes for ever."""
    call.query()
    recipient = call.names[1]
    own = call.caller.recipient
    if own is not None and own != recipient:
        raise Refusal("forbidden", "Expected an act of your own")
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    content = await acts.act(house.context, house.press, batch, recipient)
    return Reply(replies.OK, content, ACT_TYPE, _as_file(f"{call.names[0]}.act.pdf"))


def _format(call: Call, default: str, known: dict[str, str]) -> str:
    told = call.query("format").get("format")
    if told is not None and told not in known:
        raise Refusal("malformed", f"Expected format one of {', '.join(known)}")
    return default if told is None else told


def _as_file(name: str) -> bytes:
    return replies.header("Content-Disposition", f'attachment; filename="{name}"')
