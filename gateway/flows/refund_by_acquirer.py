"""Refunds of payments that an acquirer took for us: it gives the money back, then the books do.

A refund is durable, and its kopecks are reserved, before the acquirer hears of it. It stands in the
journal once the acquirer has said that it gave the money: books that gave first would have to take
money from recipients again where the acquirer declines. What an acquirer does not know is asked
for again under the same id.
"""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Any, Final
from uuid import UUID

import msgspec
import orjson

from gateway import logs
from gateway.acquirers import store
from gateway.acquirers.connected import Acquirers, Connected
from gateway.acquirers.requests import AcquirerRefund, Authorisation, pause
from gateway.acquirers.words import ABSENT, REASONS, Answer
from gateway.domain.ids import PAYMENT, REFUND, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.domain.states import ACQUIRER_REFUND, next_state
from gateway.flows.answers import once
from gateway.flows.context import Answer as Kept
from gateway.flows.context import Context
from gateway.flows.find_payments import may_see
from gateway.flows.hear_acquirer import BOOK_AGAIN, EVENTS, AcquirerObserver, ask
from gateway.flows.patience import patiently
from gateway.flows.refund_payment import find_refund, give_back, locked_payment
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import writing
from gateway.journal.idempotency import StoredClaim, check_same
from gateway.journal.rows import Cut

log = logs.logger("kopeck.acquirers")

LEASE_MARGIN: Final = timedelta(seconds=1)
_SETTLED: Final = ("refunded", "declined")


