"""Cut-offs of recipients' own: each is paid at its own, whatever is closed for others meanwhile."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest

from gateway.audit import report
from gateway.domain.bill import Charge
from gateway.flows import batch_life, reports
from gateway.flows.close_at_cut_off import CutOffs
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import CASH, Region, Worker, batch_id, bill
from tests.flows.test_agreements import agree, version
from tests.flows.test_business_days import shown

KALININGRAD, BARNAUL, KAMCHATKA = "Europe/Kaliningrad", "Asia/Barnaul", "Asia/Kamchatka"
# Of a payment of 30.00 each of three gets 10.00, less 1.5 %, nothing, 0.7777 % and 3 kopecks.
NET = {"heat": 985, "uk": 1_000, "waste": 989}
PAID = """
    SELECT coalesce(d.due_at, b.closed_at) AS moment, r.id, p.payable
    FROM positions AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch
    JOIN batch_dates AS d USING (settlement_batch) JOIN recipients AS r ON r.number = p.recipient
    WHERE p.payable > 0 ORDER BY b.number, r.id
"""


class At:
    """A clock that is set by hand, by the clocks of Greenwich."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.moment = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment


@asynccontextmanager
async def centre(region: Region, clock: At, **more: Any) -> AsyncIterator[Worker]:
    """A worker of a centre in Barnaul that closes by itself at 20:00, which is 13:00 of Greenwich.

    Its recipients are heat, uk and waste, in equal parts; only waste has no cut-off of its own.
    """
    settings = {"timezone": BARNAUL, "cut_off": "20:00", "close_at_cut_off": "yes", **more}
    async with region.working(clock, **settings) as worker:
        yield worker


async def three(region: Region) -> None:
    """The account that everybody pays to."""
    charges = (Charge(name, name, 10**9, 1) for name in NET)
    await region.load(bill("A", *charges))


async def own(region: Region, worker: Worker, recipient: str, at: time, zone: str) -> None:
    """The recipient's agreement has this cut-off from now on."""
    await agree(
        region,
        version(recipient, cut_off=at, time_zone=zone, valid_from=date(2024, 1, 1)),
        worker,
    )


async def pay(region: Region, worker: Worker, key: str) -> None:
    await worker.intake.accept(region.payment(key, "A", 3_000, method=CASH))


