"""Views for machines that look after us: alive, ready, metrics."""

import asyncio
from typing import Final

from gateway.api import encode, replies
from gateway.api.call import Call, House
from gateway.api.replies import Reply
from gateway.domain.refusals import Unavailable
from gateway.storage import migrate
from gateway.storage.postgres import assert_writable

READY_TIMEOUT_S: Final = 2.0


async def alive(house: House, call: Call) -> Reply:
    """GET /healthz: this process answers; nothing else is looked at."""
    return Reply(replies.OK, encode.json({"state": "alive"}))


async def ready(house: House, call: Call) -> Reply:
    """GET /readyz: the database is reachable, takes writes, and has the schema of this program."""
    async with asyncio.timeout(READY_TIMEOUT_S), house.context.connection() as conn:
        await assert_writable(conn)
        enough = await migrate.sufficient(conn)
    if not enough:
        raise Unavailable("unavailable", "Expected the schema of this version; run kopeck migrate")
    return Reply(replies.OK, encode.json({"state": "ready"}))


async def metrics(house: House, call: Call) -> Reply:
    """GET /metrics: of all workers, whichever answers; OpenMetrics for whoever asks for it."""
    accept = ",".join(call.request.headers.getall("Accept", []))
    content, media_type = await house.telemetry.exposition(accept)
    return Reply(replies.OK, content, media_type)
