"""A recipient's report: its bytes, its sums, and what a spreadsheet must not run."""

import csv
import io
from datetime import UTC, date, datetime

import orjson
import pytest
from msgspec.structs import asdict

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
from splitcore import ShareRows, pack

# 2026-11-12T02:31:07+00:00
MOMENT = 847_765_867_000_000
TOTALS = Totals(
    rows=2,
    gross=62_182,
    commission=933,
    refunds=100,
    net=61_149,
    transferred=-149,
    carried_in=-1_000,
    returned=500,
    payable=60_500,
    carried_out=0,
)
PAYMENT = "019a75f0c0de7000800000000000cafe"


def record(place: int, share: int, commission: int, account: str, is_refund: bool) -> bytes:
    return (
        place.to_bytes(4, "big")
        + MOMENT.to_bytes(8, "big")
        + bytes.fromhex(PAYMENT)
        + bytes([is_refund])
        + f"{account}\n2026-10\n".encode()
        + pack([share])
        + (pack([commission]) if commission else b"\0")
    )


def rows(layout: tuple[bytes, ...], service: bytes, account: str = "220012345") -> bytes:
    """A payment's row and its refund's."""
    laid = ShareRows(layout)
    laid.add_plan(1, [service], 1, 0)
    page = record(0, 62_182, 933, account, False) + record(1, 100, 0, account, True)
    laid.read([(1, page)])
    return laid.next_text(10_000)


def cells(service: str, account: str = "220012345") -> list[list[str]]:
    table = csv_head("ab12") + rows(CSV_LAYOUT, csv_text(service), account)
    return list(csv.reader(io.StringIO(table.decode("utf-8-sig"), newline=""), delimiter=";"))


def test_bytes_of_a_report() -> None:
    assert csv_head("ab12") + rows(CSV_LAYOUT, csv_text("heating")) == (
        b"\xef\xbb\xbf"
        b"accepted_at;subscriber_account;service;period;"
        b"gross_kopecks;commission_kopecks;net_kopecks;payment;kind;counterpart;document;"
        b"root_ab12\r\n"
        b"2026-11-12T02:31:07+00:00;220012345;heating;2026-10;62182;933;61249;"
        b"pay_019a75f0c0de7000800000000000cafe;payment;;;\r\n"
        b"2026-11-12T02:31:07+00:00;220012345;heating;2026-10;-100;0;-100;"
        b"pay_019a75f0c0de7000800000000000cafe;refund;;;\r\n"
    )


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+7", "'+7"),
        ("-7", "'-7"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("7-7", "7-7"),
        ("'7", "'7"),
    ],
)
def test_text_that_a_spreadsheet_would_run_is_defused(text: str, cell: str) -> None:
    _, payment, refund = cells(text)
    assert payment[2] == refund[2] == cell
    assert refund[4:7] == ["-100", "0", "-100"]


def test_an_account_is_told_as_it_is() -> None:
    """Reports are joined by it, and an account's letters cannot make a formula of any use."""
    assert [line[1] for line in cells("heating", "-7/1")[1:]] == ["-7/1", "-7/1"]


@pytest.mark.parametrize("text", ["a;b", 'a"b', "a\r\nb", "a\nb", "a\rb", "Отопление «ё»", "=a;b"])
def test_text_reads_back(text: str) -> None:
    assert [line[2].lstrip("'") for line in cells(text)[1:]] == [text, text]
    assert json_text(text) == orjson.dumps(text)


def test_json_has_the_rows_and_their_totals() -> None:
    raw = (
        json_head("sb_1", "heat", "ab12", {})
        + rows(JSON_LAYOUT, json_text('"Тепло";'))[1:]
        + json_tail(TOTALS)
    )
    assert orjson.loads(raw) == {
        "settlement_batch": "sb_1",
        "recipient": "heat",
        "root": "ab12",
        "totals": asdict(TOTALS),
        "rows": [
            {
                "accepted_at": "2026-11-12T02:31:07+00:00",
                "subscriber_account": "220012345",
                "service": '"Тепло";',
                "period": "2026-10",
                "gross_kopecks": gross,
                "commission_kopecks": commission,
                "net_kopecks": net,
                "payment": f"pay_{PAYMENT}",
                "kind": kind,
            }
            for gross, commission, net, kind in [
                (62182, 933, 61249, "payment"),
                (-100, 0, -100, "refund"),
            ]
        ],
    }


def test_json_of_no_rows_is_still_a_document() -> None:
    assert orjson.loads(json_head("sb_1", "heat", "ab12", {}) + json_tail(TOTALS))["rows"] == []


TAKEN = TransferLine(
    datetime(2026, 11, 12, 15, 0, tzinfo=UTC),
    "heating",
    -62_000,
    "heat",
    '=№ "7";',
    date(2026, 10, 1),
    "obl_" + "0" * 32,
)


def test_what_an_obligation_took_is_a_row_of_its_own() -> None:
    row = csv_transfer(TAKEN)
    table = (csv_head("ab12") + row).decode("utf-8-sig")
    (found,) = csv.DictReader(io.StringIO(table, newline=""), delimiter=";")
    assert row.endswith(b"\r\n")
    assert row.count(b"\n") == 1
    assert found.pop("root_ab12") == ""
    assert found == {
        "accepted_at": "2026-11-12T15:00:00+00:00",
        "subscriber_account": "",
        "service": "heating",
        "period": "",
        "gross_kopecks": "-62000",
        "commission_kopecks": "0",
        "net_kopecks": "-62000",
        "payment": "",
        "kind": "obligation",
        "counterpart": "heat",
        "document": '\'=№ "7";',
    }
    assert orjson.loads(json_transfer(TAKEN)[1:]) == {
        **{name: value or None for name, value in found.items()},
        "gross_kopecks": -62_000,
        "commission_kopecks": 0,
        "net_kopecks": -62_000,
        "document": '=№ "7";',
        "document_date": "2026-10-01",
        "obligation": TAKEN.obligation,
    }