async def payments_paid(region: Region) -> list[tuple[str, str, int]]:
    """(moment, recipient, payments): how many payments each payout was made of, in its order."""
    found = []
    for moment, recipient, payable in await region.conn.fetch(PAID):
        assert payable % NET[recipient] == 0, (moment, recipient, payable)
        found.append((f"{moment:%d %H:%M}", recipient, payable // NET[recipient]))
    return found


async def check(region: Region) -> None:
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
    assert (await report.run(region.url))["problems"] == []


async def test_each_recipient_is_paid_at_its_own_cut_off(region: Region) -> None:
    """Heat in Kaliningrad, uk in Kamchatka, ten hours apart; waste goes by the centre's."""
    clock = At("2026-11-24 07:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KAMCHATKA)
        cut_offs, keys = CutOffs(worker.context), iter(range(100))
        for at, closes in (
            ("24 07:59:59.999", False),
            ("24 08:00", True),  # 20:00 in Kamchatka
            ("24 12:59:59.999", False),
            ("24 13:00", True),  # 20:00 in Barnaul
            ("24 17:59:59.999", False),
            ("24 18:00", True),  # 20:00 in Kaliningrad
            ("25 08:00", True),
            ("25 13:00", True),
            ("25 18:00", True),
        ):
            clock.set(f"2026-11-{at}")
            if closes:
                assert await cut_offs.close_due()
                # What comes at the very moment is the next day's.
            assert not await cut_offs.close_due()
            await pay(region, worker, f"p{next(keys)}")
        assert await payments_paid(region) == [
            ("24 08:00", "uk", 1),
            ("24 13:00", "waste", 3),
            ("24 18:00", "heat", 5),
            ("25 08:00", "uk", 5),
            ("25 13:00", "waste", 4),
            ("25 18:00", "heat", 3),
        ]
        batch = await shown(worker, 2)
        days = {one["recipient"]: one for one in batch["recipient_days"]}
        assert [days[name]["held_until"] for name in NET] == [
            "2026-11-24T18:00:00+00:00",
            "2026-11-25T08:00:00+00:00",
            None,
        ]
        assert (days["uk"]["cut_off"], days["uk"]["time_zone"]) == ("20:00", KAMCHATKA)
        assert [days[name]["last_day"][-2:] for name in NET] == ["24", "25", "24"]
        assert batch["settlement_date"] == "2026-11-25"
    await check(region)


async def test_reports_and_orders_name_the_days_of_the_recipient(region: Region) -> None:
    """19:00 of Greenwich is past the cut-off in Kaliningrad, and the next day in Barnaul."""
    clock = At("2026-11-24 12:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        for at in ("24 12:00", "24 17:00", "24 19:00", "25 13:00", "25 18:00"):
            clock.set(f"2026-11-{at}")
            await cut_offs.close_due()
            if at < "25":
                await pay(region, worker, at)
        batches = [await shown(worker, number) for number in (1, 2, 3, 4)]
        for batch in batches:
            await region.approve(f"a {batch['id']}", batch_id(str(batch["id"])), on=worker)
        orders = await region.conn.fetch(
            "SELECT settlement_batch, r.id, purpose FROM payouts JOIN recipients AS r"
            " ON r.number = recipient ORDER BY settlement_batch, r.id"
        )
        told = [(row[0], row[1], row[2].split("ЖКУ за ")[1].split(",")[0]) for row in orders]
        assert told == [
            (1, "uk", "24.11.2026"),
            (1, "waste", "24.11.2026"),
            (2, "heat", "24.11.2026"),
            (3, "uk", "25.11.2026"),
            (3, "waste", "25.11.2026"),
            (4, "heat", "25.11.2026"),
        ]
        read = [await told_in_report(worker, batch, "heat") for batch in batches]
    assert [(one["business_date"], one["settlement_date"]) for one in read] == [
        ("2026-11-24", "2026-11-25"),
        ("2026-11-24", "2026-11-25"),
        ("2026-11-25", "2026-11-26"),
        ("2026-11-25", "2026-11-26"),
    ]
    held = ["2026-11-24T18:00:00+00:00", None, "2026-11-25T18:00:00+00:00", None]
    assert [one["held_until"] for one in read] == held
    kinds = [sorted(row["kind"] for row in one["rows"]) for one in read]
    assert kinds == [["payment"], ["carried", "payment"], ["payment"], ["carried"]]
    assert [one["totals"]["payable"] for one in read] == [0, 2 * 985, 0, 985]
    await check(region)


async def told_in_report(worker: Worker, batch: dict[str, Any], recipient: str) -> dict[str, Any]:
    chunks = await reports.report(worker.context, batch_id(str(batch["id"])), recipient, "json")
    read: dict[str, Any] = orjson.loads(b"".join([chunk async for chunk in chunks]))
    return read


async def test_a_friday_waits_for_monday_and_january_for_its_first_working_day(
    region: Region,
) -> None:
    clock = At("2025-12-29 07:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KAMCHATKA)
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "of the 29th")
        day = datetime(2025, 12, 29, tzinfo=UTC)
        # From Monday the 29th on, at every cut-off of anybody's; the first working day is the 12th.
        for night in range(15):
            for hour in (8, 13, 18):
                clock.moment = day + timedelta(days=night, hours=hour)
                await cut_offs.close_due()
                if hour == 18:
                    await pay(region, worker, f"night {night}")
        assert await payments_paid(region) == [
            ("29 08:00", "uk", 1),
            ("29 13:00", "waste", 1),
            ("29 18:00", "heat", 1),
            ("11 08:00", "uk", 13),
            ("11 13:00", "waste", 13),
            ("11 18:00", "heat", 13),
            ("12 08:00", "uk", 1),
            ("12 13:00", "waste", 1),
            ("12 18:00", "heat", 1),
        ]
        (days,) = (
            one for one in (await shown(worker, 6))["recipient_days"] if one["recipient"] == "heat"
        )
        # What was held in the two batches of that day begins where the 29th ended.
        assert (days["since_day"], days["last_day"]) == ("2025-12-30", "2026-01-11")
    await check(region)


@pytest.mark.parametrize(
    ("zone", "cut_off", "before", "moment"),
    [
        (KALININGRAD, time(0), "2028-02-28 21:59:59.999", "2028-02-28 22:00"),
        (KAMCHATKA, time(0), "2028-02-29 11:59:59.999", "2028-02-29 12:00"),
        # 2:30 comes twice in that night; the first time counts.
        ("Europe/Berlin", time(2, 30), "2027-10-31 00:29:59.999", "2027-10-31 00:30"),
        # 2:30 is left out in that night: it is 3:30 then.
        ("Europe/Berlin", time(2, 30), "2028-03-26 01:29:59.999", "2028-03-26 01:30"),
    ],
    ids=["midnight of a leap day begins", "and ends", "clocks set back", "clocks set forward"],
)
async def test_the_last_millisecond_before_a_cut_off_is_in_its_day(
    region: Region, zone: str, cut_off: time, before: str, moment: str
) -> None:
    clock = At(before)
    # Sundays are no working days, but the Mondays after these are.
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", cut_off, zone)
        cut_offs = CutOffs(worker.context)
        await pay(region, worker, "the last of the day")
        await cut_offs.close_due()
        clock.set(moment)
        assert await cut_offs.close_due()
        await pay(region, worker, "the first of the next day")
        assert not await cut_offs.close_due()
        clock.moment += timedelta(minutes=30)
        assert not await cut_offs.close_due()
        heat = [one for one in await payments_paid(region) if one[1] == "heat"]
        assert heat[-1] == (f"{datetime.fromisoformat(moment):%d %H:%M}", "heat", 1)
        clock.moment += timedelta(days=4)
        assert await cut_offs.close_due()
        assert sum(one[2] for one in await payments_paid(region) if one[1] == "heat") == 2
    await check(region)


async def test_a_cut_off_that_is_agreed_anew_in_the_middle_of_a_day(region: Region) -> None:
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "morning")
        clock.set("2026-11-24 14:00")
        assert await cut_offs.close_due()
        await pay(region, worker, "afternoon")
        # Heat's was at 18:00, and is to be at 11:00: today that has gone, so it is paid next time.
        # Uk's is to be at 20:00 now: it is paid once then, and not at 18:00 when nobody closes.
        await own(region, worker, "heat", time(13), KALININGRAD)
        await own(region, worker, "uk", time(22), KALININGRAD)
        clock.set("2026-11-24 18:00")
        assert not await cut_offs.close_due()
        clock.set("2026-11-24 20:00")
        assert await cut_offs.close_due()
        clock.set("2026-11-25 11:00")
        await pay(region, worker, "the next morning, at heat's new cut-off")
        assert await cut_offs.close_due()
        clock.set("2026-11-25 13:00")
        assert await cut_offs.close_due()
        assert await payments_paid(region) == [
            ("24 13:00", "waste", 1),
            ("24 20:00", "heat", 2),
            ("24 20:00", "uk", 2),
            # It was in the batch by the time that was made.
            ("25 11:00", "heat", 1),
            ("25 13:00", "waste", 2),
        ]
    await check(region)


async def test_who_was_told_until_when_waits_no_longer_whatever_is_agreed_since(
    region: Region,
) -> None:
    """Heat and uk were to be paid at the same moment; heat then agrees to be paid ever later."""
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "p")
        clock.set("2026-11-24 13:00")
        assert await cut_offs.close_due()
        await own(region, worker, "heat", time(23), KALININGRAD)
        clock.set("2026-11-24 18:00")
        assert await cut_offs.close_due()
        assert ("24 18:00", "heat", 1) in await payments_paid(region)
    await check(region)


async def test_a_person_closes_for_everybody(region: Region) -> None:
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "p")
        clock.set("2026-11-24 13:00")
        assert await cut_offs.close_due()
        clock.set("2026-11-24 14:00")
        await pay(region, worker, "q")
        await region.close("by hand", on=worker)
        clock.set("2026-11-24 18:00")
        await pay(region, worker, "r")
        assert await cut_offs.close_due()
        assert await payments_paid(region) == [
            ("24 13:00", "uk", 1),
            ("24 13:00", "waste", 1),
            ("24 14:00", "heat", 2),
            ("24 14:00", "uk", 1),
            ("24 14:00", "waste", 1),
            ("24 18:00", "heat", 1),
        ]
    await check(region)


async def test_cut_offs_that_were_missed_are_made_up_for_together(region: Region) -> None:
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KAMCHATKA)
        await CutOffs(worker.context).close_due()
        await pay(region, worker, "p")
    clock.set("2026-11-25 08:30")
    async with centre(region, clock) as worker:
        cut_offs = CutOffs(worker.context)
        assert await cut_offs.close_due()
        assert not await cut_offs.close_due()
        assert await payments_paid(region) == [("25 08:00", name, 1) for name in NET]
    await check(region)


