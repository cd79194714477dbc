"""Nanoseconds a split: the kernel beside plain C and beside the reference. No gateway runs."""

import random
from array import array
from collections.abc import Callable
from typing import Any

import splitcore
from loadtests.measure import Turns, timed
from loadtests.plain_split import PlainSplit
from loadtests.report import Figure, Goal, Row
from loadtests.stage import Stage
from splitcore import FeeRule, reference_groups, reference_plans

CHARGES = 8
PAYMENTS = 20_000
# The reference takes a thousand times as long.
REFERENCE_PAYMENTS = 1_000
GROUP = 500
REPEATS = 10

# A full bill: three tiers, a second level on two charges, commissions of four recipients.
TIERS = (0, 0, 1, 1, 1, 1, 1, 2)
SECOND_LEVEL = {2: ((8, 50_000),), 5: ((8, 30_000), (9, 120_000))}
COMMISSIONS = {0: FeeRule(15_000), 3: FeeRule(20_000, 0, 100), 8: FeeRule(5_000), 9: FeeRule(0, 50)}
SURCHARGE = FeeRule(10_000, 0, 100)
RECIPIENTS = 10


class Cases:
    """Payments of a part of their bills: dues of 10 to 4,010 roubles, 10 to 95 % of them paid."""

    def __init__(self, seed: int = 1, payments: int = PAYMENTS) -> None:
        dice = random.Random(seed)
        self.dues = array("q", (dice.randint(1_000, 401_000) for _ in range(CHARGES * payments)))
        rows = [self.dues[at : at + CHARGES] for at in range(0, len(self.dues), CHARGES)]
        self.rows = [row.tolist() for row in rows]
        self.amounts = array("q", (sum(row) * dice.randint(10, 95) // 100 for row in self.rows))


def full_plan(of: Any) -> Any:
    """The plan of a full bill, by the kernel (`splitcore`) or the reference's own class."""
    parts = []
    for charge in range(CHARGES):
        level = SECOND_LEVEL.get(charge, ())
        parts.append([*level, (charge, splitcore.PPM - sum(ppm for _, ppm in level))])
    return of(list(TIERS), list(range(CHARGES)), _in_order(parts))


def _in_order(parts: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    """Recipients numbered in the order in which they appear, as plans want them."""
    numbers: dict[int, int] = {}
    for part in parts:
        for recipient, _ in part:
            numbers.setdefault(recipient, len(numbers))
    return [[(numbers[recipient], ppm) for recipient, ppm in part] for part in parts]


def full_rules() -> list[FeeRule | None]:
    """A commission rule or None for each recipient of the full plan."""
    return [COMMISSIONS.get(recipient) for recipient in range(RECIPIENTS)]


def one_tier_plan(of: Any) -> Any:
    """Eight charges of one tier, each with its own recipient."""
    whole = [[(charge, splitcore.PPM)] for charge in range(CHARGES)]
    return of([0] * CHARGES, list(range(CHARGES)), whole)


def part(stage: Stage) -> list[Row]:
    """Every figure of splitting."""
    runs = stage.runs
    cases = Cases()
    plain = PlainSplit(cases.amounts, cases.dues, CHARGES)

    def plain_c() -> float:
        return repeated_ns(plain.run)

    return [
        _batch(runs, cases, plain_c),
        _full(runs, cases, plain_c),
        *_against_reference(runs, cases),
    ]


def repeated_ns(work: Callable[[], object]) -> float:
    """Nanoseconds a payment of work that splits all PAYMENTS of them."""

    def repeats() -> None:
        for _ in range(REPEATS):
            work()

    return timed(repeats) / REPEATS / PAYMENTS * 1e9


def _batch(runs: int, cases: Cases, plain_c: Any) -> Row:
    plan = one_tier_plan(splitcore.Plan)
    charges, codes = array("q", bytes(8 * len(cases.dues))), bytearray(PAYMENTS)

    def kernel() -> float:
        return repeated_ns(
            lambda: splitcore.split_flat(plan, cases.amounts, cases.dues, charges, codes)
        )

    kernel(), plain_c()
    turns = Turns(runs, kernel, plain_c)
    return Row(
        name="kernel_batch",
        what="kernel, batch: 8 charges in one tier",
        measured=Figure("ns", turns.measured),
        peer="the same rule in plain C -O3",
        against=Figure("ns", turns.against),
        must=Goal(1.2, "lower"),
        aim=Goal(0.7, "lower"),
        foreign_cores=turns.foreign_cores,
    )


class _FullGroups:
    """The cases as full bills, in groups of the size of a commit group."""

    def __init__(self, cases: Cases) -> None:
        self._plan = full_plan(splitcore.Plan)
        self._fees = splitcore.Fees(full_rules())
        nothing = splitcore.pack([0] * CHARGES)
        self._bills = [(splitcore.pack(row), nothing) for row in cases.rows]
        self._amounts = cases.amounts.tolist()
        self._group = splitcore.Group()

    def filled(self, first: int) -> splitcore.Group:
        """The group of the payments from `first` on, not run."""
        group = self._group
        group.clear()
        for at in range(first, first + GROUP):
            due, paid = self._bills[at]
            bill = group.add_bill(self._plan, self._fees, due, None, paid, -1)
            group.add_payment(bill, self._amounts[at], False, SURCHARGE, None)
        return group

    def run_ns(self) -> float:
        """Nanoseconds a payment within `Group.run` alone."""
        starts = range(0, PAYMENTS, GROUP)
        return sum(timed(self.filled(first).run) for first in starts) / PAYMENTS * 1e9

    def whole_ns(self) -> float:
        """Nanoseconds a payment from packed bills to packed shares."""

        def work() -> None:
            for first in range(0, PAYMENTS, GROUP):
                group = self.filled(first)
                group.run()
                for place in range(GROUP):
                    group.packed_parts(place)

        return timed(work) / PAYMENTS * 1e9


def _full(runs: int, cases: Cases, plain_c: Any) -> Row:
    groups = _FullGroups(cases)
    whole_ns = groups.whole_ns()
    turns = Turns(runs, groups.run_ns, plain_c)
    return Row(
        name="kernel_full_bill",
        what="kernel, batch: a full bill (3 tiers, second level on 2, surcharge, 4 commissions)",
        measured=Figure("ns", turns.measured),
        peer="plain C of the line above",
        against=Figure("ns", turns.against),
        must=Goal(5, "lower"),
        aim=Goal(3, "lower"),
        note=f"with reading bills and packing shares {whole_ns:.0f} ns",
        foreign_cores=turns.foreign_cores,
    )


def _against_reference(runs: int, cases: Cases) -> list[Row]:
    few = list(zip(cases.amounts, cases.rows, strict=True))[:REFERENCE_PAYMENTS]
    kernel = (splitcore.split_payment, splitcore.Plan, splitcore.Fees, REPEATS)
    reference = (
        reference_groups.split_payment,
        reference_plans.Plan,
        reference_plans.Fees,
        1,
    )

    def calls(side: Any, full: bool) -> Any:
        split, plan_of, fees_of, repeats = side
        plan = full_plan(plan_of) if full else one_tier_plan(plan_of)
        fees = fees_of(full_rules() if full else [None] * CHARGES)
        surcharge = SURCHARGE if full else None

        def work() -> None:
            for _ in range(repeats):
                for amount, due in few:
                    split(plan, fees, amount, due, None, None, -1, False, surcharge, None)

        return lambda: timed(work) / repeats / len(few) * 1e6

    made = []
    for name, what, full in (
        ("call", "one call from Python: 8 charges in one tier", False),
        ("call_full_bill", "one call from Python: a full bill", True),
    ):
        turns = Turns(runs, calls(kernel, full), calls(reference, full))
        row = Row(
            name=name,
            what=what,
            measured=Figure("µs", turns.measured),
            peer="the same call of the reference in Python",
            against=Figure("µs", turns.against),
            must=None if full else Goal(1 / 8, "lower"),
            aim=None if full else Goal(0.35, "lower", "measured"),
            foreign_cores=turns.foreign_cores,
        )
        made.append(row)
    return made
