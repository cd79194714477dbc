"""What a row of an acquirer's file is to us (pure): matched, new, or a discrepancy of a kind.

The kinds are those of a reconciliation; only FRESH rows may become payments.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from msgspec import Struct

from gateway.acquirer_reports.rows import Row

FRESH: Final = "fresh"
MATCHED: Final = "matched"
CREATED: Final = "created"
ONLINE_ONLY: Final = "online-only"
REPORT_ONLY: Final = "registry-only"
SUM_DIFFERS: Final = "sum-differs"
ACCOUNT_DIFFERS: Final = "account-differs"
DUPLICATE: Final = "duplicate-in-registry"


class Known(Struct, frozen=True, gc=False):
    """A payment of the acquirer's that a row may speak of.

    `report`, `digest` and `row` say which row of which file has spoken of it before, None if none
    has; `made` is true where that row made it, and then `paid_at` is the row's. `by_number` is
    false where only account, sum and day brought the two together.
    """

    by_number: bool
    payment: UUID
    subscriber_account: str
    total: int
    report: UUID | None
    digest: bytes | None
    row: int | None
    made: bool
    paid_at: datetime | None


class Source(Struct, frozen=True):
    """The file that is being taken: its report, what stands for its text, and whether operation
    numbers are the bank's for ever or only this file's.
    """

    report: UUID
    digest: bytes
    per_file: bool


class Verdict(Struct, frozen=True):
    """What a row is, and the payment it is about; `claims` where it is the first to speak of it."""

    kind: str
    payment: UUID | None = None
    claims: bool = False


_FRESH: Final = Verdict(FRESH)


def judge(row: Row, known: Sequence[Known], taken: set[UUID], source: Source) -> Verdict:
    """The verdict on a row; payments that earlier rows of the same part claimed are `taken`."""
    if not known:
        return _FRESH
    for one in known:
        if one.row == row.number and one.report == source.report:
            return Verdict(CREATED if one.made else MATCHED, one.payment)
        if one.row == row.number and one.digest == source.digest:
            return Verdict(MATCHED, one.payment)
    # The same number in another file is another operation, where numbers are a file's own.
    numbered = [
        one
        for one in known
        if one.by_number and not (source.per_file and one.digest not in (None, source.digest))
    ]
    for one in numbered:
        if _same(row, one) and one.report not in (None, source.report):
            # Another payment of this number, taken online since, must not pass for what was told.
            return Verdict(DUPLICATE, one.payment)
    for one in known:
        if _same(row, one) and one.report is None and one.payment not in taken:
            return Verdict(MATCHED, one.payment, claims=True)
    if row.operation is None:
        return _without_number(row, known, source)
    if not numbered:
        return _FRESH
    for one in numbered:
        if _same(row, one):
            return Verdict(DUPLICATE, one.payment)
    for one in numbered:
        if one.subscriber_account == row.subscriber_account:
            return Verdict(SUM_DIFFERS, one.payment)
    return Verdict(ACCOUNT_DIFFERS, numbered[0].payment)


def _without_number(row: Row, known: Sequence[Known], source: Source) -> Verdict:
    """Another file has told of the like: most likely the same file, corrected and sent again.

    Of a payment that its row made the moment is known: another moment is another payment.
    """
    for one in known:
        told = one.digest is not None and one.digest != source.digest
        if told and _same(row, one) and not _at_another_moment(row, one):
            return Verdict(DUPLICATE, one.payment)
    return _FRESH


def _at_another_moment(row: Row, one: Known) -> bool:
    if not one.made or row.paid_at is None or one.paid_at is None:
        return False
    return int(one.paid_at.timestamp()) != row.paid_at


def _same(row: Row, one: Known) -> bool:
    return one.subscriber_account == row.subscriber_account and one.total == row.amount
