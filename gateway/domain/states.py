"""Which state follows which event, one table for each noun; nothing else assigns a state."""

from collections.abc import Collection
from typing import Final

from gateway.domain.refusals import InvariantBroken, Refusal

# What a bank's statement may say of the payouts of a batch, once it was approved. An order that was
# executed or came back stays so, whatever is told later.
_AT_THE_BANK: Final = ("approved", "sent", "partially_executed", "executed", "returned")

SETTLEMENT_BATCH: Final[dict[tuple[str, str], str]] = {
    ("open", "cut"): "cut",
    ("cut", "count"): "closed",
    ("closed", "approve"): "approved",
    ("closed", "cancel"): "cancelled",
    ("approved", "cancel"): "cancelled",
    ("approved", "send"): "sent",
    **{(state, "execute_some"): "partially_executed" for state in _AT_THE_BANK[:-1]},
    **{(state, "execute_all"): "executed" for state in _AT_THE_BANK[:-2]},
    **{(state, "return_all"): "returned" for state in _AT_THE_BANK},
}
# An order may be executed that nobody said was sent, and a statement may tell first of its return.
PAYOUT: Final[dict[tuple[str, str], str]] = {
    ("approved", "send"): "sent",
    ("approved", "cancel"): "cancelled",
    ("approved", "execute"): "executed",
    ("approved", "return"): "returned",
    ("sent", "execute"): "executed",
    ("sent", "return"): "returned",
    ("executed", "return"): "returned",
    ("returned", "execute"): "returned",
}
PAYOUT_STATES: Final = ("approved", "sent", "executed", "returned", "cancelled")

# A version of an agreement; what another person decided stands.
AGREEMENT: Final[dict[tuple[str, str], str]] = {
    ("proposed", "approve"): "approved",
    ("proposed", "reject"): "rejected",
}

# A try to take a payment by an acquirer. `asking`: durable, and asked or about to be. What the
# acquirer took is `taken` until it stands in the journal. Once it was taken nothing undoes that: a
# later word that it was not is told by the acquirer's report, and answered by a refund. A try that
# was declined is taken all the same when the acquirer says so afterwards, for then the payer's
# money is there, and money that is there is never lost.
AUTHORISATION: dict[tuple[str, str], str] = {
    ("asking", "wait"): "pending",
    ("asking", "lose"): "unknown",
    ("asking", "take"): "taken",
    ("asking", "decline"): "declined",
    ("asking", "miss"): "declined",
    ("pending", "wait"): "pending",
    ("pending", "lose"): "pending",
    ("pending", "take"): "taken",
    ("pending", "decline"): "declined",
    # It knew of the order before, so that it knows of none is no answer.
    ("pending", "miss"): "pending",
    ("unknown", "wait"): "pending",
    ("unknown", "lose"): "unknown",
    ("unknown", "take"): "taken",
    ("unknown", "decline"): "declined",
    ("unknown", "miss"): "declined",
    **{("taken", late): "taken" for late in ("wait", "lose", "take", "decline", "miss")},
    ("taken", "book"): "accepted",
    **{("accepted", late): "accepted" for late in ("wait", "lose", "take", "decline", "miss")},
    ("accepted", "book"): "accepted",
    **{("declined", late): "declined" for late in ("wait", "lose", "decline", "miss")},
    ("declined", "take"): "taken",
}

# Money that an acquirer is asked to give back: `given` until it stands in the journal. One that it
# does not know is asked for again, under the same id.
ACQUIRER_REFUND: dict[tuple[str, str], str] = {
    **{
        (state, event): following
        for state in ("asking", "pending", "unknown")
        for event, following in (
            ("wait", "pending"),
            ("lose", "pending" if state == "pending" else "unknown"),
            ("take", "given"),
            ("decline", "declined"),
            ("miss", "pending" if state == "pending" else "asking"),
        )
    },
    **{("given", late): "given" for late in ("wait", "lose", "take", "decline", "miss")},
    ("given", "book"): "refunded",
    **{
        ("refunded", late): "refunded"
        for late in ("wait", "lose", "take", "decline", "miss", "book")
    },
    **{("declined", late): "declined" for late in ("wait", "lose", "decline", "miss")},
    ("declined", "take"): "given",
}


def next_state(table: dict[tuple[str, str], str], state: str, event: str) -> str:
    """The state after `event`; refuses `state_conflict` where the table has no such step."""
    following = table.get((state, event))
    if following is None:
        raise Refusal("state_conflict", f"Expected a state that allows {event}, was {state}")
    return following


def told_of_batch(payouts: Collection[str]) -> str:
    """The event of a batch whose payouts are in these states after a statement."""
    if not payouts or set(payouts) <= {"approved", "sent"}:
        raise InvariantBroken("Expected payouts that a statement told of, was none")
    if set(payouts) == {"executed"}:
        return "execute_all"
    if set(payouts) == {"returned"}:
        return "return_all"
    return "execute_some"


def payment_state(suspended: bool, amount: int, refunded: int) -> str:
    """The state of an accepted payment, derived from what was refunded of it (kopecks)."""
    if refunded == 0:
        return "suspense" if suspended else "accepted"
    return "refunded" if refunded == amount else "partially_refunded"
