"""Closing settlement batches while payers pay: each row in one batch, positions to the kopeck."""

import asyncio
import csv
import io
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from python_calamine import CalamineWorkbook

from gateway.domain.bill import Charge
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import close_batch
from gateway.flows.payout_files import FORMATS, payout_file
from gateway.flows.reports import report
from gateway.settlement.report_columns import COLUMNS
from gateway.settlement.report_files import CSV_HEADER
from gateway.storage import keys
from tests.flows.losing_wire import LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, batch_id, bill, receipts_of

_WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = $1 AND state = 'active'"


def positions(closed: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """(gross, commission, refunds, net, carried_in, payable, carried_out) by recipient."""
    names = ("gross", "commission", "refunds", "net", "carried_in", "payable", "carried_out")
    return {p["recipient"]: tuple(p[name] for name in names) for p in closed["positions"]}


async def until_waiting(region: Region, event: str) -> None:
    for _ in range(1_000):
        if await region.number(_WAITS, event):
            return
        await asyncio.sleep(0.005)
    pytest.fail(f"Expected somebody to wait for {event}")


@asynccontextmanager
async def held_bill(region: Region, account: str) -> AsyncIterator[None]:
    """Somebody else holds the account's open bill, so whoever splits onto it must wait."""
    conn = await asyncpg.connect(region.url)
    try:
        async with conn.transaction():
            await conn.execute(
                "SELECT 1 FROM open_bills WHERE subscriber_account = $1 FOR UPDATE", account
            )
            yield
    finally:
        await conn.close()


async def report_of(region: Region, batch: UUID, recipient: str, name: str) -> bytes:
    chunks = await report(region.worker.context, batch, recipient, name)
    return b"".join([chunk async for chunk in chunks])


async def test_each_row_is_in_exactly_one_batch_however_often_it_is_closed(region: Region) -> None:
    await region.load(*(bill(f"A{n}") for n in range(5)))
    dice = random.Random(50)
    async with region.working(group_size_max=6) as one, region.working(group_size_max=4) as other:

        async def pay(number: int) -> None:
            worker = (one, other)[number % 2]
            account = f"A{dice.randrange(6)}"
            request = region.payment(f"p{number}", account, dice.randint(10, 2_000))
            payment = (await worker.intake.accept(request)).payment
            if number % 3 == 0:
                await region.refund(f"r{number}", payment.id, payment.amount // 2, on=worker)
            elif account == "A5" and number % 2:
                await region.resolve(f"v{number}", payment.id, "A0")

        async def close(number: int) -> dict[str, Any]:
            for _ in range(dice.randrange(3)):
                await region.pay(f"before {number} {_}", "A0", 1)
            return await region.close(f"c{number}", on=(one, other)[number % 2])

        outcomes = await asyncio.gather(*map(pay, range(300)), *map(close, range(8)))
    batches = [outcome for outcome in outcomes if outcome is not None]
    batches.append(await region.close("last"))
    assert len({batch["id"] for batch in batches}) == 9
    assert sum(b["payments"] for b in batches) == await region.number(
        "SELECT count(*) FROM allocations"
    )
    assert sum(b["refunds"] for b in batches) == await region.number("SELECT count(*) FROM refunds")
    received = await region.number("SELECT sum(amount_kopecks) FROM shares")
    withheld = await region.number("SELECT sum(commission_kopecks) FROM commissions")
    nets = sum(p["net"] for batch in batches for p in batch["positions"])
    assert nets == received - withheld
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_a_payment_in_flight_at_the_cut_is_in_the_batch(region: Region) -> None:
    await region.load(bill("A"), bill("B"))
    async with region.working() as busy, region.working() as other:
        async with held_bill(region, "A"):
            # The payment hangs in the middle of its group.
            paying = asyncio.create_task(busy.intake.accept(region.payment("p", "A", 1_000)))
            await until_waiting(region, "transactionid")
            closing = asyncio.create_task(region.close("c"))
            await until_waiting(region, "advisory")
            later = asyncio.create_task(other.intake.accept(region.payment("q", "B", 2_000)))
            await asyncio.sleep(0)
            assert not closing.done()
        before, closed, after = await asyncio.gather(paying, closing, later)
    assert closed["payments"] == 1
    assert sum(p["gross"] for p in closed["positions"]) == before.payment.amount == 1_000
    batches = await region.conn.fetch("SELECT id, settlement_batch FROM payments")
    assert {row[0]: row[1] for row in batches} == {before.payment.id: 1, after.payment.id: 2}


async def test_a_count_that_was_interrupted_is_finished_by_the_same_request(
    region: Region, tmp_path: Path
) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(url=wire.url, commit_deadline_ms=100) as worker,
    ):
        # The cut is committed; no count is.
        wire.fates = iter([None, *[LOST_BEFORE] * 100])
        with pytest.raises(Unavailable):
            await region.close("c", on=worker)
    assert await region.conn.fetchval("SELECT state FROM settlement_batches") == "cut"
    batch = await region.conn.fetchval("SELECT id FROM settlement_batches")
    with pytest.raises(Refusal, match="state_conflict"):
        await region.approve("a", batch)
    await region.pay("q", "A", 5_000)
    answers = await asyncio.gather(*(region.close("c") for _ in range(4)))
    assert answers == [answers[0]] * 4
    assert (batch_id(answers[0]["id"]), answers[0]["payments"]) == (batch, 1)
    assert await region.number("SELECT count(*) FROM settlement_batches") == 1
    await check_books(region.conn)


async def test_a_close_is_answered_again_as_at_first(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    first, *others = await asyncio.gather(*(region.close("c") for _ in range(8)))
    await region.pay("q", "A", 1_000)
    await region.approve("a", batch_id(first["id"]))
    assert [*others, await region.close("c")] == [first] * 8
    assert first["state"] == "closed"
    assert await region.number("SELECT count(*) FROM settlement_batches") == 1


async def test_a_negative_position_is_carried_over_and_never_paid(region: Region) -> None:
    await region.load(bill("A", Charge("gas", "waste", 10**9)))
    payment = await region.pay("p1", "A", 10_000)
    batches = [await region.close("c1")]
    await region.refund("r", payment.id, 10_000)
    batches.append(await region.close("c2"))
    await region.pay("p2", "A", 4_000)
    batches.append(await region.close("c3"))
    batches.append(await region.close("c4"))
    await region.pay("p3", "A", 20_000)
    batches.append(await region.close("c5"))
    # 0.7777 % and 3 kopecks of 10 000, 4 000 and 20 000 are withheld: 81, 34 and 159.
    assert [positions(batch).get("waste") for batch in batches] == [
        (10_000, 81, 0, 9_919, 0, 9_919, 0),
        (0, 0, 10_000, -10_000, 0, 0, -10_000),
        (4_000, 34, 0, 3_966, -10_000, 0, -6_034),
        (0, 0, 0, 0, -6_034, 0, -6_034),
        (20_000, 159, 0, 19_841, -6_034, 13_807, 0),
    ]
    for n, batch in enumerate(batches):
        await region.approve(f"a{n}", batch_id(batch["id"]))
    paid = await region.conn.fetch("SELECT settlement_batch, amount FROM payouts ORDER BY 1")
    assert [tuple(row) for row in paid] == [(1, 9_919), (5, 13_807)]
    await check_books(region.conn)


async def test_only_another_person_approves_and_only_once(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    batch = batch_id((await region.close("c"))["id"])
    # The same person with a key of the other role is still the same person.
    await keys.add(region.conn, "op", keys.parse_role("approver"))
    row = await region.conn.fetchrow(
        "SELECT number, name, role FROM callers WHERE name = 'op' AND role = 'approver'"
    )
    same_person = Caller(*row.values())
    claim = region.claim("op", "a1", "approvals", batch)
    with pytest.raises(Refusal, match="forbidden"):
        await close_batch.approve(region.worker.context, claim, same_person, batch)
    with pytest.raises(Refusal, match="state_conflict"):
        await payout_file(region.worker.context, batch, "1c")
    outcomes = await asyncio.gather(
        *(region.approve(f"b{n}", batch) for n in range(6)), return_exceptions=True
    )
    approved = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    refused = [outcome.code for outcome in outcomes if isinstance(outcome, Refusal)]
    assert (len(approved), refused) == (1, ["state_conflict"] * 5)
    assert approved[0]["state"] == "approved"
    assert (await close_batch.show(region.worker.context, batch))["approved_by"] == "boss"
    assert await region.number("SELECT count(DISTINCT format) FROM payout_files") == 3
    assert await region.number("SELECT count(*) FROM payout_files") == 3
    await check_books(region.conn)


async def test_the_payout_file_is_the_same_for_ever_and_pays_the_positions(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    closed = await region.close("c")
    batch = batch_id(closed["id"])
    await region.approve("a", batch)
    content = await payout_file(region.worker.context, batch, "1c")
    files = {name: await payout_file(region.worker.context, batch, name) for name in FORMATS}
    await region.pay("q", "A", 500)
    async with region.working() as other:
        for name in FORMATS:
            assert await payout_file(other.context, batch, name) == files[name]
    assert b"\r\n" in content
    assert content.count(b"\n") == content.count(b"\r\n")
    orders: list[dict[str, str]] = []
    for line in content.decode("cp1251").split("\r\n"):
        name, _, value = line.partition("=")
        if name == "СекцияДокумент":
            orders.append({})
        if orders:
            orders[-1][name] = value
    accounts = dict(
        await region.conn.fetch("SELECT account, id FROM recipients WHERE id <> 'centre'")
    )
    paid = {
        accounts[order["ПолучательСчет"]]: int(order["Сумма"].replace(".", "")) for order in orders
    }
    owed = {p["recipient"]: p["payable"] for p in closed["positions"] if p["payable"]}
    assert paid == owed
    assert len(orders) == len(owed) == 3
    total = sum(owed.values())
    assert f'EDQuantity="3" Sum="{total}"'.encode() in files["ed101"]
    assert f"<CtrlSum>{total // 100}.{total % 100:02d}</CtrlSum>".encode() in files["pain001"]
    for name, format_, code in (
        ("unknown batch", "1c", "not_found"), ("unknown format", "mt103", "malformed"),
    ):  # fmt: skip
        unknown = UUID(int=0) if name == "unknown batch" else batch
        with pytest.raises(Refusal, match=code):
            await payout_file(region.worker.context, unknown, format_)


async def test_a_reports_rows_add_up_to_the_position(region: Region) -> None:
    await region.load(*(bill(f"A{n}") for n in range(4)))
    dice = random.Random(51)
    requests = [region.payment(f"p{n}", f"A{n % 5}", dice.randint(1, 60_000)) for n in range(120)]
    payments = receipts_of(await asyncio.gather(*map(region.worker.intake.accept, requests)))
    for n in range(0, 120, 7):
        await region.refund(f"r{n}", payments[n].id, max(1, payments[n].amount // 3))
    await region.resolve("v", payments[4].id, "A0")
    await region.close("c1")
    for n in range(1, 120, 11):
        await region.refund(f"s{n}", payments[n].id, max(1, payments[n].amount // 3))
    batches = [await region.close("c2")]
    batches.append(await close_batch.show(region.worker.context, await first_batch(region)))
    for closed in batches:
        batch = batch_id(str(closed["id"]))
        for position in closed["positions"]:
            content = await report_of(region, batch, position["recipient"], "csv")
            assert content.startswith(
                "\ufeffaccepted_at;subscriber_account;service;period;".encode()
            )
            rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
            gross = [int(row["gross_kopecks"]) for row in rows]
            assert sum(kopecks for kopecks in gross if kopecks > 0) == position["gross"]
            assert -sum(kopecks for kopecks in gross if kopecks < 0) == position["refunds"]
            assert sum(int(row["commission_kopecks"]) for row in rows) == position["commission"]
            assert sum(int(row["net_kopecks"]) for row in rows) == position["net"]
            shown = orjson.loads(await report_of(region, batch, position["recipient"], "json"))
            assert len(shown["rows"]) == len(rows)
            assert shown["totals"]["net"] == position["net"]
            book = await report_of(region, batch, position["recipient"], "xlsx")
            sheet = CalamineWorkbook.from_filelike(io.BytesIO(book)).get_sheet_by_index(0)
            head, *cells = sheet.to_python()
            assert head[:-1] == [*CSV_HEADER, *COLUMNS]
            assert str(head[-1]).startswith("root_")
            assert [[str(int(v)) if isinstance(v, float) else v for v in row] for row in cells] == [
                list(row.values()) for row in rows
            ]
    with pytest.raises(Refusal, match="not_found"):
        await report_of(region, await first_batch(region), "centre", "csv")
    await check_books(region.conn)


async def first_batch(region: Region) -> UUID:
    found = await region.conn.fetchval("SELECT id FROM settlement_batches WHERE number = 1")
    assert isinstance(found, UUID)
    return found
