"""Netting (pure): the packed vectors of a batch added up by plan, in memory that does not grow.

Names come later and elsewhere; a place of a plan is all that is known here.
"""

from collections.abc import Iterator, Mapping

from gateway.domain.refusals import InvariantBroken
from splitcore import PackedSums


class Netting:
    """What the shares, commissions and refunds of one settlement batch add up to, in kopecks."""

    def __init__(self, places: Mapping[int, tuple[int, int]]) -> None:
        """`places` are how many parts and recipients each plan has."""
        self.splits = 0
        self._places = places
        self._shared: dict[int, PackedSums] = {}
        self._withheld: dict[int, PackedSums] = {}
        self._returned: dict[int, PackedSums] = {}
        self._given_back: dict[int, PackedSums] = {}

    def split(self, plan: int, count: int, shares: bytes, commissions: bytes | None) -> None:
        """Add allocations of one plan, their vectors strung together; most have no commissions."""
        self.splits += count
        parts, recipients = self._places[plan]
        added = _sums(self._shared, plan, parts).add_all(shares)
        if added != count:
            raise InvariantBroken(f"Expected shares of {count} allocations, was {added}")
        if commissions is not None:
            _sums(self._withheld, plan, recipients).add_all(commissions)

    def refund(self, plan: int, shares: bytes) -> None:
        """Add refunds of shares, strung together."""
        parts, _ = self._places[plan]
        _sums(self._returned, plan, parts).add_all(shares)

    def move(self, plan: int, sign: int, shares: bytes, commissions: bytes | None) -> None:
        """Add moves of one plan and sign, strung together: taken where it is below 0, or given."""
        parts, recipients = self._places[plan]
        _sums(self._returned if sign < 0 else self._shared, plan, parts).add_all(shares)
        if commissions is not None:
            withheld = self._given_back if sign < 0 else self._withheld
            _sums(withheld, plan, recipients).add_all(commissions)

    def shared(self) -> list[tuple[int, int, int]]:
        """(plan, place of the part, kopecks), nothing left out but zeros."""
        return list(_flat(self._shared))

    def withheld(self) -> list[tuple[int, int, int]]:
        """(plan, place of the recipient, kopecks); below 0 what was given back to recipients."""
        back = [(plan, place, -kopecks) for plan, place, kopecks in _flat(self._given_back)]
        return list(_flat(self._withheld)) + back

    def returned(self) -> list[tuple[int, int, int]]:
        """(plan, place of the part, kopecks)."""
        return list(_flat(self._returned))


def _sums(sums: dict[int, PackedSums], plan: int, places: int) -> PackedSums:
    found = sums.get(plan)
    if found is None:
        found = sums[plan] = PackedSums(places)
    return found


def _flat(sums: dict[int, PackedSums]) -> Iterator[tuple[int, int, int]]:
    for plan, found in sums.items():
        for place, kopecks in enumerate(found.totals()):
            if kopecks:
                yield plan, place, kopecks
