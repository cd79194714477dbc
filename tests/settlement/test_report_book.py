"""A recipient's report as a workbook, read by a library that knows nothing of ours."""

import io
import zipfile
from typing import Any

import pytest
from python_calamine import CalamineWorkbook

from gateway.settlement import report_book
from gateway.settlement.report_book import XLSX_LAYOUT, ReportBook, xlsx_text, xlsx_transfer
from gateway.settlement.report_files import CSV_HEADER
from tests.settlement.test_report_files import PAYMENT, TAKEN, rows

# The last column is empty under its head.
HEADER = [*CSV_HEADER, "root_ab12"]
ROWS = [
    ["2026-11-12T02:31:07+00:00", "220012345", "heating", "2026-10", 62_182.0, 933.0, 61_249.0,
     f"pay_{PAYMENT}", "payment", "", "", ""],
    ["2026-11-12T02:31:07+00:00", "220012345", "heating", "2026-10", -100.0, 0.0, -100.0,
     f"pay_{PAYMENT}", "refund", "", "", ""],
]  # fmt: skip


def book(*pieces: bytes) -> bytes:
    made = ReportBook("ab12")
    written = [made.add(piece) for piece in pieces]
    return b"".join([*written, made.finish()])


def sheets(content: bytes) -> list[list[list[Any]]]:
    found = CalamineWorkbook.from_filelike(io.BytesIO(content))
    return [found.get_sheet_by_name(name).to_python() for name in found.sheet_names]


def test_texts_are_texts_and_kopecks_are_numbers() -> None:
    content = book(rows(XLSX_LAYOUT, b"heating"))
    assert sheets(content) == [[HEADER, *ROWS]]
    assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


def test_what_an_obligation_took_is_a_row_of_its_own() -> None:
    taken = ["2026-11-12T15:00:00+00:00", "", "heating", "", -62_000.0, 0.0, -62_000.0, "",
             "obligation", "heat", '=№ "7";', ""]  # fmt: skip
    assert sheets(book(rows(XLSX_LAYOUT, b"heating"), xlsx_transfer(TAKEN))) == [
        [HEADER, *ROWS, taken]
    ]


def test_the_same_rows_are_the_same_bytes() -> None:
    piece = rows(XLSX_LAYOUT, b"heating")
    assert book(piece, piece) == book(piece, piece)


def test_a_report_without_rows_has_its_header() -> None:
    assert sheets(book()) == [[HEADER]]


@pytest.mark.parametrize(
    "service", ["=cmd|' /C calc'!A0", "@SUM(1)", "<b>&amp;", 'говорят "тепло"', "x\x0by\uffff"]
)
def test_no_text_is_run_or_breaks_out(service: str) -> None:
    content = book(rows(XLSX_LAYOUT, xlsx_text(service)))
    kept = "".join(char for char in service if char not in "\x0b\uffff")
    assert sheets(content)[0][1][2] == kept
    sheet = zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet


def test_a_full_sheet_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert report_book.SHEET_ROWS_MAX == 1_048_576
    monkeypatch.setattr(report_book, "SHEET_ROWS_MAX", 4)
    piece = rows(XLSX_LAYOUT, b"heating")
    found = sheets(book(piece, piece * 3))
    assert [len(sheet) for sheet in found] == [4, 4, 3]
    assert [sheet[0] for sheet in found] == [HEADER] * 3
    assert [row for sheet in found for row in sheet[1:]] == ROWS * 4


def test_what_is_written_goes_on_at_once() -> None:
    made = ReportBook("ab12")
    piece = rows(XLSX_LAYOUT, b"heating") * 2_000
    sent = sum(len(made.add(piece)) for _ in range(20))
    assert sent > 5 * len(made.finish())