class Refunding:
    """Asks acquirers to give money back, and books what they gave."""

    def __init__(self, context: Context, acquirers: Acquirers, observe: AcquirerObserver) -> None:
        self._context = context
        self._acquirers = acquirers
        self._observe = observe

    async def taken_by(self, caller: Caller, payment: UUID) -> Authorisation | None:
        """The try that a payment was made by, None where its caller brought the money itself."""
        async with self._context.connection() as conn:
            one = await store.find(conn, payment)
        return None if one is None or not may_see(caller, one.caller) else one

    async def refund(self, claim: Claim, caller: Caller, one: Authorisation, amount: int) -> Kept:
        """Ask the payment's acquirer to give back `amount` kopecks, once for a key.

        Refuses `state_conflict` for a payment that is not taken yet, whose acquirer is not
        connected, or of which another refund is on its way, and `refund_exceeds_payment`.
        """
        if not await self._is_booked(one):
            raise Refusal("state_conflict", "Expected a payment that was accepted")
        connected = self._acquirers.get(one.acquirer)
        if connected is None:
            raise Refusal("state_conflict", "Expected the payment's acquirer to be connected")
        made = new_id()

        async def attempt() -> AcquirerRefund | StoredClaim:
            return await self._keep(connected, claim, caller, one, made, amount)

        found = await patiently(self._context, attempt)
        if isinstance(found, StoredClaim):
            return await self._again(claim, caller, found)
        answer = await ask(connected, connected.acquirer.refund(found.asked()))
        await self.hear(connected, found.id, answer)
        return Kept(await self._first(claim, caller, one.id, found.id), replayed=False)

    async def _is_booked(self, one: Authorisation) -> bool:
        """Whether the payment stands in the journal: it does a moment before its try says so."""
        if one.state != "taken":
            return one.state == "accepted"
        async with self._context.connection() as conn:
            return bool(await journal_store.find_payments(conn, [one.id]))

    async def show(self, caller: Caller, payment: UUID, refund: UUID) -> dict[str, object]:
        """A refund as it stands; refuses `not_found`, for somebody else's too."""
        async with self._context.connection() as conn:
            rows = await journal_store.find_payments(conn, [payment])
            if rows and may_see(caller, rows[0].caller):
                booked = await find_refund(self._context, conn, rows[0], refund)
                asked = await store.find_refund(conn, refund)
                if asked is not None and asked.payment == payment:
                    return _shown(asked, booked)
                if booked is not None:
                    return booked
        raise Refusal("not_found", "Expected the id of a refund of this payment")

    async def settle(self, connected: Connected, one: AcquirerRefund) -> None:
        """Ask about a refund that is due, ask for it again where it never arrived, or book it."""
        if one.state == "given":
            await self._book(one)
            return
        acquirer = connected.acquirer
        answer = await ask(connected, acquirer.refund_status(one.asked()))
        heard = await self.hear(connected, one.id, answer)
        if answer.state == ABSENT and heard.state == "asking":
            again = await ask(connected, acquirer.refund(heard.asked()))
            await self.hear(connected, one.id, again)

    async def hear(self, connected: Connected, refund: UUID, answer: Answer) -> AcquirerRefund:
        """The refund after this answer, booked where it was given."""

        async def attempt() -> tuple[AcquirerRefund, AcquirerRefund]:
            async with self._context.connection() as conn, writing(conn):
                before = await store.lock_refund(conn, refund)
                if before is None:
                    raise InvariantBroken("Expected the refund that was asked for")
                after = self._after(connected, before, answer)
                await store.save_refund(conn, after)
                return before, after

        before, after = await patiently(self._context, attempt)
        if before.state != after.state and after.state in ("given", "declined", "unknown"):
            self._observe.authorisation(after.kind, f"refund_{after.state}")
        if after.state == "given":
            await self._book(after)
        return after

    def _after(
        self, connected: Connected, before: AcquirerRefund, answer: Answer
    ) -> AcquirerRefund:
        now = self._context.clock.now()
        event = EVENTS[answer.state]
        if event == "take" and answer.amount not in (None, before.amount):
            log.error("gave back another sum", acquirer=before.acquirer, refund=str(before.id))
            event = "lose"
        absent_from = before.created_at + timedelta(seconds=connected.settings.absent_after_s)
        if event == "miss" and now < absent_from:
            event = "lose"
        state = next_state(ACQUIRER_REFUND, before.state, event)
        told = answer.reason if answer.reason in REASONS else "other"
        return msgspec.structs.replace(
            before,
            state=state,
            operation=before.operation or answer.operation,
            reason=(before.reason or told) if state == "declined" else None,
            settled_at=(before.settled_at or now) if state in _SETTLED else None,
            next_poll_at=_next_poll(connected, before, state, now),
        )

    async def _keep(
        self,
        connected: Connected,
        claim: Claim,
        caller: Caller,
        one: Authorisation,
        made: UUID,
        amount: int,
    ) -> AcquirerRefund | StoredClaim:
        """A new refund, durable with its key, or what the key was used for before."""
        async with self._context.connection() as conn, writing(conn):
            _, before = await journal_store.claim(conn, [(claim, one.subscriber_account, made)])
            first = before.get((claim.caller, claim.key))
            if first is not None and first.resource != made:
                check_same(claim, first)
                return first
            if first is not None and (kept := await store.find_refund(conn, made)) is not None:
                return kept
            row = await locked_payment(conn, caller, one.id)
            reserved = await store.reserved(conn, one.id)
            if reserved:
                # A bank that numbers no refunds tells one from another by what is left alone.
                raise Refusal("state_conflict", "Expected the refund before it to be settled")
            if amount > row.left:
                raise Refusal(
                    "refund_exceeds_payment", "Expected no more than is left of the payment"
                )
            now = self._context.clock.now()
            lease = 2 * timedelta(seconds=connected.settings.asking_s) + LEASE_MARGIN
            new = AcquirerRefund(
                id=made,
                payment=one.id,
                caller=caller.number,
                acquirer=one.acquirer,
                kind=one.kind,
                state="asking",
                amount=amount,
                remaining=one.total - row.refunded - amount,
                taken_by=one.operation or "",
                created_at=now,
                next_poll_at=now + lease,
            )
            await store.add_refund(conn, new)
            return new

    async def _book(self, one: AcquirerRefund) -> None:
        """The refund in the journal, under a key of its own; not now is as good as later."""
        body = f"{one.id.hex} {one.payment.hex} {one.amount}".encode()
        fingerprint = blake2b(body, digest_size=16).digest()
        claim = Claim(one.caller, f"acquirer refund {one.id.hex}", "refunds", fingerprint)

        async def act(conn: Any, cut: Cut) -> dict[str, object]:
            await journal_store.lock_payment(conn, one.payment)
            rows = await journal_store.find_payments(conn, [one.payment])
            if not rows:
                raise InvariantBroken("Expected the payment that money was given back of")
            booked = await give_back(
                self._context, conn, cut, rows[0], one.id, one.caller, one.amount
            )
            kept = await store.lock_refund(conn, one.id)
            if kept is None:
                raise InvariantBroken("Expected the refund that was given")
            after = msgspec.structs.replace(
                kept,
                state=next_state(ACQUIRER_REFUND, kept.state, "book"),
                settled_at=self._context.clock.now(),
                next_poll_at=None,
            )
            await store.save_refund(conn, after)
            return booked

        try:
            await once(self._context, claim, one.id, act)
        except Unavailable:
            log.warning("a refund is to be booked later", acquirer=one.acquirer)

    async def _again(self, claim: Claim, caller: Caller, first: StoredClaim) -> Kept:
        if first.answer is not None or first.resource is None:
            return Kept(first.answer or b"{}", replayed=True)
        async with self._context.connection() as conn:
            one = await store.find_refund(conn, first.resource)
        if one is None:
            raise InvariantBroken("Expected the refund that a key was used for")
        now = self._context.clock.now()
        if one.state == "asking" and one.next_poll_at is not None and now < one.next_poll_at:
            raise Refusal(
                "idempotency_key_in_progress", "The first request is still being worked on"
            )
        content = await self._first(claim, caller, one.payment, one.id)
        return Kept(content, replayed=True)

    async def _first(self, claim: Claim, caller: Caller, payment: UUID, refund: UUID) -> bytes:
        async def attempt() -> bytes:
            content = orjson.dumps(await self.show(caller, payment, refund))
            async with self._context.connection() as conn:
                return await store.keep_first(conn, claim.caller, claim.key, content)

        return await patiently(self._context, attempt)


def _next_poll(
    connected: Connected, before: AcquirerRefund, state: str, now: datetime
) -> datetime | None:
    if state in _SETTLED:
        return None
    if state == "given":
        return now + BOOK_AGAIN
    if state == "asking":
        # It is asked for again at once; nobody else may do so meanwhile.
        return now + timedelta(seconds=connected.settings.asking_s) + LEASE_MARGIN
    return now + pause(before.polls)


def _shown(one: AcquirerRefund, booked: dict[str, object] | None) -> dict[str, object]:
    told = booked or {
        "id": shown(REFUND, one.id),
        "payment": shown(PAYMENT, one.payment),
        "amount": one.amount,
        "shares": [],
    }
    told["state"] = one.state if one.state in _SETTLED else "pending"
    if one.reason is not None:
        told["reason"] = one.reason
    return told
