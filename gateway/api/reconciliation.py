"""Views of reconciliation: arrival terms, a payment's money, the worklist, the summary of a day."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from gateway.api import bodies, decode, encode, replies, strict_json
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.refusals import Refusal
from gateway.flows import worklist
from gateway.methods.pan import contains_pan
from gateway.reconciliation.store import Step
from gateway.reconciliation.terms import ArrivalTerms

OLDER_DAYS_MAX: Final = 3_650
NAME_LENGTH_MAX: Final = 64
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_terms: Final = msgspec.json.Decoder(ArrivalTerms)
_resolution: Final = msgspec.json.Decoder(bodies.DiscrepancyBody)
_no_body: Final = msgspec.json.Decoder(bodies.NoBody)
_rejection: Final = msgspec.json.Decoder(bodies.CancellationBody)


async def show_terms(house: House, call: Call) -> Reply:
    """GET /v1/arrival-terms/{caller}."""
    call.query()
    terms = await worklist.terms_of(house.context, call.names[0])
    return Reply(replies.OK, encode.json(msgspec.to_builtins(terms)))


async def put_terms(house: House, call: Call) -> Reply:
    """PUT /v1/arrival-terms/{caller}, for the statements and reports that come from now on."""
    terms = strict_json.decode(_terms, call.content)
    await worklist.set_terms(house.context, call.caller, call.names[0], terms)
    return Reply(replies.OK, encode.json(msgspec.to_builtins(terms)))


async def arrival(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}/arrival."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    found = await worklist.arrival(house.context, call.caller, payment)
    return Reply(replies.OK, encode.json(found))


async def listed(house: House, call: Call) -> Reply:
    """GET /v1/discrepancies, the oldest first, a page at a time."""
    told = call.query("state", "kind", "side", "acquirer", "older_than", "cursor", "limit")
    for name, words in (("state", (*worklist.STATES, "all")), ("side", worklist.SIDES)):
        if told.get(name, words[0]) not in words:
            raise Refusal("malformed", f"Expected {name} one of {', '.join(words)}")
    _check_name(told.get("acquirer"))
    older = None
    if "older_than" in told:
        days = decode.whole_number(told["older_than"], "older_than", 0, OLDER_DAYS_MAX)
        older = timedelta(days=days)
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    found = await worklist.listed(house.context, told, older, told.get("cursor"), limit)
    return Reply(replies.OK, encode.json(found))


async def show(house: House, call: Call) -> Reply:
    """GET /v1/discrepancies/{id}."""
    call.query()
    return Reply(replies.OK, encode.json(await worklist.show(house.context, call.names[0])))


async def resolve(house: House, call: Call) -> Reply:
    """POST /v1/discrepancies/{id}/resolve: nothing without a document."""
    body = strict_json.decode(_resolution, call.content)
    claim = call.claim("resolved_discrepancies", body, call.names[0])
    evidence = body.evidence
    if evidence.sha256 is None and evidence.text is None:
        raise Refusal("malformed", "Expected sha256 or text of the document")
    if evidence.sha256 is not None and _SHA256.fullmatch(evidence.sha256) is None:
        raise Refusal("malformed", "Expected sha256 of 64 hexadecimal digits")
    for text in (evidence.name, evidence.number, evidence.text):
        _check_words(text)
    step = Step(
        0,
        "resolve",
        body.outcome,
        evidence.name,
        evidence.number,
        evidence.date,
        evidence.sha256,
        evidence.text,
        None,
        datetime.fromtimestamp(0, UTC),
        "",
    )
    answer = await worklist.resolve(house.context, claim, call.caller, call.names[0], step)
    return kept(replies.OK, answer)


async def confirm(house: House, call: Call) -> Reply:
    """POST /v1/discrepancies/{id}/confirm, by another person than who resolved it."""
    body = strict_json.decode(_no_body, call.content or b"{}")
    claim = call.claim("confirmed_discrepancies", body, call.names[0])
    answer = await worklist.decide(house.context, claim, call.caller, call.names[0], None)
    return kept(replies.OK, answer)


async def reject(house: House, call: Call) -> Reply:
    """POST /v1/discrepancies/{id}/reject: it is open again."""
    body = strict_json.decode(_rejection, call.content)
    claim = call.claim("rejected_discrepancies", body, call.names[0])
    _check_words(body.reason)
    answer = await worklist.decide(house.context, claim, call.caller, call.names[0], body.reason)
    return kept(replies.OK, answer)


async def day(house: House, call: Call) -> Reply:
    """GET /v1/reconciliation: the four sides of a day's payments."""
    told = call.query("day", "acquirer")
    of = None
    if "day" in told:
        try:
            of = decode.business_date(date.fromisoformat(told["day"]))
        except ValueError:
            raise Refusal("malformed", "Expected day as yyyy-mm-dd") from None
    _check_name(told.get("acquirer"))
    async with house.report_turns:
        found = await worklist.day(house.context, of, told.get("acquirer"))
    return Reply(replies.OK, encode.json(found))


def _check_name(acquirer: str | None) -> None:
    if acquirer is not None and not 1 <= len(acquirer) <= NAME_LENGTH_MAX:
        raise Refusal("malformed", f"Expected an acquirer's name of 1..{NAME_LENGTH_MAX}")


def _check_words(text: str | None) -> None:
    if text is None:
        return
    if "\x00" in text or not text.strip():
        raise Refusal("malformed", "Expected words")
    if contains_pan(text):
        raise Refusal("pan_not_allowed", "Expected words without a card number")
