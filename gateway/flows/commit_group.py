"""One commit group on its way: requests in, an outcome for each of them out.

The long way claims keys and locks bills, splits, writes and leaves the commit to its caller. Small
groups go at once: split by the bills as they are, then claim, write and commit in one statement,
which looks again whether all is still as it was. Large groups of new keys go the long way with a
quicker claim.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

from gateway.bills import store as bill_store
from gateway.domain.bill import OpenBill
from gateway.domain.payment import (
    ACCEPTED,
    SUSPENSE,
    Payment,
    PaymentRequest,
    Receipt,
    Taken,
)
from gateway.domain.plan_names import PlanNames
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Context
from gateway.flows.show_payment import shown_payments
from gateway.flows.spend_tokens import check_total, give_back, spend
from gateway.journal import store as journal_store
from gateway.journal.idempotency import StoredClaim, check_same
from gateway.journal.rows import AcceptedRow, Cut, PaidBill
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import Plan
from gateway.splitting.split import GroupSplit
from splitcore import FeeRule, GroupAllocation, SplitError, amount_for_total, fee

Outcome = Receipt | Exception
# Makes the body of the answer to a payment.
AnswerWriter = Callable[[Payment], bytes]
# What nearly every group of a worker says to the database.
SMALL_GROUP_STATEMENTS: Final = bill_store.FOUND_BY_INDEX | journal_store.COMMITTING


class SplitObserver(Protocol):
    """Who is told of each split's time (the metrics)."""

    def split(self, seconds: float, count: int) -> None:
        """`count` payments were split in `seconds` each."""


