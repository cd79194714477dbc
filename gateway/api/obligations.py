"""Views of obligations: load, as a body or a file, list, show, and withdraw by two people."""

from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec

from gateway.api import bodies, decode, encode, reading, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.obligation_lines import DebtFile, debt_of
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.api.spool import Spool
from gateway.domain import ids
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows import answers, load_debts, obligations
from gateway.methods.pan import contains_pan

# So many fit a body, all of which are taken or none; a greater registry is a file.
LOADED_MAX: Final = 256
FILE_TYPES: Final = ("application/octet-stream", "application/x-ndjson", "text/csv", "text/plain")
_NUMBER_MAX: Final = 2**31 - 1

_load_body = msgspec.json.Decoder(bodies.ObligationsBody)
_withdrawal_body = msgspec.json.Decoder(bodies.WithdrawalBody)
_no_body = msgspec.json.Decoder(bodies.NoBody)


async def load(house: House, call: Call) -> Reply:
    """POST /v1/obligations: all of them or none."""
    body = strict_json.decode(_load_body, call.content)
    claim = call.claim("obligations", body)
    if not 1 <= len(body.obligations) <= LOADED_MAX:
        raise Refusal("malformed", f"Expected 1..{LOADED_MAX} obligations")
    told = [debt_of(one, f"obligation {at}") for at, one in enumerate(body.obligations)]
    return kept(replies.CREATED, await obligations.load(house.context, claim, call.caller, told))


async def load_file(house: House, call: Call) -> Reply:
    """POST /v1/obligation-files: a debt a line, each with its own verdict.

    Nothing is done before the whole file is here.
    """
    key, settings = call.key(), house.context.settings
    call.query()
    digest = blake2b(digest_size=decode.FINGERPRINT_SIZE)
    with Spool() as spool:
        file = DebtFile(spool, settings.upload_bytes_max)
        async for piece in reading.chunks(call.request, settings.body_timeout_s):
            digest.update(piece)
            file.feed(piece)
        claim = Claim(call.caller.number, key, "obligation_files", digest.digest())

        async def act(_: UUID) -> bytes:
            return encode.json(await load_debts.load(house.context, call.caller, file.bunches()))

        return kept(replies.OK, await answers.once_in_parts(house.context, claim, act))


async def list_all(house: House, call: Call) -> Reply:
    """GET /v1/obligations: a recipient's key sees what it owes and what is owed to it."""
    told = call.query("recipient", "open", "after", "limit")
    own, recipient = call.caller.recipient, told.get("recipient")
    if own is not None and recipient not in (None, own):
        raise Refusal("forbidden", "Expected no recipient but your own")
    if told.get("open", "true") not in ("true", "false"):
        raise Refusal("malformed", "Expected open to be true or false")
    is_open = told["open"] == "true" if "open" in told else None
    after = decode.whole_number(told.get("after", "0"), "after", 0, _NUMBER_MAX)
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    found = await obligations.list_all(house.context, after, own or recipient, is_open, limit)
    return Reply(replies.OK, encode.json(found))


async def show(house: House, call: Call) -> Reply:
    """GET /v1/obligations/{id}, with its latest transfers and withdrawals."""
    call.query()
    obligation = decode.path_id(ids.OBLIGATION, call.names[0])
    found = await obligations.show(house.context, obligation, call.caller.recipient)
    return Reply(replies.OK, encode.json(found))


async def withdraw(house: House, call: Call) -> Reply:
    """POST /v1/obligations/{id}/withdraw: asked for, and nothing more."""
    body = strict_json.decode(_withdrawal_body, call.content)
    claim = call.claim("obligation_withdrawals", body, call.names[0])
    obligation = decode.path_id(ids.OBLIGATION, call.names[0])
    if body.amount is not None:
        decode.check_amount(body.amount)
    if "\x00" in body.reason or not body.reason.strip():
        raise Refusal("malformed", "Expected a reason in words")
    if contains_pan(body.reason):
        raise Refusal("pan_not_allowed", "Expected a reason without a card number")
    answer = await obligations.ask_withdrawal(
        house.context, claim, call.caller, obligation, body.amount, body.reason
    )
    return kept(replies.CREATED, answer)


async def approve_withdrawal(house: House, call: Call) -> Reply:
    """POST /v1/obligation-withdrawals/{id}/approve, by another person than who asked."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("withdrawal_approvals", body, call.names[0])
    withdrawal = decode.path_id(ids.WITHDRAWAL, call.names[0])
    answer = await obligations.approve_withdrawal(house.context, claim, call.caller, withdrawal)
    return kept(replies.OK, answer)
