"""One account's history played again (pure): bills loaded, payments split, refunds given back.

Splits are done by splitcore's reference, whatever backend split them first. What is found is a
list of complaints; an account with none is proved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

import splitcore
from gateway.audit.terms import Terms
from gateway.domain.agreement import Above, amount_within
from gateway.domain.designation import still_meant
from gateway.domain.lots import added, half_up
from gateway.domain.paid import (
    carried,
    given_back,
    given_back_by_service,
    taken_back,
    taken_back_by_service,
)
from splitcore import AMOUNT_MAX, Allocation, SplitError, pack, unpack
from splitcore.reference import refund as refund_split
from splitcore.reference_groups import split_payment
from splitcore.reference_plans import Fees
from splitcore.reference_plans import Plan as ReferencePlan


class AuditPlan(Struct, frozen=True):
    """A split plan as both backends see it, with its names."""

    kernel: splitcore.Plan
    reference: ReferencePlan
    services: Sequence[str]
    recipients: Sequence[int]
    payer_category: str | None

    @property
    def service_index(self) -> dict[str, int]:
        """Services by the index the plan knows them by."""
        return {name: at for at, name in enumerate(dict.fromkeys(self.services))}

    def charges(self, parts: Sequence[int]) -> list[int]:
        """What each charge received, from its parts."""
        received = [0] * len(self.services)
        for charge, kopecks in zip(self.reference.part_charge, parts, strict=True):
            received[charge] += kopecks
        return received

    def by_recipient(self, parts: Sequence[int]) -> list[int]:
        """What each recipient of the plan received, from the parts."""
        sums = [0] * len(self.recipients)
        for recipient, kopecks in zip(self.reference.part_recipient, parts, strict=True):
            sums[recipient] += kopecks
        return sums

    def by_service(self, parts: Sequence[int]) -> dict[str, int]:
        """What each service received, from the parts."""
        sums: dict[str, int] = {}
        for service, kopecks in zip(self.services, self.charges(parts), strict=True):
            sums[service] = sums.get(service, 0) + kopecks
        return sums


class _Split(Struct):
    """A lot of the account as replayed so far, with what was taken of it.

    `sequence` is what it counts as on bills; `moved` is what corrections took.
    """

    sequence: int
    bill: int
    plan: int
    parts: list[int]
    refunded: list[int]
    withheld: list[int]
    moved: list[int]


class Replay:
    """The state of one account while its history is played again."""

    def __init__(self, plans: Mapping[int, AuditPlan], terms: Terms) -> None:
        self._plans = plans
        self._terms = terms
        self._bill: Any = None
        self._paid = b""
        self._splits: dict[Any, _Split] = {}
        # Corrections of the period alone, which leave the bill as it is.
        self._alike: set[Any] = set()

    def play(
        self, bills: Sequence[Any], events: Sequence[Any], open_bill: Any
    ) -> Iterator[tuple[str, str, str]]:
        """Complaints (check, row, detail) about the account's bills, events and open bill."""
        ahead = list(events)
        self._alike = {
            event["entry"]
            for event in events
            if event["move"] is not None
            and event["lot"] == event["move"]
            and event["terms_version"] is None
        }
        for bill in bills:
            while ahead and ahead[0]["sequence"] <= bill["loaded_after"]:
                yield from self._event(ahead.pop(0))
            self._load(bill)
        for event in ahead:
            yield from self._event(event)
        yield from self._open(open_bill)

    def _load(self, bill: Any) -> None:
        received: dict[str, int] = {}
        for split in self._splits.values():
            if split.sequence > bill["counts_from"]:
                left = [a - b for a, b in zip(split.parts, split.refunded, strict=True)]
                for service, kopecks in self._plans[split.plan].by_service(left).items():
                    received[service] = received.get(service, 0) + kopecks
        plan = self._plans[bill["plan"]]
        self._paid = carried(plan.kernel, plan.service_index, bill["due"], received)
        self._bill = bill

    def _event(self, event: Any) -> Iterator[tuple[str, str, str]]:
        row = "pay_" + event["payment"].hex
        try:
            if event["is_refund"]:
                yield from self._refund(row, event)
            elif event["move"] is not None and event["lot"] != event["move"]:
                yield from self._move(row, event)
            elif event["move"] is not None and event["terms_version"] is None:
                yield from self._same_again(row, event)
            else:
                yield from self._split(row, event)
        except (SplitError, KeyError, ValueError, TypeError) as error:
            yield "split_wrong", row, f"cannot be split again: {type(error).__name__}"

    def _split(self, row: str, event: Any) -> Iterator[tuple[str, str, str]]:
        bill = self._bill
        if bill is None or bill["number"] != event["bill"] or bill["plan"] != event["plan"]:
            yield "split_wrong", row, "was split by a bill that was not open"
            return
        plan = self._plans[event["plan"]]
        named = orjson.loads(event["designation"]) if event["designation"] else {}
        designation = tuple(named.items())
        if event["placed"]:
            designation = still_meant(designation, plan.services, event["amount"])
        index = plan.service_index
        tariff = self._terms.tariff(plan, event["method"], event["terms_version"], event["at"])
        named = [(index[service], kopecks) for service, kopecks in designation]

        def split(kopecks: int) -> Allocation:
            return split_payment(
                plan.reference,
                Fees(tariff.commissions),
                kopecks,
                unpack(bill["due"]),
                unpack(bill["weight"]) if bill["weight"] else None,
                unpack(self._paid),
                bill["overpayment"],
                False,
                None,
                named,
            )

        again = split(event["amount"])
        by_agreement = tariff.above is not None and not event["placed"] and not event["told"]
        if by_agreement and not _charged(tariff.above, plan, split, named, event):
            yield "surcharge_wrong", row, "is not what the agreements give"
        parts = unpack(event["shares"])
        withheld = unpack(event["commissions"]) if event["commissions"] else None
        if tuple(parts) != again.parts:
            yield "split_wrong", row, "its shares are not what the rules give"
        if tuple(withheld or [0] * len(again.commissions)) != again.commissions:
            yield "commission_wrong", row, "its commissions are not what the rules give"
        before = unpack(self._paid)
        self._paid = pack([a + b for a, b in zip(before, again.charges, strict=True)])
        self._start_lot(event, parts, list(again.commissions))

    def _refund(self, row: str, event: Any) -> Iterator[tuple[str, str, str]]:
        split = self._splits[event["lot"]]
        parts = unpack(event["shares"])
        if parts != refund_split(split.parts, split.refunded, event["amount"]):
            yield "refund_wrong", row, "a refund's shares are not what the rules give"
        split.refunded = added(split.refunded, parts)
        self._count(split, parts, sign=-1)

    def _move(self, row: str, event: Any) -> Iterator[tuple[str, str, str]]:
        """What was taken of a lot, or given back to it; how much of each lot is another check's."""
        split = self._splits[event["lot"]]
        plan = self._plans[split.plan]
        parts = unpack(event["shares"])
        sign = event["sign"]
        if (split.plan, split.bill, split.sequence) != (
            event["plan"],
            event["bill"],
            event["counts_as"],
        ):
            yield "move_wrong", row, "a move is not of the lot that it is taken from"
        if event["kind"] == "correction":
            back = [0] * len(plan.recipients)
            for at, (withheld, gross, moved, following) in enumerate(
                zip(
                    split.withheld,
                    *(
                        plan.by_recipient(vector)
                        for vector in (split.parts, split.moved, added(split.moved, parts))
                    ),
                    strict=True,
                )
            ):
                back[at] = half_up(withheld * following, gross) - half_up(withheld * moved, gross)
            told = unpack(event["commissions"]) if event["commissions"] else [0] * len(back)
            if told != back:
                yield "commission_wrong", row, "a correction's commission is not what goes with it"
            split.moved = added(split.moved, parts)
        elif event["commissions"] is not None:
            yield "commission_wrong", row, "only a correction moves commission"
        split.refunded = added(split.refunded, [-sign * kopecks for kopecks in parts])
        if any(
            not 0 <= gone <= share for gone, share in zip(split.refunded, split.parts, strict=True)
        ):
            yield "move_wrong", row, "more is taken of a lot than it had"
        if event["entry"] not in self._alike:
            self._count(split, parts, sign)

    def _same_again(self, row: str, event: Any) -> Iterator[tuple[str, str, str]]:
        """Money given to the very same for another period: it takes a lot's place."""
        parts = unpack(event["shares"])
        plan = self._plans[event["plan"]]
        withheld = (
            unpack(event["commissions"]) if event["commissions"] else [0] * len(plan.recipients)
        )
        self._start_lot(event, parts, withheld)
        yield from ()

    def _start_lot(self, event: Any, parts: list[int], commissions: list[int]) -> None:
        """A lot of which nothing was taken yet."""
        nothing = [0] * len(parts)
        self._splits[event["lot"]] = _Split(
            event["counts_as"],
            event["bill"],
            event["plan"],
            parts,
            nothing,
            commissions,
            list(nothing),
        )

    def _count(self, split: _Split, parts: Sequence[int], sign: int) -> None:
        """Take parts of a lot off what is paid on the open bill, or put them on it."""
        plan = self._plans[split.plan]
        if split.bill == self._bill["number"]:
            change = taken_back if sign < 0 else given_back
            self._paid = change(self._paid, plan.charges(parts))
        elif split.sequence > self._bill["counts_from"]:
            open_plan = self._plans[self._bill["plan"]]
            services, tiers = open_plan.services, open_plan.reference.tiers
            back = plan.by_service(parts)
            if sign < 0:
                self._paid = taken_back_by_service(self._paid, services, tiers, back)
            else:
                self._paid = given_back_by_service(
                    self._paid, self._bill["due"], services, tiers, back
                )

    def _open(self, open_bill: Any) -> Iterator[tuple[str, str, str]]:
        bill = self._bill
        if open_bill is None or bill is None:
            if (open_bill is None) != (bill is None):
                yield "open_bill_wrong", "an account", "has bills but no open one, or the reverse"
            return
        row = f"bill {bill['number']}"
        same = ("plan", "overpayment", "counts_from", "due", "weight")
        if open_bill["bill"] != bill["number"] or any(
            open_bill[name] != bill[name] for name in same
        ):
            yield "open_bill_wrong", row, "the open bill is not the last one that was loaded"
        elif open_bill["paid"] != self._paid:
            yield "paid_wrong", row, "what is paid is not what its payments and refunds make"


def _charged(
    above: Above | None,
    plan: AuditPlan,
    split: Callable[[int], Allocation],
    named: Sequence[tuple[int, int]],
    event: Any,
) -> bool:
    """Whether a payment's amount and surcharge are what agreements give, by amount or by total."""

    def surcharge(kopecks: int) -> int | None:
        try:
            parts = split(kopecks).parts
        except SplitError:
            return None
        gross = [0] * len(plan.recipients)
        for recipient, share in zip(plan.reference.part_recipient, parts, strict=True):
            gross[recipient] += share
        return 0 if above is None else above.surcharge(gross)

    amount, total = event["amount"], event["total"]
    if surcharge(amount) == event["surcharge"]:
        return True
    least = max(1, sum(kopecks for _, kopecks in named))
    most = max(least, min(total, AMOUNT_MAX))
    return amount_within(total, least, most, surcharge) == (amount, event["surcharge"])
