"""The view of why a payment was split as it was, and the shapes of its answer."""

from datetime import date, datetime
from hashlib import sha256
from typing import Annotated, Final

import orjson
from msgspec import Meta, Struct

from gateway.api import decode, encode, replies
from gateway.api.answers import Kopecks
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.api.routes import Route
from gateway.domain import ids
from gateway.flows.explain_payment import explain_payment

READERS: Final = frozenset({"acquirer", "operator", "auditor", "recipient"})
_PAYMENT_ID = Annotated[str, Meta(pattern="^pay_[0-9a-f]{32}$")]
_NOT_TOLD = Meta(description="Kopecks; null to a recipient")


class WorkingShown(Struct):
    """How one of several got its part of `total`, `weight` being its own of `weights` together.

    By `whole` its weight; by `largest_remainder` floor = total * weight // weights, and one kopeck
    more where rank <= leftover, rank being its place by remainder = total * weight % weights; by
    `rest` all of it.
    """

    step: Annotated[
        str, Meta(description="designation, tier, overpayment, second_level, left or held")
    ]
    tier: int | None
    rule: Annotated[str, Meta(description="whole, largest_remainder or rest")]
    total: int
    weight: int
    weights: int
    floor: int | None
    remainder: int | None
    rank: int | None
    leftover: int | None
    amount: int


class ExplainedShare(Struct):
    """A share: `workings` add up to what its charge received, `second_level` is its part of that.

    Both are empty where money was given to the very same for another period.
    """

    charge: int
    service: str
    recipient: str
    amount: Kopecks
    workings: list[WorkingShown]
    second_level: WorkingShown | None


class PartShown(Struct):
    """What one recipient gets of whatever a charge receives; the charge's own is the last."""

    recipient: str
    ppm: int


class ExplainedCharge(Struct):
    """A charge of the bill as the payment found it: owed = max(0, due - paid)."""

    charge: int
    service: str
    tier: int
    due: Kopecks
    paid: Kopecks
    owed: Kopecks
    weight: int
    received: Kopecks
    second_level: list[PartShown]


class RuleShown(Struct):
    """min(max(half-up(x * ppm / 1,000,000) + fixed, min), max)."""

    ppm: int
    fixed: Kopecks
    min: Kopecks
    max: int | None


class ExplainedRecipient(Struct):
    """What was withheld of a recipient's shares of this split, and by what rule."""

    recipient: str
    gross: Kopecks
    rule: RuleShown | None
    commission: Kopecks
    net: Kopecks


class SplitByAgreement(Struct):
    """A version of an agreement that was in force for the split."""

    id: Annotated[str, Meta(pattern="^agr_[0-9a-f]{32}$")]
    recipient: str
    contract: str
    valid_from: date


class ExplainedSplit(Struct):
    """Money that was split once: the payment, or what a correction gave anew."""

    id: str
    kind: Annotated[str, Meta(description="payment, resolution, correction or reversal")]
    entry: str | None
    subscriber_account: str
    period: str | None
    at: datetime
    amount: Annotated[int | None, _NOT_TOLD]
    terms_version: int | None
    agreements: list[SplitByAgreement]
    designation: dict[str, int] | None
    overpayment: Annotated[object, Meta(description="weights, reject or the charge; or null")]
    charges: list[ExplainedCharge] | None
    shares: list[ExplainedShare]
    recipients: list[ExplainedRecipient]


class TakenShare(Struct):
    """What was taken of a share (below zero) or given back to it."""

    of: str
    charge: int
    service: str
    recipient: str
    amount: int
    working: WorkingShown


class CommissionBackShown(Struct):
    """The commission that goes with what a correction takes of a recipient's gross."""

    recipient: str
    withheld: Kopecks
    gross: Kopecks
    moved_before: Kopecks
    moved_after: Kopecks
    amount: Kopecks


class ExplainedTaking(Struct):
    """A refund, correction, chargeback, or a reversal of one."""

    entry: str
    kind: str
    at: datetime
    amount: Annotated[int | None, _NOT_TOLD]
    shares: list[TakenShare]
    commissions: list[CommissionBackShown]


class OwnSurchargeRule(Struct):
    """What an agreement has payers of a recipient pay on top of its gross; null is nothing."""

    recipient: str
    rule: RuleShown | None


class ExplainedSurcharge(Struct):
    """By `method` it is `rule` of the amount; by `agreements` each rule of its own, and `rule` of
    the rest; by `acceptance` it was told before the split, and does not follow from it.
    """

    amount: Kopecks
    by: str
    rule: RuleShown | None
    own: list[OwnSurchargeRule]


class ExplanationShown(Struct):
    """Every split of a payment and what was taken of it; to a recipient its own shares alone."""

    payment: _PAYMENT_ID
    recipient: Annotated[str | None, Meta(description="Whose shares alone are told; null: all")]
    amount: Annotated[int | None, _NOT_TOLD]
    surcharge: ExplainedSurcharge | None
    total: Annotated[int | None, _NOT_TOLD]
    suspense: Annotated[int | None, _NOT_TOLD]
    splits: list[ExplainedSplit]
    taken: list[ExplainedTaking]
    digest: Annotated[
        str, Meta(description="SHA-256 of all of it but this, keys sorted, without blanks")
    ]


async def show(house: House, call: Call) -> Reply:
    """GET /v1/payments/{id}/explanation."""
    call.query()
    payment = decode.path_id(ids.PAYMENT, call.names[0])
    async with house.explaining_turns:
        found = await explain_payment(house.context, call.caller, payment)
    return Reply(replies.OK, encode.json({**found, "digest": _digest(found)}))


def _digest(found: dict[str, object]) -> str:
    """SHA-256 of the answer without it, its keys sorted: no figure changes by mistake unseen."""
    content = orjson.dumps(found, option=orjson.OPT_UTC_Z | orjson.OPT_SORT_KEYS)
    return sha256(content).hexdigest()


def routes() -> list[Route]:
    """This part of the table."""
    return [
        Route(
            method="GET",
            path="/v1/payments/{id}/explanation",
            name="explanation",
            view=show,
            roles=READERS,
            summary="Why each share is what it is, to be computed again; a recipient sees its own",
            answers={200: ExplanationShown},
            codes=("not_found", "state_conflict"),
        )
    ]
