"""The formats of a recipient's report, each as what goes before its rows, around and after them."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from gateway.settlement.report_book import XLSX_LAYOUT, ReportBook, xlsx_text, xlsx_transfer
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


class ReportForm(Protocol):
    """One report in one format, used once from head to tail.

    `layout` is for splitcore's ShareRows.
    """

    layout: Sequence[bytes]

    def text(self, text: str, /) -> bytes:
        """A name as it stands in a row."""

    def head(self) -> bytes:
        """What goes before the rows."""

    def rows(self, content: bytes) -> bytes:
        """Rows as they were laid out; empty where they wait for more."""

    def transfer(self, row: TransferLine, /) -> bytes:
        """A row of an obligation, to be given to `rows` as those that were laid out."""

    def tail(self, totals: Totals) -> bytes:
        """What goes after them, which add up so."""


def report_form(
    name: str, settlement_batch: str, recipient: str, root: str, days: Mapping[str, object]
) -> ReportForm:
    """The form of a format in FORMATS; `root` is that of the batch's seal, in hexadecimal.

    `days` tells the batch's business days, where the form has room for them.
    """
    if name == "csv":
        return _Csv(root)
    return _Json(settlement_batch, recipient, root, days) if name == "json" else _Xlsx(root)


class _Csv:
    layout: Sequence[bytes] = CSV_LAYOUT
    text = staticmethod(csv_text)
    transfer = staticmethod(csv_transfer)

    def __init__(self, root: str) -> None:
        self._head = csv_head(root)

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

    def __init__(self, root: str) -> None:
        self._book = ReportBook(root)

    def head(self) -> bytes:
        return b""

    def rows(self, content: bytes) -> bytes:
        return self._book.add(content)

    def tail(self, totals: Totals) -> bytes:
        return self._book.finish()
