"""The worker's side of printing acts: each in a process of its own, within bounds of time.

Few are printed at once and few wait; more are refused before any work. A process that takes too
long is ended, and one that fails says nothing that a caller could not be told.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import Final

from gateway.config import PREFIX
from gateway.domain.refusals import Unavailable

PLACES_MAX: Final = 16
# The kernel counts the process's own time; this is for one that gets none.
ANSWER_S: Final = 30.0
PDF_BYTES_MAX: Final = 4_194_304


class Press:
    """One for each worker."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._taken = 0

    async def printed(self, act: bytes) -> bytes:
        """The PDF of an act, told as JSON; Unavailable overloaded, unavailable."""
        if self._taken >= PLACES_MAX:
            raise Unavailable("overloaded", "Too many acts are waiting to be printed")
        self._taken += 1
        try:
            async with self._turn:
                return await _print(act)
        finally:
            self._taken -= 1


async def _print(act: bytes) -> bytes:
    # It inherits none of our settings: some of them are secrets.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.settlement.press_process",
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environ,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            content, _ = await process.communicate(act)
    except TimeoutError:
        content = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0 or not content.startswith(b"%PDF-"):
        raise Unavailable("unavailable", "The act cannot be printed now; ask again")
    if len(content) > PDF_BYTES_MAX:
        raise Unavailable("unavailable", "The act is too long to be printed")
    return content
