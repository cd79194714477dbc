"""Trying again what can safely be tried again: an error that passes, a commit gone unknown.

Only for attempts that find out by their key, or by their nature, what was already done.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from gateway.domain.refusals import Unavailable
from gateway.flows.context import Context
from gateway.storage.postgres import to_be_found_out

PAUSE_S = 0.05
PAUSE_MAX_S = 0.4
Result = TypeVar("Result")


def pauses() -> Iterator[float]:
    """How many seconds to wait before each further try: longer and longer, so that a primary that
    has just taken over is not stormed by all who were waiting for one.
    """
    pause = PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, PAUSE_MAX_S)


async def patiently(context: Context, attempt: Callable[[], Awaitable[Result]]) -> Result:
    """The attempt's result, tried again until `commit_deadline_s`; then `unavailable`."""
    deadline = time.monotonic() + context.settings.commit_deadline_ms / 1000
    waits = pauses()
    while True:
        try:
            return await attempt()
        except Exception as error:
            if not to_be_found_out(error):
                raise
            if time.monotonic() >= deadline:
                raise Unavailable(
                    "unavailable", "The outcome is unknown; send it again with the same key"
                ) from error
        await asyncio.sleep(next(waits))
