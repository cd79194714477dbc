"""Views of agreements: propose, approve, reject, show."""

import re
from datetime import date, time
from zoneinfo import ZoneInfo

import msgspec

from gateway.api import agreement_words, decode, encode, replies, strict_json
from gateway.api.agreement_words import AgreementBody, TariffBody
from gateway.api.call import Call, House
from gateway.api.payments import PAGE_DEFAULT, PAGE_MAX, kept
from gateway.api.replies import Reply
from gateway.domain import ids
from gateway.domain.agreement import (
    CARRY_DAYS_MAX,
    CATEGORY_LENGTH_MAX,
    CONTRACT_LENGTH_MAX,
    Agreement,
    Requisites,
    SecondLevelPercent,
    Tariff,
)
from gateway.domain.bill import NAME_LENGTH_MAX
from gateway.domain.party import BankAccount
from gateway.domain.refusals import Refusal
from gateway.flows import agreements
from gateway.methods.pan import contains_pan
from splitcore import AMOUNT_MAX

_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_STATES = ("proposed", "approved", "rejected")

_agreement_body = msgspec.json.Decoder(AgreementBody)
_decision_body = msgspec.json.Decoder(agreement_words.DecisionBody)
_rejection_body = msgspec.json.Decoder(agreement_words.RejectionBody)


async def propose(house: House, call: Call) -> Reply:
    """POST /v1/agreements: in force only once another person approves it."""
    body = strict_json.decode(_agreement_body, call.content)
    claim = call.claim("agreements", body)
    content = agreement(body, house.context.settings.timezone)
    answer = await agreements.propose(
        house.context, claim, call.caller, ids.new_id(), content, body.accept_inn
    )
    return kept(replies.CREATED, answer)


async def approve(house: House, call: Call) -> Reply:
    """POST /v1/agreements/{id}/approve, by another person than who proposed it."""
    body = strict_json.decode(_decision_body, call.content or b"{}")
    return await _decided(house, call, body, body.reason, "approved")


async def reject(house: House, call: Call) -> Reply:
    """POST /v1/agreements/{id}/reject."""
    body = strict_json.decode(_rejection_body, call.content)
    return await _decided(house, call, body, body.reason, "rejected")


async def _decided(
    house: House, call: Call, body: msgspec.Struct, reason: str | None, state: str
) -> Reply:
    claim = call.claim("agreement_decisions", body, call.names[0], state)
    id_ = decode.path_id(ids.AGREEMENT, call.names[0])
    if reason is not None:
        reason = _text(reason, "reason", len(reason))
    answer = await agreements.decide(house.context, claim, call.caller, id_, state, reason)
    return kept(replies.OK, answer)


async def show(house: House, call: Call) -> Reply:
    """GET /v1/agreements/{id}; a recipient sees its own."""
    call.query()
    id_ = decode.path_id(ids.AGREEMENT, call.names[0])
    return Reply(replies.OK, encode.json(await agreements.show(house.context, call.caller, id_)))


async def list_all(house: House, call: Call) -> Reply:
    """GET /v1/agreements, the newest version first; a recipient sees its own."""
    told = call.query("recipient", "acquirer", "state", "cursor", "limit")
    recipient = told.get("recipient")
    own = call.caller.recipient
    if own is not None:
        if recipient not in (None, own) or "acquirer" in told:
            raise Refusal("forbidden", "Expected agreements of your own")
        recipient = own
    for name in ("recipient", "acquirer"):
        if name in told:
            _text(told[name], name, NAME_LENGTH_MAX)
    if recipient is not None and _ID.fullmatch(recipient) is None:
        raise Refusal("malformed", "Expected recipient as the id of one")
    state = told.get("state")
    if state not in (None, *_STATES):
        raise Refusal("malformed", f"Expected state one of {', '.join(_STATES)}")
    before = None
    if "cursor" in told:
        before = ids.read_id(ids.AGREEMENT, told["cursor"])
        if before is None:
            raise Refusal("malformed", "Expected cursor as an answer gave it")
    limit = decode.whole_number(told.get("limit", str(PAGE_DEFAULT)), "limit", 1, PAGE_MAX)
    found = await agreements.page(
        house.context, recipient, told.get("acquirer"), state, before, limit + 1
    )
    cursor = found[limit - 1]["id"] if len(found) > limit else None
    return Reply(replies.OK, encode.json({"agreements": found[:limit], "next_cursor": cursor}))


async def of_payment(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}/agreements: the versions that it was split by."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    return Reply(replies.OK, encode.json(await agreements.of_payment(house.context, payment)))


