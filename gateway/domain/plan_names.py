"""What the numbers of an allocation are called: services, recipients, and the plan itself.

One object for all payments that a plan splits, so that a payment carries its numbers alone.
"""

from collections.abc import Sequence

from msgspec import Struct


class Share(Struct, frozen=True, gc=False):
    """What one recipient receives from one charge of the bill, in kopecks."""

    charge: int
    service: str
    recipient: str
    amount: int


class PlanNames(Struct, frozen=True):
    """The names of a plan.

    `shown`: how the outside knows it (pln_…). `parts`: charge, service, recipient and the
    recipient's index of every part. `recipients`: ids by index.
    """

    shown: str
    parts: tuple[tuple[int, str, str, int], ...]
    recipients: tuple[str, ...]

    def __hash__(self) -> int:
        # Of all its names it would take longer than to write a payment with them.
        return hash(self.shown)

    def shares(self, parts: Sequence[int]) -> list[Share]:
        """The shares that make up the parts of one allocation, parts of nothing left out."""
        return [
            Share(charge, service, recipient, amount)
            for (charge, service, recipient, _), amount in zip(self.parts, parts, strict=True)
            if amount
        ]
