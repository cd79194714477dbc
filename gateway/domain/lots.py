"""Lots: what is left of each split of a payment, and what is taken of them (pure).

A payment is split once; a correction takes of that and splits it anew, which is another lot. What
goes back to the payer or his bank is taken from all lots together, by what is left of each share.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken, Refusal
from splitcore import SplitError, largest_remainder, unpack


class Move(Struct, frozen=True):
    """One move of an entry as it is stored, in kopecks.

    Taken from a lot (`sign` -1), or given (1). `lot` is `id` where it is one itself. `shares` are
    packed by the plan's parts, `commissions` (None: none) by its recipients.
    """

    id: UUID
    entry: UUID
    kind: str
    sign: int
    lot: UUID
    at: Any
    account: str
    sequence: int
    counts_as: int
    bill: int
    plan: int
    period: str
    amount: int
    commission: int
    shares: bytes
    commissions: bytes | None


class Lot(Struct):
    """Money that was split once; vectors have an entry a part of the plan.

    `commissions` has one a recipient of the plan, empty where none was withheld. `taken` is what
    left it, by whatever way; `moved` what corrections took of that.
    """

    id: UUID
    account: str
    bill: int
    plan: int
    counts_as: int
    period: str
    shares: list[int]
    commissions: list[int]
    taken: list[int]
    moved: list[int]

    @property
    def left(self) -> list[int]:
        """Of each share what is still there."""
        return [share - taken for share, taken in zip(self.shares, self.taken, strict=True)]

    def take(self, parts: Sequence[int], corrects: bool) -> None:
        """Kopecks leave the lot; `corrects` where a correction takes them."""
        self.taken = added(self.taken, parts)
        if any(
            not 0 <= taken <= share for taken, share in zip(self.taken, self.shares, strict=True)
        ):
            raise InvariantBroken("Expected to take no more of a lot than is left of it")
        if corrects:
            self.moved = added(self.moved, parts)

    def put_back(self, parts: Sequence[int]) -> None:
        """Kopecks that were taken come back."""
        self.take([-kopecks for kopecks in parts], corrects=False)


Taken = list[tuple[Lot, list[int]]]
"""What is taken from each lot, by its parts; lots that nothing is taken from are left out."""


def lot_of(move: Move) -> Lot:
    """The lot that a move opened."""
    shares = unpack(move.shares)
    withheld = unpack(move.commissions) if move.commissions else []
    nothing = [0] * len(shares)
    return Lot(
        move.id,
        move.account,
        move.bill,
        move.plan,
        move.counts_as,
        move.period,
        shares,
        withheld,
        nothing,
        nothing,
    )


def apply(lots: dict[UUID, Lot], move: Move) -> None:
    """A move happens to the lots of its payment."""
    if move.lot == move.id:
        lots[move.id] = lot_of(move)
    elif move.sign < 0:
        lots[move.lot].take(unpack(move.shares), corrects=move.kind == "correction")
    else:
        lots[move.lot].put_back(unpack(move.shares))


def taken(lots: Sequence[Lot], amount: int) -> Taken:
    """`amount` kopecks of all that is left of the lots, by largest remainder over every share.

    Refuses `refund_exceeds_payment` where less is left.
    """
    places = [(lot, at) for lot in lots for at, kopecks in enumerate(lot.left) if kopecks]
    return _taken(places, amount)


def taken_of_services(
    lots: Sequence[Lot],
    services_of: Callable[[Lot], Sequence[str]],
    named: Mapping[str, int],
) -> Taken:
    """As `taken`, for each named service of its shares alone; `services_of` tells those by part."""
    found: Taken = []
    for service, amount in named.items():
        places = [
            (lot, at)
            for lot in lots
            for at, (kopecks, name) in enumerate(zip(lot.left, services_of(lot), strict=True))
            if kopecks and name == service
        ]
        found = merged(found, _taken(places, amount))
    return found


def _taken(places: Sequence[tuple[Lot, int]], amount: int) -> Taken:
    left = [lot.left[at] for lot, at in places]
    if amount > sum(left):
        raise Refusal("refund_exceeds_payment", "Expected no more than is left of the payment")
    try:
        shared = largest_remainder(amount, left)
    except SplitError as error:
        # Only a payment in thousands of pieces has more shares than can be shared among.
        raise Refusal("state_conflict", "Expected a payment in fewer pieces") from error
    found: Taken = []
    for (lot, at), kopecks in zip(places, shared, strict=True):
        if kopecks:
            parts = [0] * len(lot.shares)
            parts[at] = kopecks
            found = merged(found, [(lot, parts)])
    return found


def merged(one: Taken, other: Taken) -> Taken:
    """Both takings together."""
    sums = {lot.id: (lot, parts) for lot, parts in one}
    for lot, parts in other:
        before = sums.get(lot.id)
        sums[lot.id] = (lot, parts if before is None else added(before[1], parts))
    return list(sums.values())


def commission_back(lot: Lot, part_recipient: Sequence[int], parts: Sequence[int]) -> list[int]:
    """The commission that goes with what a correction takes of a lot, by recipient of the plan.

    Of each recipient's commission it is the part of its gross that was ever moved, half-up, less
    what went before: so corrections in any pieces return what one would. That of money that went
    back to the payer stays withheld, as refunds keep it.
    """
    if not lot.commissions:
        return []
    gross, moved, following = (
        _by_recipient(vector, part_recipient, len(lot.commissions))
        for vector in (lot.shares, lot.moved, added(lot.moved, parts))
    )
    return [
        half_up(withheld * after, whole) - half_up(withheld * before, whole)
        for withheld, whole, before, after in zip(
            lot.commissions, gross, moved, following, strict=True
        )
    ]


def half_up(numerator: int, denominator: int) -> int:
    """The quotient of numbers from 0 on, to the nearest whole; 0 of nothing."""
    return (2 * numerator + denominator) // (2 * denominator) if denominator else 0


def _by_recipient(parts: Sequence[int], part_recipient: Sequence[int], count: int) -> list[int]:
    sums = [0] * count
    for kopecks, recipient in zip(parts, part_recipient, strict=True):
        sums[recipient] += kopecks
    return sums


def added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The sums of two vectors, entry by entry."""
    return [a + b for a, b in zip(one, other, strict=True)]
