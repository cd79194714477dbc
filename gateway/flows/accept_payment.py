"""Accepting payments: claim the keys, queue for the bills, split, write, commit, answer.

A whole group takes this road in one database transaction; nobody is answered before its commit.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

from gateway.bills import store as bill_store
from gateway.domain.bill import OpenBill
from gateway.domain.payment import ACCEPTED, SUSPENSE, Payment, PaymentRequest, Receipt
from gateway.domain.plan_names import PlanNames
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.flows.context import Context
from gateway.flows.patience import PAUSE_S
from gateway.flows.show_payment import shown_payments
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import writing
from gateway.journal.group_commit import Accumulator, Committer, commit_apart
from gateway.journal.idempotency import StoredClaim, check_same
from gateway.journal.rows import Cut
from gateway.splitting import store as splitting_store
from gateway.splitting.split import GroupSplit
from gateway.storage.postgres import to_be_found_out
from splitcore import GroupAllocation, SplitError, amount_for_total, fee

Outcome = Receipt | Exception


class IntakeObserver(Protocol):
    """Who is told of each group's size and times (the metrics)."""

    def group(self, size: int, seconds: float) -> None:
        """A group of `size` payments took `seconds` from its first statement to its commit."""

    def split(self, seconds: float, count: int) -> None:
        """`count` payments were split in `seconds` each."""


