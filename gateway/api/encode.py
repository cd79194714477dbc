"""Results to bytes, field by field as the contract has them. Pure.

orjson writes the objects; lists of shares go through msgspec, which knows their type.
"""

from typing import Any, Final

import msgspec
import orjson

from gateway.domain import ids
from gateway.domain.party import Recipient
from gateway.domain.payment import METHODS, Payment, RecipientAmount, Share
from splitcore import FeeRule

_encode: Final = msgspec.json.Encoder().encode
_UTC_Z: Final = orjson.OPT_UTC_Z
_TYPES: Final = tuple(b'{"type":"%b"' % name.encode() for name in METHODS)


def payment(found: Payment) -> bytes:
    """A payment as POST and GET answer it."""
    return orjson.dumps(payment_members(found), option=_UTC_Z)


def payment_members(found: Payment) -> dict[str, Any]:
    """The members of a payment's object, ready for orjson."""
    members: dict[str, Any] = {
        "id": ids.PAYMENT + found.id.hex,
        "state": found.state,
        "subscriber_account": found.subscriber_account,
        "amount": found.amount,
        "surcharge": found.surcharge,
        "total": found.amount + found.surcharge,
        "charges": found.charges,
        "shares": shares(found.shares),
        "recipients": recipient_amounts(found.recipients),
        "method": method(found.method, found.facts),
        "plan": found.plan,
        "accepted_at": found.accepted_at,
        "currency": "RUB",
        "period": found.period,
        "refunded": found.refunded,
    }
    if found.designation:
        members["designation"] = dict(found.designation)
    if found.reference is not None:
        members["reference"] = found.reference
    if found.paid_at is not None:
        members["paid_at"] = found.paid_at
    return members


def payments(page: list[Payment], cursor: str | None) -> bytes:
    """A page of payments and where the next one begins."""
    return orjson.dumps(
        {"payments": [payment_members(found) for found in page], "next_cursor": cursor},
        option=_UTC_Z,
    )


def shares(found: list[Share]) -> orjson.Fragment:
    """Shares as `[{"charge", "service", "recipient", "amount"}]`."""
    return orjson.Fragment(_encode(found))


def recipient_amounts(found: list[RecipientAmount]) -> orjson.Fragment:
    """What each recipient receives: `[{"recipient", "gross", "commission", "net"}]`."""
    return orjson.Fragment(_encode(found))


def method(number: int, facts: bytes) -> orjson.Fragment:
    """The method's type in front of the facts that were kept of it, a JSON object."""
    inner = facts.strip()[1:]
    joint = b"" if inner.lstrip() == b"}" else b","
    return orjson.Fragment(_TYPES[number] + joint + inner)


def quote(account: str, found: Any) -> bytes:
    """The allocation a payment would get."""
    return orjson.dumps(
        {
            "subscriber_account": account,
            "amount": found.amount,
            "surcharge": found.surcharge,
            "total": found.amount + found.surcharge,
            "charges": found.charges,
            "shares": shares(found.shares),
            "recipients": recipient_amounts(found.recipients),
            "plan": found.plan,
            "period": found.period,
        }
    )


def bulk_outcome(index: int, status: int, found: Payment, replayed: bool) -> bytes:
    """One line of a bulk answer for a payment that is durable."""
    members: dict[str, Any] = {"index": index, "status": status}
    members.update(payment_members(found))
    if replayed:
        members["replayed"] = True
    return orjson.dumps(members, option=_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def bulk_problem(index: int, members: dict[str, object]) -> bytes:
    """One line of a bulk answer for a payment that was not taken."""
    return orjson.dumps({"index": index, **members}, option=orjson.OPT_APPEND_NEWLINE)


def recipient_members(found: Recipient) -> dict[str, Any]:
    """A recipient with its requisites."""
    account = found.bank_account
    members: dict[str, Any] = {
        "id": found.id,
        "name": found.name,
        "kind": found.kind,
        "inn": found.inn,
        "kpp": found.kpp,
        "bank_account": {
            "bic": account.bic,
            "number": account.number,
            "correspondent": account.correspondent,
        },
        "commission": None if found.commission is None else fee_members(found.commission),
    }
    return members


def fee_members(rule: FeeRule) -> dict[str, int | None]:
    """A fee rule with every field."""
    return {"ppm": rule.ppm, "fixed": rule.fixed, "min": rule.min, "max": rule.max}


def json(members: Any) -> bytes:
    """Any other answer that is made of plain values."""
    return orjson.dumps(members, option=_UTC_Z)
