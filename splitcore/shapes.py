"""The shapes that cross the border of the splitting core: a fee rule in, an allocation out."""

from typing import NamedTuple


class FeeRule(NamedTuple):
    """min(max(half-up(x in ppm) + fixed, min), max), in kopecks; `max` None is no limit."""

    ppm: int = 0
    fixed: int = 0
    min: int = 0
    max: int | None = None


class Allocation(NamedTuple):
    """One payment split, in kopecks.

    `charges`: by charge. `parts`: by charge, then second-level entries in order, then the charge's
    own recipient, zeros included. `commissions`: by the plan's recipient index.
    """

    amount: int
    surcharge: int
    charges: tuple[int, ...]
    parts: tuple[int, ...]
    commissions: tuple[int, ...]


class GroupAllocation(NamedTuple):
    """One payment of a commit group split, in kopecks: everything that is told or stored of it.

    `charges` and `parts` are those of an Allocation. `gross`, `commissions` and `net` have an entry
    for each recipient index of the plan; gross = commission + net. `recipients` are the indexes of
    those who receive anything, in the order in which they first appear among the parts that are
    not 0. `packed_commissions` is None where nothing is withheld.
    """

    amount: int
    surcharge: int
    commission: int
    charges: tuple[int, ...]
    parts: tuple[int, ...]
    recipients: tuple[int, ...]
    gross: tuple[int, ...]
    commissions: tuple[int, ...]
    net: tuple[int, ...]
    packed_parts: bytes
    packed_commissions: bytes | None
