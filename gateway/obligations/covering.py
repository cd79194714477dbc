"""Covering (pure): what a debtor earned in a batch goes to its creditors, the oldest debt first.

Decided once for a batch, when it is counted, from sums alone: the order in which payments came
within the batch is of no account. Exact in kopecks, whatever the sums.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken


class Earned(Struct, frozen=True):
    """What a debtor earned in a batch, in kopecks: by service what was shared to it and what
    refunds took back, and the `commission` withheld from all of it; `before` is what was owed to it
    already, below zero where it owes.
    """

    shared: Mapping[str, int]
    refunded: Mapping[str, int]
    commission: int
    before: int


class Debt(Struct, frozen=True):
    """What remains of an obligation, in kopecks; without services it is paid out of all."""

    number: int
    creditor: int
    services: frozenset[str]
    remaining: int


class Transfer(Struct, frozen=True):
    """Kopecks that go to the creditor of an obligation (its number), out of a service."""

    number: int
    creditor: int
    service: str
    amount: int


def nets(earned: Earned) -> dict[str, int]:
    """What each service brought, in the order of their names; below zero where refunds took more.

    The commission is taken off the services in proportion to what was shared of each, by largest
    remainder, the first by name where remainders are the same. Where corrections gave back more
    of it than was withheld it is added so; where nothing was shared, what was taken back weighs.
    """
    names = sorted({*earned.shared, *earned.refunded})
    weighing = earned.shared if any(earned.shared.values()) else earned.refunded
    weights = [weighing.get(name, 0) for name in names]
    withheld = _in_proportion(earned.commission, weights)
    return {
        name: earned.shared.get(name, 0) - kept - earned.refunded.get(name, 0)
        for name, kept in zip(names, withheld, strict=True)
    }


def cover(debts: Sequence[Debt], earned: Earned) -> list[Transfer]:
    """The transfers on one debtor's debts, which come in the order to be paid in.

    No debt gets more than remains of it, than its services brought together (what debts before it
    took is gone), or than what the debtor would be paid. Of several services the first by name give
    first.
    """
    left = nets(earned)
    payable = earned.before + sum(left.values())
    found = []
    for debt in debts:
        named = [name for name in left if not debt.services or name in debt.services]
        owed = min(debt.remaining, payable, sum(left[name] for name in named))
        for name in named:
            part = min(owed, left[name])
            if part > 0:
                left[name] -= part
                owed -= part
                payable -= part
                found.append(Transfer(debt.number, debt.creditor, name, part))
    return found


def _in_proportion(total: int, weights: Sequence[int]) -> list[int]:
    """`total` by largest remainder; the sums of a batch may be beyond what one payment may be."""
    whole = sum(weights)
    if total == 0:
        return [0] * len(weights)
    if whole == 0:
        raise InvariantBroken("Expected a commission of what was shared or taken back")
    size = abs(total)
    parts = [size * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(size * weights[at] % whole), at))
    for at in order[: size - sum(parts)]:
        parts[at] += 1
    return parts if total > 0 else [-part for part in parts]