class Intake:
    """The one door to acceptance: queues requests, and commits them in groups."""

    def __init__(self, context: Context, observe: IntakeObserver) -> None:
        self._context = context
        self._observe = observe
        settings = context.settings
        self._accumulator: Accumulator[PaymentRequest, Receipt] = Accumulator(
            settings.queue_max, settings.group_size_max, settings.linger_ms / 1000
        )
        self.bunch_max = settings.group_size_max
        self._lanes = settings.commit_lanes
        self._committers: list[asyncio.Task[None]] = []
        self._kept: list[Any] = []

    async def start(self) -> None:
        """Begin to commit what is queued.

        One committer takes whatever there is. The others help only where so much waits that groups
        do not become smaller by it: a group that is written while another is split keeps both the
        worker and the database busy, which streams gain by and single payments would lose by.
        """
        accumulator = self._accumulator
        takes = [accumulator.take] + [accumulator.take_heap] * (self._lanes - 1)
        self._committers = [
            asyncio.create_task(Committer(take, self._commit).run(), name=f"committer {lane}")
            for lane, take in enumerate(takes)
        ]

    async def drain(self) -> None:
        """Take no more, and finish what was taken."""
        self._accumulator.close()
        await asyncio.gather(*self._committers, return_exceptions=True)
        while self._kept:
            await self._context.pool.release(self._kept.pop())
        self._accumulator.fail_all(Unavailable("unavailable", "This process is stopping"))

    async def accept(self, request: PaymentRequest) -> Receipt:
        """The receipt of a payment that is now durable, or was before under the same key.

        Refuses with the split's codes, `idempotency_key_reused`, or `overloaded` at a full queue.
        """
        return await self._accumulator.add(request)

    async def submit(
        self, requests: Sequence[PaymentRequest]
    ) -> "asyncio.Future[Sequence[Outcome]]":
        """The future of what `accept` tells of each, for streams: a full queue is waited for.

        From one to `bunch_max` at once.
        """
        return await self._accumulator.add_when_room(requests)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection that the committers keep between groups: to get one costs a lone payment
        as much as its split, its row and its answer together.
        """
        conn = self._kept.pop() if self._kept else None
        if conn is None or conn.is_closed():
            conn = await self._context.take_connection(conn)
        try:
            yield conn
        finally:
            self._kept.append(conn)

    async def _commit(self, requests: list[PaymentRequest]) -> Sequence[Outcome]:
        deadline = time.monotonic() + self._context.settings.commit_deadline_ms / 1000

        async def again() -> bool:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(PAUSE_S)
            return True

        return await commit_apart(requests, self._commit_group, to_be_found_out, again)

    async def _commit_group(self, requests: list[PaymentRequest]) -> Sequence[Outcome]:
        started = time.perf_counter()
        context = self._context
        async with self._connection() as conn:
            group = _Group(context, requests)
            async with writing(conn):
                await group.write(conn, self._observe)
            outcomes = await group.outcomes(conn)
        self._observe.group(len(requests), time.perf_counter() - started)
        return outcomes


class _Group:
    """One commit group on its way: requests in, an outcome for each position out."""

    def __init__(self, context: Context, requests: Sequence[PaymentRequest]) -> None:
        self._context = context
        self._requests = requests
        self._outcomes: list[Outcome | None] = [None] * len(requests)
        self._first: dict[tuple[int, str], int] = {}
        for position, request in enumerate(requests):
            self._first.setdefault((request.claim.caller, request.claim.key), position)
        self._before: dict[int, StoredClaim] = {}
        self._paid: list[tuple[str, bytes, int]] = []
        self._accepted_at: datetime

    async def write(self, conn: Any, observe: IntakeObserver) -> None:
        """Everything of the group but its commit."""
        cut, fresh, bills = await self._begin(conn)
        # Accepted when its turn came, not when it began to wait for it: so an account's moments
        # follow its sequence, and what a bill knows `as_of` a moment is a beginning of it.
        self._accepted_at = self._context.clock.now()
        plans = self._context.plans
        await splitting_store.fetch_plans(conn, plans, [bill.plan for bill in bills.values()])
        # Last, with no wait before the split: a quote may bring other terms to the shelf meanwhile.
        await splitting_store.fetch_terms(conn, self._context.terms, cut.terms_version)
        known = [at for at in fresh if self._requests[at].subscriber_account in bills]
        unknown = [at for at in fresh if self._requests[at].subscriber_account not in bills]
        started = time.perf_counter()
        rows = self._split(known, bills)
        if known:
            observe.split((time.perf_counter() - started) / len(known), len(known))
        rows += [row for row in map(self._hold, unknown) if row is not None]
        refused = [at for at in fresh if isinstance(self._outcomes[at], Exception)]
        if refused:
            await journal_store.unclaim(conn, [self._requests[at].claim for at in refused])
        if rows:
            await journal_store.add_payments(conn, cut, self._accepted_at, rows)
        if self._paid:
            await bill_store.save_paid(conn, self._paid)

    async def outcomes(self, conn: Any) -> list[Outcome]:
        """The outcome of each request, once the group is committed."""
        await self._replay(conn)
        for position, request in enumerate(self._requests):
            first = self._first[(request.claim.caller, request.claim.key)]
            if first != position:
                self._outcomes[position] = self._repeated(request, first)
        return [
            outcome or InvariantBroken("Expected an outcome for every payment")
            for outcome in self._outcomes
        ]

    async def _begin(self, conn: Any) -> tuple[Cut, list[int], dict[str, OpenBill]]:
        requests = [self._requests[at] for at in self._first.values()]
        cut, before, bills = await journal_store.begin_group(conn, requests)
        fresh = []
        for key, position in self._first.items():
            stored = before.get(key)
            if stored is None:
                fresh.append(position)
            else:
                self._before[position] = stored
        return cut, fresh, bills

    def _split(self, positions: list[int], bills: dict[str, OpenBill]) -> list[Any]:
        plans = self._context.plans
        terms = self._context.terms
        split = GroupSplit(plans, terms)
        for bill in bills.values():
            split.add_bill(bill)
        placed = []
        for at in positions:
            request = self._requests[at]
            account = request.subscriber_account
            try:
                place = split.add_payment(
                    account,
                    plans.get(bills[account].plan),
                    request.amount,
                    request.is_total,
                    terms.surcharge(request.method),
                    request.designation,
                )
                placed.append((at, place))
            except Refusal as refusal:
                self._outcomes[at] = refusal
        split.run()
        sequences: dict[str, int] = {}
        rows: list[Any] = []
        for at, place in placed:
            request = self._requests[at]
            account = request.subscriber_account
            bill = bills[account]
            try:
                allocation = split.allocation(place)
            except Refusal as refusal:
                self._outcomes[at] = refusal
                continue
            sequence = sequences[account] = sequences.get(account, bill.sequence) + 1
            amount, surcharge = allocation.amount, allocation.surcharge
            rows.append((request, allocation, amount, surcharge, bill, sequence))
            names = plans.get(bill.plan).names
            payment = self._payment(
                request, ACCEPTED, amount, surcharge, allocation, names, bill.period
            )
            self._outcomes[at] = Receipt(payment, replayed=False)
        self._paid = [
            (account, split.paid(account), sequence) for account, sequence in sequences.items()
        ]
        return rows

    def _hold(self, position: int) -> Any:
        """The row of a payment that goes to suspense: its account has no bill."""
        request = self._requests[position]
        try:
            amount, surcharge = suspense_amount(self._context, request)
        except SplitError as error:
            self._outcomes[position] = Refusal(error.code, error.detail)
            return None
        payment = self._payment(request, SUSPENSE, amount, surcharge)
        self._outcomes[position] = Receipt(payment, replayed=False)
        return (request, None, amount, surcharge, None, 0)

    def _payment(
        self,
        request: PaymentRequest,
        state: str,
        amount: int,
        surcharge: int,
        allocation: GroupAllocation | None = None,
        names: PlanNames | None = None,
        period: str | None = None,
    ) -> Payment:
        return Payment(
            request.id,
            request.claim.caller,
            state,
            request.subscriber_account,
            amount,
            surcharge,
            request.method,
            request.facts,
            self._accepted_at,
            request.designation,
            request.reference,
            request.paid_at,
            allocation,
            names,
            period,
        )

    async def _replay(self, conn: Any) -> None:
        """Answer what was durable before from its row."""
        wanted = []
        for position, stored in self._before.items():
            try:
                check_same(self._requests[position].claim, stored)
            except Refusal as refusal:
                self._outcomes[position] = refusal
            else:
                wanted.append(stored.resource)
        if not wanted:
            return
        rows = await journal_store.find_payments(conn, [id_ for id_ in wanted if id_ is not None])
        first = [row.as_first_answered() for row in rows]
        found = {
            payment.id: payment for payment in await shown_payments(self._context, conn, first)
        }
        for position, stored in self._before.items():
            payment = found.get(stored.resource) if stored.resource else None
            if self._outcomes[position] is None and payment is not None:
                made_here = payment.id == self._requests[position].id
                self._outcomes[position] = Receipt(payment, replayed=not made_here)

    def _repeated(self, request: PaymentRequest, first: int) -> Outcome:
        """The outcome of a key that stands twice in one group."""
        earlier = self._requests[first]
        if earlier.claim != request.claim:
            return Refusal(
                "idempotency_key_reused", "Expected the same request as the key was first used for"
            )
        outcome = self._outcomes[first]
        if isinstance(outcome, Receipt):
            return Receipt(outcome.payment, replayed=True)
        return outcome or InvariantBroken("Expected an outcome for every payment")


def suspense_amount(context: Context, request: PaymentRequest) -> tuple[int, int]:
    """Amount and surcharge of a payment that nothing splits, by the same fee rules."""
    rule = context.terms.surcharge(request.method)
    if rule is None:
        return request.amount, 0
    if request.is_total:
        return amount_for_total(request.amount, rule)
    return request.amount, fee(request.amount, rule)
