"""Fixtures of telling recipients: a region, a clock set by hand, a server that hears."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.flows.region import Region, region_in
from tests.webhooks.receiving import Hands, Receiver, Sending, receiving, sending


@pytest_asyncio.fixture
async def region(database_url: str) -> AsyncIterator[Region]:
    async with region_in(database_url) as made:
        yield made


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest_asyncio.fixture
async def one(region: Region, clock: Hands) -> AsyncIterator[Sending]:
    async with sending(region, clock) as made:
        yield made