async def acquirer_fees(house: House, call: Call) -> Reply:
    """GET /v1/settlement-batches/{id}/acquirer-fees: the centre's cost."""
    call.query()
    batch = decode.path_id(ids.SETTLEMENT_BATCH, call.names[0])
    return Reply(replies.OK, encode.json(await agreements.acquirer_fees(house.context, batch)))


def agreement(body: AgreementBody, time_zone: str) -> Agreement:
    """The agreement of a body; fees and requisites are checked where they are stored.

    Refusals malformed, pan_not_allowed.
    """
    if (body.recipient is None) == (body.acquirer is None):
        raise Refusal("malformed", "Expected exactly one of recipient and acquirer")
    for day, name in ((body.valid_from, "valid_from"), (body.valid_until, "valid_until")):
        _check_day(day, name)
    if body.valid_until is not None and body.valid_until < body.valid_from:
        raise Refusal("malformed", "Expected valid_until not before valid_from")
    if not 0 <= body.minimum_payout <= AMOUNT_MAX:
        raise Refusal("amount_out_of_range", f"Expected minimum_payout in 0..{AMOUNT_MAX} kopecks")
    if not 0 <= body.carry_days <= CARRY_DAYS_MAX:
        raise Refusal("malformed", f"Expected carry_days in 0..{CARRY_DAYS_MAX}")
    tariffs = tuple(_tariff(cell) for cell in body.tariffs)
    if len({(cell.channel, cell.category) for cell in tariffs}) < len(tariffs):
        raise Refusal("malformed", "Expected one cell of a channel and a payer_category")
    if body.acquirer is not None:
        _check_acquirer(body)
    return Agreement(
        recipient=None if body.recipient is None else _text(body.recipient, "recipient", 64),
        acquirer=None if body.acquirer is None else _text(body.acquirer, "acquirer", 64),
        contract=_text(body.contract, "contract", CONTRACT_LENGTH_MAX),
        valid_from=body.valid_from,
        valid_until=body.valid_until,
        time_zone=_zone(body.time_zone or time_zone),
        cut_off=_cut_off(body.cut_off),
        tariffs=tariffs,
        second_level=tuple(
            SecondLevelPercent(
                None if entry.service is None else _text(entry.service, "service", NAME_LENGTH_MAX),
                _text(entry.recipient, "recipient", NAME_LENGTH_MAX),
                entry.ppm,
            )
            for entry in body.second_level
        ),
        requisites=_requisites(body.requisites),
        minimum_payout=body.minimum_payout,
        carry_days=body.carry_days,
        report_format=body.report_format,
    )


def _check_acquirer(body: AgreementBody) -> None:
    own = body.second_level or body.requisites or body.minimum_payout or body.report_format
    if own or any(cell.above or cell.payer_category for cell in body.tariffs):
        raise Refusal("malformed", "Expected of an acquirer tariffs by channel from below alone")


def _check_day(day: date | None, name: str) -> None:
    if day is not None and not 2000 <= day.year <= 2199:
        raise Refusal("malformed", f"Expected {name} in the years 2000..2199")


def _tariff(cell: TariffBody) -> Tariff:
    channel = None
    if cell.channel is not None:
        channel = decode.METHOD_NUMBERS.get(cell.channel)
        if channel is None:
            raise Refusal(
                "malformed", f"Expected channel one of {', '.join(decode.METHOD_NUMBERS)}"
            )
    category = cell.payer_category
    return Tariff(
        channel,
        None if category is None else _text(category, "payer_category", CATEGORY_LENGTH_MAX),
        None if cell.above is None else decode.fee_rule(cell.above),
        None if cell.below is None else decode.fee_rule(cell.below),
    )


def _requisites(body: agreement_words.RequisitesBody | None) -> Requisites | None:
    if body is None:
        return None
    account = body.bank_account
    return Requisites(
        body.name,
        body.inn,
        body.kpp,
        BankAccount(account.bic, account.number, account.correspondent, account.bank_name),
    )


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Refusal("malformed", "Expected time_zone as the IANA database names it") from None
    return name


def _cut_off(text: str | None) -> time | None:
    if text is None:
        return None
    if _TIME.fullmatch(text) is None:
        raise Refusal("malformed", "Expected cut_off as HH:MM")
    return time.fromisoformat(text)


def _text(text: str, name: str, most: int) -> str:
    if not 1 <= len(text) <= most or not text.strip() or not text.isprintable():
        raise Refusal("malformed", f"Expected {name} of 1..{most} printable characters")
    if contains_pan(text):
        raise Refusal("pan_not_allowed", f"Expected {name} without a card number")
    return text
