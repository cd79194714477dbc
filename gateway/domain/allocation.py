"""An allocation: how one payment was split, ready to be shown and to be stored."""

from msgspec import Struct


class Allocation(Struct, frozen=True, gc=False):
    """One payment's split, in kopecks: Σ parts = Σ charges = amount, Σ commissions = commission.

    `parts` has an entry for every part of the plan, zeros included, `commissions` one for every
    recipient of the plan. `shares` and `withheld` are the same two vectors packed; `withheld` is
    None where nothing is.
    """

    amount: int
    surcharge: int
    commission: int
    charges: list[int]
    parts: list[int]
    commissions: list[int]
    shares: bytes
    withheld: bytes | None
