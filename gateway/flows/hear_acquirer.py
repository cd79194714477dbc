"""What an acquirer says of an order, however it came: the answer, a callback, or when asked.

One road for all three: the try's row is locked, its state follows the table, and what was taken is
booked through the intake under a key of the try's own. So each counts once, whichever is first.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway import logs
from gateway.acquirers import store
from gateway.acquirers.connected import Connected
from gateway.acquirers.requests import WATCH_EVERY, WATCHED, Authorisation, pause
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    DECLINED,
    NOTHING,
    PENDING,
    REASONS,
    UNKNOWN,
    Answer,
    NoAnswer,
)
from gateway.domain.payment import Payment
from gateway.domain.refusals import InvariantBroken, Unavailable
from gateway.domain.states import AUTHORISATION, next_state
from gateway.flows.accept_payment import Intake
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import writing

log = logs.logger("kopeck.acquirers")

EVENTS: Final = {
    PENDING: "wait",
    ACCEPTED: "take",
    DECLINED: "decline",
    UNKNOWN: "lose",
    ABSENT: "miss",
}
OUTCOMES: Final = (
    *("accepted", "declined", "unknown", "accepted_late", "amount_differs"),
    # Of callbacks: not signed as they ought to be, and of orders that are not ours.
    *("callback_refused", "order_unknown"),
    *("refund_given", "refund_declined", "refund_unknown"),
)
BOOK_AGAIN: Final = timedelta(seconds=1)
# Another try may come or go beside the one that is heard of.
_TRIES: Final = 3

_Result = TypeVar("_Result")


class AcquirerObserver(Protocol):
    """Who is told what became of orders (the metrics)."""

    def authorisation(self, kind: str, outcome: str) -> None:
        """An order came to one of OUTCOMES with an acquirer of this kind."""


class Heard(Struct, frozen=True):
    """A try after something was heard of it, and the payment if it was booked just now."""

    authorisation: Authorisation
    payment: Payment | None = None


async def ask(connected: Connected, question: Awaitable[Answer]) -> Answer:
    """The acquirer's answer; UNKNOWN where there is none, whatever the reason.

    A fault of a connector of ours is logged, and proves nothing about the money either.
    """
    try:
        async with asyncio.timeout(connected.settings.asking_s):
            return await question
    except (NoAnswer, TimeoutError) as silence:
        log.info("no answer", acquirer=connected.name, why=str(silence) or "in time")
    except Exception as fault:
        # Its message might repeat what the acquirer said, of the payer too.
        log.error("a fault of a connector", acquirer=connected.name, failure=type(fault).__name__)
    return Answer(UNKNOWN)


class Hearing:
    """Takes what is heard of tries, and books what was taken."""

    def __init__(self, context: Context, intake: Intake, observe: AcquirerObserver) -> None:
        self._context = context
        self._intake = intake
        self._observe = observe

    async def hear(self, connected: Connected, payment: UUID, answer: Answer) -> Heard | None:
        """The try after this answer; None where this acquirer was never asked for such an order."""

        async def attempt() -> tuple[Authorisation, Authorisation] | None:
            async with self._context.connection() as conn, writing(conn):
                before = await store.lock(conn, payment)
                if before is None or before.acquirer != connected.name:
                    return None
                after = self._after(connected, before, answer)
                if before.state == "declined" and after.state == "taken":
                    after = await _late(conn, after)
                await store.save(conn, after)
                return before, after

        try:
            heard = await patiently(self._context, lambda: _past_others(attempt))
        except store.Doubled:
            # One operation is not the money of two orders; whose it is, a person has to find out.
            log.error("another order's operation", acquirer=connected.name, payment=str(payment))
            answer = Answer(UNKNOWN)
            heard = await patiently(self._context, attempt)
        if heard is None:
            return None
        before, after = heard
        self._tell(before, after, answer)
        return await self.book(after) if after.state == "taken" else Heard(after)

    async def hear_notice(self, connected: Connected, payment: UUID, answer: Answer | None) -> None:
        """What a callback said; one that says nothing to be believed lets us ask soon.

        Of an order that is not ours it says nothing to us, and is taken all the same: a terminal
        may serve others too, and an acquirer repeats what is refused.
        """
        if answer is None:
            async with self._context.connection() as conn:
                now = self._context.clock.now()
                await store.poll_soon(conn, payment, now, connected.name)
        elif await self.hear(connected, payment, answer) is None:
            self._observe.authorisation(connected.settings.kind, "order_unknown")

    async def book(self, taken: Authorisation) -> Heard:
        """Makes the payment of what an acquirer took; not now is as good as later."""
        try:
            receipt = await self._intake.accept(taken.as_payment())
        except Unavailable:
            return Heard(taken)

        async def attempt() -> Authorisation:
            async with self._context.connection() as conn, writing(conn):
                before = await store.lock(conn, taken.id)
                if before is None:
                    raise InvariantBroken("Expected the try that a payment was made of")
                state = next_state(AUTHORISATION, before.state, "book")
                settled_at = before.settled_at or self._context.clock.now()
                after = msgspec.structs.replace(
                    before, state=state, settled_at=settled_at, next_poll_at=None
                )
                await store.save(conn, after)
                return after

        return Heard(await patiently(self._context, attempt), receipt.payment)

    def _after(self, connected: Connected, before: Authorisation, answer: Answer) -> Authorisation:
        now = self._context.clock.now()
        event = EVENTS[answer.state]
        if event == "take" and answer.amount not in (None, before.total):
            # Money of another sum is not this payment; a person has to look at it.
            event = "lose"
        absent_from = before.created_at + timedelta(seconds=connected.settings.absent_after_s)
        if event == "miss" and before.state != "declined" and now < absent_from:
            event = "lose"
        state = next_state(AUTHORISATION, before.state, event)
        reason = None
        if state == "declined":
            told = answer.reason if answer.reason in REASONS else "other"
            reason = before.reason or ("not_sent" if event == "miss" else told)
        return msgspec.structs.replace(
            before,
            state=state,
            reason=reason,
            operation=before.operation or answer.operation,
            step=before.step if answer.step == NOTHING else answer.step,
            holds_reference=before.holds_reference and state != "declined",
            settled_at=(before.settled_at or now) if state in ("accepted", "declined") else None,
            next_poll_at=_next_poll(before, state, reason, now),
        )

    def _tell(self, before: Authorisation, after: Authorisation, answer: Answer) -> None:
        kind = after.kind
        differs = answer.state == ACCEPTED and answer.amount not in (None, after.total)
        if differs:
            log.error("another sum than asked", acquirer=after.acquirer, payment=str(after.id))
            self._observe.authorisation(kind, "amount_differs")
        if before.state == after.state:
            return
        if after.state == "taken":
            late = before.state == "declined"
            if late:
                log.error(
                    "taken after it was declined", acquirer=after.acquirer, payment=str(after.id)
                )
            self._observe.authorisation(kind, "accepted_late" if late else "accepted")
        elif after.state in ("declined", "unknown"):
            self._observe.authorisation(kind, after.state)


def _next_poll(
    before: Authorisation, state: str, reason: str | None, now: datetime
) -> datetime | None:
    if state == "taken":
        return now + BOOK_AGAIN
    if state == "declined" and reason == "not_sent" and now < before.created_at + WATCHED:
        return now + WATCH_EVERY
    if state in ("accepted", "declined"):
        return None
    later = now + pause(before.polls)
    # Nobody can pay any more from then on, so that the answer is final.
    end = before.expires_at + timedelta(seconds=1)
    return min(later, end) if now < end else later


async def _late(conn: Any, after: Authorisation) -> Authorisation:
    """Money that came after all. Where the payer paid by another try meanwhile it is held whole,
    for nobody wanted to pay twice; else it is the payment that was asked for.
    """
    doubled = await store.another_holds(conn, after)
    return msgspec.structs.replace(after, to_suspense=doubled, holds_reference=not doubled)


async def _past_others(attempt: Callable[[], Awaitable[_Result]]) -> _Result:
    """The attempt, again where another try took the reference in the same moment."""
    for _ in range(_TRIES - 1):
        try:
            return await attempt()
        except store.Doubled:
            continue
    return await attempt()
