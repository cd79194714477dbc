"""The reference's payments: one by one, and in commit groups.

In a group each payment to a bill sees what the earlier ones left owing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from splitcore.errors import CODES, ConservationBroken, GroupFull, SplitError, found
from splitcore.limits import AMOUNT_MAX, GROUP_PAYMENTS_MAX, GROUP_VALUES_MAX, PAID_MAX, TOTAL_MAX
from splitcore.reference import (
    REJECT,
    designate,
    fee_of,
    rule_in_range,
    rule_range,
    rule_shape,
    split_charges,
    total_amount,
    whole,
    within,
)
from splitcore.reference_plans import Fees, Plan, pack, unpack
from splitcore.shapes import Allocation, FeeRule, GroupAllocation

Designation = Sequence[tuple[int, int]]


class Payment(NamedTuple):
    """A payment's shape, checked; its numbers are checked against the limits when it is split."""

    amount: int
    is_total: bool
    surcharge: FeeRule
    designation: tuple[tuple[int, int], ...]


def payment_shape(
    plan: Plan,
    amount: object,
    is_total: bool,
    surcharge: object,
    designation: Designation | None,
) -> Payment:
    """The payment as given, if it is of the right types and names services there are."""
    whole(amount, "the amount")
    rule = rule_shape(surcharge, "the surcharge")
    pairs: list[tuple[int, int]] = []
    for pair in designation or ():
        if type(pair) is not tuple or len(pair) != 2:
            raise SplitError("malformed", f"Expected pairs as a designation, was {found(pair)}")
        service = whole(pair[0], "a designated service")
        if service not in plan.services or service in (named for named, _ in pairs):
            raise SplitError("malformed", f"Expected a service named once, was {found(service)}")
        pairs.append((service, whole(pair[1], "a designated amount")))
    return Payment(whole(amount, "the amount"), is_total, rule, tuple(pairs))


def payment_amount(payment: Payment) -> tuple[int, int]:
    """(amount, surcharge) in kopecks. SplitError amount_out_of_range, fee_out_of_range."""
    if payment.is_total:
        within(payment.amount, 1, TOTAL_MAX, "amount_out_of_range", "the total")
        return total_amount(payment.amount, rule_range(payment.surcharge, "the surcharge"))
    within(payment.amount, 1, AMOUNT_MAX, "amount_out_of_range", "the amount")
    rule = rule_range(payment.surcharge, "the surcharge")
    return payment.amount, fee_of(payment.amount, rule)


def allocate(
    plan: Plan,
    fees: Fees,
    payment: Payment,
    owed: Sequence[int],
    weights: Sequence[int],
    overpayment: int,
) -> Allocation:
    """One payment split over a bill whose own numbers are already checked."""
    amount, surcharge = payment_amount(payment)
    for _, kopecks in payment.designation:
        within(kopecks, 0, AMOUNT_MAX, "designation_out_of_range", "a designated amount")
    named = sum(kopecks for _, kopecks in payment.designation)
    within(named, 0, amount, "designation_exceeds_amount", "the sum of the designation")
    designated = [0] * plan.charges
    for service, kopecks in payment.designation:
        received = designate(service, kopecks, owed, plan.tiers, plan.services)
        designated = [sum(pair) for pair in zip(designated, received, strict=True)]
    charges = split_charges(amount, owed, plan.tiers, weights, overpayment, designated)
    parts = plan.split_parts(charges)
    commissions = tuple(fees.commissions(plan, parts))
    return Allocation(amount, surcharge, tuple(charges), tuple(parts), commissions)


def check_bill(plan: Plan, fees: Fees, overpayment: object, counts: Sequence[int]) -> int:
    """The overpayment policy, if it and the lengths of everything fit the plan."""
    if type(plan) is not Plan or type(fees) is not Fees:
        raise TypeError(f"Expected a Plan and Fees, was {found(plan)} and {found(fees)}")
    if len(fees) != plan.recipients:
        raise SplitError("malformed", f"Expected {plan.recipients} fee rules, was {len(fees)}")
    for count in counts:
        if count != plan.charges:
            raise SplitError("malformed", f"Expected {plan.charges} entries, was {count}")
    policy = whole(overpayment, "the overpayment")
    return within(policy, REJECT, plan.charges - 1, "malformed", "the overpayment")


def check_vectors(due: Sequence[int], weights: Sequence[int], paid: Sequence[int]) -> None:
    """SplitError due_out_of_range (a due, or what was paid) or weight_out_of_range."""
    for i, value in enumerate(due):
        within(value, 0, AMOUNT_MAX, "due_out_of_range", f"due {i}")
    for i, value in enumerate(paid):
        within(value, 0, PAID_MAX, "due_out_of_range", f"paid {i}")
    for i, value in enumerate(weights):
        within(value, 0, AMOUNT_MAX, "weight_out_of_range", f"weight {i}")


