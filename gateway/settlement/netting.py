"""Netting (pure): the packed vectors of a batch added up by plan, in memory that does not grow.

Names come later and elsewhere; a place of a plan is all that is known here.
"""

from collections.abc import Iterator

from splitcore import PackedSums, unpack


class Netting:
    """What the shares, commissions and refunds of one settlement batch add up to, in kopecks."""

    def __init__(self) -> None:
        self.splits = 0
        self._shared: dict[int, PackedSums] = {}
        self._withheld: dict[int, PackedSums] = {}
        self._returned: dict[int, PackedSums] = {}

    def split(self, plan: int, shares: bytes, commissions: bytes | None) -> None:
        """Add one allocation."""
        self.splits += 1
        _add(self._shared, plan, shares)
        if commissions is not None:
            _add(self._withheld, plan, commissions)

    def refund(self, plan: int, shares: bytes) -> None:
        """Add one refund of shares."""
        _add(self._returned, plan, shares)

    def shared(self) -> list[tuple[int, int, int]]:
        """(plan, place of the part, kopecks), nothing left out but zeros."""
        return list(_flat(self._shared))

    def withheld(self) -> list[tuple[int, int, int]]:
        """(plan, place of the recipient, kopecks)."""
        return list(_flat(self._withheld))

    def returned(self) -> list[tuple[int, int, int]]:
        """(plan, place of the part, kopecks)."""
        return list(_flat(self._returned))


def _add(sums: dict[int, PackedSums], plan: int, packed: bytes) -> None:
    found = sums.get(plan)
    if found is None:
        found = sums[plan] = PackedSums(len(unpack(packed)))
    found.add(packed)


def _flat(sums: dict[int, PackedSums]) -> Iterator[tuple[int, int, int]]:
    for plan, found in sums.items():
        for place, kopecks in enumerate(found.totals()):
            if kopecks:
                yield plan, place, kopecks
