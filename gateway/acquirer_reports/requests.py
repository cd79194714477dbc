"""A row as a payment to be made, and what a payment says of the row that made it (pure).

The key of such a payment is the acquirer's operation for ever: the same row, however often and
in whatever file it comes, makes one payment.
"""

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.acquirer_reports.rows import ReportFile, Row
from gateway.acquirer_reports.verdict import Source
from gateway.domain import ids
from gateway.domain.payment import METHODS, Claim, PaymentRequest

_FINGERPRINT_SIZE: Final = 16


# Keys of callers hold no spaces, so none of theirs can be one of these.
_OF_BANK: Final = "report "


class _Mark(Struct):
    report: str | None = None
    row: int | None = None


_mark: Final = msgspec.json.Decoder(_Mark)


class Requests:
    """Makes the payments of one file's rows."""

    def __init__(self, caller: int, source: Source, file: ReportFile) -> None:
        self._caller = caller
        self._method = METHODS.index(file.method)
        self._facts = b'{"report":"%b","row":' % ids.shown(ids.REPORT, source.report).encode()
        self._of_file = f"{_OF_BANK}{source.digest.hex()} "
        self._numbered = self._of_file if source.per_file else _OF_BANK

    def make(self, row: Row) -> PaymentRequest:
        """The payment of a row: what the payer handed over is its total."""
        if row.operation is None:
            key = f"{self._of_file}row {row.number}"
        else:
            key = self._numbered + row.operation
        body = f"{row.amount} {row.subscriber_account}".encode()
        claim = Claim(
            self._caller, key, "payments", blake2b(body, digest_size=_FINGERPRINT_SIZE).digest()
        )
        return PaymentRequest(
            claim,
            ids.new_id(),
            row.subscriber_account,
            row.amount,
            True,
            self._method,
            b"%b%d}" % (self._facts, row.number),
            (),
            row.operation,
            None if row.paid_at is None else datetime.fromtimestamp(row.paid_at, UTC),
        )


def key(operation: str) -> str:
    """The key of a row whose operation has a number that is the acquirer's for ever."""
    return _OF_BANK + operation


def made_by(facts: bytes) -> tuple[UUID, int] | None:
    """The report and the row that made a payment, None where none did."""
    mark = _mark.decode(facts)
    report = None if mark.report is None else ids.read_id(ids.REPORT, mark.report)
    return None if report is None or mark.row is None else (report, mark.row)
