"""Layouts as data: another bank's file without a line of code, and bad descriptors told at once."""

from pathlib import Path

import pytest

from gateway.acquirer_reports import layouts
from gateway.acquirer_reports.layout import LayoutMisfit, read_layout
from gateway.acquirer_reports.rows import Row
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal
from tests.acquirer_reports.files import BARNAUL, post, read, refused, some
from tests.acquirer_reports.test_hostile import DESCRIPTOR
from tests.acquirer_reports.test_layouts import at

SLAVIA = b"""
# Nine columns that nobody needs, whole kopecks, a time behind the date, dates of the day first.
format = "slavia"
unit = "kopecks"
timezone = "Europe/Moscow"
method = "card"
[columns]
separator = "tab"
count = 4
account = 1
sum = 3
date = 4
[footer]
starts = ["ITOG"]
totals = ["sum"]
required = false
"""


def own(folder: Path, *descriptors: bytes) -> layouts.Layouts:
    for number, descriptor in enumerate(descriptors):
        (folder / f"{number}.toml").write_bytes(descriptor)
    (folder / "notes.txt").write_text("not a layout")
    return layouts.load(folder)


def test_another_bank_needs_no_code(tmp_path: Path) -> None:
    known = own(tmp_path, DESCRIPTOR, SLAVIA)
    content = (
        "Номер|Дата|Счёт|Сумма\r\n17/Б|12.11.26|22-1|10,5\r\n18|13.11.26|22-2|7\r\n"
        "END|total|2|17,50\r\n"
    ).encode("cp866")
    rows, file = read(content, "mybank", known=known)
    assert rows == [
        Row(1, "17/Б", "22-1", 1050, at(BARNAUL, 2026, 11, 12)),
        Row(2, "18", "22-2", 700, at(BARNAUL, 2026, 11, 13)),
    ]
    assert (file.format, file.per_file, file.method) == ("mybank", True, "cash")
    wrong = content.replace(b"17,50", b"17,51")
    assert refused(wrong, "mybank", known) == "control_total_mismatch"
    assert refused(content, "auto", known) == "malformed", "a line that is not read tells nothing"


def test_kopecks_moments_and_a_footer_that_may_be_left_out(tmp_path: Path) -> None:
    known = own(tmp_path, SLAVIA)
    for footer in ("", "ITOG\t1050\n"):
        content = f"22-1\tИванов\t1050\t12/11/2026 09:31:07\n{footer}".encode("koi8-r")
        rows, file = read(content, "auto", known=known)
        assert [row.paid_at for row in rows] == [1794465067]
        assert (rows[0].amount, file.format, file.method) == (1050, "slavia", "card")
    assert refused(b"22-1\tI\t10.50\t12/11/2026\n", "slavia", known) == "malformed"


def test_the_products_layouts_stay(tmp_path: Path) -> None:
    known = own(tmp_path, DESCRIPTOR)
    assert read(post(some(3)).encode(), known=known)[1].format == "post"
    with pytest.raises(Refusal):
        layouts.load(None).of("mybank")


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        (b'format = "mybank"', b"", "format"),
        (b'"mybank"', b'"auto"', "format"),
        (b'"mybank"', b'"My Bank"', "format"),
        (b"account = 3", b"", "account"),
        (b"account = 3", b"account = 5", "column"),
        (b"account = 3", b"account = 4", "column"),
        (b"account = 3", b"account = 0", ">= 1"),
        (b"account = 3", b"account = 3\nbranch = 2", "branch"),
        (b"account = 3", b'account = "3"', "int"),
        (b"date = 2", b"time = 2", "date beside time"),
        (b"date = 2", b"fee = 2", "transfer and fee"),
        (b'"|"', b'"||"', "separator"),
        (b'"|"', b'"\\n"', "separator"),
        (b"DD.MM.YY", b"DD.MM", "DD, MM"),
        (b"DD.MM.YY", b"DD.MM.YYYY.YY", "DD, MM"),
        (b"DD.MM.YY", b"DD.MM.YYx", "signs"),
        (b'["END"]', b"[]", "footer.starts"),
        (b'"other", "count"', b'"sum", "count"', "once"),
        (b'"other", "count"', b'"fee", "count"', "columns transfer and fee"),
        (b"lines = 1", b'sum = "#SUM"\nstarts = ["//"]', "header.sum"),
        (b"[columns]", b'timezone = "Moscow"\n[columns]', "timezone"),
        (b"[columns]", b"[columns", "Expected"),
    ],
)
def test_a_bad_descriptor_says_what_was_expected(change: bytes, to: bytes, said: str) -> None:
    assert change in DESCRIPTOR
    with pytest.raises(LayoutMisfit, match=said):
        read_layout(DESCRIPTOR.replace(change, to))


def test_a_bad_directory_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="directory"):
        layouts.load(tmp_path / "nowhere")
    (tmp_path / "a.toml").write_bytes(DESCRIPTOR.replace(b"mybank", b"sber12"))
    with pytest.raises(StartRefused, match=r"a\.toml.*sber12"):
        layouts.load(tmp_path)
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(StartRefused, match=r"a\.toml"):
        layouts.load(tmp_path)