class CommitGroup:
    """Payments that are made durable together."""

    def __init__(
        self,
        context: Context,
        requests: Sequence[PaymentRequest],
        observe: SplitObserver,
        write: AnswerWriter | None = None,
    ) -> None:
        self._write_answer = write
        self._context = context
        self._requests = requests
        self._observe = observe
        self._outcomes: list[Outcome | None] = [None] * len(requests)
        self._first: dict[tuple[int, str], int] = {}
        for position, request in enumerate(requests):
            self._first.setdefault((request.claim.caller, request.claim.key), position)
        self._before: dict[int, StoredClaim] = {}
        self._rows: list[AcceptedRow] = []
        self._paid: list[PaidBill] = []
        self._accepted_at: datetime

    @property
    def has_repeated(self) -> bool:
        """Whether a payment of it was made before, by another or by a lost commit."""
        return bool(self._before)

    async def at_once(self, conn: Any, *, but_repeated: bool = False) -> list[Outcome]:
        """All of it, commit included, in two round trips.

        Raises NotAsItWas where that cannot be: another payment came between, a key is not new, or a
        payment is refused, which only a claimed key may be. `but_repeated` leaves out payments
        whose keys are not new, and looks them up afterwards, in two more round trips. The long
        way finds by their keys what is written, if any is.
        """
        context = self._context
        if not context.terms.is_known:
            raise journal_store.NotAsItWas
        accounts = {request.subscriber_account for request in self._requests}
        bills = await bill_store.find_by_index(conn, list(accounts))
        await splitting_store.fetch_plans(conn, context.plans, [b.plan for b in bills.values()])
        # From here to the statement nothing is waited for. Accepted after the bills were read, so
        # that an account's moments follow its sequence.
        self._accepted_at = context.clock.now()
        context.terms.at(self._accepted_at)
        version = context.terms.version
        self._split(list(self._first.values()), bills)
        if len(self._rows) < len(self._first):
            raise journal_store.NotAsItWas
        made = (conn, version, self._accepted_at, self._rows, self._paid)
        if but_repeated:
            left_out = await journal_store.commit_but_repeated(*made)
            if left_out:
                await self._find_before(conn, set(left_out))
        else:
            if self._write_answer is not None:
                # In the next turn of the loop, when the statement has been sent: the database is at
                # work for a while then, and the worker would be idle.
                asyncio.get_running_loop().call_soon(self._write_answers, self._write_answer)
            await journal_store.commit_at_once(*made)
        if self._before or len(self._first) < len(self._requests):
            return await self.outcomes(conn)
        return self._told()

    def _write_answers(self, write: AnswerWriter) -> None:
        """Writes the answers that will be given if the commit succeeds; nobody is told by this.

        One that cannot be written is left to whoever gives it, and fails for that payment alone.
        """
        outcomes = self._outcomes
        for at, outcome in enumerate(outcomes):
            if isinstance(outcome, Receipt):
                with suppress(Exception):
                    written = write(outcome.payment)
                    outcomes[at] = Receipt(outcome.payment, outcome.replayed, written)

    async def _find_before(self, conn: Any, left_out: set[UUID]) -> None:
        """Look up the claims of payments that others, or a lost commit, made before."""
        keys = {key: at for key, at in self._first.items() if self._requests[at].id in left_out}
        claims = await journal_store.find_claims(conn, list(keys))
        if len(claims) < len(left_out):
            raise journal_store.NotAsItWas
        for key, at in keys.items():
            self._outcomes[at] = None
            self._before[at] = claims[key]

    async def write_new(self, conn: Any) -> None:
        """As `write`, in a transaction that moves money, at a lower cost for many payments.

        Raises NotAsItWas where a key is not new; then the transaction can only be rolled back.
        """
        if len(self._first) < len(self._requests):
            raise journal_store.NotAsItWas
        cut = await journal_store.claim_new(conn, self._requests)
        accounts = {request.subscriber_account for request in self._requests}
        bills = await bill_store.lock(conn, list(accounts))
        await self._write(conn, cut, range(len(self._requests)), bills)

    async def write(self, conn: Any) -> None:
        """Everything of the group but its commit, in a transaction of the caller's."""
        await self._write(conn, *await self._begin(conn))

    async def _write(
        self, conn: Any, cut: Cut, claimed: Sequence[int], bills: dict[str, OpenBill]
    ) -> None:
        fresh = claimed
        has_tokens = any(self._requests[at].token is not None for at in claimed)
        if has_tokens:
            fresh = await self._spend_tokens(conn, claimed)
        # Accepted when its turn came, not when it began to wait for it: so an account's moments
        # follow its sequence, and what a bill knows `as_of` a moment is a beginning of it.
        self._accepted_at = self._context.clock.now()
        plans = self._context.plans
        await splitting_store.fetch_plans(conn, plans, [bill.plan for bill in bills.values()])
        # Last, with no wait before the split: a quote may bring other terms to the shelf meanwhile.
        await splitting_store.fetch_terms(conn, self._context.terms, cut.terms_version)
        self._context.terms.at(self._accepted_at)
        if has_tokens:
            fresh = [at for at in fresh if self._is_agreed(at, bills)]
        self._split(fresh, bills)
        refused = [
            self._requests[at] for at in claimed if isinstance(self._outcomes[at], Exception)
        ]
        if refused:
            await journal_store.unclaim(conn, [request.claim for request in refused])
            await give_back(conn, refused)
        if self._rows:
            await journal_store.add_payments(conn, cut, self._accepted_at, self._rows)
        if self._paid:
            await bill_store.save_paid(
                conn,
                [(one.bill.subscriber_account, one.paid, one.sequence) for one in self._paid],
            )

    async def outcomes(self, conn: Any) -> list[Outcome]:
        """The outcome of each request, once the group is committed."""
        await self._replay(conn)
        if len(self._first) < len(self._requests):
            for position, request in enumerate(self._requests):
                first = self._first[(request.claim.caller, request.claim.key)]
                if first != position:
                    self._outcomes[position] = self._repeated(request, first)
        return self._told()

    def _told(self) -> list[Outcome]:
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

    async def _spend_tokens(self, conn: Any, positions: Sequence[int]) -> Sequence[int]:
        """Of these payments the ones whose tokens, if any, are now spent on them."""
        requests = [self._requests[at] for at in positions]
        refused = await spend(conn, requests)
        for at, request in zip(positions, requests, strict=True):
            self._outcomes[at] = refused.get(request.id)
        return [at for at in positions if self._outcomes[at] is None]

    def _is_agreed(self, at: int, bills: Mapping[str, OpenBill]) -> bool:
        """Whether the payer agreed to this total; else the payment is refused."""
        request = self._requests[at]
        bill = bills.get(request.subscriber_account)
        if bill is not None and self._context.terms.is_agreed(self._context.plans.get(bill.plan)):
            # Its surcharge shows when its turn to be split comes.
            return True
        try:
            check_total(request, sum(suspense_amount(self._context, request)))
        except SplitError:
            # The split refuses it in its own words.
            return True
        except Refusal as refusal:
            self._outcomes[at] = refusal
        return self._outcomes[at] is None

    def _split(self, positions: Sequence[int], bills: dict[str, OpenBill]) -> None:
        """Split what has a bill, hold the rest: outcomes, rows, and what is then paid on bills."""
        requests = self._requests
        known = [at for at in positions if requests[at].subscriber_account in bills]
        started = time.perf_counter()
        split = GroupSplit(self._context.plans, self._context.terms)
        plans = {account: split.add_bill(bill) for account, bill in bills.items()}
        placed: list[tuple[int, int]] = []
        for at in known:
            request = requests[at]
            account = request.subscriber_account
            if (
                request.taken is None
                and request.token is None
                and not request.designation
                and plans[account].by_method is None
            ):
                placed.append((at, split.add_usual(account, request)))
            elif (place := self._placed(split, request, plans, at)) is not None:
                placed.append((at, place))
        split.run()
        sequences: dict[str, int] = {}
        rows = self._rows
        for at, place in placed:
            request = requests[at]
            account = request.subscriber_account
            try:
                allocation = split.allocation(place)
            except Refusal as refusal:
                self._refuse(at, refusal)
                continue
            bill = bills[account]
            sequence = sequences[account] = sequences.get(account, bill.sequence) + 1
            amount, surcharge, names = allocation.amount, allocation.surcharge, plans[account].names
            rows.append(AcceptedRow(request, allocation, amount, surcharge, bill, sequence))
            payment = self._payment(
                request, ACCEPTED, amount, surcharge, allocation, names, bill.period
            )
            self._outcomes[at] = Receipt(payment, False)
        if known:
            self._observe.split((time.perf_counter() - started) / len(known), len(known))
        # In the order of the bills, which is that of their rows where they were locked.
        self._paid = [
            PaidBill(bill, split.paid(account), sequences[account])
            for account, bill in bills.items()
            if account in sequences
        ]
        if len(known) < len(positions):
            for at in positions:
                if requests[at].subscriber_account not in bills:
                    self._hold(at)

    def _placed(
        self, split: GroupSplit, request: PaymentRequest, plans: Mapping[str, Plan], at: int
    ) -> int | None:
        """The payment's place in the split, None where it is refused before."""
        account = request.subscriber_account
        taken = request.taken
        told = None
        if taken is not None:
            if taken.held:
                self._hold(at)
                return None
            told = surcharge_told(taken)
        plan, amount, method = plans[account], request.amount, request.method
        try:
            if told is None and request.token is not None and plan.by_method is not None:
                check_total(request, split.total(account, plan, request))
            return split.add_payment(
                account, plan, amount, request.is_total, method, told, request.designation
            )
        except Refusal as refusal:
            self._refuse(at, refusal)
            return None

    def _refuse(self, at: int, refusal: Refusal) -> None:
        """A payment that cannot be split; money that is there already is held instead."""
        if self._requests[at].taken is None:
            self._outcomes[at] = refusal
        else:
            self._hold(at)

    def _hold(self, position: int) -> None:
        """A payment that goes to suspense: its account has no bill."""
        request = self._requests[position]
        try:
            amount, surcharge = suspense_amount(self._context, request)
        except SplitError as error:
            self._outcomes[position] = Refusal(error.code, error.detail)
            return
        payment = self._payment(request, SUSPENSE, amount, surcharge)
        self._outcomes[position] = Receipt(payment, replayed=False)
        self._rows.append(AcceptedRow(request, None, amount, surcharge, None, 0))

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


def surcharge_told(taken: Taken) -> FeeRule:
    """The rule that gives the surcharge which the payer was told, whatever is in force by now."""
    return FeeRule(fixed=taken.surcharge)


def suspense_amount(context: Context, request: PaymentRequest) -> tuple[int, int]:
    """Amount and surcharge of a payment that nothing splits, by the same fee rules."""
    taken = request.taken
    rule = context.terms.surcharge(request.method) if taken is None else surcharge_told(taken)
    if rule is None:
        return request.amount, 0
    if request.is_total:
        return amount_for_total(request.amount, rule)
    return request.amount, fee(request.amount, rule)
