"""A recipient's report of one settlement batch as bytes: a row a share, refunds as negative rows.

Pure: rows come in their order and leave in it. Must not compute what is owed; it only checks
that every row adds up and that the rows together are the position they explain.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, Literal

import orjson
from msgspec import Struct

from gateway.domain.refusals import InvariantBroken
from splitcore import largest_remainder

CSV_HEADER: Final = (
    *("accepted_at", "subscriber_account", "service", "period"),
    *("gross_kopecks", "commission_kopecks", "net_kopecks", "payment", "kind"),
)
CHUNK_BYTES: Final = 65_536
_BOM: Final = "\ufeff"
# Spreadsheets run a text that begins so; OWASP, CSV injection.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class ReportRow(Struct, frozen=True):
    """One share of one payment, or of one refund with its money negative; kopecks.

    `accepted_at` carries its offset; `payment` is the payment's id, of a refund too.
    """

    accepted_at: datetime
    subscriber_account: str
    service: str
    period: str
    gross_kopecks: int
    commission_kopecks: int
    net_kopecks: int
    payment: str
    kind: Literal["payment", "refund"]


class ReportTotals(Struct, frozen=True):
    """What a report's rows add up to: net = gross - commission - refunds, in kopecks.

    `gross` is of payments alone, `refunds` is positive; `commission` is what is kept of both.
    """

    rows: int
    gross: int
    commission: int
    refunds: int
    net: int


def share_commissions(commission: int, shares: Sequence[int]) -> list[int]:
    """A recipient's commission on one payment, laid on its shares by largest remainder.

    Kopecks; 0 <= commission <= sum of shares, so no share receives less than nothing.
    """
    if not 0 <= commission <= sum(shares):
        raise InvariantBroken(f"Expected a commission within {sum(shares)}, was {commission}")
    if commission == 0:
        return [0] * len(shares)
    return list(largest_remainder(commission, shares))


def totals(rows: Iterable[ReportRow]) -> ReportTotals:
    """Adds up rows in one pass; InvariantBroken for a row that does not add up itself."""
    count = gross = commission = refunds = net = 0
    for row in rows:
        _check(row)
        count += 1
        if row.kind == "payment":
            gross += row.gross_kopecks
        else:
            refunds -= row.gross_kopecks
        commission += row.commission_kopecks
        net += row.net_kopecks
    return ReportTotals(rows=count, gross=gross, commission=commission, refunds=refunds, net=net)


def csv_bytes(rows: Iterable[ReportRow]) -> Iterator[bytes]:
    """CSV in chunks of about CHUNK_BYTES: UTF-8 with BOM, `;`, CRLF, a header first.

    A text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay
    plain. InvariantBroken for a row that does not add up.
    """
    page = io.StringIO()
    page.write(_BOM)
    lines = csv.writer(page, delimiter=";", lineterminator="\r\n")
    lines.writerow(CSV_HEADER)
    for row in rows:
        _check(row)
        lines.writerow(_csv_line(row))
        if page.tell() >= CHUNK_BYTES:
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()
    if page.tell():
        yield page.getvalue().encode()


def json_document(
    rows: Sequence[ReportRow],
    *,
    settlement_batch: str,
    recipient: str,
    position_net: int | None = None,
) -> bytes:
    """The same rows as one JSON object with their totals.

    InvariantBroken where the rows do not add up to `position_net`, if it is given.
    """
    added_up = totals(rows)
    if position_net is not None and added_up.net != position_net:
        raise InvariantBroken(f"Expected rows of {position_net} kopecks, was {added_up.net}")
    return orjson.dumps(
        {
            "settlement_batch": settlement_batch,
            "recipient": recipient,
            "totals": {name: getattr(added_up, name) for name in ReportTotals.__struct_fields__},
            "rows": [{name: getattr(row, name) for name in CSV_HEADER} for row in rows],
        }
    )


def _check(row: ReportRow) -> None:
    money = (row.gross_kopecks, row.commission_kopecks, row.net_kopecks)
    if any(type(amount) is not int for amount in money):
        raise InvariantBroken("Expected whole kopecks in a report's row, was another type")
    if row.gross_kopecks - row.commission_kopecks != row.net_kopecks:
        raise InvariantBroken("Expected net = gross - commission in a report's row, was another")
    if (row.kind == "refund") != (row.gross_kopecks < 0):
        raise InvariantBroken("Expected refunds negative and payments not, was otherwise")
    if row.accepted_at.tzinfo is None:
        raise InvariantBroken("Expected accepted_at with an offset, was without")


def _csv_line(row: ReportRow) -> tuple[str | int, ...]:
    return (
        row.accepted_at.isoformat(),
        _plain_text(row.subscriber_account),
        _plain_text(row.service),
        _plain_text(row.period),
        row.gross_kopecks,
        row.commission_kopecks,
        row.net_kopecks,
        _plain_text(row.payment),
        row.kind,
    )


def _plain_text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
