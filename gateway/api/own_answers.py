"""The shapes of answers about batches in pages, and about one recipient's own money."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

from gateway.api.answers import Kopecks, PositionShown, TransferShown
from gateway.api.batch_answers import OwnPaidBeforeShown

_BATCH_ID = Meta(pattern="^sb_[0-9a-f]{32}$")
_OWN_STATE = Meta(
    description="That of the recipient's own order once there is one (approved, sent, executed,"
    " returned); closed, approved or cancelled"
)


class BatchLineShown(Struct):
    """A settlement batch in a line; `payable` is what it pays."""

    id: Annotated[str, _BATCH_ID]
    state: str
    business_date: date
    settlement_date: date | None
    closed_at: datetime
    payments: int | None
    payable: Kopecks


class OwnPayoutShown(Struct):
    """The recipient's payment order in a batch."""

    id: Annotated[str, Meta(pattern="^po_[0-9a-f]{32}$")]
    amount: Kopecks
    state: str
    order_number: int
    order_date: date


class OwnBatchLineShown(Struct):
    """A settlement batch in a line as one recipient sees it."""

    id: Annotated[str, _BATCH_ID]
    state: Annotated[str, _OWN_STATE]
    business_date: date
    settlement_date: date | None
    closed_at: datetime
    position: PositionShown
    payout: OwnPayoutShown | None


class BatchesShown(Struct):
    """Batches, the newest first."""

    settlement_batches: list[BatchLineShown]
    next_cursor: str | None


class OwnBatchesShown(Struct):
    """Batches that one recipient has a position in, the newest first."""

    settlement_batches: list[OwnBatchLineShown]
    next_cursor: str | None


class DayEndShown(Struct):
    """A business day of a batch and the moment at which it is over; null for the last."""

    business_day: date
    until: datetime | None


class OwnBatchShown(Struct):
    """A settlement batch as one recipient sees it: its own figures, and nobody else's."""

    id: Annotated[str, _BATCH_ID]
    state: Annotated[str, _OWN_STATE]
    business_date: date
    settlement_date: date | None
    closed_at: datetime
    position: PositionShown
    payout: OwnPayoutShown | None
    business_days: Annotated[
        list[DayEndShown], Meta(description="By the recipient's own cut-off, where it has one")
    ]
    held_until: Annotated[
        datetime | None,
        Meta(description="The recipient's own cut-off, where what it is owed is held until then"),
    ]
    approved_at: datetime | None
    root: Annotated[str | None, Meta(description="Merkle root of the rows, as reports name it")]
    transfers: list[TransferShown]
    paid_before: list[OwnPaidBeforeShown]


class EarnedShown(Struct):
    """What was shared and taken back of one service."""

    service: str
    gross: Kopecks
    refunds: Kopecks


class ObligationsRemaining(Struct):
    """What remains of the recipient's debts by obligations, and of debts to it."""

    owed: Kopecks
    due: Kopecks


class OnTheWayShown(Struct):
    """What a closed batch pays and the bank has not paid yet."""

    settlement_batch: Annotated[str, _BATCH_ID]
    amount: Kopecks
    state: Annotated[str, Meta(description="closed, approved or sent")]
    settlement_date: date | None
    order_number: int | None
    order_date: date | None


class AllOnTheWayShown(Struct):
    """All of it in a sum, and the newest orders of it."""

    orders: int
    amount: Kopecks
    newest: list[OnTheWayShown]


class ComingShown(Struct):
    """What is coming to a recipient: amount = carried_in + returned + net.

    `gross`, `commission`, `refunds` and `net` are of what no batch has closed up to `as_of`.
    """

    recipient: str
    as_of: datetime
    gross: Kopecks
    commission: Kopecks
    refunds: Kopecks
    net: Kopecks
    services: list[EarnedShown]
    carried_in: Annotated[int, Meta(description="Kopecks that waited; below zero a debt")]
    returned: Annotated[int, Meta(description="Kopecks that came back, or were settled of a debt")]
    amount: Annotated[int, Meta(description="Kopecks before obligations; below zero a debt")]
    obligations: ObligationsRemaining
    minimum_payout: Kopecks
    waits_until: Annotated[
        date | None, Meta(description="Where it is less than the minimum: until when it waits")
    ]
    expected_on: Annotated[
        date | None, Meta(description="The working day it goes out on; null for a debt or nothing")
    ]
    on_the_way: AllOnTheWayShown
