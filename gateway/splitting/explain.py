"""Why each kopeck went where it went (pure): the steps of a split, each share of them told so that
it can be computed again.

Written apart from the splitting core, in the same order of steps; whoever uses it compares the two.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.domain.bill import BY_WEIGHTS

DESIGNATION: Final = "designation"
TIER: Final = "tier"
OVERPAYMENT: Final = "overpayment"
SECOND_LEVEL: Final = "second_level"

WHOLE: Final = "whole"
LARGEST_REMAINDER: Final = "largest_remainder"
REST: Final = "rest"


class Working(Struct, frozen=True):
    """How one of several got its part of `total` kopecks.

    By `whole` everybody gets its weight, as `total` is enough for all `weights` together. By
    `largest_remainder` it gets `floor` = total * weight // weights and, being of `rank` by
    `remainder` = total * weight % weights (1 is the largest, of equals the one that stands first),
    one of the `leftover` kopecks where rank <= leftover. By `rest` it gets all.
    """

    step: str
    tier: int | None
    rule: str
    total: int
    weight: int
    weights: int
    floor: int | None
    remainder: int | None
    rank: int | None
    leftover: int | None
    amount: int


def shared(total: int, weights: Sequence[int], step: str, tier: int | None = None) -> list[Working]:
    """A working for each weight; they add up to `total`. Not all weights are 0."""
    together = sum(weights)
    quotas = [divmod(total * weight, together) for weight in weights]
    leftover = total - sum(floor for floor, _ in quotas)
    order = sorted(range(len(weights)), key=lambda at: (-quotas[at][1], at))
    ranks = {at: rank for rank, at in enumerate(order, 1)}
    return [
        Working(
            step,
            tier,
            LARGEST_REMAINDER,
            total,
            weight,
            together,
            floor,
            remainder,
            ranks[at],
            leftover,
            floor + (ranks[at] <= leftover),
        )
        for at, (weight, (floor, remainder)) in enumerate(zip(weights, quotas, strict=True))
    ]


class Bill(Struct, frozen=True):
    """A bill as a payment found it: vectors with an entry a charge, in kopecks.

    `services` are indexes, `second_level` ppm of each charge's parts, the charge's own last.
    """

    tiers: Sequence[int]
    services: Sequence[int]
    second_level: Sequence[Sequence[int]]
    owed: Sequence[int]
    weights: Sequence[int]
    overpayment: int


class Explained(Struct, frozen=True):
    """How each charge got what it received, and each part of a charge its share of that."""

    charges: list[list[Working]]
    parts: list[Working]

    @property
    def received(self) -> list[int]:
        """Kopecks of each charge."""
        return [sum(working.amount for working in workings) for workings in self.charges]


def explain(bill: Bill, amount: int, designation: Sequence[tuple[int, int]]) -> Explained:
    """The steps by which `amount` was split, `designation` naming services by their indexes."""
    workings: list[list[Working]] = [[] for _ in bill.owed]
    designated = [0] * len(bill.owed)
    for service, kopecks in designation:
        members = [at for at, one in enumerate(bill.services) if one == service]
        above = _fill(bill, kopecks, bill.owed, members, DESIGNATION, workings)
        if above:
            workings[members[-1]].append(_rest(DESIGNATION, above))
        for at in members:
            designated[at] = sum(working.amount for working in workings[at])
    owed = [max(0, due - named) for due, named in zip(bill.owed, designated, strict=True)]
    left = _fill(bill, amount - sum(designated), owed, range(len(owed)), TIER, workings)
    if left and bill.overpayment == BY_WEIGHTS:
        for at, working in enumerate(shared(left, bill.weights, OVERPAYMENT)):
            if working.weight:
                workings[at].append(working)
    elif left:
        workings[bill.overpayment].append(_rest(OVERPAYMENT, left))
    parts = [
        working
        for steps, ppm in zip(workings, bill.second_level, strict=True)
        for working in shared(sum(step.amount for step in steps), ppm, SECOND_LEVEL)
    ]
    return Explained(workings, parts)


def _fill(
    bill: Bill,
    kopecks: int,
    owed: Sequence[int],
    members: Sequence[int],
    step: str,
    workings: list[list[Working]],
) -> int:
    """Fills the tiers of these charges one after another; kopecks that none of them owes."""
    left = kopecks
    for tier in sorted({bill.tiers[at] for at in members}):
        owing = [at for at in members if bill.tiers[at] == tier and owed[at]]
        if not owing or not left:
            continue
        wanted = [owed[at] for at in owing]
        together = sum(wanted)
        if together <= left:
            found = [
                Working(step, tier, WHOLE, left, one, together, None, None, None, None, one)
                for one in wanted
            ]
        else:
            found = shared(left, wanted, step, tier)
        for at, working in zip(owing, found, strict=True):
            workings[at].append(working)
        left -= sum(working.amount for working in found)
    return left


def _rest(step: str, kopecks: int) -> Working:
    return Working(step, None, REST, kopecks, 0, 0, None, None, None, None, kopecks)
