"""What recipients are owed, by what was asked and told alone: a small reference in integers.

It reads no table, and shares no code with what it judges but the fraction of a fee and Hamilton's.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from gateway.domain.agreement import Agreement
from gateway.obligations.store import NewObligation
from splitcore import FeeRule
from splitcore.reference import hamilton
from tests.flows.region import COMMISSIONS, SURCHARGES
from tests.flows.test_agreements import by_hand, chosen

WHO = ("heat", "uk", "waste")


class Debt:
    """An obligation as it was loaded, and what remains of it."""

    def __init__(self, id_: UUID, number: int, told: NewObligation) -> None:
        self.id, self.number, self.told, self.remaining = id_, number, told, told.amount

    @property
    def order(self) -> tuple[date, int]:
        return self.told.document_date, self.number


class Reference:
    """What everybody is owed, by what was asked and told: nothing but integers added up."""

    def __init__(self, is_working: Callable[[date], bool], zone: str) -> None:
        """`is_working` tells the days on which money goes out; the centre's end at midnight."""
        self.is_working, self.zone = is_working, ZoneInfo(zone)
        self.first_payment: datetime | None = None
        # Up to when the last batch settled; of whom it holds, since when and until when.
        self.reach: datetime | None = None
        self.held: dict[str, tuple[datetime, datetime]] = {}
        self.given: Counter[tuple[str, str]] = Counter()
        self.taken: Counter[tuple[str, str]] = Counter()
        self.withheld: Counter[str] = Counter()
        self.returned: Counter[str] = Counter()
        self.settled: Counter[str] = Counter()
        self.carried: dict[str, int] = dict.fromkeys(WHO, 0)
        self.waits_since: dict[str, date] = {}
        # Since when what a batch paid had waited, and what came back of it goes on to wait.
        self.waited: dict[tuple[str, str], date] = {}
        self.back_since: dict[str, date] = {}
        self.owes_since: dict[str, str] = {}
        self.agreed: dict[str, Agreement] = {}
        self.debts: list[Debt] = []
        self.suspense = 0
        # Ever: earned less withheld, and brought by debts of others or settled with us.
        self.earned: Counter[str] = Counter()

    def share(self, shares: Iterable[Any], sign: int = 1) -> None:
        for one in shares:
            amount = sign * one["amount"]
            place = (one["recipient"], one["service"])
            (self.given if amount > 0 else self.taken)[place] += abs(amount)
            self.earned[one["recipient"]] += amount

    def withhold(self, recipient: str, amount: int) -> None:
        self.withheld[recipient] += amount
        self.earned[recipient] -= amount

    def move(self, moves: Iterable[Any]) -> None:
        for one in moves:
            self.share(one["shares"])
            for commission in one["commissions"]:
                self.withhold(commission["recipient"], commission["amount"])

    def fee(self, recipient: str, gross: int, method: int, payer: str | None) -> int:
        """What is withheld of one recipient's part of a split."""
        rule: FeeRule | None = COMMISSIONS.get(recipient)
        if found := self._cell(recipient, method, payer):
            rule = found[3]
        return min(gross, by_hand(gross, rule))

    def surcharge(self, gross: dict[str, int], method: int, payer: str | None) -> int:
        """What the payer pays on top of a split."""
        fit = {name: self._cell(name, method, payer) for name in gross}
        rest = sum(gross[name] for name in gross if fit[name] is None)
        return by_hand(rest, SURCHARGES.get(method)) + sum(
            by_hand(gross[name], found[2]) for name, found in fit.items() if found
        )

    def _cell(self, recipient: str, method: int, payer: str | None) -> Any:
        found = self.agreed.get(recipient)
        cells = [] if found is None else found.tariffs
        rows = [(one.channel, one.category, one.above, one.below) for one in cells]
        return chosen(rows, method, payer)

    def open_net(self, who: str) -> int:
        """What the open batch has brought so far, but for debts settled with us."""
        return (
            sum(kopecks for (name, _), kopecks in self.given.items() if name == who)
            - sum(kopecks for (name, _), kopecks in self.taken.items() if name == who)
            - self.withheld[who]
            + self.returned[who]
        )

    def close(
        self, batch: str, now: datetime, due: datetime | None
    ) -> tuple[dict[str, tuple[int, ...]], Counter[Any]]:
        """The positions and transfers of the batch that is cut now; the next begins.

        `due` is the cut-off that the machine closes it for, None where a person does.
        """
        on_day = now.astimezone(self.zone).date()
        # Where nobody has a cut-off of its own, whatever is closed is closed for all.
        own = (one.cut_off for one in self.agreed.values())
        anybody = bool(self.held) or any(at is not None for at in own)
        moved = self._transfers()
        positions: dict[str, tuple[int, ...]] = {}
        for who in WHO:
            gross = sum(kopecks for (name, _), kopecks in self.given.items() if name == who)
            refunds = sum(kopecks for (name, _), kopecks in self.taken.items() if name == who)
            fee, carried = self.withheld[who], self.carried[who]
            returned = self.returned[who] + self.settled[who]
            brought = sum(
                kopecks * ((to == who) - (debtor == who))
                for (_, debtor, to, _), kopecks in moved.items()
            )
            net = gross - fee - refunds
            amount = carried + returned + net + brought
            held = anybody and self._holds(who, amount, due)
            waits = self._waits(who, amount, batch, on_day, held)
            payable = 0 if held or waits else max(amount, 0)
            if amount < 0 <= carried:
                self.owes_since[who] = batch
            self.carried[who] = amount - payable
            row = (gross, fee, refunds, net, carried, returned, brought, payable, amount - payable)
            if any(row):
                positions[who] = row
        self.reach = due or now
        for counted in (self.given, self.taken, self.withheld, self.returned, self.settled):
            counted.clear()
        return positions, moved

    def come_back(self, batch: str, who: str, amount: int) -> None:
        """What a batch did not bring is owed again, and has waited as long as it has."""
        self.returned[who] += amount
        if amount and (batch, who) in self.waited:
            since = self.waited[batch, who]
            self.back_since[who] = min(since, self.back_since.get(who, since))

    def _holds(self, who: str, amount: int, due: datetime | None) -> bool:
        """Whether a batch that is closed for others holds what a recipient is owed."""
        settled = self.reach or self.first_payment
        since, until = self.held.pop(who, (settled, None))
        if due is None or since is None or amount <= 0:
            return False
        last, following = self._moments(who, due)
        if last > since or (until is not None and until <= due):
            return False
        self.held[who] = since, following
        return True

    def _moments(self, who: str, due: datetime) -> tuple[datetime, datetime]:
        """A recipient's last cut-off up to a moment, and the first one after it."""
        found = self.agreed.get(who)
        at = time() if found is None or found.cut_off is None else found.cut_off
        begin, moments = due.astimezone(self.zone).date() - timedelta(20), []
        for day in (begin + timedelta(n) for n in range(40)):
            if self.is_working(day + timedelta(1)):
                ends = day if at != time() else day + timedelta(1)
                moments.append(datetime.combine(ends, at, self.zone))
        return max(m for m in moments if m <= due), min(m for m in moments if m > due)

    def _waits(self, who: str, amount: int, batch: str, on_day: date, held: bool) -> bool:
        version = self.agreed.get(who)
        told = [one.pop(who) for one in (self.waits_since, self.back_since) if who in one]
        since = min(told, default=on_day)
        if told:
            self.waited[batch, who] = since
        if held:
            if told:
                self.waits_since[who] = since
            return False
        if version is None or not 0 < amount < version.minimum_payout:
            return False
        if on_day >= since + timedelta(version.carry_days):
            return False
        self.waits_since[who] = since
        return True

    def _transfers(self) -> Counter[Any]:
        """(number, debtor, creditor, service): what is paid on debts, the oldest first."""
        moved: Counter[Any] = Counter()
        for who in WHO:
            left = self._services(who)
            payable = self.carried[who] + self.returned[who] + self.settled[who]
            payable += sum(left.values())
            own = (one for one in self.debts if one.told.debtor == who)
            for one in sorted(own, key=lambda one: one.order):
                fit = [s for s in sorted(left) if s in one.told.services or not one.told.services]
                owed = min(one.remaining, payable, sum(left[service] for service in fit))
                for service in fit:
                    part = max(0, min(owed, left[service]))
                    if part:
                        left[service] -= part
                        owed -= part
                        payable -= part
                        one.remaining -= part
                        moved[one.number, who, one.told.creditor, service] += part
                        self.earned[who] -= part
                        self.earned[one.told.creditor] += part
        return moved

    def _services(self, who: str) -> dict[str, int]:
        given = {service: k for (name, service), k in self.given.items() if name == who}
        taken = {service: k for (name, service), k in self.taken.items() if name == who}
        names = sorted({*given, *taken})
        fee = self.withheld[who]
        weights = [(given if given else taken).get(name, 0) for name in names]
        parts = hamilton(abs(fee), weights) if fee else [0] * len(names)
        sign = -1 if fee < 0 else 1
        return {
            name: given.get(name, 0) - taken.get(name, 0) - sign * part
            for name, part in zip(names, parts, strict=True)
        }
