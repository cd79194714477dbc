"""Commits that are lost on the way of a try: one charge, one payment, whichever of them it is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.acquirers.connected import connect
from gateway.acquirers.instruments import read
from gateway.acquirers.requests import AuthorisationRequest
from gateway.api import encode
from gateway.domain.ids import new_id
from gateway.domain.payment import METHODS, PaymentRequest
from gateway.flows.authorise_payment import Asking
from gateway.flows.context import Answer
from gateway.flows.hear_acquirer import Hearing
from gateway.sandbox import server
from gateway.steps import Steps
from gateway.telemetry import Telemetry
from tests.acquirers.conftest import KEY, NAME, acquirers_file
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, SILENT_AFTER, LosingWire
from tests.flows.region import Region, Worker, bill, region_in

FATES = [LOST_BEFORE, LOST_AFTER, SILENT_AFTER]
# A try commits four times: kept, heard of, booked by the intake, marked as booked.
COMMITS = 4


@pytest.fixture
async def region(database_url: str) -> AsyncIterator[Region]:
    async with region_in(database_url) as made:
        await made.load(bill("A"))
        yield made


@pytest.fixture
async def wire(region: Region, tmp_path: Path) -> AsyncIterator[LosingWire]:
    async with LosingWire(region.url, tmp_path).open() as opened:
        yield opened


async def pay(region: Region, worker: Worker, folder: Path, url: str) -> Answer:
    """One try by a good card, as the door begins it."""
    claim = region.claim("bank", "site-1", "authorisations", "A", 1_000)
    told = read({"type": "card", "reference": "approve"})
    number = METHODS.index("card")
    payment = PaymentRequest(
        claim, new_id(), "A", 1_000, False, number, told.facts, reference="order-1"
    )
    async with connect(acquirers_file(folder, url, timeout_ms=5_000), Steps()) as acquirers:
        hearing = Hearing(worker.context, worker.intake, Telemetry("0.0.0", "kernel"))
        asking = Asking(worker.context, acquirers, hearing, encode.started)
        return await asking.enqueue(AuthorisationRequest(payment, NAME, told.instrument))


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("lost", range(COMMITS))
async def test_each_commit_of_a_try_may_be_lost(
    region: Region, wire: LosingWire, tmp_path: Path, fate: str, lost: int
) -> None:
    bank = server.Sandbox(KEY, None, 0.05)
    impatient: dict[str, Any] = {"statement_timeout_ms": 200, "lock_timeout_ms": 100}
    async with (
        server.running(bank, "127.0.0.1", 0) as url,
        region.working(url=wire.url, **impatient) as worker,
    ):
        wire.fates = iter([*[None] * lost, fate])
        answer = await pay(region, worker, tmp_path, url)
        assert next(wire.fates, "none") == "none", "Expected the commit that was to be lost"
        told = orjson.loads(answer.content)
        assert (told["state"], told["amount"]) == ("accepted", 1_000)
        again = await pay(region, worker, tmp_path, url)
        assert (again.content, again.replayed) == (answer.content, True)
    assert len(bank.bank.charges) == 1
    assert await region.number("SELECT count(*) FROM payments") == 1
    assert await region.number("SELECT count(*) FROM authorisations") == 1
    state = await region.conn.fetchval("SELECT state FROM authorisations")
    assert state == "accepted"
