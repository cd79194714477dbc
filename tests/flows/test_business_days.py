"""Batches by business days: told apart, closed by themselves once, whatever clocks do."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from gateway.audit import report
from gateway.domain.refusals import Refusal
from gateway.flows import close_batch, reports, resolve_suspense
from gateway.flows.close_at_cut_off import CutOffs
from gateway.flows.payout_files import payout_file
from gateway.storage import keys
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, Worker, batch_id, bill

BARNAUL = ZoneInfo("Asia/Barnaul")
CLOSES = {"cut_off": "20:00", "close_at_cut_off": "yes"}
BATCHES = "SELECT count(*) FROM settlement_batches"


class Set:
    """A clock that is set by hand, in Barnaul's time."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self._at = datetime.fromisoformat(text).replace(tzinfo=BARNAUL).astimezone(UTC)

    def now(self) -> datetime:
        return self._at


@asynccontextmanager
async def barnaul(region: Region, clock: Set, **settings: Any) -> AsyncIterator[Worker]:
    """A worker by that clock, with a cut-off at 20:00."""
    async with region.working(clock, **{**CLOSES, **settings}) as worker:
        yield worker


async def pay(region: Region, worker: Worker, key: str, amount: int = 1_000) -> None:
    await worker.intake.accept(region.payment(key, "A", amount))


async def shown(worker: Worker, number: int = 1) -> dict[str, Any]:
    async with worker.context.connection() as conn:
        batch = await conn.fetchval("SELECT id FROM settlement_batches WHERE number = $1", number)
        return await close_batch.batch_shown(conn, batch)


