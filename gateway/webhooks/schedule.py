"""When a delivery is tried again (pure): Standard Webhooks' own steps, then daily to day seven."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

from gateway.domain import event

# From one try to the next; they add up to 75 h 35 min 5 s, without the jitter.
STEPS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
DAILY: Final = timedelta(days=1)
GIVEN_UP_AFTER: Final = timedelta(days=7)
# At most a tenth later than due, so that what failed together does not come back together.
JITTER_SHARE: Final = 10


def next_try(
    webhook: UUID,
    about: UUID,
    tries: int,
    begun_at: datetime,
    now: datetime,
    asked_to_wait: timedelta | None = None,
) -> datetime | None:
    """When the next try is due after `tries` (from 1) that failed; None: it is given up.

    The jitter is drawn from the ids and the try, and so is the same whoever works it out.
    `asked_to_wait` counts up to a day.
    """
    step = STEPS[tries - 1] if tries <= len(STEPS) else DAILY
    drawn = blake2b(webhook.bytes + about.bytes + tries.to_bytes(4), digest_size=4).digest()
    wait = step + step / JITTER_SHARE * (int.from_bytes(drawn) / 2**32)
    if asked_to_wait is not None:
        wait = max(wait, min(asked_to_wait, DAILY))
    return None if now + wait > begun_at + GIVEN_UP_AFTER else now + wait


def disables(outcome: str, following: datetime | None) -> str | None:
    """Why a webhook is disabled after an attempt, if it is."""
    if outcome == event.GONE:
        return event.GONE
    return event.FAILED if outcome != event.DELIVERED and following is None else None
