"""A recipient's report: its bytes, its sums, and what a spreadsheet must not run."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import InvariantBroken
from gateway.settlement.report_files import (
    ReportRow,
    ReportTotals,
    added,
    csv_head,
    csv_rows,
    json_head,
    json_rows,
    json_tail,
    share_commissions,
)

BARNAUL = timezone(timedelta(hours=7))
HEADER = (
    "accepted_at;subscriber_account;service;period;gross_kopecks;commission_kopecks;net_kopecks;"
    "payment;kind"
)


def row(gross: int = 62182, commission: int = 933, **other: object) -> ReportRow:
    fields: dict[str, object] = {
        "accepted_at": datetime(2026, 11, 12, 9, 31, 7, tzinfo=BARNAUL),
        "subscriber_account": "220012345",
        "service": "heating",
        "period": "2026-10",
        "payment": "pay_1",
        "kind": "refund" if gross < 0 else "payment",
        "gross_kopecks": gross,
        "commission_kopecks": commission,
        "net_kopecks": gross - commission,
        **other,
    }
    return ReportRow(**fields)  # type: ignore[arg-type]


def lines(*rows: ReportRow) -> list[str]:
    return (csv_head() + csv_rows(rows)).decode("utf-8-sig").split("\r\n")


def test_bytes_of_a_report() -> None:
    assert csv_head() + csv_rows([row(), row(-100, 0)]) == (
        b"\xef\xbb\xbf"
        b"accepted_at;subscriber_account;service;period;"
        b"gross_kopecks;commission_kopecks;net_kopecks;payment;kind\r\n"
        b"2026-11-12T09:31:07+07:00;220012345;heating;2026-10;62182;933;61249;pay_1;payment\r\n"
        b"2026-11-12T09:31:07+07:00;220012345;heating;2026-10;-100;0;-100;pay_1;refund\r\n"
    )


def test_report_without_rows_has_its_header() -> None:
    assert lines() == [HEADER, ""]


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
        ("", ""),
    ],
)
@pytest.mark.parametrize("field", ["service", "period", "payment"])
def test_text_that_a_spreadsheet_would_run_is_defused(field: str, text: str, cell: str) -> None:
    line = lines(row(-100, 0, **{field: text}))[1]
    (cells,) = csv.reader(io.StringIO(line), delimiter=";")
    assert cells[HEADER.split(";").index(field)] == cell
    assert cells[4:7] == ["-100", "0", "-100"]


def test_an_account_is_told_as_it_is() -> None:
    """Reports are joined by it, and an account's letters cannot make a formula of any use."""
    assert lines(row(subscriber_account="-7/1"))[1].split(";")[1] == "-7/1"


@pytest.mark.parametrize("text", ["a;b", 'a"b', "a\r\nb", "Отопление «ё»", "=a;b"])
def test_text_reads_back(text: str) -> None:
    table = (csv_head() + csv_rows([row(service=text)])).decode("utf-8-sig")
    cells = list(csv.reader(io.StringIO(table, newline=""), delimiter=";"))[1]
    assert cells[2].lstrip("'") == text


def test_rows_add_up_to_the_position() -> None:
    rows = [row(), row(1000, 15), row(-500, 0), row(-100, -2)]
    totals = ReportTotals(rows=4, gross=63182, commission=946, refunds=600, net=61636)
    assert added(ReportTotals(), rows) == totals
    assert added(ReportTotals(), []) == ReportTotals()


def test_json_has_the_rows_and_their_totals() -> None:
    rows = [row(), row(-100, 0)]
    raw = (
        json_head("sb_1", "heat")
        + json_rows(rows[:1], first=True)
        + json_rows(rows[1:], first=False)
        + json_tail(added(ReportTotals(), rows))
    )
    assert orjson.loads(raw) == {
        "settlement_batch": "sb_1",
        "recipient": "heat",
        "totals": {"rows": 2, "gross": 62182, "commission": 933, "refunds": 100, "net": 61149},
        "rows": [
            {
                "accepted_at": "2026-11-12T09:31:07+07:00",
                "subscriber_account": "220012345",
                "service": "heating",
                "period": "2026-10",
                "gross_kopecks": gross,
                "commission_kopecks": commission,
                "net_kopecks": net,
                "payment": "pay_1",
                "kind": kind,
            }
            for gross, commission, net, kind in [
                (62182, 933, 61249, "payment"),
                (-100, 0, -100, "refund"),
            ]
        ],
    }


def test_json_of_no_rows_is_still_a_document() -> None:
    raw = json_head("sb_1", "heat") + json_rows([], first=True) + json_tail(ReportTotals())
    assert orjson.loads(raw)["rows"] == []


@pytest.mark.parametrize(
    "wrong",
    [
        row(net_kopecks=61248),
        row(gross_kopecks=62182.0),
        row(True, False, net_kopecks=1),
        row(kind="refund"),
        row(-100, 0, kind="payment"),
        row(accepted_at=datetime(2026, 11, 12)),  # noqa: DTZ001
    ],
)
def test_row_that_does_not_add_up_is_a_bug(wrong: ReportRow) -> None:
    with pytest.raises(InvariantBroken):
        csv_rows([wrong])
    with pytest.raises(InvariantBroken):
        added(ReportTotals(), [wrong])


def test_time_is_told_with_its_offset() -> None:
    moment = datetime(2026, 11, 12, 2, 31, 7, 5000, tzinfo=UTC)
    assert lines(row(accepted_at=moment))[1].startswith("2026-11-12T02:31:07.005000+00:00;")


@pytest.mark.parametrize(
    ("commission", "shares", "laid"),
    [
        (0, [], []),
        (0, [0, 0], [0, 0]),
        (0, [100, 50], [0, 0]),
        (933, [62182], [933]),
        (2, [1, 1, 1], [1, 1, 0]),
        (10, [100, 200, 0], [3, 7, 0]),
        (300, [100, 200], [100, 200]),
    ],
)
def test_commission_is_laid_on_shares(commission: int, shares: list[int], laid: list[int]) -> None:
    assert share_commissions(commission, shares) == laid


@pytest.mark.parametrize(("commission", "shares"), [(1, []), (1, [0]), (-1, [5]), (6, [5])])
def test_commission_beyond_its_shares_is_a_bug(commission: int, shares: list[int]) -> None:
    with pytest.raises(InvariantBroken):
        share_commissions(commission, shares)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(0, 10**6))
def test_no_share_pays_more_commission_than_it_is(shares: list[int], ppm: int) -> None:
    commission = sum(shares) * ppm // 10**6
    laid = share_commissions(commission, shares)
    assert sum(laid) == commission
    assert all(0 <= part <= share for part, share in zip(laid, shares, strict=True))
