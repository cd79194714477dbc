"""A recipient's report of one settlement batch as bytes: a row a share, negative where taken back,
then what obligations brought or took, what earlier batches carried on, and what came back.

Pure: the formats are texts around figures, which splitcore's ShareRows lays out. Must not compute
what is owed; whoever writes a report checks that its rows are the position they explain.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

import msgspec
import orjson
from msgspec import Struct

CSV_HEADER: Final = (
    *("accepted_at", "subscriber_account", "service", "period"),
    *("gross_kopecks", "commission_kopecks", "net_kopecks", "payment", "kind"),
    *("counterpart", "document"),
)
# What a row tells of, in the order of splitcore's kinds: what a payment gave, what went back to the
# payer, what a correction gave and took, what came back of a chargeback and what one took.
ROW_KINDS: Final = (
    *("payment", "refund", "correction", "correction", "chargeback_reversal", "chargeback"),
)
# What stands before each figure of a row, then what ends the row of each kind;
# accounts and periods have no letter that either format would have to mark.
CSV_LAYOUT: Final = (
    *(b"", b";", b";", b";", b";", b";", b";", b";pay_"),
    *(f";{kind};;;\r\n".encode() for kind in ROW_KINDS),
)
JSON_LAYOUT: Final = (
    *(b',{"accepted_at":"', b'","subscriber_account":"', b'","service":', b',"period":"'),
    *(b'","gross_kopecks":', b',"commission_kopecks":', b',"net_kopecks":', b',"payment":"pay_'),
    *(f'","kind":"{kind}"}}'.encode() for kind in ROW_KINDS),
)
OBLIGATION: Final = "obligation"
# What stood over from the batch whose report `document` names; what the bank gave back, or a debt
# to us that was settled.
CARRIED: Final = "carried"
RETURNED: Final = "returned"
_BOM: Final = "\ufeff"
# Spreadsheets run a text that begins so; OWASP, CSV injection.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


class TransferLine(Struct, frozen=True):
    """What a position has beside its shares, in kopecks: what an obligation brought (or took, below
    zero) in a batch out of a service, or what is carried to it or came back, with no service.
    """

    at: datetime
    service: str
    amount: int
    counterpart: str
    document: str
    document_date: date | None
    obligation: str | None
    kind: str = OBLIGATION


class Totals(Struct, frozen=True, kw_only=True):
    """What the rows of a report add up to, and its position, in kopecks.

    `gross` is what was given, `refunds` (positive) what was taken back, `commission` what is kept
    of both, below 0 where corrections gave back more: net = gross - commission - refunds, and
    carried_in + returned + net + transferred = payable + carried_out.
    """

    rows: int
    gross: int
    commission: int
    refunds: int
    net: int
    transferred: int
    carried_in: int
    returned: int
    payable: int
    carried_out: int


def root_column(root: str) -> str:
    """The head of the last column, which is empty: it names the Merkle root of the batch's rows."""
    return f"root_{root}"


def csv_head(root: str, more: Sequence[str] = ()) -> bytes:
    """The beginning of a CSV report: the BOM and the header; UTF-8, `;`, CRLF."""
    return (_BOM + ";".join((*CSV_HEADER, *more, root_column(root))) + "\r\n").encode()


def csv_text(text: str) -> bytes:
    """A text as it stands in a row of CSV, quoted where it must be.

    One that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    line = io.StringIO()
    plain = f"'{text}" if text.startswith(_FORMULA_STARTS) else text
    csv.writer(line, delimiter=";", lineterminator="\r\n").writerow((plain, ""))
    return line.getvalue().removesuffix(";\r\n").encode()


def json_head(
    settlement_batch: str, recipient: str, root: str, days: Mapping[str, object]
) -> bytes:
    """The beginning of a JSON report, up to its rows; `days` tells its business days."""
    opened = orjson.dumps(
        {"settlement_batch": settlement_batch, "recipient": recipient, "root": root, **days}
    )
    return opened[:-1] + b',"rows":['


def json_text(text: str) -> bytes:
    """A text as it stands in a row of JSON."""
    return orjson.dumps(text)


def _text_or_none(text: str) -> bytes:
    return csv_text(text) if text else b""


def csv_transfer(row: TransferLine) -> bytes:
    """A row of CSV of what is no share."""
    figures = (row.amount, 0, row.amount)
    cells = (
        *(row.at.isoformat().encode(), b"", _text_or_none(row.service), b""),
        *(str(figure).encode() for figure in figures),
        *(b"", row.kind.encode(), *map(_text_or_none, (row.counterpart, row.document)), b""),
    )
    return b";".join(cells) + b"\r\n"


def json_transfer(row: TransferLine) -> bytes:
    """A row of JSON, with the comma before it, of what is no share."""
    return b"," + orjson.dumps(
        {
            "accepted_at": row.at.isoformat(),
            "subscriber_account": None,
            "service": row.service or None,
            "period": None,
            "gross_kopecks": row.amount,
            "commission_kopecks": 0,
            "net_kopecks": row.amount,
            "payment": None,
            "kind": row.kind,
            "counterpart": row.counterpart or None,
            "document": row.document or None,
            "document_date": None if row.document_date is None else row.document_date.isoformat(),
            "obligation": row.obligation,
        }
    )


def json_tail(totals: Totals) -> bytes:
    """The end of a JSON report: what its rows add up to, and what is paid of it."""
    return b'],"totals":' + orjson.dumps(msgspec.structs.asdict(totals)) + b"}"
