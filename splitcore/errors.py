"""What the splitting core refuses, and how: one exception, one closed list of codes.

The codes stand in the order in which they are checked: of several faults the first is told.
"""

from typing import Final

CODES: Final = (
    "malformed",
    "amount_out_of_range",
    "charges_out_of_range",
    "due_out_of_range",
    "tier_out_of_range",
    "weight_out_of_range",
    "second_level_out_of_range",
    "fee_out_of_range",
    "designation_out_of_range",
    "designation_exceeds_amount",
    "overpayment",
    "nothing_to_allocate",
    "total_out_of_range",
)
REFUND_CODES: Final = ("refund_exceeds_payment",)


class SplitError(ValueError):
    """A split or a refund refused whole: nothing was allocated.

    `code` is one of CODES or REFUND_CODES; `detail` says what was expected and what was found.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code


class GroupFull(Exception):
    """A commit group took as many payments, bills or values as limits.py allows it."""


class ConservationBroken(Exception):
    """A split whose charges or shares do not add up to the amount: a defect of this package."""


def found(value: object) -> str:
    """How a refused value is told: an integer by its digits, all else by its type alone."""
    if type(value) is not int:
        return type(value).__name__
    return str(value) if -(2**63) <= value < 2**63 else "an integer beyond 64 bits"
