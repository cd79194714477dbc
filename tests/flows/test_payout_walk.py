"""A bank that does anything, from a seed: whatever it says, nothing is paid or owed twice."""

import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.refusals import Refusal
from gateway.flows import batch_life
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_statements import back, balance, check, orders, take
from tests.payouts.statement_files import Told, camt053, one_c

STEPS = 40


class Bank:
    """What it has paid and given back of each order, which our books must come to say."""

    def __init__(self, region: Region, seed: int) -> None:
        self.region = region
        self.dice = random.Random(seed)
        self.orders: dict[tuple[str, UUID], Told] = {}
        self.paid: set[tuple[str, UUID]] = set()
        self.back: set[tuple[str, UUID]] = set()
        self.batches: list[UUID] = []
        self.statements: list[bytes] = []

    def draw(self, which: Any) -> Any:
        return self.dice.choice(sorted(which, key=str)) if which else None

    async def settle(self, step: int) -> None:
        await self.region.pay(f"p{step}", "A", self.dice.randint(5_000, 90_000))
        closed = batch_id((await self.region.close(f"c{step}"))["id"])
        if self.dice.random() < 0.2:
            await self._cancel(step, closed)
            return
        await self.region.approve(f"a{step}", closed)
        if self.dice.random() < 0.2:
            await self._cancel(step, closed)
            return
        if self.dice.random() < 0.5:
            claim = self.region.claim("op", f"s{step}", "payout_claims", closed)
            context = self.region.worker.context
            await batch_life.send(context, claim, self.region.callers["op"], closed)
        self.batches.append(closed)
        for one in await orders(self.region, closed):
            self.orders[one.number, closed] = one

    async def _cancel(self, step: int, batch: UUID) -> None:
        claim = self.region.claim("boss", f"x{step}", "cancellations", batch)
        context = self.region.worker.context
        await batch_life.cancel(context, claim, self.region.callers["boss"], batch, "a mistake")

    async def tell(self, step: int) -> None:
        told: list[Told] = []
        for _ in range(self.dice.randint(1, 5)):
            kind = self.dice.choice(("pay", "pay", "pay", "back", "again", "odd"))
            unpaid = self.orders.keys() - self.paid
            if kind == "pay" and (key := self.draw(unpaid)):
                self.paid.add(key)
                told.append(self.orders[key])
            elif kind == "back" and (key := self.draw(self.paid - self.back)):
                self.back.add(key)
                told.append(back(self.orders[key], days=2))
            elif kind == "again" and (key := self.draw(self.paid)):
                told.append(self.orders[key].but(booked=self.orders[key].drawn + timedelta(9)))
            elif kind == "odd" and (key := self.draw(self.orders.keys())):
                one = self.orders[key]
                told.append(one.but(amount=one.amount + 1))
        write = self.dice.choice((one_c, camt053))
        self.statements.append(write(told))
        await take(self.region, f"t{step}", self.statements[-1])

    async def repeat(self, step: int) -> None:
        if self.statements:
            await take(self.region, f"r{step}", self.dice.choice(self.statements))

    @property
    def moved(self) -> int:
        """What has left our account for good, in kopecks."""
        return sum(self.orders[key].amount for key in self.paid) - sum(
            self.orders[key].amount for key in self.back
        )


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_the_bank_says(region: Region, seed: int) -> None:
    await region.load(bill("A"))
    bank = Bank(region, seed)
    for step in range(STEPS):
        ask = bank.dice.choice((bank.settle, bank.tell, bank.tell, bank.repeat))
        await ask(step)
        assert await balance(region, "bank") == bank.moved
    figures = await check(region)
    assert figures["executed"] == bank.moved
    # Nothing was lost on the way: all that was received is paid, in flight or owed.
    received = await region.number("SELECT sum(amount_kopecks) FROM shares")
    withheld = await region.number("SELECT sum(commission_kopecks) FROM commissions")
    left = await balance(region, "in_transit") + await balance(region, "recipients")
    assert bank.moved + left == received - withheld
    for batch in bank.batches:
        with pytest.raises(Refusal, match="state_conflict"):
            await region.approve(f"again {batch}", batch)
