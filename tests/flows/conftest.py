"""Fixtures of the flows: a region in a database of the test's own, with one worker."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.flows.region import Region, region_in


@pytest_asyncio.fixture
async def region(database_url: str) -> AsyncIterator[Region]:
    async with region_in(database_url) as made:
        yield made
