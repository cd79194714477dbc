"""What recipients are told of their money, and what becomes of telling it by a webhook."""

from typing import Final

TEST: Final = "webhook.test"
EVENT_TYPES: Final = (
    "position.closed",
    "position.cancelled",
    "payout.approved",
    "payout.sent",
    "payout.executed",
    "payout.returned",
    "payout.cancelled",
    TEST,
)

# What one attempt came to. `forbidden`: the URL or an address of it may not be called.
DELIVERED: Final = "delivered"
GONE: Final = "gone"
FORBIDDEN: Final = "forbidden"
REDIRECTED: Final = "redirected"
REFUSED: Final = "refused"
TIMED_OUT: Final = "timed_out"
UNREACHABLE: Final = "unreachable"
OUTCOMES: Final = (DELIVERED, GONE, FORBIDDEN, REDIRECTED, REFUSED, TIMED_OUT, UNREACHABLE)

# Why a webhook was disabled: its server said 410, or nothing was taken for seven days.
FAILED: Final = "failed"
DISABLED_FOR: Final = (GONE, FAILED)
