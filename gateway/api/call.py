"""One request on its way through the door, and what every view needs at hand."""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.acquirer_reports.layouts import Layouts
from gateway.acquirers.connected import Acquirers
from gateway.api import decode
from gateway.api.request import Request
from gateway.api.single_bodies import SingleBodies
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.accept_payment import Intake
from gateway.flows.authorise_payment import Asking
from gateway.flows.coming import Coming
from gateway.flows.context import Context
from gateway.flows.hear_acquirer import Hearing
from gateway.flows.refund_by_acquirer import Refunding
from gateway.flows.webhooks import Webhooks
from gateway.scans.darkroom import Darkroom
from gateway.scans.templates import Templates
from gateway.settlement.press import Press
from gateway.telemetry import Telemetry

REPORTS_AT_ONCE: Final = 2
# Each may play ten thousand events of an account again, beside payers.
EXPLAINED_AT_ONCE: Final = 2
# As many callbacks as banks send of their own accord; more at once are somebody else's.
CALLBACKS_AT_ONCE: Final = 32


@dataclass(frozen=True)
class House:
    """What a worker has: the flows' context, the intake of payments, metrics, document and loop,
    the layouts of acquirers' files, the templates of barcodes, where pictures are looked at, and
    the acquirers that are asked to take payments.

    `report_turns` are taken by acquirers' files, each of which keeps two connections for as long as
    it takes; `explaining_turns` by explanations, `hearing_turns` by acquirers' callbacks. `leaving`
    is set when the worker lets its callers go: each answer is the last of its connection, and says
    so. `stopping` is set when it begins to drain; streams take no more payments then.
    """

    context: Context
    intake: Intake
    telemetry: Telemetry
    openapi: bytes
    layouts: Layouts
    templates: Templates
    darkroom: Darkroom
    acquirers: Acquirers
    asking: Asking
    hearing: Hearing
    refunding: Refunding
    webhooks: Webhooks
    coming: Coming
    press: Press
    leaving: asyncio.Event
    stopping: asyncio.Event
    loop: asyncio.AbstractEventLoop
    bodies: SingleBodies = field(default_factory=SingleBodies)
    report_turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(REPORTS_AT_ONCE)
    )
    explaining_turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(EXPLAINED_AT_ONCE)
    )
    hearing_turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(CALLBACKS_AT_ONCE)
    )


class Call:
    """A request that was let in: who asks, the values of its path, its body if it is read whole."""

    __slots__ = ("_caller", "content", "names", "request")

    def __init__(
        self, request: Request, caller: Caller | None, names: tuple[str, ...], content: bytes
    ) -> None:
        self.request = request
        self._caller = caller
        self.names = names
        self.content = content

    @property
    def caller(self) -> Caller:
        """Who asks; only routes for everybody have none."""
        if self._caller is None:
            raise RuntimeError("Expected a caller on a route with roles")
        return self._caller

    def keys(self) -> list[str]:
        """The values of Idempotency-Key as they came."""
        return self.request.headers.getall("Idempotency-Key", [])

    def key(self) -> str:
        """The idempotency key; Refusals idempotency_key_missing, malformed."""
        return decode.idempotency_key(self.keys())

    def claim(self, route: str, body: Any, *path: str) -> Claim:
        """The key as it is used here, for this body and these ids of the path."""
        return Claim(self.caller.number, self.key(), route, decode.fingerprint(body, *path))

    def query(self, *allowed: str) -> dict[str, str]:
        """The query's values; Refusal malformed for an unknown or repeated name, or NUL."""
        told = self.request.rel_url.query
        if len(told) != len(set(told)):
            raise Refusal("malformed", "Expected every query parameter once")
        if not set(told) <= set(allowed):
            names = ", ".join(allowed) or "none"
            raise Refusal("malformed", f"Expected only these query parameters: {names}")
        if any("\x00" in value for value in told.values()):
            raise Refusal("malformed", "Expected query parameters without NUL")
        return dict(told)
