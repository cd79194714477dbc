"""What each row of a report ends with beside its money: its business day, the payer and address as
the account's bill has them, and the report's number (pure).

The core lays rows out with a mark at their end, which is filled in here a piece at a time. Rows
come in the order of their moments. Reports of batches closed before there were these columns have
neither marks nor columns.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct

from gateway.settlement.report_book import XLSX_LAYOUT, xlsx_text
from gateway.settlement.report_files import (
    CSV_LAYOUT,
    JSON_LAYOUT,
    ROW_KINDS,
    csv_text,
    json_text,
)

COLUMNS: Final = ("business_day", "payer", "address", "report")
# No text that a database keeps has it.
_MARK: Final = b"\x00"
# Most texts stand in a row as they are.
_MARKED_IN_CSV: Final = re.compile(r"[;\"\r\n]|\A[=+\-@\t]").search
_MARKED_IN_XML: Final = re.compile("[&<>\x00-\x1f\x7f\ufffe\uffff]").search


class Payer(Struct, frozen=True):
    """Who lives at an account and where, as far as its bill says; empty where it does not."""

    name: str
    address: str


NOBODY: Final = Payer("", "")


def payer_of(told: str) -> Payer:
    """A payer out of what a bill says of one: a text, or an object with `name` and `address`."""
    found: Any = orjson.loads(told)
    if isinstance(found, str):
        return Payer(found, "")
    if not isinstance(found, dict):
        return NOBODY
    name, address = (found.get(key) for key in ("name", "address"))
    return Payer(name if isinstance(name, str) else "", address if isinstance(address, str) else "")


class _Shape(Struct, frozen=True):
    """How rows of a format are made: what they begin and end with, what an account stands between,
    and what stands for columns that a laid out row leaves out.
    """

    start: bytes
    end: bytes
    before: bytes
    after: bytes
    left_out: bytes


_SHAPES: Final = {
    "csv": _Shape(CSV_LAYOUT[0], b";\r\n", CSV_LAYOUT[1], CSV_LAYOUT[2], b""),
    "json": _Shape(JSON_LAYOUT[0], b"}", JSON_LAYOUT[1], b'"', b""),
    "xlsx": _Shape(XLSX_LAYOUT[0], b"</row>", XLSX_LAYOUT[1], b"<", b"<c/><c/>"),
}


class Columns:
    """The columns of one report, filled in from its first row to its last.

    `days` are the batch's business days in their order, each with the moment (RFC 3339, UTC) at
    which it is over, None for the last.
    """

    def __init__(self, form: str, days: Sequence[tuple[str, str | None]], report: str) -> None:
        self._form = form
        self._shape = _SHAPES[form]
        self._days = [(day, None if until is None else until.encode()) for day, until in days]
        self._report = report
        self._place = 0
        self._until = self._days[0][1]
        self._account_before: bytes | None = None
        self._cells = b""

    def layout(self, layout: Sequence[bytes]) -> list[bytes]:
        """A layout whose rows end with a mark before their end."""
        texts = len(layout) - len(ROW_KINDS)
        ends = [self.marked(text, self._shape.left_out) for text in layout[texts:]]
        return [*layout[:texts], *ends]

    def marked(self, row: bytes, left_out: bytes = b"") -> bytes:
        """A row, or the end of one, with a mark before its end."""
        end = self._shape.end
        return row.removesuffix(end) + left_out + _MARK + end

    def accounts(self, content: bytes) -> list[str]:
        """The accounts of these rows, each once."""
        rows = content.split(_MARK)[:-1]
        found = {self._account(row, self._start(at)) for at, row in enumerate(rows)}
        return [account.decode() for account in found if account]

    def fill(self, content: bytes, payers: Mapping[str, Payer]) -> bytes:
        """Rows with their columns."""
        rows = content.split(_MARK)
        known = {account.encode(): payer for account, payer in payers.items()}
        filled: list[bytes] = []
        for at, row in enumerate(rows[:-1]):
            start = self._start(at)
            if self._until is not None:
                self._go_on(row, start)
            account = self._account(row, start) if known else b""
            if account != self._account_before:
                self._account_before = account
                self._cells = self._written(known.get(account, NOBODY))
            filled += (row, self._cells)
        filled.append(rows[-1])
        return b"".join(filled)

    def _start(self, at: int) -> int:
        """Where the moment stands in a row, which begins with the end of the row before."""
        return len(self._shape.start) + (len(self._shape.end) if at else 0)

    def _account(self, row: bytes, start: int) -> bytes:
        at = row.find(self._shape.before, start)
        if at < 0:
            return b""
        at += len(self._shape.before)
        return row[at : row.find(self._shape.after, at)]

    def _go_on(self, row: bytes, start: int) -> None:
        """To the business day of a row: texts of moments sort as moments do, and one at the very
        end of a day belongs to the next.
        """
        until = self._until
        while until is not None and row[start : start + len(until)] >= until:
            self._place += 1
            until = self._days[self._place][1]
            self._account_before = None
        self._until = until

    def _written(self, payer: Payer) -> bytes:
        day, report = self._days[self._place][0], self._report
        texts = (day, payer.name, payer.address, report)
        if self._form == "csv":
            return b";" + b";".join(map(_csv, texts))
        if self._form == "json":
            return b',"business_day":%b,"payer":%b,"address":%b,"report":%b' % tuple(
                json_text(text) if text else b"null" for text in texts
            )
        return b"".join(map(_xlsx, texts))


def _csv(text: str) -> bytes:
    return csv_text(text) if _MARKED_IN_CSV(text) else text.encode()


def _xlsx(text: str) -> bytes:
    if not text:
        return b"<c/>"
    kept = xlsx_text(text) if _MARKED_IN_XML(text) else text.encode()
    return b'<c t="inlineStr"><is><t>%b</t></is></c>' % kept
