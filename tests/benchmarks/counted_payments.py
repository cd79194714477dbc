"""The payments that test_kernel_instructions counts; callgrind runs this, nobody else.

`python -m tests.benchmarks.counted_payments MARKS AGAIN`: every part of the work stands between
`begin` and `end` of the C library MARKS, which tell callgrind to count and to write down. AGAIN of
the thousand payments are split once more: so the test shows that it can fail.
"""

import ctypes
import sys
from array import array
from collections.abc import Callable, Sequence

import splitcore
from loadtests.rows import splitting
from splitcore import _kernel

PAYMENTS = 1_000
Work = Callable[[], object]


class Payments:
    """The cases of the bench, some of them once more at the end."""

    def __init__(self, again: int) -> None:
        cases = splitting.Cases(payments=PAYMENTS)
        self.amounts = cases.amounts + cases.amounts[:again]
        self.dues = cases.dues + cases.dues[: again * splitting.CHARGES]
        self.rows = cases.rows + cases.rows[:again]
        self.pairs = list(zip(self.amounts, self.rows, strict=True))
        self.packed = [splitcore.pack(row) for row in self.rows]


def batch(of: Payments) -> Work:
    """One tier of eight charges, in flat buffers."""
    plan = splitting.one_tier_plan(splitcore.Plan)
    charges, codes = array("q", bytes(8 * len(of.dues))), bytearray(len(of.amounts))
    return lambda: splitcore.split_flat(plan, of.amounts, of.dues, charges, codes)


def _fill(group: splitcore.Group, of: Payments, plan: splitcore.Plan, fees: splitcore.Fees) -> None:
    nothing = splitcore.pack([0] * splitting.CHARGES)
    for due, amount in zip(of.packed, of.amounts, strict=True):
        bill = group.add_bill(plan, fees, due, None, nothing, -1)
        group.add_payment(bill, amount, False, splitting.SURCHARGE, None)


def full_bill(of: Payments) -> Work:
    """Full bills in a commit group: its run alone."""
    group = splitcore.Group()
    fees = splitcore.Fees(splitting.full_rules())
    _fill(group, of, splitting.full_plan(splitcore.Plan), fees)
    return group.run


def group_payment(of: Payments) -> Work:
    """Full bills in a commit group: bill and payment in, everything about the payment out."""
    group = splitcore.Group()
    plan, fees = splitting.full_plan(splitcore.Plan), splitcore.Fees(splitting.full_rules())

    def work() -> None:
        _fill(group, of, plan, fees)
        group.run()
        for place in range(len(of.amounts)):
            group.allocation(place)

    return work


def call(of: Payments) -> Work:
    """One call from Python a payment: eight charges in one tier."""
    plan = splitting.one_tier_plan(splitcore.Plan)
    fees, split = splitcore.Fees([None] * splitting.CHARGES), splitcore.split_payment

    def work() -> None:
        for amount, due in of.pairs:
            split(plan, fees, amount, due, None, None, -1, False, None, None)

    return work


def refund(of: Payments) -> Work:
    """A third back of what was paid, over eight shares of which a fifth was refunded before."""
    given = [(due, [kopecks // 5 for kopecks in due], amount // 3 + 1) for amount, due in of.pairs]

    def work() -> None:
        for shares, refunded, amount in given:
            splitcore.refund(shares, refunded, amount)

    return work


def positions(of: Payments) -> Work:
    """Packed shares of eight parts, added up place by place."""
    sums = splitcore.PackedSums(splitting.CHARGES)

    def work() -> None:
        for shares in of.packed:
            sums.add(shares)

    return work


PARTS: Sequence[Callable[[Payments], Work]] = (
    *(batch, full_bill, group_payment, call, refund, positions),
)


def main(marks: str, again: int) -> None:
    """Every part once uncounted, so that nothing is done for the first time, and once counted."""
    counting = ctypes.CDLL(marks)
    of = Payments(again)
    for lanes in sorted({2, _kernel.LANES}):
        _kernel._choose_lanes(lanes)  # type: ignore[attr-defined]
        for part in PARTS:
            part(of)()
            work = part(of)
            counting.begin()
            work()
            counting.end(f"{lanes} {part.__name__}".encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
