"""The machine's own gate: what an approval cannot bypass, and what a named override may."""

import pytest

from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.payouts.plausibility import Limits, check

LIMITS = Limits(most=10_000, jump_times=10, jump_from=500)
USUAL = [90, 100, 80, 70, 60]


@pytest.mark.parametrize(
    ("orders", "owed", "before", "restored", "named", "fate"),
    [
        (1_000, 1_000, USUAL, False, False, "passes"),
        (0, 0, [], False, False, "passes"),
        # A kopeck more or less than the ledger owes is our bug, whoever names himself.
        (1_000, 1_001, USUAL, False, True, "broken"),
        (1_000, 999, USUAL, False, True, "broken"),
        # The cap holds for everybody, to the kopeck.
        (10_000, 10_000, [9_000] * 5, False, False, "passes"),
        (10_001, 10_001, [9_000] * 5, False, True, "refused"),
        # More than ten times the greatest before is a jump, unless it is small or nothing is usual.
        (1_001, 1_001, USUAL, False, False, "refused"),
        (1_001, 1_001, USUAL, False, True, "passes"),
        (1_001, 1_001, USUAL[:4], False, False, "passes"),
        (500, 500, [1] * 30, False, False, "passes"),
        (501, 501, [1] * 30, False, False, "refused"),
        # What came out of a backup may have been paid since.
        (1_000, 1_000, USUAL, True, False, "refused"),
        (1_000, 1_000, USUAL, True, True, "passes"),
    ],
)
def test_what_passes(
    orders: int, owed: int, before: list[int], restored: bool, named: bool, fate: str
) -> None:
    def ask() -> None:
        check(orders, owed, before, LIMITS, restored=restored, named=named)

    if fate == "passes":
        ask()
    else:
        with pytest.raises(InvariantBroken if fate == "broken" else Refusal):
            ask()
