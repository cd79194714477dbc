"""An acquirer's file while it is sent: read as it comes, its rows put aside until its totals hold.

What is put aside is what the rows say, never the file: names and addresses are not kept.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import tzinfo
from typing import Final

import msgspec

from gateway.acquirer_reports.layout import Layout
from gateway.acquirer_reports.reader import ReportReader
from gateway.acquirer_reports.rows import ReportFile, Row
from gateway.api import reading
from gateway.api.spool import Spool
from gateway.flows.take_acquirer_report import PART_ROWS

# A row's longest texts are a line each.
_PART_BYTES_MAX: Final = PART_ROWS * 65_536
_encode: Final = msgspec.json.Encoder().encode
_part: Final = msgspec.json.Decoder(list[Row])


class ReportUpload:
    """One file; what it holds on disk goes with the spool."""

    def __init__(self, spool: Spool, layouts: Sequence[Layout], zone: tzinfo) -> None:
        self._spool = spool
        self._reader = ReportReader(layouts, zone)
        self._waiting: list[Row] = []

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusals malformed, control_total_mismatch."""
        self._put_aside(self._reader.feed(piece))

    def finish(self) -> ReportFile:
        """The whole file; Refusals malformed, control_total_mismatch."""
        last, file = self._reader.finish()
        self._put_aside(last)
        if self._waiting:
            self._append(self._waiting)
        return file

    async def parts(self, check: Callable[[], None]) -> AsyncIterator[Sequence[Row]]:
        """The rows in parts of at most PART_ROWS, once; `check` is called before each."""
        async for lines in reading.lines(self._spool.pieces(), _PART_BYTES_MAX):
            for line in lines:
                check()
                if line is not None:
                    yield _part.decode(line)
                await asyncio.sleep(0)

    def _put_aside(self, rows: list[Row]) -> None:
        self._waiting += rows
        while len(self._waiting) >= PART_ROWS:
            self._append(self._waiting[:PART_ROWS])
            del self._waiting[:PART_ROWS]

    def _append(self, rows: list[Row]) -> None:
        self._spool.append(_encode(rows) + b"\n")
