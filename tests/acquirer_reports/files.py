"""Files of each layout as acquirers write them, made from rows; and what they are read as."""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.acquirer_reports import layouts
from gateway.acquirer_reports.reader import ReportReader
from gateway.acquirer_reports.rows import ReportFile, Row
from gateway.domain.refusals import Refusal

# Of each property; `make fuzz` asks for more.
EXAMPLES = int(os.environ.get("KOPECK_TEST_EXAMPLES", "400"))
BARNAUL = ZoneInfo("Asia/Barnaul")
MOSCOW = ZoneInfo("Europe/Moscow")
LAYOUTS = layouts.load(None)


class Told(Struct, frozen=True):
    """One operation to be written down; the fee is withheld from the sum."""

    operation: str
    account: str
    amount: int
    at: str = "2026-11-12 09:31:07"
    fee: int = 0
    name: str = "Иванов Иван Иванович"

    @property
    def moment(self) -> datetime:
        return datetime.strptime(self.at, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def roubles(kopecks: int, mark: str = ",") -> str:
    return f"{kopecks // 100}{mark}{kopecks % 100:02}"


def sber12(rows: Iterable[Told], mark: str = ",", start: str = "=") -> str:
    told = list(rows)
    lines = [
        f"{row.moment:%d-%m-%Y;%H-%M-%S};8644/0123;4;{row.operation};{row.account};{row.name};"
        f"г. Барнаул, ул. Ленина, д. 1;1026;{roubles(row.amount, mark)};"
        f"{roubles(row.amount - row.fee, mark)};{roubles(row.fee, mark)}"
        for row in told
    ]
    return "\n".join([*lines, sber_footer(told, mark, start), ""])


def sber15(rows: Iterable[Told], mark: str = ",", start: str = "=", early: bool = False) -> str:
    told = list(rows)
    lines = []
    for row in told:
        service = roubles(row.amount, ".")
        sums = ";".join(
            roubles(amount, mark) for amount in (row.amount, row.amount - row.fee, row.fee)
        )
        middle = f"{service};;;{sums};" if early else f"1026;{service};;;{sums}"
        lines.append(
            f"{row.moment:%d-%m-%Y;%H-%M-%S};8644/0123;4;{row.operation};{row.account};{row.name};"
            f"г. Барнаул, ул. Ленина, д. 1;{middle}"
        )
    return "\n".join([*lines, sber_footer(told, mark, start), ""])


def sber_footer(told: list[Told], mark: str, start: str) -> str:
    sums = [sum(row.amount for row in told), sum(row.amount - row.fee for row in told)]
    sums.append(sum(row.fee for row in told))
    return ";".join([f"{start}{len(told)}", *(roubles(s, mark) for s in sums), "778", "13-11-2026"])


def qiwi(rows: Iterable[Told], mark: str = ".") -> str:
    told = list(rows)
    lines = [
        f"{row.operation}\t{row.moment:%d.%m.%Y\t%H:%M:%S}\t{row.account}"
        f"\t{roubles(row.amount, mark)}"
        for row in told
    ]
    total = roubles(sum(row.amount for row in told), mark)
    return "\n".join([*lines, f"Total:\t{len(told)}\t{total}", ""])


def gorod(rows: Iterable[Told], mark: str = ",") -> str:
    told = list(rows)
    head = [f"#FILESUM {roubles(sum(row.amount for row in told), mark)}", "#TYPE 7"]
    lines = [
        f'{row.name};"Поспелиха,8 Марта,35,1";{row.account};{roubles(row.amount, mark)};5258'
        for row in told
    ]
    return "\n".join([*head, "#SERVICE 5258", *lines, ""])


def post(rows: Iterable[Told], mark: str = ".") -> str:
    lines = [
        f"656000 {row.account} {roubles(row.amount, mark)} {row.moment:%d/%m/%Y}" for row in rows
    ]
    return "\n".join([*lines, ""])


WRITERS = {"sber12": sber12, "sber15": sber15, "qiwi": qiwi, "gorod": gorod, "post": post}


def expected(told: Iterable[Told], format_name: str) -> list[Row]:
    """The rows that a file of these operations is read as."""
    zone = MOSCOW if format_name == "qiwi" else BARNAUL
    rows = []
    for number, row in enumerate(told, 1):
        local = row.moment.replace(tzinfo=zone)
        if format_name == "post":
            local = local.replace(hour=0, minute=0, second=0)
        paid_at = None if format_name == "gorod" else int(local.timestamp())
        operation = None if format_name in ("gorod", "post") else row.operation
        rows.append(Row(number, operation, row.account, row.amount, paid_at))
    return rows


def read(
    content: bytes, format_name: str = "auto", piece: int = 65_536, known: object = LAYOUTS
) -> tuple[list[Row], ReportFile]:
    """The rows of a file that comes in pieces of this size."""
    assert isinstance(known, layouts.Layouts)
    reader = ReportReader(known.of(format_name), BARNAUL)
    rows = []
    for at in range(0, len(content), piece):
        rows += reader.feed(content[at : at + piece])
    last, file = reader.finish()
    return rows + last, file


def refused(content: bytes, format_name: str = "auto", known: object = LAYOUTS) -> str:
    """The code a file is refused with."""
    try:
        read(content, format_name, known=known)
    except Refusal as refusal:
        return refusal.code
    return "taken"


def some(count: int, first: int = 1, account: str = "22000{:04}") -> list[Told]:
    """Operations that all differ."""
    start = datetime(2026, 11, 12, 8, 0, 0, tzinfo=UTC)
    return [
        Told(
            operation=f"7000{number:08}",
            account=account.format(number),
            amount=10_000 + number * 7,
            at=f"{start + timedelta(minutes=number % 600):%Y-%m-%d %H:%M:%S}",
            fee=number % 100,
        )
        for number in range(first, first + count)
    ]
