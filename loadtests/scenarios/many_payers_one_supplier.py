"""The heat supplier in January: every charge of every bill is owed to one recipient.

A ledger that keeps a balance of each recipient would queue all payments for one row here.
"""

from collections.abc import Iterator

from loadtests import households
from loadtests.scenario import Bill, Scenario

SUPPLIER = "heat-0"


def bills(count: int, first: int) -> Iterator[Bill]:
    """Bills of all over the region, their charges owed to one supplier."""
    for bill in households.bills(count, first=first):
        for charge in bill["charges"]:
            charge["recipient"] = SUPPLIER
        yield bill


MANY_PAYERS_ONE_SUPPLIER = Scenario(
    name="many_payers_one_supplier",
    what="all payments to one supplier",
    accounts=20_000,
    first=9_100_000,
    bills=bills,
)
