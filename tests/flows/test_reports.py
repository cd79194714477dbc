"""Recipients' reports: the bytes that plain SQL and the csv module would write, in bounded memory.

The judge here reads the views for SQL users and shares commissions by the reference.
"""

import asyncio
import csv
import io
import random
import tracemalloc
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.domain.bill import Charge, SecondLevel
from gateway.domain.refusals import InvariantBroken
from gateway.flows import reports
from gateway.flows.seal_batches import counted_root
from gateway.settlement import store as settlement_store
from gateway.settlement.report_columns import COLUMNS
from splitcore.reference import largest_remainder
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books
from tests.flows.region import CARD, CASH, Region, Worker, batch_id, bill, receipts_of
from tests.flows.test_agreements import SetClock

HEADER = [
    *("accepted_at", "subscriber_account", "service", "period"),
    *("gross_kopecks", "commission_kopecks", "net_kopecks", "payment", "kind"),
    *("counterpart", "document"),
]
_SHARES = """
    SELECT s.at, s.subscriber_account, s.service, b.period, s.amount_kopecks, s.payment, s.refund,
           coalesce(c.commission_kopecks, 0) AS commission
    FROM shares AS s
    JOIN recipients AS r ON r.number = s.recipient
    JOIN allocations AS a ON a.payment = s.payment
    JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
    LEFT JOIN commissions AS c
        ON c.payment = s.payment AND c.recipient = s.recipient AND s.refund IS NULL
    WHERE s.settlement_batch = $1 AND r.id = $2
    ORDER BY s.at, s.payment, s.refund NULLS FIRST, s.place
"""
_MANY = """
    INSERT INTO payments
    SELECT ((lpad(to_hex(n), 12, '0') || '7' || substr(replace(p.id::text, '-', ''), 14))::uuid),
           p.accepted_at + n * interval '1 ms', p.paid_at, p.amount, p.surcharge, p.total,
           p.commission, p.bill, p.terms_version, p.caller, p.settlement_batch, p.sequence + n,
           p.plan, p.method, p.subscriber_account, p.shares, p.commissions, p.facts,
           p.designation, p.reference
    FROM payments AS p CROSS JOIN generate_series(1, $1::integer) AS n
    WHERE p.settlement_batch = (SELECT settlement_batch FROM cut)
"""


async def report_of(worker: Worker, batch: UUID, recipient: str, name: str = "csv") -> bytes:
    chunks = await reports.report(worker.context, batch, recipient, name)
    return b"".join([chunk async for chunk in chunks])


async def expected(region: Region, number: int, recipient: str) -> list[list[str]]:
    """The cells of a report, by the views and the law."""
    rows = await region.conn.fetch(_SHARES, number, recipient)
    events: dict[Any, list[Any]] = {}
    for row in rows:
        events.setdefault((row["payment"], row["refund"]), []).append(row)
    cells = []
    for (payment, refund), together in events.items():
        shares = [row["amount_kopecks"] for row in together]
        kept = together[0]["commission"]
        withheld = largest_remainder(kept, shares) if kept else [0] * len(shares)
        for row, commission in zip(together, withheld, strict=True):
            gross = row["amount_kopecks"]
            service = row["service"]
            cells.append(
                [
                    row["at"].isoformat(),
                    row["subscriber_account"],
                    f"'{service}" if service.startswith(("=", "-")) else service,
                    row["period"],
                    *map(str, (gross, commission, gross - commission)),
                    f"pay_{payment.hex}",
                    "payment" if refund is None else "refund",
                ]
            )
    return cells


async def sealed(region: Region, batch: UUID) -> str:
    """The root that the batch's reports name."""
    return (await counted_root(region.worker.context, batch)).hex()


def as_csv(cells: list[list[str]], root: str, more: list[list[str]] | None = None) -> bytes:
    """A report as the csv module writes it; `more` are the columns that old reports have not."""
    page = io.StringIO()
    writer = csv.writer(page, delimiter=";", lineterminator="\r\n")
    columns = [] if more is None else [[*COLUMNS], *more]
    lines = [HEADER, *([*line, "", ""][: len(HEADER)] for line in cells)]
    ends = [f"root_{root}", *[""] * len(cells)]
    for at, (line, end) in enumerate(zip(lines, ends, strict=True)):
        writer.writerow([*line, *(columns[at] if columns else ()), end])
    return b"\xef\xbb\xbf" + page.getvalue().encode()


async def columns_of(region: Region, batch: dict[str, Any], cells: list[list[str]]) -> Any:
    """Of each row the business day, payer, address and report, by plain SQL."""
    last = "SELECT DISTINCT ON (subscriber_account) subscriber_account, payer FROM bills"
    rows = await region.conn.fetch(last + " ORDER BY subscriber_account, number DESC")
    payers = {account: orjson.loads(payer) for account, payer in rows}
    return [[batch["business_date"], payers.get(line[1], ""), "", batch["id"]] for line in cells]


