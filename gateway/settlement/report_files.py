"""A recipient's report of one settlement batch as bytes: a row a share, negative where taken back.

Pure: the formats are texts around figures, which splitcore's ShareRows lays out. Must not compute
what is owed; whoever writes a report checks that its rows are the position they explain.
"""

import csv
import io
from collections.abc import Mapping
from typing import Final

import orjson

CSV_HEADER: Final = (
    *("accepted_at", "subscriber_account", "service", "period"),
    *("gross_kopecks", "commission_kopecks", "net_kopecks", "payment", "kind"),
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
    *(f";{kind};\r\n".encode() for kind in ROW_KINDS),
)
JSON_LAYOUT: Final = (
    *(b',{"accepted_at":"', b'","subscriber_account":"', b'","service":', b',"period":"'),
    *(b'","gross_kopecks":', b',"commission_kopecks":', b',"net_kopecks":', b',"payment":"pay_'),
    *(f'","kind":"{kind}"}}'.encode() for kind in ROW_KINDS),
)
_BOM: Final = "\ufeff"
# Spreadsheets run a text that begins so; OWASP, CSV injection.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def root_column(root: str) -> str:
    """The head of the last column, which is empty: it names the Merkle root of the batch's rows."""
    return f"root_{root}"


def csv_head(root: str) -> bytes:
    """The beginning of a CSV report: the BOM and the header; UTF-8, `;`, CRLF."""
    return (_BOM + ";".join((*CSV_HEADER, root_column(root))) + "\r\n").encode()


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


def json_tail(rows: int, gross: int, commission: int, refunds: int) -> bytes:
    """The end of a JSON report: what its rows add up to, in kopecks.

    `gross` is what was given, `refunds` (positive) what was taken back; `commission` is what is
    kept of both, below 0 where corrections gave back more.
    """
    totals = {
        "rows": rows,
        "gross": gross,
        "commission": commission,
        "refunds": refunds,
        "net": gross - commission - refunds,
    }
    return b'],"totals":' + orjson.dumps(totals) + b"}"
