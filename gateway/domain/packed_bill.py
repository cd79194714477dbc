"""A bill that was found good, as it is kept: its money packed, all else shared with its like.

Of a month's bills only accounts and money differ; what they have in common is kept once, and is
the same object for all of them, so that nothing of it is looked at again for each.
"""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from gateway.domain.bill import Structure
from splitcore import pack


class BillForm(Struct, frozen=True, eq=False):
    """What bills of one load have in common; two are the same only if they are one object.

    `overpayment` is as the kernel takes it.
    """

    structure: Structure
    period: str
    overpayment: int
    as_of: datetime | None
    payer_category: str | None = None


class PackedBill(Struct, frozen=True, gc=False):
    """A bill within all limits. Vectors are packed, an entry a charge; no weight means the dues.

    `payer` is JSON text; it is stored, never logged.
    """

    subscriber_account: str
    form: BillForm
    due: bytes
    weight: bytes | None
    payer: str | None


def packed_weights(dues: Sequence[int], told: Sequence[int | None]) -> bytes | None:
    """The weights of charges, a weight left out being the due; None where they are the dues."""
    if told.count(None) == len(told):
        return None
    weights = [due if weight is None else weight for due, weight in zip(dues, told, strict=True)]
    return None if weights == dues else pack(weights)
