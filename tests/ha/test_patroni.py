"""Patroni with a synchronous standby: the primary is lost in four ways while payers pay.

Nothing acknowledged is lost, nothing is doubled, and the gateway goes on with the new primary by
itself. How long nobody could pay is told, not judged: it is Patroni's `ttl` and the machine's.
"""

import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.audit import report
from tests.faults.conftest import region_for_payers
from tests.faults.history import History, complaints, stored
from tests.faults.payers import Payers
from tests.faults.processes import Gateway
from tests.ha.members import Cluster, Member

WRITES_AGAIN_S = 180.0


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with open(tmp_path / "history.jsonl", "a", buffering=1) as file:
        yield History(file)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        made.stop()


class Loss:
    """One way to lose a primary, and what brings its machine back."""

    def __init__(self, name: str, dice: random.Random) -> None:
        self.name = name
        self._dice = dice

    def strike(self, leader: Member, standby: Member) -> None:
        if self.name == "machine killed":
            leader.signal_all(signal.SIGKILL, self._dice)
        elif self.name == "PostgreSQL killed":
            leader.kill_postgres(self._dice)
        elif self.name == "machine frozen":
            leader.signal_all(signal.SIGSTOP, self._dice)
        else:
            leader.tell("/switchover", {"leader": leader.name, "candidate": standby.name})

    def mend(self, old: Member) -> None:
        if self.name == "machine killed":
            old.start()
        elif self.name == "machine frozen":
            old.signal_all(signal.SIGCONT, self._dice)


LOSSES = ("machine killed", "PostgreSQL killed", "machine frozen", "switchover")


async def test_primaries_are_lost_under_load_and_no_payment_is(
    cluster: Cluster, tmp_path: Path, history: History, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(61)
    leader, _ = await cluster.whole()
    secret = await region_for_payers(leader.url())
    gateway = Gateway(tmp_path, "--database", cluster.url, "--workers", "2")
    await gateway.start()
    try:
        workers = gateway.workers()
        payers = Payers(history, secret, gateway.port, seed=31, insists=True)
        for name in LOSSES:
            loss = Loss(name, dice)
            leader, standby = await cluster.whole()
            async with payers.paying():
                await payers.more(200)
                lost = time.monotonic()
                loss.strike(leader, standby)
                # Those that were being committed may still be answered by the old primary.
                await payers.more(100, WRITES_AGAIN_S)
                silence = history.longest_silence(since=lost)
                loss.mend(leader)
                await cluster.whole()
                await payers.more(100, WRITES_AGAIN_S)
            with capsys.disabled():
                print(f"\n{name}: nobody was answered for {silence:.1f} s", end="")
            assert history.unknown() == [], "Expected every payer to be answered in the end"
            now, _ = await cluster.whole()
            assert now.name == standby.name, "Expected the standby to have become the primary"
            assert complaints(history.sent, await stored(now.url()), settled=True) == []
        assert set(payers.answers) <= {201, 503}
        assert gateway.workers() == workers, "Expected workers to outlive their database"
        for sent in dice.sample(history.sent, 20):
            assert await payers.ask_again(sent)
        assert (await report.run(cluster.url))["problems"] == []
    finally:
        gateway.stop()
