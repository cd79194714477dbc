"""Views of obligations: load, list, show, and withdraw by two people."""

from typing import Final

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.bill import NAME_LENGTH_MAX
from gateway.domain.refusals import Refusal
from gateway.flows import obligations
from gateway.methods.pan import contains_pan
from gateway.obligations.store import NewObligation

# So many fit a body; a greater registry is told in parts, each of which is taken whole.
LOADED_MAX: Final = 256
SERVICES_MAX: Final = 64
DOCUMENT_LENGTH_MAX: Final = 64
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
    told = [_checked(one, f"obligation {at}") for at, one in enumerate(body.obligations)]
    return kept(replies.CREATED, await obligations.load(house.context, claim, call.caller, told))


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


def _checked(body: bodies.ObligationBody, where: str) -> NewObligation:
    """The debt of a body; Refusals malformed, amount_out_of_range, pan_not_allowed."""
    decode.check_amount(body.amount)
    if body.debtor == body.creditor:
        raise Refusal("malformed", f"Expected a debtor who is not the creditor in {where}")
    if not _is_name(body.document_number, DOCUMENT_LENGTH_MAX):
        raise Refusal(
            "malformed", f"Expected document_number of 1..{DOCUMENT_LENGTH_MAX} letters in {where}"
        )
    services = body.services
    if len(services) > SERVICES_MAX or len(set(services)) < len(services):
        raise Refusal(
            "malformed", f"Expected at most {SERVICES_MAX} services, each once, in {where}"
        )
    if not all(1 <= len(text) <= NAME_LENGTH_MAX and "\x00" not in text for text in services):
        raise Refusal(
            "malformed", f"Expected services of 1..{NAME_LENGTH_MAX} characters in {where}"
        )
    if any(map(contains_pan, services)):
        raise Refusal("pan_not_allowed", "Expected no full card number in services, was one")
    decode.check_day(body.document_date, "document_date")
    return NewObligation(
        body.debtor,
        body.creditor,
        tuple(sorted(services)),
        body.amount,
        body.document_number,
        body.document_date,
    )


def _is_name(text: str, longest: int) -> bool:
    """Some letters and no control characters: it stands in reports, a row of which is one line."""
    return 1 <= len(text) <= longest and bool(text.strip()) and text.isprintable()
