"""An acquirer's file to rows, while it comes; its control totals decide at the end.

Pure: bytes in, rows out. Whoever reads must take nothing of a file before `finish` has said that
its totals hold.
"""

import csv
from collections.abc import Callable, Sequence
from datetime import date, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from gateway.acquirer_reports import fields
from gateway.acquirer_reports.fields import Days, Misfit
from gateway.acquirer_reports.layout import Layout
from gateway.acquirer_reports.rows import ACCOUNT_LENGTH_MAX, OPERATION_LENGTH_MAX, ReportFile, Row
from gateway.acquirer_reports.text import REPLACED, Lines
from gateway.domain.refusals import Refusal
from splitcore import TOTAL_MAX

CONTROL: Final = "control_total_mismatch"


class _Imbalance(Misfit):
    """Sums that do not add up."""


class _Rows:
    """Reads lines by one layout, and adds up what they say."""

    def __init__(self, layout: Layout, zone: tzinfo) -> None:
        self.layout = layout
        columns = layout.columns
        self._separator = layout.separator
        self._count = columns.count
        self._account = columns.account - 1
        self._sum = columns.sum - 1
        self._operation = _place(columns.operation)
        self._date = _place(columns.date)
        self._time = _place(columns.time)
        self._transfer = _place(columns.transfer)
        self._fee = _place(columns.fee)
        self._kopecks = fields.roubles if layout.unit == "roubles" else fields.kopecks
        self._zone = zone if layout.timezone is None else ZoneInfo(layout.timezone)
        self._days = Days(self._zone, layout.date_format)
        self._footer_starts = tuple(layout.footer.starts) if layout.footer else ()
        self._header_starts = tuple(layout.header.starts)
        self._header_lines = layout.header.lines
        self._header_sum: int | None = None
        self._footer: list[str] | None = None
        self.found = {"count": 0, "sum": 0, "transfer": 0, "fee": 0}
        self.first_day: date | None = None
        self.last_day: date | None = None

    def read(self, line: str) -> Row | None:
        """The row of a line, None for a line of the header or the footer; raises Misfit."""
        if self._footer is not None:
            raise Misfit("nothing behind the footer")
        if self._header_lines:
            self._header_lines -= 1
            return None
        if self._footer_starts and line.startswith(self._footer_starts):
            self._footer = self._footer_fields(line)
            return None
        if self._header_starts and line.startswith(self._header_starts):
            self._read_header(line)
            return None
        told = line.split(self._separator)
        if len(told) != self._count:
            told = self._quoted(line, len(told))
        return self._row(told)

    def _quoted(self, line: str, count: int) -> list[str]:
        """The columns of a line with separators inside quotes."""
        if '"' in line and self._separator is not None:
            try:
                told = next(csv.reader([line], delimiter=self._separator), [])
            except csv.Error:
                told = []
            if len(told) == self._count:
                return told
        raise Misfit(f"{self._count} columns, was {count}")

    def _row(self, told: list[str]) -> Row:
        amount = self._kopecks(told[self._sum].strip())
        if not 1 <= amount <= TOTAL_MAX:
            raise Misfit(f"a sum in 1..{TOTAL_MAX} kopecks")
        found = self.found
        if self._transfer is not None and self._fee is not None:
            transfer = self._kopecks(told[self._transfer].strip())
            fee = self._kopecks(told[self._fee].strip())
            if amount != transfer + fee:
                raise _Imbalance("a sum that is its transfer and fee together")
            found["transfer"] += transfer
            found["fee"] += fee
        paid_at = None if self._date is None else self._moment(told, self._date)
        operation = None
        if self._operation is not None:
            operation = told[self._operation].strip()
            if not (0 < len(operation) <= OPERATION_LENGTH_MAX and operation.isprintable()):
                raise Misfit(f"an operation number of 1..{OPERATION_LENGTH_MAX} characters")
            if REPLACED in operation:
                raise Misfit("an operation number in one encoding")
        account = told[self._account].strip()
        if len(account) > ACCOUNT_LENGTH_MAX or not account.isprintable():
            raise Misfit(f"an account of at most {ACCOUNT_LENGTH_MAX} printable characters")
        found["count"] += 1
        found["sum"] += amount
        return Row(found["count"], operation, account, amount, paid_at)

    def _moment(self, told: list[str], column: int) -> int:
        if self._time is None:
            moment, day = self._days.moment(told[column].strip())
        else:
            moment, day = self._days.at(told[column].strip(), told[self._time].strip())
        if self.last_day is None or self.first_day is None:
            self.first_day = self.last_day = day
        elif day > self.last_day:
            self.last_day = day
        elif day < self.first_day:
            self.first_day = day
        return moment

    def _footer_fields(self, line: str) -> list[str]:
        for start in self._footer_starts:
            line = line.removeprefix(start)
        if self._separator is not None:
            # The first total stands behind the sign itself, or in a column of its own.
            line = line.removeprefix(self._separator)
        return [told.strip() for told in line.split(self._separator)]

    def _read_header(self, line: str) -> None:
        if self.found["count"]:
            raise Misfit("a header before all rows")
        words = line.split()
        if self.layout.header.sum is not None and words[0] == self.layout.header.sum:
            if self._header_sum is not None or len(words) != 2:
                raise Misfit("the sum of all rows once in the header")
            self._header_sum = self._kopecks(words[1])

    def file(self, digest: bytes) -> ReportFile:
        """The file as a whole, once its totals are checked."""
        first, last = self.first_day, self.last_day
        has_fee = self._fee is not None
        return ReportFile(
            format=self.layout.format,
            digest=digest,
            rows=self.found["count"],
            amount=self.found["sum"],
            transfer=self.found["transfer"] if has_fee else None,
            fee=self.found["fee"] if has_fee else None,
            order_number=self._told("order") or None,
            order_date=self._order_date(),
            first_day=first,
            last_day=last,
            paid=None if first is None or last is None else fields.bounds(first, last, self._zone),
            per_file=self.layout.operation_unique == "file",
            method=self.layout.method,
        )

    def check(self) -> None:
        """Raises _Imbalance unless header and footer say what the rows add up to."""
        if self.layout.header.sum is not None and self._header_sum != self.found["sum"]:
            raise _Imbalance("a header with the sum of all rows")
        footer = self.layout.footer
        if footer is None:
            return
        if self._footer is None:
            if footer.required:
                raise _Imbalance("a footer with the totals")
            return
        for name, expected in self.found.items():
            told = self._told(name)
            if name not in footer.totals or (name in ("transfer", "fee") and not told):
                continue
            read = _count if name == "count" else self._kopecks
            try:
                holds = read(told) == expected
            except Misfit:
                holds = False
            if not holds:
                raise _Imbalance(f"a footer whose {name} is that of the rows")

    def _told(self, name: str) -> str:
        """A field of the footer, empty where it tells none."""
        footer = self.layout.footer
        if footer is None or self._footer is None or name not in footer.totals:
            return ""
        at = footer.totals.index(name)
        return self._footer[at] if at < len(self._footer) else ""

    def _order_date(self) -> date | None:
        # What comes of the money is another file's matter; a date of another form spoils no row.
        try:
            return self._days.day(self._told("order_date"))
        except Misfit:
            return None


