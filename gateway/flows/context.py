"""What every flow needs at hand; made once by gateway.app for each worker."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from msgspec import Struct

from gateway.calendar import BusinessDays, days_of
from gateway.config import Settings
from gateway.domain.clock import Clock
from gateway.flows.wallets import Wallets
from gateway.splitting.plans import PlanShelf, StructureShelf
from gateway.splitting.terms import TermsShelf
from gateway.steps import Steps
from gateway.storage.lease import Lease, Waits


@dataclass(frozen=True)
class Context:
    """The pool of database connections, the clock, and what is kept in memory of the terms."""

    pool: Any
    clock: Clock
    settings: Settings
    plans: PlanShelf
    terms: TermsShelf
    structures: StructureShelf = field(default_factory=StructureShelf)
    wallets: Wallets = field(default_factory=Wallets)
    steps: Steps = field(default_factory=Steps)
    waits: Waits = field(default_factory=Waits)

    @cached_property
    def days(self) -> BusinessDays:
        """The centre's business days; StartRefused where its own calendar cannot be read."""
        return days_of(self.settings)

    def connection(self) -> Lease:
        """A connection for `async with`; TimeoutError where none is free for too long."""
        return Lease(self.pool, self.settings.pool_wait_ms / 1000, self.waits)


class Answer(Struct, frozen=True):
    """The body of an answer that is kept for ever; `replayed` if it was given before."""

    content: bytes
    replayed: bool
