"""The worker's side of the process that looks at pictures: few at a time, each within its bounds.

One picture is looked at, a few wait with their bytes in memory, more are refused before they are
read. The process is started when it is first needed, and anew after a picture that ended it.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from gateway.config import PREFIX
from gateway.domain.refusals import Refusal, Unavailable
from gateway.scans.codes import FRAME, Answer, Code, Request
from gateway.steps import Steps

PLACES_MAX: Final = 8
# The time of a process is counted in processor time; this is for one that gets none.
ANSWER_S: Final = 30.0

_answer: Final = msgspec.msgpack.Decoder(Answer)
_encode: Final = msgspec.msgpack.Encoder().encode


class _Ended(Exception):
    """The process ended instead of answering."""


class Darkroom:
    """One for each worker; `close` ends its process."""

    def __init__(self, pixels_max: int, steps: Steps | None = None) -> None:
        self._pixels_max = pixels_max
        self._steps = Steps() if steps is None else steps
        self._process: Process | None = None
        self._turn = asyncio.Semaphore(1)
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among those that wait; Unavailable overloaded where there is none."""
        if self._taken >= PLACES_MAX:
            raise Unavailable("overloaded", "Too many pictures are waiting; nothing was done")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def codes_in(self, picture: bytes) -> list[Code]:
        """The codes of a picture; Refusals malformed, body_too_large."""
        with self._steps.step("scans", "picture"):
            try:
                answer = await self._ask(Request(picture, self._pixels_max))
            except _Ended:
                told = "Expected a picture that takes less to look at"
                raise Refusal("malformed", told) from None
            if answer.refused is not None:
                raise Refusal(*answer.refused)
            return answer.codes

    async def drawn(self, text: bytes, form: str) -> bytes:
        """A text as a QR code, as SVG or PNG; Unavailable."""
        with self._steps.step("scans", "drawing"):
            try:
                answer = await self._ask(Request(text, form=form))
            except _Ended:
                raise Unavailable("unavailable", "Nothing can be drawn now; ask again") from None
            return answer.drawn

    async def close(self) -> None:
        """Ends the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, request: Request) -> Answer:
        async with self._turn:
            answered = False
            try:
                async with asyncio.timeout(ANSWER_S):
                    content = await self._exchange(_encode(request))
                answered = True
                return _answer.decode(content)
            except TimeoutError:
                raise Unavailable(
                    "unavailable", "Nothing can be looked at now; ask again"
                ) from None
            except (EOFError, ConnectionError):
                raise _Ended from None
            finally:
                if not answered:
                    # Half an answer may be on its way: nobody may take it for the next one.
                    await self.close()

    async def _exchange(self, content: bytes) -> bytes:
        if self._process is None or self._process.returncode is not None:
            self._process = await _started()
        asked, told = self._process.stdin, self._process.stdout
        if asked is None or told is None:
            raise EOFError
        asked.write(FRAME.pack(len(content)))
        asked.write(content)
        await asked.drain()
        (length,) = FRAME.unpack(await told.readexactly(FRAME.size))
        return await told.readexactly(length)


async def _started() -> Process:
    """The process, which inherits none of our settings: some of them are secrets."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway.scans.darkroom_process",
        stdin=PIPE,
        stdout=PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environ,
    )
