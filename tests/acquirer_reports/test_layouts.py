"""The product's layouts, each against bytes that are written out by hand, and what is refused."""

from datetime import date, datetime

import pytest

from gateway.acquirer_reports.rows import Row
from gateway.domain.refusals import Refusal
from tests.acquirer_reports.files import BARNAUL, MOSCOW, read, refused

SBER12 = (
    "12-11-2026;09-31-07;8644/0123;4;701234567890;220012345;Иванов Иван Иванович;"
    "г. Барнаул, ул. Ленина, д. 10, кв. 15;1026;3456,00;3421,44;34,56\r\n"
    "12-11-2026;10-00-00;8644/0123;СБОЛ;701234567891;220012346;ПЁТР № 2;Барнаул;1026;"
    "0,05;0,05;0,00\r\n"
    "=2;3456,05;3421,49;34,56;778;13-11-2026\r\n"
)
SBER15 = (
    "12-11-2026;09-31-07;8644;4;701234567890;220012345;Иванов;Барнаул;1026;3456.00;;;"
    "3456,00;3421,44;34,56\n"
    "=1;3456,00;3421,44;34,56;778;13-11-2026\n"
)
SBER15_EARLY = (
    "12-11-2026;09-31-07;8644;4;701234567890;220012345;Иванов;Барнаул;3456.00;1026;;"
    "3456,00;3421,44;34,56;\n"
    "=1;3456,00;3421,44;34,56;778;13-11-2026\n"
)
QIWI = (
    "1234567\t15.08.2026\t12:01:33\t4957835959\t200.00\n"
    "1234568\t15.08.2026\t23:59:59\t4957835960\t0.50\n"
    "Total:\t2\t200.50\n"
)
GOROD = (
    "#FILESUM 1500,25\n#TYPE 7\n#SERVICE 5258\n"
    'Иванов И.И.;"Поспелиха,8 Марта,35,1";00-123456;1000,00;5258\n'
    "Петров П.П.;Поспелиха,8 Марта,35,2;00-123457;500,25;5258\n"
)
POST = "656000 220012345 3456.00 12/11/2026\n656001  220012346  10,50  13/11/2026\n"


def at(zone: object, *parts: int) -> int:
    return int(datetime(*parts, tzinfo=zone).timestamp())  # type: ignore[arg-type, misc]


def test_sber12() -> None:
    rows, file = read(SBER12.encode("cp1251"))
    assert rows == [
        Row(1, "701234567890", "220012345", 345600, at(BARNAUL, 2026, 11, 12, 9, 31, 7)),
        Row(2, "701234567891", "220012346", 5, at(BARNAUL, 2026, 11, 12, 10, 0, 0)),
    ]
    assert (file.format, file.rows, file.amount) == ("sber12", 2, 345605)
    assert (file.transfer, file.fee, file.order_number) == (342149, 3456, "778")
    assert file.order_date == date(2026, 11, 13)
    assert (file.first_day, file.last_day) == (date(2026, 11, 12), date(2026, 11, 12))
    assert file.paid is not None
    assert [moment.isoformat() for moment in file.paid] == [
        "2026-11-11T17:00:00+00:00", "2026-11-12T17:00:00+00:00",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [SBER15, SBER15_EARLY])
def test_sber15_wherever_its_sums_stand(text: str) -> None:
    rows, file = read(text.encode("cp1251"))
    moment = at(BARNAUL, 2026, 11, 12, 9, 31, 7)
    assert rows == [Row(1, "701234567890", "220012345", 345600, moment)]
    assert file.format == "sber15"
    assert read(text.encode("cp1251"), "sber15")[0] == rows


def test_qiwi_keeps_moscow_time() -> None:
    rows, file = read(QIWI.encode())
    assert rows == [
        Row(1, "1234567", "4957835959", 20000, at(MOSCOW, 2026, 8, 15, 12, 1, 33)),
        Row(2, "1234568", "4957835960", 50, at(MOSCOW, 2026, 8, 15, 23, 59, 59)),
    ]
    assert file.format == "qiwi"
    assert file.paid is not None
    assert file.paid[0].isoformat() == "2026-08-14T21:00:00+00:00"


def test_gorod_has_neither_numbers_nor_dates() -> None:
    rows, file = read(GOROD.encode("cp1251"))
    assert rows == [
        Row(1, None, "00-123456", 100000, None),
        Row(2, None, "00-123457", 50025, None),
    ]
    assert (file.format, file.first_day, file.paid) == ("gorod", None, None)


def test_post_has_days_alone() -> None:
    rows, file = read(POST.encode("cp866"))
    assert rows == [
        Row(1, None, "220012345", 345600, at(BARNAUL, 2026, 11, 12)),
        Row(2, None, "220012346", 1050, at(BARNAUL, 2026, 11, 13)),
    ]
    assert (file.format, file.rows, file.last_day) == ("post", 2, date(2026, 11, 13))
    assert (file.transfer, file.fee, file.order_number, file.order_date) == (None,) * 4


