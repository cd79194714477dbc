"""The formats of a recipient's report, each as what goes before its rows, around and after them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from gateway.settlement.report_book import XLSX_LAYOUT, ReportBook, xlsx_text, xlsx_transfer
from gateway.settlement.report_columns import COLUMNS, Columns, Payer
from gateway.settlement.report_files import (
    CSV_LAYOUT,
    JSON_LAYOUT,
    Totals,
    TransferLine,
    csv_head,
    csv_text,
    csv_transfer,
    json_head,
    json_tail,
    json_text,
    json_transfer,
)

FORMATS: Final = ("csv", "json", "xlsx")


class _Around(Protocol):
    """What a format has around its rows."""

    layout: Sequence[bytes]

    def text(self, text: str, /) -> bytes:
        """A name as it stands in a row."""

    def transfer(self, row: TransferLine, /) -> bytes:
        """A row of an obligation."""

    def head(self) -> bytes:
        """What goes before the rows."""

    def rows(self, content: bytes) -> bytes:
        """Rows as they were laid out; empty where they wait for more."""

    def tail(self, totals: Totals) -> bytes:
        """What goes after them, which add up so."""


class ReportForm:
    """One report in one format, used once from head to tail.

    `layout` is for splitcore's ShareRows, `text` makes a name as it stands in a row.
    """

    def __init__(self, around: _Around, columns: Columns | None) -> None:
        self._around = around
        self._columns = columns
        self.text: Callable[[str], bytes] = around.text
        self.layout = around.layout if columns is None else columns.layout(around.layout)

    def head(self) -> bytes:
        """What goes before the rows."""
        return self._around.head()

    def accounts(self, content: bytes) -> list[str]:
        """The accounts in rows whose payers are to be told, each once."""
        return [] if self._columns is None else self._columns.accounts(content)

    def rows(self, content: bytes, payers: Mapping[str, Payer]) -> bytes:
        """Rows that were laid out, with their payers; empty where they wait for more."""
        if self._columns is not None:
            content = self._columns.fill(content, payers)
        return self._around.rows(content)

    def transfer(self, row: TransferLine) -> bytes:
        """A row of an obligation, to be given to `rows` as those that were laid out."""
        made = self._around.transfer(row)
        return made if self._columns is None else self._columns.marked(made)

    def tail(self, totals: Totals) -> bytes:
        """What goes after the rows, which add up so."""
        return self._around.tail(totals)


def report_form(
    name: str,
    settlement_batch: str,
    recipient: str,
    root: str,
    days: Mapping[str, Any],
    wide: bool,
) -> ReportForm:
    """The form of a format in FORMATS; `root` is that of the batch's seal, in hexadecimal.

    `days` tells the batch's business days. Without `wide` rows have no more columns than reports
    had at first.
    """
    more = COLUMNS if wide else ()
    around: _Around
    if name == "csv":
        around = _Csv(root, more)
    elif name == "json":
        around = _Json(settlement_batch, recipient, root, days)
    else:
        around = _Xlsx(root, more)
    if not wide:
        return ReportForm(around, None)
    ends = [(one["business_day"], one["until"]) for one in days.get("business_days", ())]
    ends = ends or [(days["business_date"], None)]
    return ReportForm(around, Columns(name, ends, settlement_batch))


class _Csv:
    layout: Sequence[bytes] = CSV_LAYOUT
    text = staticmethod(csv_text)
    transfer = staticmethod(csv_transfer)

    def __init__(self, root: str, more: Sequence[str]) -> None:
        self._head = csv_head(root, more)

    def head(self) -> bytes:
        return self._head

    def rows(self, content: bytes) -> bytes:
        return content

    def tail(self, totals: Totals) -> bytes:
        return b""


class _Json:
    layout: Sequence[bytes] = JSON_LAYOUT
    text = staticmethod(json_text)
    transfer = staticmethod(json_transfer)

    def __init__(
        self, settlement_batch: str, recipient: str, root: str, days: Mapping[str, object]
    ) -> None:
        self._head = json_head(settlement_batch, recipient, root, days)
        self._begun = False

    def head(self) -> bytes:
        return self._head

    def rows(self, content: bytes) -> bytes:
        # Rows each begin with a comma, which the first has nothing to part from.
        begun, self._begun = self._begun, True
        return content if begun else content[1:]

    def tail(self, totals: Totals) -> bytes:
        return json_tail(totals)


class _Xlsx:
    layout: Sequence[bytes] = XLSX_LAYOUT
    text = staticmethod(xlsx_text)
    transfer = staticmethod(xlsx_transfer)

    def __init__(self, root: str, more: Sequence[str]) -> None:
        self._book = ReportBook(root, more)

    def head(self) -> bytes:
        return b""

    def rows(self, content: bytes) -> bytes:
        return self._book.add(content)

    def tail(self, totals: Totals) -> bytes:
        return self._book.finish()
