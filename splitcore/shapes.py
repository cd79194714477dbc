"""The two shapes that cross the border of the splitting core: a fee rule in, an allocation out."""

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
    charges: list[int]
    parts: list[int]
    commissions: list[int]
