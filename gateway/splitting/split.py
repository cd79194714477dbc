"""The split of a whole commit group: open bills and payment requests in, allocations out.

Payments to one account are split in the order given; each sees what the earlier ones left.
"""

from collections.abc import Mapping, Sequence

from gateway.domain.agreement import Above, amount_within
from gateway.domain.bill import OpenBill
from gateway.domain.payment import PaymentRequest
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.splitting.plans import Plan, PlanFees, PlanShelf
from gateway.splitting.terms import TermsShelf
from splitcore import (
    AMOUNT_MAX,
    FeeRule,
    Fees,
    Group,
    GroupAllocation,
    SplitError,
    fee,
    split_payment,
    unpack,
)

# Of money whose payer paid the surcharge before.
NO_SURCHARGE = FeeRule()
SPLIT_DETAILS = {
    "designation_out_of_range": "Expected every designation in 0..10^13 kopecks",
    "designation_exceeds_amount": "Expected designations that add up to at most the amount",
    "overpayment": "Expected no more than what the bill still owes",
    "nothing_to_allocate": "Expected a bill with something to allocate an overpayment by",
    "amount_out_of_range": "Expected an amount in 1..10^13 kopecks, less the surcharge in a total",
    "total_out_of_range": "Expected amount + surcharge within 2^63-1 kopecks",
}


class _Agreed:
    """An open bill that agreements have a say in: what is paid on it, and by what rules it stands
    in the group now.
    """

    __slots__ = ("bill", "fees", "paid")

    def __init__(self, bill: OpenBill) -> None:
        self.bill = bill
        self.paid = bill.paid
        self.fees: Fees | None = None


class GroupSplit:
    """Allocations (or refusals) by position of the request, and what is then paid on each bill."""

    def __init__(self, plans: PlanShelf, terms: TermsShelf) -> None:
        self._plans = plans
        self._terms = terms
        self._group = Group()
        self._bills: dict[str, int] = {}
        self._agreed: dict[str, _Agreed] = {}

    def add_bill(self, bill: OpenBill) -> Plan:
        """Make an open bill known before the payments to it; its plan."""
        plan = self._plans.get(bill.plan)
        fees = self._terms.fees(plan)
        if plan.by_method is None:
            self._bills[bill.subscriber_account] = self._group.add_bill(
                plan.split, fees, bill.due, bill.weight, bill.paid, bill.overpayment
            )
        else:
            # By what rules shows with its first payment.
            self._agreed[bill.subscriber_account] = _Agreed(bill)
        return plan

    def add_payment(
        self,
        account: str,
        plan: Plan,
        amount: int,
        is_total: bool,
        method: int,
        told: FeeRule | None,
        designation: Sequence[tuple[str, int]],
    ) -> int:
        """Queue a payment to a bill that was added; its position, to ask for the allocation by.

        `told` is a surcharge that does not follow from the terms any more.
        """
        named = designated(designation, plan)
        surcharge = self._terms.surcharge(method) if told is None else told
        if plan.by_method is not None:
            rules = self._terms.by_method(plan, method)
            agreed = self._renewed(account, plan, rules.fees)
            if told is None and rules.above is not None:
                amount, charged = self._charged(
                    agreed, plan, rules, rules.above, amount, is_total, named
                )
                surcharge, is_total = FeeRule(fixed=charged), False
        position: int = self._group.add_payment(
            self._bills[account], amount, is_total, surcharge, named
        )
        return position

    def add_usual(self, account: str, request: PaymentRequest) -> int:
        """The same for a payment that names no services and is charged what its method always is,
        to a bill that agreements have no say in.
        """
        position: int = self._group.add_payment(
            self._bills[account],
            request.amount,
            request.is_total,
            self._terms.surcharge(request.method),
            None,
        )
        return position

    def total(self, account: str, plan: Plan, request: PaymentRequest) -> int:
        """What a payer is to hand over for a payment that is next in its account's turn."""
        rule = self._terms.surcharge(request.method)
        rules = self._terms.by_method(plan, request.method)
        if rules.above is not None:
            agreed = self._renewed(account, plan, rules.fees)
            named = designated(request.designation, plan)
            return sum(
                self._charged(
                    agreed, plan, rules, rules.above, request.amount, request.is_total, named
                )
            )
        if request.is_total or rule is None:
            return request.amount
        return request.amount + fee(request.amount, rule)

    def _renewed(self, account: str, plan: Plan, fees: Fees) -> "_Agreed":
        """The bill as the payments before left it, to be split by these rules."""
        agreed = self._agreed[account]
        if agreed.fees is not fees:
            if agreed.fees is not None:
                agreed.paid = self._paid_now(account)
            bill = agreed.bill
            self._bills[account] = self._group.add_bill(
                plan.split, fees, bill.due, bill.weight, agreed.paid, bill.overpayment
            )
            agreed.fees = fees
        return agreed

    def _paid_now(self, account: str) -> bytes:
        self._group.run()
        return self.paid(account)

    def _charged(
        self,
        agreed: "_Agreed",
        plan: Plan,
        rules: PlanFees,
        above: Above,
        amount: int,
        is_total: bool,
        named: list[tuple[int, int]] | None,
    ) -> tuple[int, int]:
        """Amount and surcharge of a payment whose payer pays on top by what each recipient gets."""
        bill = agreed.bill
        due = unpack(bill.due)
        weight = None if bill.weight is None else unpack(bill.weight)
        paid = unpack(self._paid_now(bill.subscriber_account))

        def surcharge(kopecks: int) -> int | None:
            try:
                split = split_payment(
                    plan.split,
                    rules.fees,
                    kopecks,
                    due,
                    weight,
                    paid,
                    bill.overpayment,
                    False,
                    None,
                    named,
                )
            except SplitError:
                return None
            return above.surcharge(gross_of(plan, split.parts))

        if not is_total:
            return amount, surcharge(amount) or 0
        least = max(1, sum(kopecks for _, kopecks in named or ()))
        return amount_within(amount, least, max(least, min(amount, AMOUNT_MAX)), surcharge)

    def run(self) -> None:
        """Split everything that was added."""
        self._group.run()

    def allocation(self, position: int) -> GroupAllocation:
        """The allocation of a payment; raises its Refusal otherwise.

        That charges and shares add up the kernel has looked at, or `run` would have raised; the
        database looks again at what it is given.
        """
        allocation = self._group.allocation(position)
        if allocation is None:
            raise self._refusal(position)
        return allocation

    def _refusal(self, position: int) -> Refusal:
        code = self._group.code(position)
        if code is None:
            raise InvariantBroken("Expected an allocation or the code of a refusal")
        return Refusal(code, SPLIT_DETAILS.get(code, "Expected a payment that can be split"))

    def paid(self, account: str) -> bytes:
        """What is now paid on the account's open bill, packed."""
        packed: bytes = self._group.packed_paid(self._bills[account])
        return packed


def designated(designation: Sequence[tuple[str, int]], plan: Plan) -> list[tuple[int, int]] | None:
    """Services by their index in the plan; refuses `malformed` for one the bill has not."""
    if not designation:
        return None
    index: Mapping[str, int] = plan.service_index
    for service, _ in designation:
        if service not in index:
            raise Refusal("malformed", "Expected a designation to services of the bill")
    return [(index[service], kopecks) for service, kopecks in designation]


def gross_of(plan: Plan, parts: Sequence[int]) -> list[int]:
    """What each recipient of the plan gets of these parts."""
    gross = [0] * len(plan.recipient_numbers)
    for recipient, kopecks in zip(plan.split.part_recipient, parts, strict=True):
        gross[recipient] += kopecks
    return gross
