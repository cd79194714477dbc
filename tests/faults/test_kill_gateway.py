"""kill -9 of the gateway's processes under load: whoever read 201 finds the payment, once."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.audit import report
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers
from tests.faults.processes import Database, Gateway

WORKERS = 2


@pytest.fixture
async def gateway(database: Database, secret: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    made = Gateway(tmp_path, "--database", database.url, "--workers", str(WORKERS))
    await made.start()
    yield made
    made.stop()


async def assert_books_are_right(url: str) -> None:
    found = await report.run(url)
    assert found["problems"] == []


async def test_no_acknowledged_payment_is_lost_or_doubled_when_the_gateway_is_killed(
    database: Database, gateway: Gateway, secret: str, history: History, rounds: int
) -> None:
    """In turn the supervisor with all workers, and one worker, which the supervisor replaces."""
    dice = random.Random(20)
    payers = Payers(history, secret, gateway.port, seed=1)
    unknown = 0
    for round_ in range(rounds):
        async with payers.paying():
            await payers.more(dice.randint(30, 150))
            if round_ % 2:
                await gateway.kill_worker(dice, WORKERS)
            else:
                gateway.kill(dice)
                await gateway.start()
            await payers.more(30)
        assert complaints(history.sent, await stored(database.url), settled=False) == []
        unknown += await payers.find_out()
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert set(payers.answers) == {201}, "a killed gateway answers nothing, and never wrongly"
    assert unknown > 0, "Expected kills in the middle of payments"
    for sent in dice.sample(history.sent, 20):
        assert await payers.ask_again(sent)
    await assert_books_are_right(database.url)


async def test_counters_never_go_backwards_when_workers_are_killed(
    database: Database, gateway: Gateway, secret: str, history: History
) -> None:
    dice = random.Random(21)
    payers = Payers(history, secret, gateway.port, seed=2)
    before: dict[str, float] = {}
    async with payers.paying():
        for _ in range(4):
            await payers.more(100)
            await gateway.kill_worker(dice, WORKERS)
            await payers.more(30)
            now = counters(await payers.metrics())
            assert [name for name, value in before.items() if now.get(name, 0) < value] == []
            before = now
    counted = counters(await payers.metrics())
    taken = sum(
        value
        for name, value in counted.items()
        if name.startswith("kopeck_payments_total")
        and ('outcome="accepted"' in name or 'outcome="suspense"' in name)
    )
    assert counted['kopeck_restarts_total{process="worker"}'] == 4
    # A worker may die between the commit and the count, but not between the count and the answer.
    assert history.acknowledged <= taken <= len(await stored(database.url))


async def test_sigterm_under_load_answers_everything_it_took(
    database: Database, gateway: Gateway, secret: str, history: History
) -> None:
    payers = Payers(history, secret, gateway.port, seed=3)
    for _ in range(3):
        async with payers.paying():
            await payers.more(100)
            assert await gateway.terminate() == 0
            rows = await stored(database.url)
            await gateway.start()
        unanswered = {sent.key for sent in history.unknown()}
        assert [row.key for row in rows if row.key in unanswered] == []
        await payers.find_out()
    assert complaints(history.sent, await stored(database.url), settled=True) == []
    assert set(payers.answers) <= {201, 503}
    await assert_books_are_right(database.url)


def counters(metrics: str) -> dict[str, float]:
    """What may only grow, by its full name."""
    found = {}
    for line in metrics.splitlines():
        if line.startswith("#"):
            continue
        name, _, value = line.rpartition(" ")
        if name.partition("{")[0].endswith(("_total", "_count", "_sum", "_bucket")):
            found[name] = float(value)
    return found
