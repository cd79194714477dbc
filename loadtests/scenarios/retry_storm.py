"""An acquirer sends everything twice, with the same key: half of it while the first is under way.

Of every two payments one is sent again at once, on another connection, and one when it was
answered long ago. Both answers of a key are the same payment; nothing is paid twice.
"""

from collections.abc import Sequence

from loadtests import households
from loadtests.scenario import Scenario

# Requests between a payment and its late retry: more than are under way at any moment. Even.
LATER = 500


def sent_twice(requests: Sequence[bytes]) -> list[bytes]:
    """Every request twice: every second one twice running, the others again LATER requests on."""
    sent: list[bytes] = []
    for number, request in enumerate(requests):
        sent.append(request)
        if number % 2:
            sent.append(request)
        elif number >= LATER:
            sent.append(requests[number - LATER])
    late = max(0, len(requests) - LATER)
    return sent + list(requests[late + late % 2 :: 2])


RETRY_STORM = Scenario(
    name="retry_storm",
    what="every request sent twice",
    accounts=20_000,
    first=9_400_000,
    bills=lambda count, first: households.bills(count, first=first),
    sent=sent_twice,
)
