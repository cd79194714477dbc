"""A seeded walk: whatever callers do, in whatever order and at once, the books stay right.

Every round does a few things at the same time at two workers; whoever is refused must be refused
with a code that the rules know. The seed fixes what is done, not how it interleaves.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from gateway.audit import report
from gateway.domain.bill import Charge, SecondLevel
from gateway.domain.refusals import Refusal
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, Worker, batch_id, bill, to_charge

ROUNDS = 30
# More than 10^13 kopecks in all may stand on one account, but no replaced bill can carry them.
LOAD_REFUSALS = ("period_closed", "amount_out_of_range")
ACCOUNTS = ("A", "B", "C")
REFUSALS = {
    "malformed",
    "overpayment",
    "nothing_to_allocate",
    "designation_exceeds_amount",
    "refund_exceeds_payment",
    "state_conflict",
    "account_invalid",
    "forbidden",
}


class Walk:
    """What can be done next, drawn from `dice`."""

    def __init__(self, region: Region, workers: tuple[Worker, ...], seed: int) -> None:
        self._region = region
        self._workers = workers
        self._dice = random.Random(seed)
        self._payments: list[UUID] = []
        self._moments: list[datetime] = []
        self._batches: list[UUID] = []
        self._month = 1
        self._done = 0
        self.refused: list[str] = []

    async def round(self) -> None:
        dice = self._dice
        weighted: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (60, self._pay), (20, self._refund), (8, self._resolve), (8, self._load),
            (2, self._close), (2, self._approve),
        ]  # fmt: skip
        weights = [weight for weight, _ in weighted]
        chosen = dice.choices([act for _, act in weighted], weights, k=dice.randint(1, 12))
        outcomes = await asyncio.gather(*(act() for act in chosen), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Refusal):
                self.refused.append(outcome.code)
            elif outcome is not None:
                raise outcome

    def _key(self) -> str:
        self._done += 1
        return f"key {self._done}"

    def _worker(self) -> Worker:
        return self._dice.choice(self._workers)

    async def _pay(self) -> None:
        dice = self._dice
        amount = dice.choice((1, 2, 3, dice.randint(1, 500), dice.randint(1, 200_000), 10**13))
        named: list[tuple[str, int]] = []
        if dice.random() < 0.3:
            named = [(dice.choice(("heating", "waste", "gas")), dice.randint(0, amount))]
        account = dice.choice((*ACCOUNTS, "nowhere"))
        request = self._region.payment(self._key(), account, amount, *named)
        worker = self._worker()
        payment = (await worker.intake.accept(request)).payment
        self._payments.append(payment.id)
        self._moments.append(payment.accepted_at)
        if dice.random() < 0.1:
            assert (await worker.intake.accept(request)).payment == payment

    async def _refund(self) -> None:
        if self._payments:
            payment = self._dice.choice(self._payments)
            amount = self._dice.choice((1, self._dice.randint(1, 3_000), 10_000))
            await self._region.refund(self._key(), payment, amount, on=self._worker())

    async def _resolve(self) -> None:
        if self._payments:
            account = self._dice.choice(ACCOUNTS)
            await self._region.resolve(self._key(), self._dice.choice(self._payments), account)

    async def _load(self) -> None:
        dice = self._dice
        if dice.random() < 0.2 and self._month < 12:
            self._month += 1
        charges = [self._charge() for _ in range(dice.randint(1, 5))]
        overpayment: Any = dice.choice(("weights", "weights", "reject", to_charge(0)))
        as_of = None
        if dice.random() < 0.3 and self._payments:
            as_of = dice.choice(self._moments)
        new = bill(
            dice.choice(ACCOUNTS),
            *charges,
            period=f"2026-{self._month:02}",
            overpayment=overpayment,
            as_of=as_of,
        )
        for _, code in await self._region.load(new, worker=self._worker()):
            assert code in LOAD_REFUSALS

    def _charge(self) -> Charge:
        dice = self._dice
        weight = dice.choice((None, None, 0, dice.randint(0, 10**13)))
        level = tuple(
            SecondLevel(recipient, dice.choice((0, 1, 50_000, 333_333, 500_000)))
            for recipient in dice.sample(("uk", "waste"), dice.randrange(3))
        )
        return Charge(
            dice.choice(("heating", "waste", "gas")),
            dice.choice(("heat", "waste", "uk")),
            dice.choice((0, 1, dice.randint(0, 5_000), dice.randint(0, 10**6))),
            dice.randrange(3),
            weight,
            level,
        )

    async def _close(self) -> None:
        closed = await self._region.close(self._key(), on=self._worker())
        self._batches.append(batch_id(closed["id"]))

    async def _approve(self) -> None:
        if self._batches:
            await self._region.approve(self._key(), self._dice.choice(self._batches))


@pytest.mark.parametrize("seed", range(6))
async def test_the_books_stay_right_whatever_callers_do(region: Region, seed: int) -> None:
    async with region.working(group_size_max=3) as one, region.working(commit_lanes=2) as other:
        walk = Walk(region, (one, other), seed)
        for round_ in range(ROUNDS):
            await walk.round()
            if round_ % 10 == 9:
                await check_books(region.conn)
    assert set(walk.refused) <= REFUSALS
    assert await check_splits(region.conn, region.loaded) > ROUNDS // 2
    await region.close("last")
    await check_books(region.conn)
    assert (await report.run(region.url))["problems"] == []
