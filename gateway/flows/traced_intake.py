"""The intake while traces are on: a span round each commit group, linked to its requests' spans.

A payment is known by its key, which stays the same while its wallet's token is opened.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway import tracing
from gateway.domain.payment import PaymentRequest, Receipt
from gateway.flows.accept_payment import Intake, IntakeObserver
from gateway.flows.commit_group import AnswerWriter, Outcome
from gateway.flows.context import Context


class TracedIntake(Intake):
    """An Intake that remembers, until each outcome, whose request a payment came by.

    Each statement is a span of its group's.
    """

    keeps_prepared = False

    def __init__(
        self, context: Context, observe: IntakeObserver, write: AnswerWriter | None = None
    ) -> None:
        super().__init__(context, observe, write)
        self._places: dict[tuple[int, str], tracing.Place] = {}

    def enqueue(self, request: PaymentRequest) -> asyncio.Future[Receipt]:
        """As Intake has it."""
        future = super().enqueue(request)
        self._remember([request], future)
        return future

    async def submit(
        self, requests: Sequence[PaymentRequest]
    ) -> "asyncio.Future[Sequence[Outcome]]":
        """As Intake has it."""
        future = await super().submit(requests)
        self._remember(requests, future)
        return future

    def _remember(self, requests: Sequence[PaymentRequest], future: "asyncio.Future[Any]") -> None:
        place = tracing.here()
        if place is None:
            return
        keys = [(one.claim.caller, one.claim.key) for one in requests]
        self._places.update(dict.fromkeys(keys, place))

        def forget(_: object) -> None:
            for key in keys:
                self._places.pop(key, None)

        future.add_done_callback(forget)

    async def _commit_group(self, requests: list[PaymentRequest]) -> Sequence[Outcome]:
        known = (self._places.get((one.claim.caller, one.claim.key)) for one in requests)
        places = [place for place in known if place is not None]
        with tracing.group("commit group", places, payments=len(requests)):
            return await super()._commit_group(requests)
