"""How often a key is looked up, and for how long it is gone by."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.api.authenticate import FRESH_S, KNOWN_S, Authenticator
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.storage import keys

HEADER = "Bearer kp_of_the_bank_0123456789"
BANK = Caller(1, "bank", "acquirer")


class Keys:
    """Stands in for the table of keys, slowly, and counts how often it is read."""

    def __init__(self) -> None:
        self.caller: Caller | None = BANK
        self.failure: Exception | None = None
        self.reads = 0
        self.let_read = asyncio.Event()
        self.let_read.set()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield None

    async def find_caller(self, conn: object, digest: bytes) -> Caller | None:
        assert digest == keys.digest_of(HEADER.partition(" ")[2])
        self.reads += 1
        await self.let_read.wait()
        if self.failure is not None:
            raise self.failure
        return self.caller


class Hours:
    """The loop's time, moved by hand."""

    now = 100.0

    def time(self) -> float:
        return self.now


@pytest.fixture
async def known_keys(monkeypatch: pytest.MonkeyPatch) -> Keys:
    stand_in = Keys()
    monkeypatch.setattr(keys, "find_caller", stand_in.find_caller)
    return stand_in


@pytest.fixture
async def hours() -> Hours:
    return Hours()


@pytest.fixture
async def authenticator(known_keys: Keys, hours: Hours) -> Authenticator:
    context: Any = known_keys
    made = Authenticator(context)
    made._loop = hours  # type: ignore[assignment]
    return made


async def burst(authenticator: Authenticator, known_keys: Keys) -> list[Any]:
    """What twenty requests at once get, all of them there before the table answers."""
    known_keys.let_read.clear()
    asking = [asyncio.ensure_future(authenticator.caller([HEADER])) for _ in range(20)]
    await asyncio.sleep(0)
    known_keys.let_read.set()
    return await asyncio.gather(*asking, return_exceptions=True)


async def test_a_burst_looks_its_key_up_once(
    authenticator: Authenticator, known_keys: Keys
) -> None:
    assert await burst(authenticator, known_keys) == [BANK] * 20
    assert known_keys.reads == 1


async def test_a_key_is_looked_up_again_before_it_is_forgotten_and_by_one(
    authenticator: Authenticator, known_keys: Keys, hours: Hours
) -> None:
    await authenticator.caller([HEADER])
    hours.now += FRESH_S
    known_keys.let_read.clear()
    first = asyncio.ensure_future(authenticator.caller([HEADER]))
    await asyncio.sleep(0)
    assert await authenticator.caller([HEADER]) == BANK
    assert not first.done()
    known_keys.let_read.set()
    assert await first == BANK
    assert known_keys.reads == 2


async def test_a_revoked_key_is_not_taken_for_longer_than_promised(
    authenticator: Authenticator, known_keys: Keys, hours: Hours
) -> None:
    await authenticator.caller([HEADER])
    known_keys.caller = None
    hours.now += KNOWN_S
    outcomes = await burst(authenticator, known_keys)
    assert [type(outcome) for outcome in outcomes] == [Refusal] * 20
    with pytest.raises(Refusal):
        await authenticator.caller([HEADER])


async def test_a_table_that_fails_is_not_waited_for_in_turn(
    authenticator: Authenticator, known_keys: Keys
) -> None:
    known_keys.failure = TimeoutError()
    outcomes = await burst(authenticator, known_keys)
    assert [type(outcome) for outcome in outcomes] == [TimeoutError] * 20
    known_keys.failure = None
    assert await authenticator.caller([HEADER]) == BANK


async def test_who_leaves_while_asking_leaves_the_others_their_answer(
    authenticator: Authenticator, known_keys: Keys
) -> None:
    known_keys.let_read.clear()
    first, second = (asyncio.ensure_future(authenticator.caller([HEADER])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    known_keys.let_read.set()
    assert await second == BANK
