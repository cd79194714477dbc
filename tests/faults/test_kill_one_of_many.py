"""Three gateways on one database behind a balancer, one after another killed under load.

A gateway keeps nothing that another needs, so what is lost with it is only what it was doing:
callers send that again with its key and are answered by the others.
"""

import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.audit import report
from tests.faults.balancer import Balancer
from tests.faults.history import History, complaints, stored
from tests.faults.payers import PAYERS, Payers
from tests.faults.processes import Database, Gateway

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")


@pytest.fixture
async def gateways(database: Database, secret: str, tmp_path: Path) -> AsyncIterator[list[Gateway]]:
    made = []
    try:
        for host in HOSTS:
            folder = tmp_path / host
            folder.mkdir()
            one = Gateway(folder, "--database", database.url, "--workers", "1", host=host)
            made.append(one)
            await one.start()
        yield made
    finally:
        for one in made:
            one.stop()


async def test_a_killed_gateway_of_three_loses_and_doubles_nothing(
    database: Database, gateways: list[Gateway], secret: str, history: History, rounds: int
) -> None:
    dice = random.Random(40)
    async with AsyncExitStack() as stack:
        balancer = Balancer([(one.host, one.port) for one in gateways])
        await stack.enter_async_context(balancer.running())
        payers = Payers(history, secret, balancer.port, seed=7, insists=True)
        for round_ in range(max(len(HOSTS), rounds // 3)):
            killed = gateways[round_ % len(gateways)]
            async with payers.paying():
                await payers.more(dice.randint(60, 150))
                before = balancer.taken.copy()
                killed.kill(dice)
                # With one of three dead everybody goes on, those among them whom it left.
                await payers.more(20 * PAYERS)
                left = balancer.taken - before
                assert left, "Expected callers whose gateway was killed to come again"
                assert killed.host not in left
                await killed.start()
            assert history.unknown() == [], "Expected every caller to be answered in the end"
            assert complaints(history.sent, await stored(database.url), settled=True) == []
        assert set(balancer.taken) == set(HOSTS)
    assert set(payers.answers) == {201}
    for one in gateways:
        # Whoever took a payment, each of them knows it.
        asking = Payers(history, secret, one.port, seed=8, host=one.host)
        for sent in dice.sample(history.sent, 10):
            assert await asking.ask_again(sent)
    assert (await report.run(database.url))["problems"] == []


async def test_control_callers_who_do_not_send_again_are_left_without_an_answer(
    gateways: list[Gateway], secret: str, history: History
) -> None:
    """A killed gateway does cost answers: without the key to send again they would stay unknown."""
    dice = random.Random(41)
    async with Balancer([(one.host, one.port) for one in gateways]).running() as balancer:
        payers = Payers(history, secret, balancer.port, seed=9)
        async with payers.paying():
            for killed in gateways[:2]:
                await payers.more(100)
                killed.kill(dice)
            await payers.more(50)
    assert history.unknown() != []