async def test_a_clock_set_back_holds_nobody_up_and_pays_nobody_twice(region: Region) -> None:
    clock = At("2026-11-24 12:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        clock.set("2036-11-24 12:30")
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "ten years ahead")
        clock.set("2036-11-24 13:00")
        assert await cut_offs.close_due()
        clock.set("2026-11-24 17:30")
        await pay(region, worker, "right again")
        await cut_offs.close_due()
        for at in ("24 18:00", "25 13:00", "25 18:00"):
            clock.set(f"2026-11-{at}")
            await pay(region, worker, at)
            assert await cut_offs.close_due()
        paid = Counter[str]()
        for _, name, payments in await payments_paid(region):
            paid[name] += payments
        assert paid == {"heat": 5, "uk": 4, "waste": 4}
    await check(region)


async def test_a_cancelled_batch_is_paid_at_the_next_own_cut_off(region: Region) -> None:
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "p")
        for at in ("24 13:00", "24 18:00"):
            clock.set(f"2026-11-{at}")
            assert await cut_offs.close_due()
        last = await shown(worker, 2)
        claim = region.claim("boss", "cancel", "cancellations", last["id"])
        boss, batch = region.callers["boss"], batch_id(str(last["id"]))
        await batch_life.cancel(worker.context, claim, boss, batch, "again")
        for at in ("25 13:00", "25 18:00"):
            clock.set(f"2026-11-{at}")
            assert await cut_offs.close_due()
        assert [one for one in await payments_paid(region) if one[1] == "heat"] == [
            ("24 18:00", "heat", 1),  # the one that was cancelled
            ("25 18:00", "heat", 1),
        ]
    await check(region)


