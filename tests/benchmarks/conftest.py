"""One real gateway for the tests of loads, and how many payments its accounts have."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace

import asyncpg
import pytest

from loadtests import households
from loadtests.gateway_process import Gateway, running_gateway
from loadtests.scenario import Scenario

FEW = 300
Paid = Callable[[Scenario], int]
Small = Callable[[Scenario], Scenario]


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    # One worker, so that the limit of its queue is the limit of all.
    settings = {"KOPECK_QUEUE_MAX": "500", "KOPECK_LOG_AHEAD_MB": "0"}
    with running_gateway(1, tmp_path_factory.mktemp("gateway"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def small() -> Small:
    """The same scenario of few accounts, different ones for each call."""
    given = 0

    def made(scenario: Scenario) -> Scenario:
        nonlocal given
        given += 1
        few = min(scenario.accounts, FEW)
        return replace(scenario, accounts=few, first=8_000_000 + given * FEW)

    return made


@pytest.fixture
def paid(gateway: Gateway) -> Paid:
    """How many payments the accounts of a scenario have."""

    async def ask(accounts: list[str]) -> int:
        conn = await asyncpg.connect(gateway.database_url)
        try:
            found: int = await conn.fetchval(
                "SELECT count(*) FROM payments WHERE subscriber_account = ANY($1)", accounts
            )
            return found
        finally:
            await conn.close()

    def count(scenario: Scenario) -> int:
        numbers = range(scenario.first, scenario.first + scenario.accounts)
        return asyncio.run(ask([households.account(number) for number in numbers]))

    return count