def _place(column: int | None) -> int | None:
    return None if column is None else column - 1


def _count(text: str) -> int:
    return fields.whole_number(text, "a number of rows")


class ReportReader:
    """Reads one file of one of these layouts, whichever its first line is of."""

    def __init__(self, layouts: Sequence[Layout], zone: tzinfo) -> None:
        self._layouts = layouts
        self._zone = zone
        self._lines = Lines()
        self._rows: _Rows | None = None
        self._number = 0

    def feed(self, piece: bytes) -> list[Row]:
        """The rows that end in this piece; Refusals malformed, control_total_mismatch."""
        return self._read(lambda: self._lines.feed(piece))

    def finish(self) -> tuple[list[Row], ReportFile]:
        """The last rows, and the file; Refusal control_total_mismatch where it does not add up."""
        last = self._read(self._lines.finish)
        rows = self._rows
        if rows is None:
            raise Refusal("malformed", "Expected a file with rows, was empty")
        try:
            rows.check()
        except _Imbalance as misfit:
            raise Refusal(CONTROL, f"Expected {misfit}") from None
        return last, rows.file(self._lines.digest)

    def _read(self, more: Callable[[], list[str]]) -> list[Row]:
        found: list[Row] = []
        try:
            lines = more()
            rows = self._rows
            if rows is None:
                if not lines:
                    return found
                rows = self._rows = self._recognised(lines[0])
            read = rows.read
            number = self._number
            for line in lines:
                self._number = number = number + 1
                row = read(line)
                if row is not None:
                    found.append(row)
        except _Imbalance as misfit:
            raise Refusal(CONTROL, f"Line {self._number}: expected {misfit}") from None
        except Misfit as misfit:
            raise Refusal("malformed", f"Line {self._number}: expected {misfit}") from None
        return found

    def _recognised(self, line: str) -> _Rows:
        """By the layout that can read the first line; one that only does not add up comes next."""
        if len(self._layouts) == 1:
            return _Rows(self._layouts[0], self._zone)
        out_of_balance = None
        for layout in self._layouts:
            if layout.header.lines:
                # Anything would pass for a line that is not read; such a layout is to be named.
                continue
            trial = _Rows(layout, self._zone)
            try:
                trial.read(line)
            except _Imbalance:
                out_of_balance = out_of_balance or layout
            except Misfit:
                continue
            else:
                return _Rows(layout, self._zone)
        if out_of_balance is None:
            raise Refusal("malformed", "Expected a file of a known layout; format names one")
        return _Rows(out_of_balance, self._zone)
