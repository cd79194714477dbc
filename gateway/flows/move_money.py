"""Moves of a payment's money afterwards: taken from its lots, given to bills, in one commit.

Whoever moves has locked the payment; here its accounts are locked, in order. Every move is an
event of its account, as a payment is, and is taken off or put on what is paid on its open bill.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import orjson

from gateway.bills import store as bill_store
from gateway.corrections import store
from gateway.corrections.store import NewMove
from gateway.domain import paid as bill_paid
from gateway.domain.bill import OpenBill
from gateway.domain.ids import new_id
from gateway.domain.lots import Lot, Move, Taken, added, apply, commission_back
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Context
from gateway.journal import store as journal_store
from gateway.journal.rows import Cut, PaymentRow
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import Plan
from gateway.splitting.split import NO_SURCHARGE, GroupSplit
from splitcore import pack, unpack

Designation = tuple[tuple[str, int], ...]

# A payment that was moved so often is somebody's mistake; and every move is read to move it again.
MOVES_MAX: Final = 200


async def lots_of(conn: Any, row: PaymentRow, moves: Iterable[Move]) -> dict[UUID, Lot]:
    """What each split of a locked payment was, and what was taken of it, oldest first."""
    lots: dict[UUID, Lot] = {}
    if row.shares is not None:
        if row.bill is None or row.plan is None or row.sequence is None or row.period is None:
            raise InvariantBroken("Expected a bill and a plan of a payment that has shares")
        shares = unpack(row.shares)
        taken = [0] * len(shares)
        for earlier in await journal_store.refunds_of(conn, row.id):
            if earlier.shares is not None:
                taken = added(taken, unpack(earlier.shares))
        lots[row.id] = Lot(
            row.id,
            row.placed_on,
            row.bill,
            row.plan,
            row.sequence,
            row.period,
            shares,
            unpack(row.commissions) if row.commissions else [],
            taken,
            [0] * len(shares),
        )
    for move in moves:
        apply(lots, move)
    return lots


class Moving:
    """The moves of one entry of a locked payment, one after another; `save` writes them."""

    def __init__(
        self,
        context: Context,
        conn: Any,
        cut: Cut,
        kind: str,
        entry: UUID,
        row: PaymentRow,
        caller: int,
        at: datetime,
    ) -> None:
        self._context = context
        self._conn = conn
        self._cut = cut
        self._kind = kind
        self._entry = entry
        self._row = row
        self._caller = caller
        self._at = at
        self._bills: dict[str, OpenBill] = {}
        self._moves: list[NewMove] = []

    @property
    def moves(self) -> list[Move]:
        """What was moved so far."""
        return [new.move for new in self._moves]

    async def lock(self, accounts: Iterable[str], plans: Iterable[int]) -> None:
        """Lock the open bills of all accounts that will be moved on, and know their plans.

        Refuses `account_invalid` where one has no open bill.
        """
        wanted = sorted(set(accounts))
        self._bills = await bill_store.lock(self._conn, wanted)
        if len(self._bills) != len(wanted):
            raise Refusal("account_invalid", "Expected an account with an open bill")
        known = {bill.plan for bill in self._bills.values()} | set(plans)
        await splitting_store.fetch_plans(self._conn, self._context.plans, sorted(known))
        # Last, with no wait before a split: a quote may bring other terms to the shelf meanwhile.
        await splitting_store.fetch_terms(self._conn, self._context.terms, self._cut.terms_version)

    def bill(self, account: str) -> OpenBill:
        """The open bill of an account that is locked, as it is now."""
        return self._bills[account]

    def plan(self, number: int) -> Plan:
        """A plan that was made known by `lock`."""
        return self._context.plans.get(number)

    def take(self, found: Taken, counts: bool = True) -> None:
        """Take from lots; with a correction goes the commission of what it takes.

        Without `counts` nothing is taken off what is paid on bills: it will be given alike.
        """
        corrects = self._kind == "correction"
        for lot, parts in found:
            plan = self.plan(lot.plan)
            back = commission_back(lot, plan.split.part_recipient, parts) if corrects else []
            lot.take(parts, corrects)
            if counts:
                self._count_on_bill(lot, plan.charges(parts), plan, sign=-1)
            self._add(-1, lot, parts, back)

    def put_back(self, lot: Lot, parts: Sequence[int]) -> None:
        """Give a lot again what was taken from it."""
        plan = self.plan(lot.plan)
        lot.put_back(parts)
        self._count_on_bill(lot, plan.charges(parts), plan, sign=1)
        self._add(1, lot, parts, [])

    def give(self, account: str, amount: int, meant: Designation) -> None:
        """Split `amount` by the account's open bill; refuses what splits do."""
        bill = self.bill(account)
        self._context.terms.at(self._at)
        split = GroupSplit(self._context.plans, self._context.terms)
        plan = split.add_bill(bill)
        position = split.add_payment(
            account, plan, amount, False, self._row.method, NO_SURCHARGE, meant
        )
        split.run()
        allocation = split.allocation(position)
        self._bills[account] = msgspec.structs.replace(bill, paid=split.paid(account))
        lot = Lot(
            new_id(), account, bill.bill, bill.plan, bill.sequence + 1, bill.period, [], [], [], []
        )
        designation = orjson.dumps(dict(meant)).decode() if meant else None
        parts, withheld = allocation.parts, allocation.commissions
        self._add(1, lot, parts, withheld, lot.id, self._cut.terms_version, designation)

    def give_alike(self, period: str) -> None:
        """Give what was just taken to the very same, for another period."""
        for move in self.moves:
            withheld = unpack(move.commissions) if move.commissions else []
            lot = Lot(
                *(new_id(), move.account, move.bill, move.plan, move.counts_as, period),
                *([], [], [], []),
            )
            self._add(1, lot, unpack(move.shares), withheld, lot.id)

    async def save(self) -> None:
        """Write the moves, and what is now paid on the bills."""
        await store.add_moves(self._conn, self._moves)
        await bill_store.save_paid(
            self._conn,
            [(account, bill.paid, bill.sequence) for account, bill in self._bills.items()],
        )

    def _count_on_bill(self, lot: Lot, charges: Sequence[int], plan: Plan, sign: int) -> None:
        bill = self.bill(lot.account)
        paid = bill.paid
        if lot.bill == bill.bill:
            change = bill_paid.taken_back if sign < 0 else bill_paid.given_back
            paid = change(paid, charges)
        elif lot.counts_as > bill.counts_from:
            services: dict[str, int] = {}
            for service, kopecks in zip(plan.services, charges, strict=True):
                services[service] = services.get(service, 0) + kopecks
            paid = by_service(bill, self.plan(bill.plan), services, sign)
        self._bills[lot.account] = msgspec.structs.replace(bill, paid=paid)

    def _add(
        self,
        sign: int,
        lot: Lot,
        parts: Sequence[int],
        withheld: Sequence[int],
        opened: UUID | None = None,
        terms_version: int | None = None,
        designation: str | None = None,
    ) -> None:
        """One move more, its account's next event; `opened` where the lot begins with it."""
        bill = self.bill(lot.account)
        self._bills[lot.account] = msgspec.structs.replace(bill, sequence=bill.sequence + 1)
        move = Move(
            id=opened or new_id(),
            entry=self._entry,
            kind=self._kind,
            sign=sign,
            lot=lot.id,
            at=self._at,
            account=lot.account,
            sequence=bill.sequence + 1,
            counts_as=lot.counts_as,
            bill=lot.bill,
            plan=lot.plan,
            period=lot.period,
            amount=sum(parts),
            commission=sum(withheld),
            shares=pack(parts),
            commissions=pack(withheld) if any(withheld) else None,
        )
        batch = self._cut.settlement_batch
        self._moves.append(
            NewMove(move, self._row.id, self._caller, batch, terms_version, designation)
        )


def by_service(bill: OpenBill, plan: Plan, services: Mapping[str, int], sign: int) -> bytes:
    """What is paid on a bill once services gave back (sign -1), or got back, of earlier bills."""
    if sign < 0:
        return bill_paid.taken_back_by_service(bill.paid, plan.services, plan.split.tiers, services)
    return bill_paid.given_back_by_service(
        bill.paid, bill.due, plan.services, plan.split.tiers, services
    )
