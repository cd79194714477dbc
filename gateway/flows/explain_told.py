"""An explanation as it is told: everything, or to a recipient its own shares alone (pure).

What is worked out here has to be what is stored; a difference is a bug, and is told as one.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.audit.history import Found
from gateway.audit.replay import AuditPlan
from gateway.audit.terms import Terms
from gateway.corrections.store import Entry
from gateway.domain.bill import BY_WEIGHTS, REJECT
from gateway.domain.ids import (
    AGREEMENT,
    CHARGEBACK,
    CORRECTION,
    PAYMENT,
    REFUND,
    REVERSAL,
    shown,
)
from gateway.domain.lots import Lot, Move
from gateway.domain.refusals import InvariantBroken
from gateway.flows.explain_taken import Taking, takings
from gateway.journal.rows import PaymentRow, RefundRow
from gateway.splitting.explain import Bill, Explained, explain
from splitcore import FeeRule, fee, unpack

_PREFIXES: Final = {
    "refund": REFUND,
    "correction": CORRECTION,
    "chargeback": CHARGEBACK,
    "reversal": REVERSAL,
}
_LOT: Final = "lot_"


class Gathered(Struct):
    """All that the database has of a payment and of the accounts that it is on."""

    row: PaymentRow
    moves: Sequence[Move]
    refunds: Sequence[RefundRow]
    entries: Mapping[UUID, Entry]
    asked: Mapping[UUID, str]
    lots: dict[UUID, Lot]
    plans: dict[int, AuditPlan]
    histories: dict[str, tuple[list[Any], list[Any]]]
    terms: Terms
    names: Mapping[int, str]
    periods: dict[UUID, str]
    agreements: dict[UUID, list[tuple[UUID, str, str, date, int]]]


def _parts(gathered: Gathered, number: int) -> list[tuple[int, str, str, int]]:
    """Of each part of a plan its charge, service, recipient and the recipient's index."""
    plan = gathered.plans[number]
    return [
        (charge, plan.services[charge], gathered.names[plan.recipients[recipient]], recipient)
        for charge, recipient in zip(
            plan.reference.part_charge, plan.reference.part_recipient, strict=True
        )
    ]


def takings_of(gathered: Gathered) -> list[Taking]:
    """What was taken of the payment's lots, or given back to them, oldest first."""

    def names(lot: Lot) -> list[tuple[int, str, str, int]]:
        return _parts(gathered, lot.plan)

    return list(
        takings(
            gathered.lots,
            gathered.refunds,
            gathered.moves,
            gathered.entries,
            gathered.asked,
            names,
        )
    )


def split_told(
    gathered: Gathered, lot: UUID, found: Found | None, own: str | None, terms: bool
) -> dict[str, Any] | None:
    """One split as it is told; None where the recipient has nothing of it.

    Without `terms` nothing is told of what was agreed with recipients.
    """
    move = next((one for one in gathered.moves if one.id == lot), None)
    if found is None:
        return None if move is None else _alike(gathered, move, own)
    explained = _explained(found)
    parts = _parts(gathered, found.event["plan"])
    shares: list[dict[str, Any]] = [
        {
            "charge": charge,
            "service": service,
            "recipient": recipient,
            "amount": kopecks,
            "workings": [msgspec.structs.asdict(one) for one in explained.charges[charge]],
            "second_level": msgspec.structs.asdict(explained.parts[at]),
        }
        for at, ((charge, service, recipient, _), kopecks) in enumerate(
            zip(parts, found.parts, strict=True)
        )
        if kopecks and own in (None, recipient)
    ]
    if own is not None and not shares:
        return None
    event = found.event
    return {
        **_head(gathered, lot, move),
        "at": event["at"],
        "amount": None if own else event["amount"],
        "terms_version": event["terms_version"],
        "agreements": [
            {
                "id": shown(AGREEMENT, version),
                "recipient": whose,
                "contract": contract,
                "valid_from": day,
            }
            for version, whose, contract, day, _ in gathered.agreements[lot]
            if terms and own in (None, whose)
        ],
        "designation": None if own else dict(found.designation),
        "overpayment": None if own else _policy(found.overpayment),
        "charges": None if own else _charges(gathered, found, explained),
        "shares": shares,
        "recipients": _recipients(gathered, found, own) if terms else [],
    }


def _head(gathered: Gathered, lot: UUID, move: Move | None) -> dict[str, Any]:
    if move is None:
        row = gathered.row
        return {
            "id": shown(PAYMENT, lot),
            "kind": "resolution" if row.resolved else "payment",
            "entry": None,
            "subscriber_account": row.placed_on,
            "period": row.period,
        }
    return {
        "id": shown(_LOT, lot),
        "kind": move.kind,
        "entry": shown(_PREFIXES[move.kind], move.entry),
        "subscriber_account": move.account,
        "period": move.period,
    }


