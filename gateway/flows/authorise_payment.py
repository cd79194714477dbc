"""Payments that the gateway starts itself: kept, then asked for at the acquirer, then answered.

A try is durable before the acquirer hears of it, and the acquirer is asked to take the money once
for a try, whatever comes of that: what is not known is asked about (poll_acquirers), never charged
again. No connection of the database is held while a bank thinks.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from gateway.acquirers import store
from gateway.acquirers.connected import Acquirers, Connected
from gateway.acquirers.requests import Authorisation, AuthorisationRequest
from gateway.acquirers.words import Order
from gateway.domain.payment import METHODS, Claim, Payment, PaymentRequest
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.flows.context import Answer, Context
from gateway.flows.find_payments import stored
from gateway.flows.hear_acquirer import Hearing, ask
from gateway.flows.patience import patiently
from gateway.flows.quote import quote_by
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import writing
from gateway.journal.idempotency import StoredClaim, check_same
from gateway.parties import store as party_store

LEASE_MARGIN: Final = timedelta(seconds=1)

Written = Callable[[Payment | Authorisation], bytes]


class _Kept(Struct, frozen=True):
    """A new try that is durable, with the order that it stands for."""

    authorisation: Authorisation
    order: Order


class Asking:
    """Asks acquirers to take payments; owns every question until it is answered."""

    def __init__(
        self, context: Context, acquirers: Acquirers, hearing: Hearing, written: Written
    ) -> None:
        self._context = context
        self._acquirers = acquirers
        self._hearing = hearing
        self._written = written
        self._asking: set[asyncio.Task[None]] = set()
        self._at_once: Counter[str] = Counter()

    def enqueue(self, request: AuthorisationRequest) -> "asyncio.Future[Answer]":
        """The future of the answer to the caller. Who leaves does not stop what was begun.

        Refuses `method_invalid` and, where too many questions wait for this acquirer, `overloaded`.
        """
        connected = self._connected(request)
        name = connected.name
        if self._at_once[name] >= connected.settings.asks_max:
            raise Unavailable("overloaded", "Too many orders wait for this acquirer")
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        async def begun() -> None:
            try:
                answer = await self._start(connected, request)
            except asyncio.CancelledError:
                future.cancel()
                raise
            except Exception as failure:
                if not future.done():
                    future.set_exception(failure)
            else:
                if not future.done():
                    future.set_result(answer)
            finally:
                self._at_once[name] -= 1

        self._at_once[name] += 1
        task = asyncio.create_task(begun(), name="an order at an acquirer")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        return future

    async def drain(self, seconds: float) -> None:
        """Waits for the questions in flight; what is left of them then is found out by polling."""
        if self._asking:
            _, late = await asyncio.wait(self._asking, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _connected(self, request: AuthorisationRequest) -> Connected:
        connected = self._acquirers.get(request.acquirer)
        if connected is None:
            raise Refusal("method_invalid", "Expected an acquirer of the file KOPECK_ACQUIRERS")
        if METHODS[request.payment.method] not in connected.instruments:
            expected = ", ".join(sorted(connected.instruments))
            raise Refusal("method_invalid", f"Expected a method of this acquirer: {expected}")
        return connected

    async def _start(self, connected: Connected, request: AuthorisationRequest) -> Answer:
        claim = request.claim
        kept_by = time.monotonic()
        found = await patiently(self._context, lambda: self._keep(connected, request))
        if isinstance(found, StoredClaim):
            return await self._again(claim, found)
        one = found.authorisation
        lease = connected.settings.asking_s
        if time.monotonic() - kept_by < lease:
            answer = await ask(connected, connected.acquirer.authorise(found.order))
            heard = await self._hearing.hear(connected, one.id, answer)
            if heard is None:
                raise InvariantBroken("Expected the try that was kept just now")
            one, payment = heard.authorisation, heard.payment
        else:
            # So late somebody else asks about it already; what was never sent is charged by nobody.
            payment = None
        if payment is None:
            # A callback may have been faster than the answer.
            async with self._context.connection() as conn:
                payment = await stored(self._context, conn, one.id)
        return Answer(await self._first(claim, self._written(payment or one)), replayed=False)

    async def _keep(
        self, connected: Connected, request: AuthorisationRequest
    ) -> _Kept | StoredClaim:
        """A new try, durable with its key, or what the key was used for before."""
        payment = request.payment
        claim = payment.claim
        async with self._context.connection() as conn, writing(conn):
            kept = [(claim, payment.subscriber_account, payment.id)]
            _, before = await journal_store.claim(conn, kept)
            first = before.get((claim.caller, claim.key))
            if first is not None and first.resource != payment.id:
                check_same(claim, first)
                return first
            centre = await party_store.find_centre(conn)
            one = await store.find(conn, payment.id) if first is not None else None
            if one is None:
                one = await self._quoted(conn, connected, payment)
                await store.add(conn, one)
        recipient = None if centre is None else centre[1]
        return _Kept(one, one.order(request.instrument, recipient, request.return_url))

    async def _quoted(
        self, conn: Any, connected: Connected, payment: PaymentRequest
    ) -> Authorisation:
        """The try of a payment with what its payer is to hand over, split as it would be now."""
        account = payment.subscriber_account
        try:
            quote = await quote_by(
                self._context,
                conn,
                account,
                payment.amount,
                payment.is_total,
                payment.method,
                payment.designation,
            )
        except Refusal as refusal:
            if refusal.code == "not_found":
                # Nobody's money was taken yet, so none is taken for an account without a bill.
                raise Refusal("account_invalid", refusal.detail) from None
            raise
        settings = connected.settings
        # The moment of the terms that the payer was told of.
        now = quote.at
        return Authorisation(
            id=payment.id,
            caller=payment.claim.caller,
            acquirer=connected.name,
            kind=settings.kind,
            state="asking",
            method=payment.method,
            subscriber_account=account,
            amount=quote.allocation.amount,
            surcharge=quote.allocation.surcharge,
            terms_version=quote.terms_version,
            period=quote.period,
            facts=payment.facts,
            designation=payment.designation,
            reference=payment.reference or "",
            created_at=now,
            expires_at=now + timedelta(seconds=settings.expires_s),
            next_poll_at=now + 2 * timedelta(seconds=settings.asking_s) + LEASE_MARGIN,
        )

    async def _again(self, claim: Claim, first: StoredClaim) -> Answer:
        """What a key is answered that was used before: its first answer, once there was one."""
        if first.answer is not None or first.resource is None:
            return Answer(first.answer or b"{}", replayed=True)
        async with self._context.connection() as conn:
            one = await store.find(conn, first.resource)
            payment = await stored(self._context, conn, first.resource)
        if one is None:
            raise InvariantBroken("Expected the try that a key was used for")
        now = self._context.clock.now()
        if one.state == "asking" and one.next_poll_at is not None and now < one.next_poll_at:
            raise Refusal(
                "idempotency_key_in_progress", "The first request is still being worked on"
            )
        content = self._written(payment or one)
        return Answer(await self._first(claim, content), replayed=True)

    async def _first(self, claim: Claim, content: bytes) -> bytes:
        async def attempt() -> bytes:
            async with self._context.connection() as conn:
                return await store.keep_first(conn, claim.caller, claim.key, content)

        return await patiently(self._context, attempt)
