"""The machine's own gate before money leaves (pure): an approval cannot bypass it.

People approve hundreds of days and see what they expect to see; the machine compares. Only what a
person may know better can be overridden, by name and with a reason.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import InvariantBroken, Refusal

HISTORY_MAX: Final = 30
# Of fewer batches nobody knows yet what is usual.
HISTORY_MIN: Final = 5


class Limits(Struct, frozen=True):
    """Kopecks that one batch may pay at most; and how many times the greatest batch before is a
    jump, where it is above `jump_from` kopecks.
    """

    most: int
    jump_times: int
    jump_from: int


def check(
    orders: int, owed: int, before: Sequence[int], limits: Limits, *, restored: bool, named: bool
) -> None:
    """Raises InvariantBroken unless the orders add up to what the ledger owes; Refusal
    state_conflict above the limits.

    All in kopecks; `before` are sums of batches paid before. `named` is true where the approver has
    given a reason, which lets a jump pass and a batch out of a backup, and nothing else.
    """
    if orders != owed:
        raise InvariantBroken("Expected payment orders that add up to what the ledger owes")
    if orders > limits.most:
        raise Refusal("state_conflict", f"Expected at most {limits.most} kopecks in a batch")
    if named:
        return
    if restored:
        raise Refusal(
            "state_conflict",
            "Expected an override with a reason: this batch, or one cancelled that it pays for,"
            " came out of a backup and may have been paid since",
        )
    usual = max(before, default=0)
    if len(before) < HISTORY_MIN or orders <= limits.jump_from:
        return
    if orders > limits.jump_times * usual:
        raise Refusal(
            "state_conflict",
            f"Expected an override with a reason: this batch is more than {limits.jump_times} times"
            " the greatest before it",
        )