def days_of(batch: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """(payments, amount, refunds, refunded) by business day."""
    names = ("payments", "amount", "refunds", "refunded")
    return {d["business_day"]: tuple(d[n] for n in names) for d in batch["business_days"]}


async def check(region: Region) -> None:
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
    assert (await report.run(region.url))["problems"] == []


async def test_the_january_backlog_is_one_batch_with_its_days_told_apart(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2025-12-30 19:59:59.999")
    async with barnaul(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "the last of the year's last working day")
        # Closes the twenty-ninth, which has nothing; the thirtieth is left for January.
        assert await cut_offs.close_due()
        for at in (
            *("2025-12-30 20:00", "2025-12-31 19:59:59.999", "2025-12-31 23:59:59.999"),
            *("2026-01-01 00:00", "2026-01-08 12:00", "2026-01-11 19:59:59.999"),
        ):
            clock.set(at)
            assert not await cut_offs.close_due()
            await pay(region, worker, at)
        clock.set("2026-01-11 20:00")
        assert await cut_offs.close_due()
        await pay(region, worker, "the first of the next batch")
        assert not await cut_offs.close_due()
        batch = await shown(worker, 2)
        assert batch["business_date"] == "2026-01-11"
        assert batch["settlement_date"] == "2026-01-12"
        assert batch["cut_off"] == "2026-01-11T13:00:00+00:00"
        assert days_of(batch) == {
            "2025-12-31": (2, 2_000, 0, 0),
            "2026-01-01": (2, 2_000, 0, 0),
            "2026-01-08": (1, 1_000, 0, 0),
            "2026-01-11": (1, 1_000, 0, 0),
        }
        assert await region.number(BATCHES) == 2
        chunks = await reports.report(worker.context, batch_id(str(batch["id"])), "waste", "json")
        told = orjson.loads(b"".join([chunk async for chunk in chunks]))
        assert told["settlement_date"] == "2026-01-12"
        until = [(day["business_day"], day["until"]) for day in told["business_days"]]
        assert until[0] == ("2025-12-31", "2025-12-31T13:00:00+00:00")
        assert until[-1] == ("2026-01-11", None)
        counted = Counter(
            next(day for day, over in until if over is None or row["accepted_at"] < over)
            for row in told["rows"]
        )
        assert counted == {day: count for day, (count, *_) in days_of(batch).items()}
        clock.set("2026-01-11 21:00")
        await region.approve("a", batch_id(str(batch["id"])), on=worker)
        orders = await region.conn.fetch("SELECT DISTINCT order_date, purpose FROM payouts")
        assert [row["order_date"] for row in orders] == [date(2026, 1, 12)]
        (purpose,) = (row["purpose"] for row in orders)
        assert purpose == (
            "Перечисление платежей населения за ЖКУ за 30.12.2025-11.01.2026, реестр"
            f" 2 от 11.01.2026 ({batch['id']}). НДС не облагается"
        )
        content = await payout_file(worker.context, batch_id(str(batch["id"])), "1c")
        assert "Дата=12.01.2026\r\n".encode("cp1251") in content
        assert "Дата=11.01.2026\r\n".encode("cp1251") not in content
    await check(region)


async def test_a_day_of_the_week_and_a_weekend(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-26 12:00")
    async with barnaul(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "thursday")
        closed = []
        for at in (
            *("2026-11-26 20:00", "2026-11-27 12:00", "2026-11-27 20:00", "2026-11-28 20:00"),
            *("2026-11-29 20:00", "2026-11-30 20:00"),
        ):
            clock.set(at)
            if await cut_offs.close_due():
                closed.append(at)
            await pay(region, worker, at)
    assert closed == ["2026-11-26 20:00", "2026-11-29 20:00", "2026-11-30 20:00"]
    rows = await region.conn.fetch("SELECT * FROM batch_dates ORDER BY settlement_batch")
    assert [(r["first_day"].day, r["last_day"].day, r["settlement_date"].day) for r in rows] == [
        (26, 26, 27),
        (27, 29, 30),
        (30, 30, 1),
    ]
    await check(region)


async def test_two_workers_close_once_under_load(region: Region) -> None:
    await region.load(bill("A"), bill("B"))
    clock = Set("2026-11-24 19:59:59.999")
    async with barnaul(region, clock) as one, barnaul(region, clock) as other:
        workers = (one, other)
        await pay(region, one, "first")
        cut_offs = [CutOffs(worker.context) for worker in (*workers, *workers)]
        assert sum(await asyncio.gather(*(cut_off.close_due() for cut_off in cut_offs))) == 1

        some = asyncio.Semaphore(20)

        async def paying(number: int) -> None:
            async with some:
                if number == 100:
                    clock.set("2026-11-24 20:00")
                await pay(region, workers[number % 2], f"p{number}", 1 + number)
                if number % 10 == 0:
                    await asyncio.gather(*(cut_off.close_due() for cut_off in cut_offs))

        await asyncio.gather(*map(paying, range(200)))
        assert not any([await CutOffs(worker.context).close_due() for worker in workers])
    assert await region.number(BATCHES) == 2
    due = await region.conn.fetch("SELECT due_at FROM batch_dates ORDER BY 1")
    assert [row[0].day for row in due] == [23, 24]
    assert await region.number("SELECT count(DISTINCT settlement_batch) FROM payments") == 3
    await check(region)


@pytest.mark.parametrize(
    "fates", [[LOST_BEFORE], [LOST_AFTER], [None, LOST_BEFORE], [None, LOST_AFTER]]
)
async def test_whoever_comes_after_a_crash_ends_the_same_close(
    region: Region, tmp_path: Path, fates: list[str | None]
) -> None:
    """The first worker dies before or after the commit of the cut, or of the count."""
    await region.load(bill("A"))
    clock = Set("2026-11-24 12:00")
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        barnaul(region, clock, url=wire.url, commit_deadline_ms=5_000) as dying,
        barnaul(region, clock) as other,
    ):
        await pay(region, other, "p")
        assert await CutOffs(other.context).close_due()
        clock.set("2026-11-24 20:00")
        wire.fates = iter([*fates, *[LOST_BEFORE] * 1_000])
        task = asyncio.create_task(CutOffs(dying.context).close_due())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await CutOffs(other.context).close_due()
        assert not await CutOffs(other.context).close_due()
    states = await region.conn.fetch("SELECT state FROM settlement_batches")
    assert [row["state"] for row in states] == ["closed", "closed"]
    await check(region)


async def test_nights_of_being_down_are_made_up_for_by_one_close(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-23 12:00")
    async with barnaul(region, clock) as worker:
        await pay(region, worker, "monday")
        assert await CutOffs(worker.context).close_due()
        await pay(region, worker, "monday still")
        clock.set("2026-11-23 21:00")
        await pay(region, worker, "monday's evening is tuesday")
    clock.set("2026-11-26 09:00")
    async with barnaul(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "before the close that was missed is made")
        assert await cut_offs.close_due()
        assert not await cut_offs.close_due()
        batch = await shown(worker, 2)
    assert days_of(batch) == {
        "2026-11-23": (1, 1_000, 0, 0),
        "2026-11-24": (1, 1_000, 0, 0),
        # It is in that batch, so it counts to its last day.
        "2026-11-25": (1, 1_000, 0, 0),
    }
    assert (batch["business_date"], batch["settlement_date"]) == ("2026-11-25", "2026-11-26")
    await check(region)


async def test_a_clock_set_back_across_the_cut_off_moves_nothing(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-24 12:00")
    async with barnaul(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "before")
        assert await cut_offs.close_due()
        clock.set("2026-11-24 20:00")
        await pay(region, worker, "at the cut-off, in the batch: nobody has cut yet")
        assert await cut_offs.close_due()
        for back in ("2026-11-24 19:30", "2026-11-23 20:30", "2026-11-24 19:59:59.999"):
            clock.set(back)
            await pay(region, worker, back)
            assert not await cut_offs.close_due()
            assert not await CutOffs(worker.context).close_due()
        clock.set("2026-11-24 20:00")
        assert not await CutOffs(worker.context).close_due()
        clock.set("2026-11-25 20:00")
        assert await cut_offs.close_due()
        batches = [await shown(worker, number) for number in (2, 3)]
    assert days_of(batches[0]) == {"2026-11-24": (1, 1_000, 0, 0)}
    # By their clocks they are of the day that is closed; by the cut they are of the next.
    assert days_of(batches[1]) == {"2026-11-25": (3, 3_000, 0, 0)}
    await check(region)


async def test_a_clock_that_was_years_ahead_keeps_no_cut_off_from_closing(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2036-11-24 21:00")
    async with barnaul(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "ahead")
        assert await cut_offs.close_due()
        clock.set("2026-11-24 21:00")
        await pay(region, worker, "right again")
        assert await cut_offs.close_due()
        assert not await cut_offs.close_due()
        assert days_of(await shown(worker, 2)) == {"2026-11-24": (1, 1_000, 0, 0)}
    await check(region)


async def test_a_close_by_hand_after_the_cut_off_is_enough(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-24 20:05")
    async with barnaul(region, clock) as worker:
        await pay(region, worker, "p")
        by_hand = await region.close("c", on=worker)
        clock.set("2026-11-24 20:10")
        await pay(region, worker, "q")
        assert not await CutOffs(worker.context).close_due()
    assert by_hand["cut_off"] is None
    assert by_hand["business_date"] == "2026-11-25"
    assert days_of(by_hand) == {"2026-11-25": (1, 1_000, 0, 0)}
    assert await region.number(BATCHES) == 1
    # The key was not used up for a batch that is not there.
    assert await region.number("SELECT count(*) FROM idempotency_keys WHERE key ~ '^cut-off'") == 0


async def test_nothing_is_closed_before_the_first_payment(region: Region) -> None:
    async with barnaul(region, Set("2026-11-24 21:00")) as worker:
        assert not await CutOffs(worker.context).close_due()
    assert await region.number(BATCHES) == 0


async def test_what_the_machine_closed_any_one_person_may_approve(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-24 21:00")
    async with barnaul(region, clock) as worker:
        await pay(region, worker, "p")
        await CutOffs(worker.context).close_due()
        batch = await shown(worker)
        assert batch["closed_by"] == "the cut-off"
        with pytest.raises(Refusal, match="malformed"):
            await keys.add(region.conn, "the cut-off", keys.parse_role("approver"))
        await region.approve("a", batch_id(str(batch["id"])), on=worker)
        assert (await shown(worker))["approved_by"] == "boss"


async def test_refunds_and_placed_money_are_told_on_their_own_days(region: Region) -> None:
    await region.load(bill("A"))
    clock = Set("2026-11-27 12:00")
    async with barnaul(region, clock) as worker:
        paid = (await worker.intake.accept(region.payment("p", "A", 1_000))).payment
        lost = (await worker.intake.accept(region.payment("s", "nobody", 700))).payment
        clock.set("2026-11-28 12:00")
        await region.refund("r", paid.id, 400, on=worker)
        claim = region.claim("op", "v", "resolutions", lost.id, "A")
        await resolve_suspense.resolve(worker.context, claim, region.callers["op"], lost.id, "A")
        clock.set("2026-11-29 12:00")
        closed = await region.close("c", on=worker)
    assert days_of(closed) == {
        "2026-11-27": (1, 1_000, 0, 0),
        "2026-11-28": (1, 700, 1, 400),
    }
    await check(region)


async def test_a_date_that_is_named_is_the_only_day(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    claim = region.claim("op", "c", "settlement_batches")
    context, named = region.worker.context, date(2026, 1, 5)
    await close_batch.close(context, claim, region.callers["op"], named)
    batch = await shown(region.worker)
    assert (batch["business_date"], batch["settlement_date"]) == ("2026-01-05", "2026-01-12")
    assert days_of(batch) == {"2026-01-05": (1, 1_000, 0, 0)}
    await check(region)


async def test_the_audit_finds_days_that_are_not_those_of_the_batch(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    await region.close("c")
    await check(region)
    await region.conn.execute("ALTER TABLE batch_days DISABLE TRIGGER USER")
    for wrong in (
        "UPDATE batch_days SET amount = amount + 1",
        "UPDATE batch_days SET payments = payments + 1",
        "UPDATE batch_days SET business_day = business_day - 1",
        "DELETE FROM batch_days",
    ):
        change = region.conn.transaction()
        await change.start()
        await region.conn.execute(wrong)
        found = (await report.audit(region.conn))["found"]
        assert found == {"batch_days_wrong": 1}, wrong
        await change.rollback()


async def test_batches_from_before_there_were_business_days(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    await region.close("c")
    await region.conn.execute("ALTER TABLE batch_days DISABLE TRIGGER USER")
    await region.conn.execute("ALTER TABLE batch_dates DISABLE TRIGGER USER")
    await region.conn.execute("DELETE FROM batch_days")
    await region.conn.execute("DELETE FROM batch_dates")
    batch = await shown(region.worker)
    assert (batch["settlement_date"], batch["cut_off"], batch["business_days"]) == (None, None, [])
    await region.pay("q", "A", 1_000)
    assert len((await region.close("d"))["business_days"]) == 1
    await region.approve("a", batch_id(str(batch["id"])))
    await check(region)
