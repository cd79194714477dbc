"""Random days in which everything happens: agreements, debts, corrections, waiting money, the bank.

The judge knows only what was asked and told, and adds up in integers; it never reads a table that
it judges. The audit, the double entry, the gauges and every report have to agree with it.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.audit import gauges
from gateway.domain.agreement import SecondLevelPercent, Tariff
from gateway.domain.bill import Bill, Charge
from gateway.domain.ids import SETTLEMENT_BATCH, shown
from gateway.domain.refusals import Refusal
from gateway.flows import batch_life, close_batch, receivables
from gateway.flows.close_at_cut_off import CutOffs
from gateway.flows.seal_batches import seal_all
from gateway.obligations.store import NewObligation
from gateway.watch import store as watch_store
from splitcore import FeeRule
from tests.flows import moving
from tests.flows.oracle import check_books
from tests.flows.owed import WHO, Debt, Reference
from tests.flows.region import CARD, CASH, Region, batch_id, bill
from tests.flows.test_agreements import ZONE, SetClock, agree, cell, version
from tests.flows.test_obligations import CHARGES, allow, ask, owe, report_of
from tests.flows.test_statements import back, orders, take
from tests.payouts.statement_files import Told, camt053, one_c

DAYS, ACTIONS = 10, 14
START = datetime(2026, 12, 14, 1, tzinfo=UTC)
KINDS = {"heat": "supplier", "uk": "management_company", "waste": "regional_operator"}
PLAIN = (Charge("heating", "heat", 60_000, 1), Charge("waste", "waste", 30_000, 1))
POSITION = (
    *("gross", "commission", "refunds", "net", "carried_in", "returned", "transferred"),
    *("payable", "carried_out"),
)
USUAL = (
    *("pay", "place", "correct", "win", "owe", "transfer", "withdraw", "agree", "waiting"),
    *("owing", "settled", "cancelled", "returned"),
)
NOT_THEN = {"state_conflict", "refund_exceeds_payment", "designation_exceeds_amount"}


class Days:
    """The region, its bank and its payers, who do anything, from a seed."""

    def __init__(self, region: Region, clock: SetClock, seed: int) -> None:
        self.region, self.clock, self.dice = region, clock, random.Random(seed)
        self.reference = Reference(region.worker.context.days.calendar.is_working, ZONE)
        self.step = 0
        self.done: Counter[str] = Counter()
        # Of each payment its method and what is left; of a payment in suspense too.
        self.payments: dict[UUID, list[int]] = {}
        self.suspended: set[UUID] = set()
        self.cases: list[tuple[UUID, str, int]] = []
        self.bills: dict[str, Bill] = {}
        self.months = {f"A{n}": 10 for n in range(6)}
        self.closed: dict[UUID, dict[str, Any]] = {}
        self.unsent: list[UUID] = []
        self.orders: dict[str, tuple[UUID, str, Told]] = {}
        self.executed: set[str] = set()
        self.away: set[str] = set()
        self.paid: Counter[str] = Counter()

    def key(self, what: str) -> str:
        self.step += 1
        self.clock.moment += timedelta(minutes=self.dice.randint(1, 30))
        return f"{what} {self.step}"

    def amount(self) -> int:
        return self.dice.choice((1, 7, 99, 5_003, 40_001, 90_000)) + self.dice.randrange(3_000)

    def account(self) -> str:
        return self.dice.choice(sorted(self.bills))

    async def load(self, account: str) -> None:
        self.key("load")
        number = int(account[1])
        if self.dice.random() < 0.4 and self.months[account] < 12:
            self.months[account] += 1
        line = bill(
            account,
            *((), CHARGES, PLAIN)[number % 3],
            period=f"2026-{self.months[account]}",
            payer_category="pensioner" if number % 2 else None,
        )
        assert await self.region.load(line) == []
        self.bills[account] = line

    async def pay(self) -> None:
        key, method = self.key("pay"), self.dice.choice((CARD, CASH))
        is_total = self.dice.random() < 0.3
        account = "nowhere" if self.dice.random() < 0.15 else self.account()
        amount = self.amount() + (500 if is_total else 0)
        named: tuple[tuple[str, int], ...] = ()
        if account in self.bills and not is_total and self.dice.random() < 0.3:
            service = self.dice.choice(self.bills[account].charges).service
            named = ((service, self.dice.randint(1, amount)),)
        request = self.region.payment(
            key, account, amount, *named, method=method, is_total=is_total
        )
        self.reference.first_payment = self.reference.first_payment or self.clock.moment
        told = (await self.region.worker.intake.accept(request)).payment
        assert (told.total if is_total else told.amount) == amount
        self.payments[told.id] = [method, told.amount]
        if told.allocation is None or told.names is None:
            self.suspended.add(told.id)
            self.reference.suspense += told.amount
            return
        shares = [
            {"recipient": one.recipient, "service": one.service, "amount": one.amount}
            for one in told.names.shares(told.allocation.parts)
        ]
        assert sum(one["amount"] for one in shares) == told.amount  # type: ignore[misc]
        payer = self.bills[account].payer_category
        withheld = self.split(shares, method, payer)
        kept = dict(zip(told.names.recipients, told.allocation.commissions, strict=True))
        assert withheld == {name: kept[name] for name in withheld}
        assert sum(kept.values()) == sum(withheld.values())
        if not is_total:
            gross = _by(shares)
            assert told.surcharge == self.reference.surcharge(gross, method, payer)

    def split(self, shares: Sequence[Any], method: int, payer: str | None) -> dict[str, int]:
        """Counts what was split anew; what has to be withheld of each recipient."""
        gross = _by(shares)
        withheld = {name: self.reference.fee(name, gross[name], method, payer) for name in gross}
        self.reference.share(shares)
        for name, kopecks in withheld.items():
            self.reference.withhold(name, kopecks)
        return withheld

    async def place(self) -> None:
        found = [one for one in sorted(self.suspended) if self.payments[one][1]]
        if found:
            payment, account = self.dice.choice(found), self.account()
            told = await self.region.resolve(self.key("place"), payment, account)
            method, left = self.payments[payment]
            assert told["amount"] == left
            self.split(told["shares"], method, self.bills[account].payer_category)
            self.suspended.remove(payment)
            self.reference.suspense -= left

    def some(self) -> UUID | None:
        found = [one for one in sorted(self.payments) if self.payments[one][1]]
        return self.dice.choice(found) if found else None

    async def refund(self, whose: UUID | None = None, whole: int | None = None) -> None:
        if payment := whose or self.some():
            amount = whole or self.dice.randint(1, self.payments[payment][1])
            told = await self.region.refund(self.key("refund"), payment, amount)
            self.payments[payment][1] -= amount
            if payment in self.suspended:
                assert told["shares"] == []
                self.reference.suspense -= amount
            else:
                assert sum(one["amount"] for one in told["shares"]) == amount
                self.reference.share(told["shares"], -1)

    async def storm(self) -> None:
        """Much of what was paid goes back at once, so that recipients come to owe us."""
        for _ in range(4):
            if payment := self.some():
                act = self.dice.choice((self.refund, self.charge))
                await act(payment, self.payments[payment][1])

    async def correct(self) -> None:
        payment = self.some()
        if payment is None or payment in self.suspended:
            return
        method, left = self.payments[payment]
        asked: dict[str, Any] = {}
        if self.dice.random() < 0.7:
            asked["amount"] = self.dice.randint(1, left)
        kind = self.dice.choice(("account", "service", "period"))
        if kind == "period":
            asked["period"] = f"20{self.dice.randint(20, 60)}-01"
        else:
            asked["subscriber_account"] = self.account()
        if kind == "service":
            asked.pop("amount", None)
            asked["services"] = ((self.dice.choice(("heating", "waste", "upkeep")), 13),)
            services = [one.service for one in self.bills[asked["subscriber_account"]].charges]
            asked["designation"] = ((self.dice.choice(services), 9),)
        told = await moving.correct(self.region, self.key("correct"), payment, **asked)
        assert sum(one["amount"] for one in told["moves"]) == 0
        for one in told["moves"]:
            assert sum(share["amount"] for share in one["shares"]) == one["amount"]
            if one["amount"] > 0 and kind != "period":
                payer = self.bills[one["subscriber_account"]].payer_category
                gross = _by(one["shares"])
                due = {name: self.reference.fee(name, gross[name], method, payer) for name in gross}
                kept = {fee["recipient"]: fee["amount"] for fee in one["commissions"]}
                assert kept == {name: kopecks for name, kopecks in due.items() if kopecks}
        self.reference.move(told["moves"])

    async def charge(self, whose: UUID | None = None, whole: int | None = None) -> None:
        if payment := whose or self.some():
            amount = whole or self.dice.randint(1, self.payments[payment][1])
            told = await moving.charge(self.region, self.key("charge"), payment, amount)
            self.payments[payment][1] -= amount
            self.cases.append((payment, told["id"], amount))
            self.count_case(payment, told["moves"], -amount)

    async def win(self) -> None:
        if self.cases:
            payment, case, most = self.cases.pop(self.dice.randrange(len(self.cases)))
            amount = self.dice.randint(1, most)
            told = await moving.win(self.region, self.key("win"), payment, case, amount)
            self.payments[payment][1] += amount
            if amount < most:
                self.cases.append((payment, case, most - amount))
            self.count_case(payment, told["moves"], amount)

    def count_case(self, payment: UUID, moves: Sequence[Any], amount: int) -> None:
        if payment in self.suspended:
            assert moves == []
            self.reference.suspense += amount
        else:
            assert sum(one["amount"] for one in moves) == amount
            self.reference.move(moves)

    async def owe(self) -> None:
        debtor, creditor = self.dice.sample(WHO, 2)
        services = tuple(sorted(self.dice.sample(("heating", "upkeep", "waste"), 1)))
        told = NewObligation(
            debtor,
            creditor,
            self.dice.choice(((), services)),
            self.amount(),
            f"doc {self.step}",
            date(2026, self.dice.randint(1, 9), 1),
        )
        (id_,) = await owe(self.region, self.key("owe"), told)
        self.reference.debts.append(Debt(id_, len(self.reference.debts) + 1, told))

    async def withdraw(self) -> None:
        found = [one for one in self.reference.debts if one.remaining]
        if found:
            one = self.dice.choice(found)
            amount = self.dice.choice((None, self.dice.randint(1, one.remaining)))
            asked = await ask(self.region, self.key("ask"), one.id, amount)
            told = await allow(self.region, self.key("allow"), asked)
            assert told["amount"] == (amount or one.remaining)
            one.remaining -= told["amount"]

    async def agree(self) -> None:
        who = self.dice.choice(WHO)
        cells: list[Tariff] = []
        for channel, payer in self.dice.sample(
            [(None, None), ("card", None), ("cash", "pensioner")], self.dice.randrange(4)
        ):
            rules = [
                self.dice.choice((None, FeeRule(self.dice.randrange(40_000), fixed=1)))
                for _ in range(2)
            ]
            cells.append(cell(channel, payer, *rules))
        level = (SecondLevelPercent(None, "uk", 70_000),) if who == "heat" else ()
        content = version(
            who,
            *cells,
            second_level=self.dice.choice(((), level)),
            minimum_payout=self.dice.choice((0, 50_000, 300_000)),
            carry_days=self.dice.randint(1, 4),
            cut_off=(None, time(20), time(3, 30))[self.step % 3],
        )
        self.key("agree")
        await agree(self.region, content)
        self.reference.agreed[who] = content

    async def settle_debt(self) -> None:
        reference = self.reference
        for who in WHO:
            left = -reference.carried[who] - reference.settled[who]
            if left > 0:
                kind = self.dice.choice(("paid_in", "written_off"))
                amount = self.dice.randint(1, left)
                asked = await moving.ask_debt(self.region, self.key("let off"), who, amount, kind)
                await moving.approve_debt(self.region, self.key("let"), asked["id"])
                reference.settled[who] += amount
                reference.earned[who] += amount
                self.done["settled"] += 1

    async def close(self) -> None:
        self.key("close")
        context, closed = self.region.worker.context, {}
        if self.dice.random() < 0.5 and await CutOffs(context).close_due():
            id_ = await self.region.conn.fetchval(
                "SELECT id FROM settlement_batches ORDER BY number DESC LIMIT 1"
            )
            self.done["close_due"] += 1
            closed = orjson.loads(orjson.dumps(await close_batch.show(context, id_)))
        else:
            closed = await self.region.close(self.key("close"))
        due = closed["cut_off"] and datetime.fromisoformat(closed["cut_off"])
        positions, moved = self.reference.close(closed["id"], self.clock.moment, due)
        told = {
            one["recipient"]: tuple(one[name] for name in POSITION) for one in closed["positions"]
        }
        assert {name: row for name, row in told.items() if any(row)} == positions
        numbers = {one.id: one.number for one in self.reference.debts}
        assert moved == Counter(
            {
                (
                    numbers[UUID(one["obligation"].removeprefix("obl_"))],
                    *(one["debtor"], one["creditor"], one["service"]),
                ): one["amount"]
                for one in closed["transfers"]
            }
        )
        id_ = batch_id(closed["id"])
        self.closed[id_] = told
        self.unsent.append(id_)
        self.done["transfer"] += len(moved)
        self.done["waiting"] += len(self.reference.waits_since)
        self.done["held"] += len(self.reference.held)
        self.done["owing"] += sum(amount < 0 for amount in self.reference.carried.values())
        self.done["waited, then owed"] += sum(row[4] > 0 > row[8] for row in positions.values())

    async def approve(self) -> None:
        while self.unsent and self.dice.random() < 0.8:
            batch = self.unsent.pop(self.dice.randrange(len(self.unsent)))
            if self.dice.random() < 0.2:
                await self.cancel(batch)
                continue
            told = await self.region.approve(self.key("approve"), batch, override="as agreed")
            owed = {name: row[7] for name, row in self.closed[batch].items() if row[7]}
            assert {one["recipient"]: one["amount"] for one in told["payouts"]} == owed
            if self.dice.random() < 0.2:
                await self.cancel(batch)
                continue
            self.paid.update(owed)
            names = {one["order_number"]: one["recipient"] for one in told["payouts"]}
            for one in await orders(self.region, batch):
                self.orders[one.number] = (batch, names[int(one.number)], one)

    async def cancel(self, batch: UUID) -> None:
        claim = self.region.claim("boss", self.key("cancel"), "cancellations", batch)
        boss = self.region.callers["boss"]
        await batch_life.cancel(self.region.worker.context, claim, boss, batch, "a mistake")
        self.done["cancelled"] += 1
        for name, row in self.closed[batch].items():
            self.reference.come_back(shown(SETTLEMENT_BATCH, batch), name, row[7])

    async def tell(self) -> None:
        lines: list[Told] = []
        for number, (batch, who, order) in sorted(self.orders.items()):
            if number not in self.executed and self.dice.random() < 0.5:
                self.executed.add(number)
                lines.append(order)
            if number in self.executed - self.away and self.dice.random() < 0.15:
                self.away.add(number)
                lines.append(back(order, days=2))
                self.paid[who] -= order.amount
                named = shown(SETTLEMENT_BATCH, batch)
                self.reference.come_back(named, who, order.amount)
                self.done["returned"] += 1
        if lines:
            write = self.dice.choice((one_c, camt053))
            told = await take(self.region, self.key("tell"), write(lines))
            assert told["discrepancies"] == []

    async def check(self) -> None:
        """Audit, double entry, seals, gauges, debts and lifetime sums are as the reference says."""
        region, reference = self.region, self.reference
        await seal_all(region.worker.context)
        await check_books(region.conn)
        figures = await moving.audited(region)
        assert (figures["imbalance"], figures["unsealed_batches"]) == (0, 0)
        assert figures["suspense"] == reference.suspense
        assert figures["obligations_remaining"] == sum(one.remaining for one in reference.debts)
        assert await moving.balance(region, "corrections") == 0
        assert await region.number("SELECT sum(credit_kopecks - debit_kopecks) FROM ledger") == 0
        closed = Counter[str]()
        for batch in self.unsent:
            closed.update({name: row[7] for name, row in self.closed[batch].items()})
        owing = {}
        for who in WHO:
            open_net, debt = reference.open_net(who), -reference.carried[who]
            lifetime = self.paid[who] + closed[who] + open_net + reference.settled[who] - debt
            assert lifetime == reference.earned[who], who
            owing[who] = max(debt, 0) - reference.settled[who]
        found = await gauges.money(region.worker.context.connection, _pause)
        assert (found.imbalance, found.suspense) == (0, reference.suspense)
        for who, kind in KINDS.items():
            due = closed[who] + reference.open_net(who) + max(reference.carried[who], 0)
            assert found.unsettled.get(kind, 0) == due, who
        receivable, _ = await watch_store.receivable(region.conn)
        assert receivable == sum(owing.values())
        owed = await moving.balance(region, "recipients")
        assert sum(found.unsettled.values()) - receivable == owed
        shown: Any = (await receivables.show(region.worker.context, None))["receivables"]
        assert {one["recipient"]: (one["amount"], one["since_batch"]) for one in shown} == {
            who: (amount, reference.owes_since[who]) for who, amount in owing.items() if amount
        }

    async def check_reports(self, batches: Iterable[UUID]) -> None:
        for batch in batches:
            for name, row in self.closed[batch].items():
                told = orjson.loads(await report_of(self.region, batch, name, "json"))
                totals = told["totals"]
                assert tuple(totals[one] for one in POSITION) == row
                rows = told["rows"]
                position = dict(zip(POSITION, row, strict=True))
                owed = position["payable"] + position["carried_out"]
                assert sum(one["net_kopecks"] for one in rows) == owed
                assert totals["rows"] == len(rows)


def _by(shares: Iterable[Any]) -> dict[str, int]:
    gross: Counter[str] = Counter()
    for one in shares:
        gross[one["recipient"]] += one["amount"]
    return dict(gross)


async def _pause(seconds: float) -> None:
    pass


@pytest.mark.parametrize("seed", [4, 6, 8, 11])
async def test_days_in_which_everything_happens(region: Region, seed: int) -> None:
    clock = SetClock(START)
    async with region.working(clock) as worker:
        region.worker = worker
        days = Days(region, clock, seed)
        for account in days.months:
            await days.load(account)
        often = [days.pay] * 7 + [days.refund, days.correct, days.correct, days.charge, days.win]
        seldom = [days.owe, days.withdraw, days.agree, days.place, days.settle_debt, days.tell]
        refused: set[str] = set()
        for _ in range(DAYS):
            if days.dice.random() < 0.4:
                await days.storm()
            for _ in range(days.dice.randint(2, ACTIONS)):
                act = days.dice.choice([*often, *seldom])
                try:
                    await act()
                    days.done[act.__name__] += 1
                except Refusal as refusal:
                    refused.add(refusal.code)
                if days.dice.random() < 0.1:
                    await days.load(days.account())
            await days.check()
            await days.close()
            await days.check()
            await days.approve()
            await days.tell()
            await days.check()
            await days.check_reports(list(days.closed)[-1:])
            days.clock.moment += timedelta(hours=days.dice.choice((2, 24)))
        await days.check_reports(days.closed)
    assert refused <= NOT_THEN
    # A seed in whose days one of these never happens proves little: take another.
    assert {name for name in USUAL if not days.done[name]} == set()