def still_owed(due: Sequence[int], paid: Sequence[int]) -> list[int]:
    return [max(0, owed - before) for owed, before in zip(due, paid, strict=True)]


def split_payment(
    plan: Plan,
    fees: Fees,
    amount: int,
    due: Sequence[int],
    weight: Sequence[int] | None,
    paid: Sequence[int] | None,
    overpayment: int,
    is_total: bool,
    surcharge: FeeRule | None,
    designation: Designation | None,
) -> Allocation:
    """Split one payment over one bill given as lists of kopecks, one entry a charge.

    What a charge still owes is max(0, due - paid). `weight` None means weight = due; `paid` None
    means nothing was; `overpayment` -1 by weights, -2 reject, else the index of a charge;
    `designation` pairs (service, kopecks). SplitError: every code of CODES.
    """
    weights = due if weight is None else weight
    before = [0] * plan.charges if paid is None else paid
    check_bill(plan, fees, overpayment, [len(due), len(weights), len(before)])
    for vector in (due, weights, before):
        for i, value in enumerate(vector):
            whole(value, f"entry {i}")
    payment = payment_shape(plan, amount, is_total, surcharge, designation)
    _check_amount(payment)
    check_vectors(due, weights, before)
    return allocate(plan, fees, payment, still_owed(due, before), weights, overpayment)


def _check_amount(payment: Payment) -> None:
    """SplitError amount_out_of_range, also of a total, unless its fee is itself to be refused."""
    most = TOTAL_MAX if payment.is_total else AMOUNT_MAX
    within(payment.amount, 1, most, "amount_out_of_range", "the amount")
    if payment.is_total and rule_in_range(payment.surcharge):
        total_amount(payment.amount, payment.surcharge)


@dataclass
class _Bill:
    plan: Plan
    fees: Fees
    due: list[int]
    weights: list[int]
    paid: list[int]
    overpayment: int


