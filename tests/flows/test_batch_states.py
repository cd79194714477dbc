"""Every step of the tables of batches and payouts is taken by something real, and no other is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.refusals import Refusal
from gateway.domain.states import PAYOUT, SETTLEMENT_BATCH
from gateway.flows import batch_life
from gateway.settlement import store_counting
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_statements import back, cancel, check, orders, settled, shown, take
from tests.payouts.statement_files import Told, one_c

# What a batch of three orders may hear: which of them were executed, and which came back.
ALL = (0, 1, 2)


class Walk:
    """One batch and what the bank says of its orders, a statement at a time."""

    def __init__(self, region: Region, name: str) -> None:
        self.region = region
        self.name = name
        self.told = 0
        self.batch: UUID
        self.orders: list[Told]

    async def begin(self, *, send: bool) -> "Walk":
        self.batch = await settled(self.region, self.name)
        self.orders = await orders(self.region, self.batch)
        assert len(self.orders) == len(ALL)
        if send:
            await self._claim()
        return self

    async def _claim(self) -> None:
        claim = self.region.claim("op", f"send {self.name}", "payout_claims", self.batch)
        await batch_life.send(
            self.region.worker.context, claim, self.region.callers["op"], self.batch
        )

    async def hear(self, state: str, paid: Sequence[int] = (), came: Sequence[int] = ()) -> "Walk":
        self.told += 1
        lines = [self.orders[one] for one in paid] + [back(self.orders[one]) for one in came]
        found = await take(self.region, f"{self.name} {self.told}", one_c(lines))
        assert found["discrepancies"] == []
        assert (await shown(self.region, self.batch))["state"] == state
        return self


async def batch_steps(region: Region) -> set[tuple[str, str, str]]:
    """(state, event, following) that batches were moved by since they were closed."""
    rows = await region.conn.fetch("""
        SELECT coalesce(lag(state) OVER (PARTITION BY settlement_batch ORDER BY number), 'closed'),
               event, state FROM settlement_events
    """)
    return {(row[0], row[1], row[2]) for row in rows}


async def payout_steps(region: Region) -> set[tuple[str, str]]:
    """(state, event) of payouts: where two were told of at once it is the execution first."""
    rows = await region.conn.fetch("""
        SELECT lag(event) OVER (PARTITION BY payout ORDER BY at, event), event FROM payout_events
    """)
    after = {None: "approved", "send": "sent", "execute": "executed", "return": "returned"}
    return {(after[row[0]], row[1]) for row in rows}


async def test_every_step_is_taken(region: Region, monkeypatch: pytest.MonkeyPatch) -> None:
    await region.load(bill("A"))

    # Cut, and not counted: whoever counts is stopped. The next close finishes it.
    async def stopped(*_: Any) -> Any:
        raise Refusal("state_conflict", "stopped")

    await region.pay("first", "A", 1_000)
    with monkeypatch.context() as patch:
        patch.setattr(store_counting, "net", stopped)
        with pytest.raises(Refusal):
            await region.close("c")
    assert await region.conn.fetchval("SELECT state FROM settlement_batches") == "cut"
    first = batch_id((await region.close("c"))["id"])
    assert (await shown(region, first))["state"] == "closed"
    await cancel(region, "closed", first)
    await cancel(region, "approved", await settled(region, "to cancel"))

    one = await Walk(region, "approved, in pieces").begin(send=False)
    await one.hear("partially_executed", [0])
    await one.hear("partially_executed", [1])
    await one.hear("executed", [2])
    await one.hear("partially_executed", [], [0])
    await one.hear("returned", [], [1, 2])

    one = await Walk(region, "approved, at once").begin(send=False)
    await one.hear("executed", ALL)
    await one.hear("returned", [], ALL)

    one = await Walk(region, "sent, in pieces").begin(send=True)
    await one.hear("partially_executed", [0])
    await one.hear("executed", [1, 2])

    await (await Walk(region, "sent, at once").begin(send=True)).hear("executed", ALL)

    one = await Walk(region, "given back before it is told").begin(send=False)
    await one.hear("returned", [], ALL)
    await one.hear("returned", ALL)
    await (await Walk(region, "sent and back").begin(send=True)).hear("returned", [], ALL)

    one = await Walk(region, "one of each").begin(send=True)
    await one.hear("partially_executed", [0, 1], [1])

    taken = await batch_steps(region)
    assert {(state, event): following for state, event, following in taken} == {
        step: following
        for step, following in SETTLEMENT_BATCH.items()
        if step not in {("open", "cut"), ("cut", "count")}
    }
    assert await payout_steps(region) == set(PAYOUT)
    await check(region)


@pytest.mark.parametrize("send", [False, True])
async def test_some_executed_and_some_returned_is_partially_executed(
    region: Region, send: bool
) -> None:
    await region.load(bill("A"))
    one = await Walk(region, "both").begin(send=send)
    await one.hear("partially_executed", [0, 1], [2])
    found = await shown(region, one.batch)
    states = [payout["state"] for payout in found["payouts"]]
    assert sorted(states) == ["executed", "executed", "returned"]
    # The last of what came back makes it no more than that.
    await one.hear("partially_executed", [2])
    await one.hear("partially_executed", [], [0])
    await one.hear("returned", [], [1])
    await check(region)
