"""A worker's pulse: how late its loop comes, and how its machinery stands, for the metrics."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from gateway import logs
from gateway.flows.accept_payment import Intake
from gateway.flows.context import Context
from gateway.room_telemetry import Machinery, RoomTelemetry

BEAT_S: Final = 0.25
# Beats from one showing to the next: a second, as the other counts.
SHOWN_EVERY: Final = 4


class InFlight(Protocol):
    """Who knows how many requests with payments are being answered: the door."""

    @property
    def in_flight(self) -> int: ...


class Pulse:
    """Beats until it is cancelled."""

    def __init__(
        self,
        context: Context,
        rooms: RoomTelemetry,
        intake: Intake,
        door: InFlight,
        dropped: Callable[[], int],
    ) -> None:
        self._context = context
        self._rooms = rooms
        self._intake = intake
        self._door = door
        self._dropped = dropped

    async def run(self) -> None:
        """For as long as the worker serves."""
        while True:
            for _ in range(SHOWN_EVERY):
                asked = time.monotonic()
                await asyncio.sleep(BEAT_S)
                self._rooms.lag.add(max(0.0, time.monotonic() - asked - BEAT_S))
            self.show()

    def show(self) -> None:
        """Shows how it all stands now."""
        try:
            self._show()
        except Exception as failure:
            # Else one bad look would leave the metrics of this worker as they are for ever.
            logs.bug(failure, "the pulse")

    def _show(self) -> None:
        context, pool = self._context, self._context.pool
        self._rooms.show(
            context.steps,
            context.waits.seconds,
            Machinery(
                pool_size=pool.get_size(),
                pool_idle=pool.get_idle_size(),
                pool_max=pool.get_max_size(),
                pool_waiting=context.waits.waiting,
                queued=self._intake.waiting,
                queue_max=context.settings.queue_max,
                in_flight=self._door.in_flight,
                dropped=self._dropped(),
                in_vain=context.waits.in_vain,
            ),
        )
