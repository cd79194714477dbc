"""The ordinary day, which every other scenario is held against: nobody is in another's way."""

from loadtests import households
from loadtests.scenario import Scenario

MANY_PAYERS_MANY_RECIPIENTS = Scenario(
    name="many_payers_many_recipients",
    what="many payers, many recipients",
    accounts=20_000,
    first=9_000_000,
    bills=lambda count, first: households.bills(count, first=first),
)
