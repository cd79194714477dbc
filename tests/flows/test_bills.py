"""Loading bills onto real accounts: what was paid stays paid, what the centre knows is not counted
twice, and a bad line harms nobody.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gateway.domain.bill import Bill, Charge, SecondLevel
from gateway.domain.refusals import Refusal
from gateway.flows.find_bill import find as find_bill
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, as_read, bill

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class MinuteClock:
    """One minute later whenever it is asked; `moments` keeps what it told."""

    def __init__(self) -> None:
        self.moments = [START]

    def now(self) -> datetime:
        self.moments.append(self.moments[-1] + timedelta(minutes=1))
        return self.moments[-1]


async def shown(region: Region, account: str = "A") -> list[tuple[str, int, int]]:
    """Service, paid and due of each charge."""
    charges = (await find_bill(region.worker.context, account))["charges"]
    assert isinstance(charges, list)
    return [(charge["service"], charge["paid"], charge["due"]) for charge in charges]


async def test_the_same_period_again_keeps_what_was_paid_by_service(region: Region) -> None:
    await region.load(bill("A", Charge("heating", "heat", 1_000), Charge("waste", "waste", 1_000)))
    await region.pay("p", "A", 600)
    await region.load(
        bill("A", Charge("waste", "waste", 100), Charge("heating", "heat", 2_000),
             Charge("gas", "uk", 50))
    )  # fmt: skip
    assert await shown(region) == [("waste", 300, 0), ("heating", 300, 1_700), ("gas", 0, 50)]
    # Loading it once more changes nothing.
    await region.load(next(reversed(region.loaded.values())))
    assert await shown(region) == [("waste", 300, 0), ("heating", 300, 1_700), ("gas", 0, 50)]
    await region.pay("q", "A", 1_750)
    assert [due for _, _, due in await shown(region)] == [0, 0, 0]
    await check_splits(region.conn, region.loaded)


async def test_a_newer_period_begins_anew_and_an_older_one_is_refused(region: Region) -> None:
    await region.load(bill("A", Charge("waste", "waste", 1_000), period="2026-10"))
    await region.pay("p", "A", 400)
    await region.load(bill("A", Charge("waste", "waste", 900), period="2026-11"))
    assert await shown(region) == [("waste", 0, 900)]
    refused = await region.load(bill("A", period="2026-10"), bill("B", period="2026-10"))
    assert refused == [(0, "period_closed")]
    assert await shown(region) == [("waste", 0, 900)]
    assert len(await shown(region, "B")) == 3
    await check_splits(region.conn, region.loaded)


async def test_as_of_takes_off_only_what_the_centre_cannot_know(region: Region) -> None:
    clock = MinuteClock()
    async with region.working(clock) as worker:
        moments = []
        await region.load(bill("A", Charge("waste", "waste", 1_000)), worker=worker)
        for n, amount in enumerate((100, 20, 3)):
            await worker.intake.accept(region.payment(f"p{n}", "A", amount))
            moments.append(clock.moments[-1])
        just_before = timedelta(microseconds=-1)
        for as_of, counted in (
            (moments[2], 0),
            (moments[2] + just_before, 3),
            (moments[1], 3),
            (moments[1] + just_before, 23),
            (START, 123),
        ):
            new = Bill("A", "2026-11", (Charge("waste", "waste", 500),), as_of=as_of)
            await region.load(new, worker=worker)
            assert await shown(region) == [("waste", counted, 500 - counted)]
    await check_splits(region.conn, region.loaded)


async def test_a_refund_of_what_the_centre_cannot_know_opens_the_due_again(region: Region) -> None:
    clock = MinuteClock()
    async with region.working(clock) as worker:
        await region.load(bill("A", Charge("waste", "waste", 1_000)), worker=worker)
        known = (await worker.intake.accept(region.payment("p", "A", 100))).payment
        unknown = (await worker.intake.accept(region.payment("q", "A", 20))).payment
        new = Bill("A", "2026-11", (Charge("waste", "waste", 900),), as_of=known.accepted_at)
        await region.load(new, worker=worker)
        assert await shown(region) == [("waste", 20, 880)]
        await region.refund("r", known.id, 100, on=worker)
        assert await shown(region) == [("waste", 20, 880)]
        await region.refund("s", unknown.id, 5, on=worker)
        assert await shown(region) == [("waste", 15, 885)]
        await region.load(next(reversed(region.loaded.values())), worker=worker)
        assert await shown(region) == [("waste", 15, 885)]
    await check_splits(region.conn, region.loaded)


async def test_a_designation_fills_the_charges_of_its_service_by_tier(region: Region) -> None:
    await region.load(
        bill(
            "A",
            Charge("heating", "heat", 500, 2),
            Charge("waste", "waste", 300, 0),
            Charge("heating", "heat", 200, 1),
        )
    )
    first = await region.pay("1", "A", 250, ("heating", 250))
    older_first = "the older debt of the service before the current charge"
    assert as_read(first)["charges"] == [50, 0, 200], older_first
    second = await region.pay("2", "A", 600, ("heating", 600))
    last_takes_more = "what exceeds the service goes to its last charge"
    assert as_read(second)["charges"] == [450, 0, 150], last_takes_more
    await check_splits(region.conn, region.loaded)


async def test_second_level_shares_come_out_of_each_charge(region: Region) -> None:
    level = (SecondLevel("uk", 333_333), SecondLevel("waste", 333_333))
    await region.load(bill("A", Charge("heating", "heat", 1_000, 0, None, level)))
    payment = await region.pay("p", "A", 100)
    # 33.3333 : 33.3333 : 33.3334, the kopeck to the largest fraction.
    assert [(s["recipient"], s["amount"]) for s in as_read(payment)["shares"]] == [
        ("uk", 33), ("waste", 33), ("heat", 34),
    ]  # fmt: skip
    await check_splits(region.conn, region.loaded)


async def test_a_bad_line_harms_nobody(region: Region) -> None:
    refused = await region.load(
        bill("A"),
        bill("B", Charge("x", "nobody", 1)),
        Refusal("malformed", "unreadable"),
        bill("C", Charge("x", "heat", 1, 0, None, (SecondLevel("nobody", 1),))),
        bill("D", Charge("x", "heat", -1)),
        bill("no spaces", Charge("x", "heat", 1)),
        bill("E"),
    )
    assert refused == [
        (1, "recipient_unknown"),
        (2, "malformed"),
        (3, "recipient_unknown"),
        (4, "due_out_of_range"),
        (5, "account_invalid"),
    ]
    accounts = await region.conn.fetch("SELECT subscriber_account FROM open_bills ORDER BY 1")
    assert [row[0] for row in accounts] == ["A", "E"]
    with pytest.raises(Refusal, match="not_found"):
        await find_bill(region.worker.context, "B")
    held = await region.pay("p", "B", 100)
    assert held.state == "suspense"


async def test_two_bills_of_one_account_in_one_request_are_loaded_in_order(region: Region) -> None:
    bills = [bill("A", Charge("waste", "waste", due)) for due in (100, 200, 300)]
    assert await region.load(bills[0], bill("B"), bills[1], bills[2]) == []
    assert await shown(region) == [("waste", 0, 300)]
    assert await region.number("SELECT count(*) FROM bills") == 4


async def test_a_first_bill_loaded_by_many_at_once_is_one_open_bill(region: Region) -> None:
    async with region.working() as other:
        await asyncio.gather(
            *(
                region.load(
                    *(bill(f"A{n}", Charge("waste", "waste", due)) for n in order),
                    worker=worker,
                )
                for worker, due, order in (
                    (region.worker, 100, (0, 1, 2, 3)),
                    (other, 200, (3, 2, 1, 0)),
                    (region.worker, 300, (1, 3, 0, 2)),
                    (other, 400, (2, 0, 3, 1)),
                )
            )
        )
    assert await region.number("SELECT count(*) FROM bills") == 16
    for n in range(4):
        ((_, paid, due),) = await shown(region, f"A{n}")
        assert (paid, due in (100, 200, 300, 400)) == (0, True)
    await check_splits(region.conn, region.loaded)


async def test_bills_loaded_while_the_account_pays_lose_no_kopeck(region: Region) -> None:
    await region.load(bill("A", Charge("waste", "waste", 10**9)))
    async with region.working(group_size_max=5) as other:

        async def load(due: int) -> None:
            await region.load(bill("A", Charge("waste", "waste", due)), worker=other)

        await asyncio.gather(
            *(region.pay(f"p{n}", "A", 100 + n) for n in range(60)),
            *(load(10**9 + n) for n in range(12)),
            *(other.intake.accept(region.payment(f"q{n}", "A", 7)) for n in range(60)),
        )
    ((_, paid, _),) = await shown(region)
    assert paid == sum(100 + n for n in range(60)) + 60 * 7
    assert await check_splits(region.conn, region.loaded) == 120
    await check_books(region.conn)


async def test_more_than_a_bill_can_carry_refuses_its_line_alone(region: Region) -> None:
    await region.load(bill("A"))
    await asyncio.gather(*(region.pay(f"p{n}", "A", 10**13) for n in range(2)))
    assert await region.load(bill("B"), bill("A"), bill("C")) == [(1, "amount_out_of_range")]
    # A new period has it all in its dues.
    assert await region.load(bill("A", period="2026-11")) == []
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)