def _alike(gathered: Gathered, move: Move, own: str | None) -> dict[str, Any] | None:
    """Money given to the very same for another period: what was taken, and nothing to work out."""
    shares: list[dict[str, Any]] = [
        {
            "charge": charge,
            "service": service,
            "recipient": recipient,
            "amount": kopecks,
            "workings": [],
            "second_level": None,
        }
        for (charge, service, recipient, _), kopecks in zip(
            _parts(gathered, move.plan), unpack(move.shares), strict=True
        )
        if kopecks and own in (None, recipient)
    ]
    if own is not None and not shares:
        return None
    return {
        **_head(gathered, move.id, move),
        "at": move.at,
        "amount": None if own else move.amount,
        "terms_version": None,
        "agreements": [],
        "designation": None,
        "overpayment": None,
        "charges": None,
        "shares": shares,
        "recipients": [],
    }


def _explained(found: Found) -> Explained:
    plan = found.plan
    index = plan.service_index
    bill = Bill(
        tiers=plan.reference.tiers,
        services=[index[name] for name in plan.services],
        second_level=[[ppm for _, ppm in parts] for parts in plan.reference.by_charge],
        owed=_owed(found),
        weights=found.weights,
        overpayment=found.overpayment,
    )
    designation = [(index[name], kopecks) for name, kopecks in found.designation]
    explained = explain(bill, found.event["amount"], designation)
    if [one.amount for one in explained.parts] != list(found.parts):
        raise InvariantBroken("Expected the shares that are stored to be what the rules give")
    return explained


def _owed(found: Found) -> list[int]:
    return [max(0, due - paid) for due, paid in zip(found.due, found.paid, strict=True)]


def _policy(overpayment: int) -> object:
    named = {BY_WEIGHTS: "weights", REJECT: "reject"}
    return named.get(overpayment, {"charge": overpayment})


def _charges(gathered: Gathered, found: Found, explained: Explained) -> list[dict[str, Any]]:
    plan = found.plan
    names = [gathered.names[number] for number in plan.recipients]
    return [
        {
            "charge": at,
            "service": plan.services[at],
            "tier": plan.reference.tiers[at],
            "due": found.due[at],
            "paid": found.paid[at],
            "owed": owed,
            "weight": found.weights[at],
            "received": received,
            "second_level": [
                {"recipient": names[recipient], "ppm": ppm}
                for recipient, ppm in plan.reference.by_charge[at]
            ],
        }
        for at, (owed, received) in enumerate(zip(_owed(found), explained.received, strict=True))
    ]


def _recipients(gathered: Gathered, found: Found, own: str | None) -> list[dict[str, Any]]:
    told = []
    gross = found.plan.by_recipient(found.parts)
    for at, number in enumerate(found.plan.recipients):
        rule = found.tariff.commissions[at]
        withheld = min(fee(gross[at], rule or FeeRule()), gross[at])
        if withheld != found.commissions[at]:
            raise InvariantBroken(
                "Expected the commission that is stored to be what its rule gives"
            )
        if gross[at] and own in (None, gathered.names[number]):
            told.append(
                {
                    "recipient": gathered.names[number],
                    "gross": gross[at],
                    "rule": None if rule is None else rule._asdict(),
                    "commission": withheld,
                    "net": gross[at] - withheld,
                }
            )
    return told


def surcharge_told(gathered: Gathered, found: Found | None, terms: bool) -> dict[str, Any]:
    """What the payer paid on top, and by whose rule where it follows from this split.

    Without `terms` not by which rules of agreements.
    """
    row = gathered.row
    told: dict[str, Any] = {"amount": row.surcharge, "by": "acceptance", "rule": None, "own": []}
    if found is None or row.resolved or found.event["told"]:
        return told
    above = found.tariff.above
    if above is None:
        version = found.event["terms_version"]
        rule = gathered.terms.at("surcharge", row.method, version)
        return {**told, "by": "method", "rule": (rule or FeeRule())._asdict()}
    if not terms:
        return {**told, "by": "agreements"}
    names = [gathered.names[number] for number in found.plan.recipients]
    return {
        "amount": row.surcharge,
        "by": "agreements",
        "rule": (above.rest or FeeRule())._asdict(),
        "own": [
            {"recipient": name, "rule": None if rule is None else rule._asdict()}
            for name, rule, covered in zip(names, above.own, above.covered, strict=True)
            if covered
        ],
    }


def taken_told(gathered: Gathered, one: Taking, own: str | None) -> dict[str, Any] | None:
    shares: list[dict[str, Any]] = []
    for lot, at, working in one.shares:
        charge, service, recipient, _ = _parts(gathered, lot.plan)[at]
        if working.weight and own in (None, recipient):
            of = PAYMENT if lot.id == gathered.row.id else _LOT
            shares.append(
                {
                    "of": shown(of, lot.id),
                    "charge": charge,
                    "service": service,
                    "recipient": recipient,
                    "amount": one.sign * working.amount,
                    "working": msgspec.structs.asdict(working),
                }
            )
    if own is not None and not shares:
        return None
    return {
        "entry": shown(_PREFIXES[one.kind], one.entry),
        "kind": one.kind,
        "at": one.at,
        "amount": None if own else one.sign * one.amount,
        "shares": shares,
        "commissions": [
            msgspec.structs.asdict(back)
            for back in one.commissions
            if own in (None, back.recipient)
        ],
    }
