"""Closing by itself at each cut-off before a working day, the centre's and those that agreements
have, whichever worker is up.

A cut-off's moment is the key of its close, so that whoever tries, however often and after whatever
crash, one batch is cut for it. One that was missed is caught up with as soon as anybody is back.
"""

from datetime import datetime
from hashlib import blake2b

from gateway.calendar import BusinessDays
from gateway.calendar import store as calendar_store
from gateway.domain.business_days import Due
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.flows import agreed_days
from gateway.flows.close_batch import ClosedSince, close
from gateway.flows.context import Context
from gateway.storage import keys


class CutOffs:
    """Closes what is due; keeps only which cut-off it has seen served, to ask no more of it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._served: datetime | None = None
        self._minute: datetime | None = None
        self._days: list[BusinessDays] = []

    async def close_due(self) -> bool:
        """Close the open batch if the last cut-off has not been made; whether one is closed now.

        Nothing is closed before the first payment of all, nor where somebody closed by hand since.
        """
        context = self._context
        now = context.clock.now()
        due = agreed_days.last_due(await self._known(now), now)
        if due.moment == self._served:
            return False
        async with context.connection() as conn:
            if not await calendar_store.anything_taken(conn):
                return False
            machine = await keys.machine(conn)
        try:
            answer = await close(context, _claim(machine, due), machine, None, due)
        except ClosedSince:
            self._served = due.moment
            return False
        self._served = due.moment
        return not answer.replayed

    async def _known(self, now: datetime) -> list[BusinessDays]:
        """The days that anybody goes by, read anew each minute, as cut-offs are whole minutes."""
        minute = now.replace(second=0, microsecond=0)
        if minute != self._minute:
            async with self._context.connection() as conn:
                self._days = await agreed_days.known(self._context, conn, now)
            self._minute = minute
        return self._days


def _claim(machine: Caller, due: Due) -> Claim:
    # The machine's keys have a space, which none that comes over HTTP has.
    key = f"cut-off {due.moment:%Y-%m-%dT%H:%M:%SZ}"
    fingerprint = blake2b(key.encode(), digest_size=16).digest()
    return Claim(machine.number, key, "settlement_batches", fingerprint)