def carried(batch: dict[str, Any], amount: int, before: dict[str, Any]) -> list[str]:
    """The cells of what an earlier batch carried on."""
    closed_at, sum_ = batch["closed_at"], str(amount)
    return [closed_at, "", "", "", sum_, "0", sum_, "", "carried", "", before["id"]]


async def busy_day(region: Region) -> None:
    """Payments of several structures and periods, refunds, suspense that is placed later."""
    odd = (
        Charge("=1+1", "heat", 40_000),
        Charge('a;"b"', "waste", 30_000),
        Charge("a\nb", "heat", 20_000, 0, None, (SecondLevel("uk", 300_000),)),
        Charge("Отопление", "uk", 10_000),
    )
    await region.load(*(bill(f"A{n}") for n in range(4)), bill("B-7", *odd))
    await region.load(bill("A1", *odd, period="2026-11"))
    dice = random.Random(7)
    accounts = ["A0", "A1", "A2", "A3", "B-7", "later"]
    requests = [
        region.payment(
            f"p{n}", accounts[n % 6], dice.randint(1, 90_000), method=dice.choice([CARD, CASH])
        )
        for n in range(90)
    ]
    payments = receipts_of(await asyncio.gather(*map(region.worker.intake.accept, requests)))
    for n in range(0, 90, 7):
        await region.refund(f"r{n}", payments[n].id, max(1, payments[n].amount // 3))
    await region.resolve("v", payments[11].id, "B-7")


async def test_reports_are_what_plain_sql_and_the_csv_module_write(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement_store, "BLOCK_RECORDS", 7)
    monkeypatch.setattr(reports, "RECORDS_AT_ONCE", 20)
    monkeypatch.setattr(reports, "PIECE_BYTES", 300)
    await busy_day(region)
    closed = [await region.close("c1")]
    payment = await region.conn.fetchval("SELECT min(payment::text)::uuid FROM allocations")
    await region.refund("later", payment, 1)
    closed.append(await region.close("c2"))
    closed.append(await region.close("empty"))
    for number, batch in enumerate(closed, 1):
        assert batch["positions"] or number == 3
        for position in batch["positions"]:
            cells = await expected(region, number, position["recipient"])
            if position["carried_in"]:
                cells.append(carried(batch, position["carried_in"], closed[number - 2]))
            of = batch_id(batch["id"]), position["recipient"]
            root = await sealed(region, of[0])
            more = await columns_of(region, batch, cells)
            assert await report_of(region.worker, *of) == as_csv(cells, root, more)
            told = orjson.loads(await report_of(region.worker, *of, "json"))
            assert told["root"] == root
            names = HEADER[:2] + HEADER[3:-2]
            kinds = [str] * 3 + [int] * 3 + [str] * 2
            assert [[row[name] for name in names] for row in told["rows"]] == [
                [
                    kind(cell) if cell else None
                    for kind, cell in zip(kinds, line[:2] + line[3:9], strict=True)
                ]
                for line in cells
            ]
            assert [[row[name] for name in COLUMNS] for row in told["rows"]] == [
                [text or None for text in line] for line in more
            ]
            sums = {name: sum for name, sum in position.items() if name != "recipient"}
            assert told["totals"] == {"rows": len(cells), **sums}
    assert len(closed[0]["positions"]) == 3
    await check_books(region.conn)


async def test_a_position_of_what_was_carried_names_the_batches_it_came_from(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    await region.load(bill("A", Charge("gas", "waste", 10**9)))
    payment = await region.pay("p1", "A", 10_000)
    first = await region.close("c1")
    await region.refund("r", payment.id, 9_000)
    second = await region.close("c2")
    await region.refund("s", payment.id, 1_000)
    third = await region.close("c3")
    closed = [first, second, third, await region.close("c4")]
    batch = batch_id(closed[3]["id"])
    cells = [carried(closed[3], -9_000, second), carried(closed[3], -1_000, third)]
    root = await sealed(region, batch)
    more = await columns_of(region, closed[3], cells)
    assert await report_of(region.worker, batch, "waste") == as_csv(cells, root, more)
    told = orjson.loads(await report_of(region.worker, batch, "waste", "json"))
    totals = told["totals"]
    assert (totals["rows"], totals["net"], totals["carried_in"]) == (2, 0, -10_000)
    # The earliest that is named stands for all before it.
    monkeypatch.setattr(reports, "CARRIED_MAX", 1)
    cells = [carried(closed[3], -10_000, third)]
    assert await report_of(region.worker, batch, "waste") == as_csv(cells, root, more[:1])
    # Reports that were given out before there were such rows have none.
    await region.conn.execute("ALTER TABLE report_carried DISABLE TRIGGER USER")
    await region.conn.execute("UPDATE report_carried SET from_batch = 5")
    assert await report_of(region.worker, batch, "waste") == as_csv([], root, [])


async def test_reports_asked_for_at_once_lay_the_batch_out_once_and_are_the_same_again(
    region: Region, tmp_path: Path
) -> None:
    await busy_day(region)
    closed = await region.close("c")
    batch = batch_id(closed["id"])
    cells = await expected(region, 1, "heat")
    root = await sealed(region, batch)
    more = await columns_of(region, closed, cells)
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(url=wire.url) as other,
    ):
        # Whether laying out was committed or not, it is tried again.
        wire.fates = iter([LOST_BEFORE, LOST_AFTER])
        first = asyncio.create_task(report_of(other, batch, "heat"))
        await asyncio.wait_for(wire.at_commit.wait(), 5)
        workers = [region.worker, other] * 2 + [region.worker]
        told = await asyncio.gather(
            first, *(report_of(worker, batch, "heat") for worker in workers)
        )
    assert told == [as_csv(cells, root, more)] * 6
    records = "SELECT sum(records) FROM report_pages"
    rows = "SELECT (SELECT count(*) FROM allocations) + (SELECT count(shares) FROM refunds)"
    assert await region.number(records) == await region.number(rows)
    # Pages need not survive a crash.
    await region.conn.execute("TRUNCATE report_pages")
    assert await report_of(region.worker, batch, "heat") == as_csv(cells, root, more)


async def test_batches_closed_before_there_were_more_columns_keep_their_bytes(
    region: Region,
) -> None:
    await busy_day(region)
    old = await region.close("old")
    await region.pay("p", "A0", 5_000)
    new = await region.close("new")
    await region.conn.execute("ALTER TABLE report_forms DISABLE TRIGGER USER")
    await region.conn.execute("UPDATE report_forms SET from_batch = 2")
    # A bill that is loaded later is of another payer, and changes no report of before.
    before = {number: await expected(region, number, "heat") for number in (1, 2)}
    more = await columns_of(region, new, before[2])
    await region.load(bill("A0", period="2026-12"))
    for batch, number, columns in ((old, 1, None), (new, 2, more)):
        id_ = batch_id(batch["id"])
        root = await sealed(region, id_)
        told = await report_of(region.worker, id_, "heat")
        assert told == as_csv(before[number], root, columns)
        rows = orjson.loads(await report_of(region.worker, id_, "heat", "json"))["rows"]
        assert all(("payer" in row) == (number == 2) for row in rows)


async def test_each_row_tells_its_business_day(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "PIECE_BYTES", 300)
    # Midnight in Barnaul, the moment that ends a day and belongs to the next.
    clock = SetClock(datetime(2026, 12, 11, 17, tzinfo=UTC))
    async with region.working(clock) as worker:
        await region.load(bill("A", Charge("heating", "heat", 10**9)), worker=worker)
        steps = (-7_200, 3_600, 3_599, 1, 1, 86_400, 40_000, 46_399, 1)
        days = []
        for number, seconds in enumerate(steps):
            clock.moment += timedelta(seconds=seconds)
            days.append(worker.context.days.day(clock.moment).isoformat())
            request = region.payment(f"p{number}", "A", 1_000 + number)
            await worker.intake.accept(request)
        closed = await region.close("c", on=worker)
        batch = batch_id(closed["id"])
        text = (await report_of(worker, batch, "heat")).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
        assert [row["business_day"] for row in rows] == days
        assert len(set(days)) > 2
        counted = Counter(days)
        assert {d["business_day"]: d["payments"] for d in closed["business_days"]} == counted


async def test_a_report_that_is_not_the_position_is_never_finished(region: Region) -> None:
    await busy_day(region)
    batch = batch_id((await region.close("c"))["id"])
    await report_of(region.worker, batch, "heat")
    await region.conn.execute(
        "DELETE FROM report_pages WHERE plan = (SELECT min(plan) FROM report_pages)"
    )
    for name in ("csv", "json"):
        with pytest.raises(InvariantBroken, match="add up to its position"):
            await report_of(region.worker, batch, "heat", name)


async def test_a_larger_report_takes_no_more_memory(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement_store, "BLOCK_RECORDS", 500)
    monkeypatch.setattr(reports, "RECORDS_AT_ONCE", 500)
    await region.load(bill("A"))
    taken = []
    for number, count in enumerate((2_000, 16_000)):
        await region.pay(f"p{number}", "A", 20_000)
        await region.conn.execute(_MANY, count)
        batch = batch_id((await region.close(f"c{number}"))["id"])
        # What is prepared and kept once is no part of it.
        await report_of(region.worker, batch, "heat")
        size = 0
        tracemalloc.start()
        async for chunk in await reports.report(region.worker.context, batch, "heat", "csv"):
            size += len(chunk)
        taken.append((size, tracemalloc.get_traced_memory()[1]))
        tracemalloc.stop()
    (small, of_small), (large, of_large) = taken
    assert large > 3 * small
    assert of_large < 1.3 * of_small