@pytest.mark.parametrize(
    "fates", [[LOST_BEFORE], [LOST_AFTER], [None, LOST_BEFORE], [None, LOST_AFTER]]
)
async def test_whoever_comes_after_a_crash_holds_the_same(
    region: Region, tmp_path: Path, fates: list[str | None]
) -> None:
    """The worker that closes for uk dies before or after the commit of its cut, or of its count."""
    clock = At("2026-11-24 07:00")
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        centre(region, clock, url=wire.url, commit_deadline_ms=5_000) as dying,
        centre(region, clock) as other,
    ):
        await three(region)
        await own(region, other, "uk", time(20), KAMCHATKA)
        await CutOffs(other.context).close_due()
        await pay(region, other, "p")
        clock.set("2026-11-24 08:00")
        wire.fates = iter([*fates, *[LOST_BEFORE] * 1_000])
        task = asyncio.create_task(CutOffs(dying.context).close_due())
        await asyncio.sleep(0.3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await CutOffs(other.context).close_due()
        clock.set("2026-11-24 13:00")
        assert await CutOffs(other.context).close_due()
        assert await payments_paid(region) == [
            ("24 08:00", "uk", 1),
            ("24 13:00", "heat", 1),
            ("24 13:00", "waste", 1),
        ]
    await check(region)


async def test_workers_that_close_at_once_make_one_batch_of_a_moment(region: Region) -> None:
    clock = At("2026-11-24 07:59:59.999")
    async with centre(region, clock) as one, centre(region, clock) as two:
        await three(region)
        await own(region, one, "heat", time(20), KALININGRAD)
        await own(region, one, "uk", time(20), KAMCHATKA)
        await CutOffs(one.context).close_due()
        cut_offs = [CutOffs(worker.context) for worker in (one, two, one, two)]
        moments = iter(("24 08:00", "24 13:00", "24 18:00", "25 08:00", "25 13:00", "25 18:00"))

        async def paying(number: int) -> None:
            if number % 20 == 10 and (at := next(moments, None)):
                clock.set(f"2026-11-{at}")
            await pay(region, (one, two)[number % 2], f"p{number}")
            if number % 3 == 0:
                await asyncio.gather(*(cut_off.close_due() for cut_off in cut_offs))

        for ten in range(12):
            await asyncio.gather(*map(paying, range(10 * ten, 10 * ten + 10)))
        for day in ("26", "27"):
            for hour in ("08", "13", "18"):
                clock.set(f"2026-11-{day} {hour}:00")
                await asyncio.gather(*(cut_off.close_due() for cut_off in cut_offs))
        rows = await payments_paid(region)
    dues = await region.conn.fetch("SELECT due_at FROM batch_dates")
    assert len({row[0] for row in dues}) == len(dues) >= 10
    for name in NET:
        assert sum(payments for _, who, payments in rows if who == name) == 120
    await check(region)


class Own:
    """A recipient's cut-off by an independent reckoning: each moment at which it is paid."""

    def __init__(self, at: time, zone: str, first: date, days: int) -> None:
        self.moments = []
        for day in (first + timedelta(days=n) for n in range(days)):
            # Money of a day goes out on the next that is working: no Saturday, no Sunday.
            if (day + timedelta(days=1)).weekday() < 5:
                ends = day if at != time(0) else day + timedelta(days=1)
                local = datetime.combine(ends, at, ZoneInfo(zone))
                self.moments.append(local.astimezone(UTC))

    def paid_at(self, moment: datetime) -> datetime:
        return next(one for one in self.moments if one > moment)


@pytest.mark.parametrize("seed", range(4))
async def test_random_weeks_of_random_cut_offs_pay_each_payment_once_at_its_moment(
    region: Region, seed: int
) -> None:
    dice = random.Random(seed)
    zones = [KALININGRAD, "Europe/Moscow", BARNAUL, KAMCHATKA, "Pacific/Kiritimati"]
    # Spring, so that no holiday of January or May is among them.
    begin = datetime(2026, 3, 16, 12, tzinfo=UTC)
    clock = At("2026-03-16 12:00")
    async with centre(region, clock) as worker:
        await three(region)
        who = {"waste": Own(time(20), BARNAUL, begin.date() - timedelta(days=4), 14)}
        for name in ("heat", "uk"):
            at, zone = time(dice.randrange(24), dice.choice((0, 1, 30, 59))), dice.choice(zones)
            who[name] = Own(at, zone, begin.date() - timedelta(days=4), 14)
            await own(region, worker, name, at, zone)
        closes = {one for own_ in who.values() for one in own_.moments if one > begin}
        pays = [begin + timedelta(seconds=dice.randrange(5 * 86_400)) for _ in range(20)]
        pays += [one - timedelta(milliseconds=dice.choice((0, 1))) for one in sorted(closes)[:12]]
        cut_offs, expected = CutOffs(worker.context), Counter[tuple[datetime, str]]()
        await cut_offs.close_due()
        events = sorted([(one, 0) for one in closes] + [(one, 1) for one in pays])
        for n, (moment, is_payment) in enumerate(events):
            clock.moment = moment
            if not is_payment:
                await cut_offs.close_due()
                continue
            await pay(region, worker, f"p{n}")
            for name, own_ in who.items():
                expected[own_.paid_at(moment), name] += 1
        found = {(row[0], row[1]): row[2] for row in await region.conn.fetch(PAID)}
        assert found == {key: count * NET[key[1]] for key, count in expected.items()}
    await check(region)


async def test_the_audit_finds_money_that_is_held_wrongly(region: Region) -> None:
    clock = At("2026-11-24 08:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        cut_offs = CutOffs(worker.context)
        await cut_offs.close_due()
        await pay(region, worker, "p")
        for at in ("24 13:00", "24 18:00", "25 13:00"):
            clock.set(f"2026-11-{at}")
            await cut_offs.close_due()
            await pay(region, worker, at)
    await check(region)
    await region.conn.execute("ALTER TABLE position_days DISABLE TRIGGER USER")
    heat = "(SELECT number FROM recipients WHERE id = 'heat')"
    for wrong in (
        "UPDATE position_days SET held_until = NULL WHERE held_until IS NOT NULL",
        "UPDATE position_days SET held_until = '2026-11-24 12:00Z' WHERE held_until IS NOT NULL",
        "UPDATE position_days SET settled_to = settled_to - interval '1 hour'"
        " WHERE settlement_batch = 3",
        f"UPDATE position_days SET recipient = 99 WHERE recipient = {heat}",
        f"DELETE FROM position_days WHERE recipient = {heat}",
        f"UPDATE position_days SET agreement = NULL, settled_to = NULL WHERE recipient = {heat}",
        "UPDATE position_days SET agreement = (SELECT max(id::text)::uuid FROM agreements)"
        f" WHERE recipient <> {heat}",
    ):
        change = region.conn.transaction()
        await change.start()
        await region.conn.execute(wrong)
        found = (await report.audit(region.conn))["found"]
        assert isinstance(found, dict)
        assert set(found) & {"position_days_wrong", "position_wrong"}, wrong
        await change.rollback()
