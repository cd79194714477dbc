"""Everybody pays for one account: the hottest spot there can be, as no household is.

All payments change one row. It has no goal; it shows what the queue for a bill costs.
"""

from loadtests import households
from loadtests.scenario import Scenario

ONE_ACCOUNT = Scenario(
    name="one_account",
    what="all payments for one account",
    accounts=1,
    first=9_300_000,
    bills=lambda count, first: households.bills(count, first=first),
)
