"""What answers say of the business days of a settlement batch."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

Kopecks = Annotated[int, Meta(description="Whole kopecks")]


class BusinessDayShown(Struct):
    """What a batch has of one business day: split among recipients, and given back."""

    business_day: date
    payments: int
    amount: Kopecks
    refunds: int
    refunded: Kopecks


class RecipientDaysShown(Struct):
    """A recipient's business days in a batch, by the cut-off of its agreement or else the centre's.

    They begin on `since_day` with what was held before. Where a batch is closed at the cut-off of
    others, what the recipient is owed is carried on until its own, `held_until`.
    """

    recipient: str
    cut_off: Annotated[str | None, Meta(description="Null where it goes by the centre's")]
    time_zone: str | None
    first_day: date
    last_day: date
    since_day: date
    held_until: datetime | None


_OWED = "Kopecks; below 0 what was paid to the recipient before the restore, above what came back"


class PaidBeforeShown(Struct):
    """What a lost order did to what a recipient is owed, booked in this batch's `returned`."""

    recipient: str
    amount: Annotated[int, Meta(description=_OWED)]
    booked_on: date
    order_number: str
    statement: str
    line: int


class OwnPaidBeforeShown(Struct):
    """The same, as its recipient sees it."""

    amount: Annotated[int, Meta(description=_OWED)]
    booked_on: date
    order_number: str
