"""A recipient's report as a workbook (xlsx), written as its rows come, in bounded memory.

The cells are laid out by splitcore's ShareRows, as those of the other formats are; a workbook is a
zip of such texts. Texts are inline strings, which no spreadsheet runs as a formula, and kopecks are
numbers. Must not hold a row back: a report of a million rows is sent while it is read.
"""

import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, Final

from gateway.settlement.report_files import (
    CSV_HEADER,
    ROW_KINDS,
    TransferLine,
    root_column,
)

_STRING: Final = b'<c t="inlineStr"><is><t>'
_AFTER_STRING: Final = b"</t></is></c>"
_NEXT_STRING: Final = _AFTER_STRING + _STRING
_NEXT_NUMBER: Final = b"</v></c><c><v>"
_ROW_END: Final = b"</row>"
# What stands before each figure of a row, then what ends the row of each kind.
XLSX_LAYOUT: Final = (
    *(b"<row>" + _STRING, _NEXT_STRING, _NEXT_STRING, _NEXT_STRING),
    *(_AFTER_STRING + b"<c><v>", _NEXT_NUMBER, _NEXT_NUMBER, b"</v></c>" + _STRING + b"pay_"),
    *(_NEXT_STRING + kind.encode() + _AFTER_STRING + _ROW_END for kind in ROW_KINDS),
)
# Spreadsheets have no more; its header is one of them.
SHEET_ROWS_MAX: Final = 1_048_576
_WIDTHS: Final = (28, 20, 20, 10, 16, 18, 16, 40, 10, 20, 20, 72)
_MORE_WIDTH: Final = 24
_HEAD: Final = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_LEVEL: Final = 1
_MARKS: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def xlsx_text(text: str) -> bytes:
    """A text as it stands in a cell; what XML cannot carry is left out."""
    kept = "".join(char for char in text if char >= " " and char not in "\x7f\ufffe\uffff")
    return kept.translate(_MARKS).encode()


def xlsx_transfer(row: TransferLine) -> bytes:
    """A row of what is no share, as XLSX_LAYOUT lays out the others."""
    texts = (row.at.isoformat(), "", row.service, "")
    after = ("", row.kind, row.counterpart, row.document)
    numbers = b"".join(b"<c><v>%d</v></c>" % figure for figure in (row.amount, 0, row.amount))
    return b"<row>" + _cells(texts) + numbers + _cells(after) + _ROW_END


def _cells(texts: Sequence[str]) -> bytes:
    return b"".join(_STRING + xlsx_text(text) + _AFTER_STRING for text in texts)


class ReportBook:
    """The bytes of one workbook, a piece for each piece of rows that goes in."""

    def __init__(self, root: str, more: Sequence[str] = ()) -> None:
        header = (*CSV_HEADER, *more, root_column(root))
        widths = (*_WIDTHS[:-1], *(_MORE_WIDTH for _ in more), _WIDTHS[-1])
        self._head = _HEAD + _sheet_head(header, widths)
        self._out = _Written()
        self._zip = zipfile.ZipFile(
            self._out,  # type: ignore[call-overload]  # a stream that is only written to
            "w",
            zipfile.ZIP_DEFLATED,
            compresslevel=_LEVEL,
        )
        self._sheet: IO[bytes] | None = None
        self._sheets = 0
        self._rows = 0

    def add(self, rows: bytes) -> bytes:
        """More whole rows, laid out by XLSX_LAYOUT."""
        self._open()
        for part in self._parts(rows):
            self._open().write(part)
        return self._out.take()

    def finish(self) -> bytes:
        """The end of the workbook."""
        self._open()
        self._close()
        sheets = range(1, self._sheets + 1)
        for name, content in (
            ("xl/workbook.xml", _workbook(sheets)),
            ("xl/_rels/workbook.xml.rels", _workbook_relations(sheets)),
            ("_rels/.rels", _relations()),
            ("[Content_Types].xml", _content_types(sheets)),
        ):
            with self._zip.open(name, "w") as entry:
                entry.write(_HEAD + content.encode())
        self._zip.close()
        return self._out.take()

    def _parts(self, rows: bytes) -> Iterator[bytes]:
        """The rows cut where a sheet is full."""
        left = rows.count(_ROW_END)
        while self._rows + left > SHEET_ROWS_MAX:
            room = SHEET_ROWS_MAX - self._rows
            at = 0
            for _ in range(room):
                at = rows.index(_ROW_END, at) + len(_ROW_END)
            yield rows[:at]
            self._close()
            self._open()
            rows, left = rows[at:], left - room
        self._rows += left
        if rows:
            yield rows

    def _open(self) -> IO[bytes]:
        if self._sheet is None:
            self._sheets += 1
            self._rows = 1
            self._sheet = self._zip.open(f"xl/worksheets/sheet{self._sheets}.xml", "w")
            self._sheet.write(self._head)
        return self._sheet

    def _close(self) -> None:
        if self._sheet is not None:
            self._sheet.write(b"</sheetData></worksheet>")
            self._sheet.close()
            self._sheet = None


class _Written:
    """What a zip writes to: it cannot go back, so what is written can be sent."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        """Keeps a piece until it is taken."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> bytes:
        """What was written since it was taken last."""
        taken = b"".join(self._pieces)
        self._pieces = []
        return taken


def _sheet_head(header: Sequence[str], told_widths: Sequence[int]) -> bytes:
    widths = "".join(
        f'<col min="{at}" max="{at}" width="{width}" customWidth="1"/>'
        for at, width in enumerate(told_widths, 1)
    )
    names = "".join(f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in header)
    return (
        f'<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        f"</sheetView></sheetViews><cols>{widths}</cols><sheetData><row>{names}</row>"
    ).encode()


def _workbook(sheets: range) -> str:
    named = "".join(f'<sheet name="Report {at}" sheetId="{at}" r:id="rId{at}"/>' for at in sheets)
    return (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/></bookViews>'
        f"<sheets>{named}</sheets></workbook>"
    )


def _workbook_relations(sheets: range) -> str:
    parts = "".join(
        f'<Relationship Id="rId{at}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in sheets
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{parts}</Relationships>'


def _relations() -> str:
    part = f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{part}</Relationships>'


def _content_types(sheets: range) -> str:
    parts = "".join(
        f'<Override PartName="/xl/worksheets/sheet{at}.xml" ContentType="{_TYPE}.worksheet+xml"/>'
        for at in sheets
    )
    return (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml"'
        f' ContentType="{_TYPE}.sheet.main+xml"/>{parts}</Types>'
    )
