"""One house pays at once: 144 flats under one management company, again and again.

Every payment changes the open bill of one of 144 accounts, so that what two workers commit at the
same time is now and then of the same account, and waits.
"""

from loadtests import households
from loadtests.scenario import Scenario

# Nine storeys, four entrances, four flats a landing.
FLATS = 9 * 4 * 4

ONE_HOUSE_ONE_EVENING = Scenario(
    name="one_house_one_evening",
    what="all payments from one house",
    accounts=FLATS,
    first=9_200_000,
    bills=lambda count, first: households.bills(
        count, first=first, place_of=lambda number: {"district": 0, "company": 0}
    ),
)
