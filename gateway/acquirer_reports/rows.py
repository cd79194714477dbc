"""What an acquirer's file says once it is read: rows, and the file as a whole."""

from datetime import date, datetime
from typing import Final

from msgspec import Struct

OPERATION_LENGTH_MAX: Final = 128
ACCOUNT_LENGTH_MAX: Final = 64


class Row(Struct, frozen=True, array_like=True, gc=False):
    """One operation the acquirer says it took; `number` counts rows from 1.

    `operation` is the acquirer's own number, None where its files have none. `amount` is what the
    payer handed over, in kopecks. `paid_at` is in seconds of Unix time, None where files have no
    dates.
    """

    number: int
    operation: str | None
    subscriber_account: str
    amount: int
    paid_at: int | None


class ReportFile(Struct, frozen=True):
    """A whole file whose control totals hold.

    `digest` is 16 bytes that stand for the file's text, whatever its encoding and line ends.
    `amount` is what payers handed over, `transfer` what the acquirer sends of it by the payment
    order that is named, `fee` what it keeps; None where files do not tell. `first_day` and
    `last_day` are local dates of its rows, `paid` the moments when these days begin and have
    ended; None where rows have no dates. `per_file`: operation numbers are this file's alone.
    `method` is how its payments are made.
    """

    format: str
    digest: bytes
    rows: int
    amount: int
    transfer: int | None
    fee: int | None
    order_number: str | None
    order_date: date | None
    first_day: date | None
    last_day: date | None
    paid: tuple[datetime, datetime] | None
    per_file: bool
    method: str
