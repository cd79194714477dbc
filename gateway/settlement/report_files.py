"""A recipient's report of one settlement batch as bytes: a row a share, refunds as negative rows.

Pure: rows come in their order and leave in it. Must not compute what is owed; it only checks
that every row adds up and that the rows together are the position they explain.
"""

import csv
import io
from collections.abc import Iterable, Sequence
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

    rows: int = 0
    gross: int = 0
    commission: int = 0
    refunds: int = 0
    net: int = 0


def share_commissions(commission: int, shares: Sequence[int]) -> list[int]:
    """A recipient's commission on one payment, laid on its shares by largest remainder.

    Kopecks; 0 <= commission <= sum of shares, so no share receives less than nothing.
    """
    if not 0 <= commission <= sum(shares):
        raise InvariantBroken(f"Expected a commission within {sum(shares)}, was {commission}")
    if commission == 0:
        return [0] * len(shares)
    return list(largest_remainder(commission, shares))


def added(before: ReportTotals, rows: Iterable[ReportRow]) -> ReportTotals:
    """Totals with these rows added; InvariantBroken for a row that does not add up itself."""
    count, gross, commission = before.rows, before.gross, before.commission
    refunds, net = before.refunds, before.net
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


def csv_head() -> bytes:
    """The beginning of a CSV report: the BOM and the header; UTF-8, `;`, CRLF."""
    return (_BOM + ";".join(CSV_HEADER) + "\r\n").encode()


def csv_rows(rows: Iterable[ReportRow]) -> bytes:
    """Rows of a CSV report.

    A text that a spreadsheet would run as a formula gets an apostrophe before it; numbers stay
    plain. InvariantBroken for a row that does not add up.
    """
    page = io.StringIO()
    lines = csv.writer(page, delimiter=";", lineterminator="\r\n")
    for row in rows:
        _check(row)
        lines.writerow(_csv_line(row))
    return page.getvalue().encode()


def json_head(settlement_batch: str, recipient: str) -> bytes:
    """The beginning of a JSON report, up to its rows."""
    opened = orjson.dumps({"settlement_batch": settlement_batch, "recipient": recipient})
    return opened[:-1] + b',"rows":['


def json_rows(rows: Iterable[ReportRow], first: bool) -> bytes:
    """Rows of a JSON report; `first` for those that follow the beginning."""
    shown = []
    for row in rows:
        _check(row)
        shown.append(orjson.dumps({name: getattr(row, name) for name in CSV_HEADER}))
    return (b"" if first or not shown else b",") + b",".join(shown)


def json_tail(added_up: ReportTotals) -> bytes:
    """The end of a JSON report: what its rows add up to."""
    shown = {name: getattr(added_up, name) for name in ReportTotals.__struct_fields__}
    return b'],"totals":' + orjson.dumps(shown) + b"}"


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
        # Its letters cannot make a formula that does anything, and reports are joined by it.
        row.subscriber_account,
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
