"""The split of a whole commit group: open bills and payment requests in, allocations out.

Payments to one account are split in the order given; each sees what the earlier ones left.
"""

from collections.abc import Mapping, Sequence

from gateway.domain.bill import OpenBill
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.splitting.plans import Plan, PlanShelf
from gateway.splitting.terms import TermsShelf
from splitcore import FeeRule, Group, GroupAllocation

SPLIT_DETAILS = {
    "designation_out_of_range": "Expected every designation in 0..10^13 kopecks",
    "designation_exceeds_amount": "Expected designations that add up to at most the amount",
    "overpayment": "Expected no more than what the bill still owes",
    "nothing_to_allocate": "Expected a bill with something to allocate an overpayment by",
    "amount_out_of_range": "Expected an amount in 1..10^13 kopecks, less the surcharge in a total",
    "total_out_of_range": "Expected amount + surcharge within 2^63-1 kopecks",
}


class GroupSplit:
    """Allocations (or refusals) by position of the request, and what is then paid on each bill."""

    def __init__(self, plans: PlanShelf, terms: TermsShelf) -> None:
        self._plans = plans
        self._terms = terms
        self._group = Group()
        self._bills: dict[str, int] = {}

    def add_bill(self, bill: OpenBill) -> Plan:
        """Make an open bill known before the payments to it; its plan."""
        plan = self._plans.get(bill.plan)
        self._bills[bill.subscriber_account] = self._group.add_bill(
            plan.split,
            self._terms.fees(plan),
            bill.due,
            bill.weight,
            bill.paid,
            bill.overpayment,
        )
        return plan

    def add_payment(
        self,
        account: str,
        plan: Plan,
        amount: int,
        is_total: bool,
        surcharge: FeeRule | None,
        designation: Sequence[tuple[str, int]],
    ) -> int:
        """Queue a payment to a bill that was added; its position, to ask for the allocation by."""
        position: int = self._group.add_payment(
            self._bills[account], amount, is_total, surcharge, designated(designation, plan)
        )
        return position

    def run(self) -> None:
        """Split everything that was added."""
        self._group.run()

    def allocation(self, position: int) -> GroupAllocation:
        """The allocation of a payment, checked to add up; raises its Refusal otherwise."""
        allocation = self._group.allocation(position)
        if allocation is None:
            raise self._refusal(position)
        amount = allocation.amount
        if (
            sum(allocation.parts) != amount
            or sum(allocation.charges) != amount
            or sum(allocation.commissions) != allocation.commission
        ):
            raise InvariantBroken("Expected shares and charges that add up to the amount")
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