class Group:
    """One commit group: bills, then payments in order, split together by `run`.

    A refused payment changes nothing and its neighbours go on; its result is a code, no kopecks.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all bills, payments and results."""
        self._bills: list[_Bill] = []
        self._payments: list[tuple[int, Payment | str]] = []
        self._results: list[Allocation | str] = []
        self._values = 0

    def _reserve(self, values: int) -> None:
        if self._values + values > GROUP_VALUES_MAX:
            raise GroupFull(f"Expected at most {GROUP_VALUES_MAX} values, was more")
        self._values += values

    def add_bill(
        self,
        plan: Plan,
        fees: Fees,
        due: bytes,
        weight: bytes | None,
        paid: bytes,
        overpayment: int,
    ) -> int:
        """A bill of packed vectors, one entry a charge: its index in the group.

        SplitError malformed, due_out_of_range, weight_out_of_range; GroupFull.
        """
        dues, before = unpack(due), unpack(paid)
        weights = dues if weight is None else unpack(weight)
        check_bill(plan, fees, overpayment, [len(dues), len(weights), len(before)])
        check_vectors(dues, weights, before)
        if len(self._bills) == GROUP_PAYMENTS_MAX:
            raise GroupFull(f"Expected at most {GROUP_PAYMENTS_MAX} bills, was more")
        self._reserve(3 * plan.charges)
        self._bills.append(_Bill(plan, fees, dues, weights, before, overpayment))
        return len(self._bills) - 1

    def add_payment(
        self,
        bill: int,
        amount: int,
        is_total: bool,
        surcharge: FeeRule | None,
        designation: Designation | None,
    ) -> int:
        """A payment to one of the group's bills: its index in the group.

        What is wrong with the payment itself is told by `code` after `run`, even a wrong type.
        IndexError when there is no such bill; GroupFull.
        """
        if not 0 <= bill < len(self._bills):
            raise IndexError(f"Expected a bill of this group, was {bill}")
        if len(self._payments) == GROUP_PAYMENTS_MAX:
            raise GroupFull(f"Expected at most {GROUP_PAYMENTS_MAX} payments, was more")
        plan = self._bills[bill].plan
        payment: Payment | str
        try:
            payment = payment_shape(plan, amount, is_total, surcharge, designation)
        except SplitError as refused:
            payment = refused.code
        named = 0 if isinstance(payment, str) else len(payment.designation)
        self._reserve(plan.charges + plan.parts + plan.recipients + named)
        self._payments.append((bill, payment))
        return len(self._payments) - 1

    def run(self) -> None:
        """Split every payment added since the last run, in order. ConservationBroken: a defect."""
        for bill_index, payment in self._payments[len(self._results) :]:
            self._results.append(self._split(self._bills[bill_index], payment))

    def _split(self, bill: _Bill, payment: Payment | str) -> Allocation | str:
        if isinstance(payment, str):
            return payment
        owed = still_owed(bill.due, bill.paid)
        try:
            result = allocate(bill.plan, bill.fees, payment, owed, bill.weights, bill.overpayment)
        except SplitError as refused:
            return refused.code
        if not sum(result.charges) == sum(result.parts) == result.amount:
            raise ConservationBroken(
                "Expected charges and shares to add up to the amount, was other"
            )
        bill.paid = [sum(pair) for pair in zip(bill.paid, result.charges, strict=True)]
        return result

    def _split_result(self, i: int) -> Allocation | str:
        if not 0 <= i < len(self._results):
            raise IndexError(f"Expected a payment that was split, was {i}")
        return self._results[i]

    def code(self, i: int) -> str | None:
        """The code payment i was refused with, or None."""
        result = self._split_result(i)
        return result if isinstance(result, str) else None

    def allocation(self, i: int) -> GroupAllocation | None:
        """All that payment i came to, or None if it was refused: everything below in one call."""
        result = self._split_result(i)
        if isinstance(result, str):
            return None
        plan = self._bills[self._payments[i][0]].plan
        gross = [0] * plan.recipients
        for recipient, share in zip(plan.part_recipient, result.parts, strict=True):
            gross[recipient] += share
        receiving = [
            recipient
            for recipient, share in zip(plan.part_recipient, result.parts, strict=True)
            if share > 0
        ]
        return GroupAllocation(
            amount=result.amount,
            surcharge=result.surcharge,
            commission=sum(result.commissions),
            charges=result.charges,
            parts=result.parts,
            recipients=tuple(dict.fromkeys(receiving)),
            gross=tuple(gross),
            commissions=result.commissions,
            net=tuple(x - fee for x, fee in zip(gross, result.commissions, strict=True)),
            packed_parts=pack(result.parts),
            packed_commissions=pack(result.commissions) if any(result.commissions) else None,
        )

    def _result(self, i: int) -> Allocation:
        result = self._split_result(i)
        return Allocation(0, 0, (), (), ()) if isinstance(result, str) else result

    def amount(self, i: int) -> int:
        return self._result(i).amount

    def surcharge(self, i: int) -> int:
        return self._result(i).surcharge

    def commission(self, i: int) -> int:
        """The sum of all recipients' commissions."""
        return sum(self._result(i).commissions)

    def charges(self, i: int) -> list[int]:
        return list(self._result(i).charges)

    def parts(self, i: int) -> list[int]:
        return list(self._result(i).parts)

    def commissions(self, i: int) -> list[int]:
        return list(self._result(i).commissions)

    def packed_parts(self, i: int) -> bytes:
        return pack(self._result(i).parts)

    def packed_commissions(self, i: int) -> bytes:
        return pack(self._result(i).commissions)

    def packed_paid(self, bill: int) -> bytes:
        """What each charge of that bill has received, the group's payments included."""
        if not 0 <= bill < len(self._bills):
            raise IndexError(f"Expected a bill of this group, was {bill}")
        return pack(self._bills[bill].paid)


def split_flat(plan: Plan, amounts: Any, dues: Any, charges: Any, codes: Any) -> int:
    """Split payment k over the dues k * n .. (k + 1) * n of n charges, over flat int64 buffers.

    Writes the charges' kopecks at the same places of `charges` and 0 or 1 + the code's index in
    CODES to the bytes of `codes`; returns how many were refused. An overpayment goes by the dues.
    ValueError when the buffers' lengths do not fit.
    """
    n, count = plan.charges, len(amounts)
    if len(dues) != count * n or len(charges) != count * n or len(codes) != count:
        raise ValueError(f"Expected buffers of {count} payments and {n} charges, was other lengths")
    for k in range(count):
        due = dues[k * n : (k + 1) * n]
        received = [0] * n
        codes[k] = 0
        try:
            within(amounts[k], 1, AMOUNT_MAX, "amount_out_of_range", "the amount")
            check_vectors(due, due, [])
            received = split_charges(amounts[k], due, plan.tiers, due, -1, received)
        except SplitError as refused:
            codes[k] = 1 + CODES.index(refused.code)
        for i, kopecks in enumerate(received):
            charges[k * n + i] = kopecks
    return sum(1 for code in codes if code)
