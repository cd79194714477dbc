"""Idempotency keys: what a key that was seen before means for whoever sends it again.

The database's primary key (caller, key) decides who was first; this file only reads the verdict.
"""

from uuid import UUID

from msgspec import Struct

from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal

ROUTES = (
    "payments",
    "refunds",
    "resolutions",
    "bills",
    "settlement_batches",
    "approvals",
    "acquirer_reports",
    "authorisations",
    "acquirer_refunds",
    "payout_claims",
    "cancellations",
    "bank_statements",
    "webhook_tests",
    "redeliveries",
    "agreements",
    "agreement_decisions",
    "corrections",
    "chargebacks",
    "chargeback_reversals",
    "debt_requests",
    "debt_settlements",
    "obligations",
    "obligation_withdrawals",
    "withdrawal_approvals",
    "resolved_discrepancies",
    "confirmed_discrepancies",
    "rejected_discrepancies",
    "restores",
    "restored_lines",
    "restore_lifts",
    "lifted_restores",
    "recipient_confirmations",
    "surcharge_confirmations",
    "obligation_files",
)
"""Where keys are used; the position is the number that is stored, so the order never changes."""


class StoredClaim(Struct, frozen=True, gc=False):
    """A key as it was first used, and what it made."""

    caller: int
    key: str
    route: int
    fingerprint: bytes
    resource: UUID | None
    answer: bytes | None


def route_number(claim: Claim) -> int:
    """The number that is stored for the claim's route."""
    return ROUTES.index(claim.route)


def check_same(claim: Claim, stored: StoredClaim) -> None:
    """Refuses `idempotency_key_reused` where the key was used on another route or body."""
    if stored.route != route_number(claim) or stored.fingerprint != claim.fingerprint:
        raise Refusal(
            "idempotency_key_reused", "Expected the same request as the key was first used for"
        )
