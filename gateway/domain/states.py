"""Which state follows which event, one table for each noun; nothing else assigns a state."""

from gateway.domain.refusals import Refusal

SETTLEMENT_BATCH: dict[tuple[str, str], str] = {
    ("open", "cut"): "cut",
    ("cut", "count"): "closed",
    ("closed", "approve"): "approved",
}


def next_state(table: dict[tuple[str, str], str], state: str, event: str) -> str:
    """The state after `event`; refuses `state_conflict` where the table has no such step."""
    following = table.get((state, event))
    if following is None:
        raise Refusal("state_conflict", f"Expected a state that allows {event}, was {state}")
    return following


def payment_state(suspended: bool, amount: int, refunded: int) -> str:
    """The state of an accepted payment, derived from what was refunded of it (kopecks)."""
    if refunded == 0:
        return "suspense" if suspended else "accepted"
    return "refunded" if refunded == amount else "partially_refunded"