SBER_ROW = "12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;100,00;99,00;1,00\n"


@pytest.mark.parametrize(
    ("footer", "code"),
    [
        ("=1;100,00;99,00;1,00;778;13-11-2026", "taken"),
        ("+1;100,00;99,00;1,00;778;13-11-2026", "taken"),
        ("=+1;100,00;99,00;1,00;;", "taken"),
        (" =1;100.00;99.00;1.00;;", "taken"),
        ("= 1 ; 100,00 ; 99,00 ; 1,00", "taken"),
        ("=1;100,00", "taken"),
        ("=1;100,00;;;778;", "taken"),
        ("=2;100,00;99,00;1,00;;", "control_total_mismatch"),
        ("=1;100,01;99,00;1,00;;", "control_total_mismatch"),
        ("=1;100,00;99,01;1,00;;", "control_total_mismatch"),
        ("=1;100,00;99,00;1,01;;", "control_total_mismatch"),
        ("=1", "control_total_mismatch"),
        ("=", "control_total_mismatch"),
        ("=one;100,00;99,00;1,00;;", "control_total_mismatch"),
        ("=1;about 100;99,00;1,00;;", "control_total_mismatch"),
        ("", "control_total_mismatch"),
        ("=1;100,00;99,00;1,00;;\n" + SBER_ROW, "malformed"),
        ("=1;100,00;99,00;1,00;;\n=1;100,00;99,00;1,00;;", "malformed"),
    ],
)
def test_footers_of_sber(footer: str, code: str) -> None:
    assert refused((SBER_ROW + footer).encode("cp1251")) == code


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("12-11-2026;09-31-07;8644;4;1;2;И;Б;1026;1,00;0,99;0,02", "control_total_mismatch"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;0,00;0,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;-1,00;-1,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1 000,00;1 000,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1,000;1,000;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1e3;1e3;0", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1_0;1_0;0", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;١٠;١٠;0", "malformed"),
        ("31-02-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-1926;09-31-07;8644;4;1;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-2026;24-00-00;8644;4;1;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-2026;;8644;4;1;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1\x00;220012345;И;Б;1026;1,00;1,00;0,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1,00;1,00", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;220012345;И;Б;1026;1,00;1,00;0,00;", "malformed"),
        ("12-11-2026;09-31-07;8644;4;1;2;И;Б;1026;99999999999999999,00;1,00;0,00", "malformed"),
    ],
)  # fmt: skip
def test_a_bad_row_refuses_the_whole_file(row: str, code: str) -> None:
    footer = "=2;101,00;100,00;1,00;;\n"
    assert refused((SBER_ROW + row + "\n" + footer).encode(), "sber12") == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (QIWI.replace("Total:\t2", "Total:\t3"), "control_total_mismatch"),
        (QIWI.replace("200.50", "200.51"), "control_total_mismatch"),
        (QIWI.replace("Total:\t2\t200.50", "Total: 2 200.50"), "taken"),
        (QIWI.replace("Total:\t2\t200.50\n", ""), "control_total_mismatch"),
        (GOROD.replace("1500,25", "1500,26"), "control_total_mismatch"),
        (GOROD.replace("#FILESUM 1500,25\n", ""), "control_total_mismatch"),
        (GOROD.replace("#TYPE 7\n", "") + "#TYPE 7\n", "malformed"),
        (GOROD.replace("#FILESUM", "#FILESUM 1 2"), "malformed"),
        (POST + "\n\n  \n", "taken"),
        (POST + "656000 220012345 1.00\n", "malformed"),
        ("", "malformed"),
        ("\r\n \r\n", "malformed"),
        ("Здравствуйте\n", "malformed"),
        ("=0;0,00;0,00;0,00;;\n", "taken"),
    ],
)
def test_control_totals_and_shapes_of_the_others(text: str, code: str) -> None:
    assert refused(text.encode()) == code


def test_a_refusal_names_the_line_and_no_value() -> None:
    content = (SBER_ROW + "12-11-2026;x;8644;4;1;220012345;ИВАНОВ;Б;1026;1,00;1,00;0,00\n").encode()
    with pytest.raises(Refusal) as refusal:
        read(content)
    assert refusal.value.detail == "Line 2: expected a time"


def test_a_format_that_is_named_is_not_guessed() -> None:
    assert refused(QIWI.encode(), "post") == "malformed"
    assert refused(QIWI.encode(), "sber12") == "malformed"
    assert refused(QIWI.encode(), "nobody") == "malformed"
    assert refused(QIWI.encode(), "qiwi") == "taken"
