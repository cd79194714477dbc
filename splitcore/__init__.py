"""The splitting core's door: exact kopecks in, exact kopecks out; no I/O, no clock.

The compiled kernel computes everything. SPLITCORE_PURE=1 in the environment, and nothing else,
chooses the reference in plain Python; without the kernel and without the switch the import fails.
"""

import os
from typing import TYPE_CHECKING, Final

from splitcore.errors import CODES, REFUND_CODES, ConservationBroken, GroupFull, SplitError
from splitcore.limits import (
    AMOUNT_MAX,
    CHARGES_MAX,
    GROUP_PAYMENTS_MAX,
    GROUP_VALUES_MAX,
    PARTS_MAX,
    PPM,
    SECOND_LEVEL_MAX,
    TIER_MAX,
    TOTAL_MAX,
)
from splitcore.shapes import Allocation, FeeRule, GroupAllocation

_PURE = os.environ.get("SPLITCORE_PURE", "")
if _PURE not in ("", "1"):
    raise ImportError(f"Expected SPLITCORE_PURE to be 1 or absent, was {_PURE!r}")

if TYPE_CHECKING or not _PURE:
    from splitcore._kernel import (
        Fees,
        FieldRows,
        Group,
        PackedSums,
        Plan,
        Sentence,
        ShareRows,
        Template,
        TextForm,
        amount_for_total,
        fee,
        largest_remainder,
        numbers_apart,
        pack,
        packed_sum,
        refund,
        split_case,
        split_flat,
        split_payment,
        unpack,
    )
else:
    from splitcore.reference import amount_for_total, fee, largest_remainder, refund
    from splitcore.reference_cases import split_case
    from splitcore.reference_fields import FieldRows
    from splitcore.reference_forms import TextForm
    from splitcore.reference_groups import Group, split_flat, split_payment
    from splitcore.reference_plans import Fees, PackedSums, Plan, pack, packed_sum, unpack
    from splitcore.reference_rows import ShareRows
    from splitcore.reference_template import Sentence, Template
    from splitcore.reference_texts import numbers_apart

BACKEND: Final = "reference" if _PURE else "kernel"

__all__ = [
    "AMOUNT_MAX",
    "BACKEND",
    "CHARGES_MAX",
    "CODES",
    "GROUP_PAYMENTS_MAX",
    "GROUP_VALUES_MAX",
    "PARTS_MAX",
    "PPM",
    "REFUND_CODES",
    "SECOND_LEVEL_MAX",
    "TIER_MAX",
    "TOTAL_MAX",
    "Allocation",
    "ConservationBroken",
    "FeeRule",
    "Fees",
    "FieldRows",
    "Group",
    "GroupAllocation",
    "GroupFull",
    "PackedSums",
    "Plan",
    "Sentence",
    "ShareRows",
    "SplitError",
    "Template",
    "TextForm",
    "amount_for_total",
    "fee",
    "largest_remainder",
    "numbers_apart",
    "pack",
    "packed_sum",
    "refund",
    "split_case",
    "split_flat",
    "split_payment",
    "unpack",
]
