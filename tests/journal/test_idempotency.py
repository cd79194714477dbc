"""What a key that was seen before means for whoever sends it again."""

import pytest

from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.journal.idempotency import ROUTES, StoredClaim, check_same, route_number

BODY, OTHER = b"b" * 16, b"o" * 16


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("stored_route", ROUTES)
@pytest.mark.parametrize("fingerprint", [BODY, OTHER])
def test_a_key_belongs_to_one_route_and_one_body(
    route: str, stored_route: str, fingerprint: bytes
) -> None:
    stored = StoredClaim(1, "k", ROUTES.index(stored_route), BODY, None, None)
    claim = Claim(1, "k", route, fingerprint)
    if route == stored_route and fingerprint == BODY:
        check_same(claim, stored)
        return
    with pytest.raises(Refusal) as refused:
        check_same(claim, stored)
    assert refused.value.code == "idempotency_key_reused"


def test_numbers_of_routes_are_stored_and_never_move() -> None:
    numbers = {route: route_number(Claim(1, "k", route, BODY)) for route in ROUTES}
    assert numbers == {
        "payments": 0,
        "refunds": 1,
        "resolutions": 2,
        "bills": 3,
        "settlement_batches": 4,
        "approvals": 5,
        "acquirer_reports": 6,
        "authorisations": 7,
        "acquirer_refunds": 8,
        "payout_claims": 9,
        "cancellations": 10,
        "bank_statements": 11,
        "webhook_tests": 12,
        "redeliveries": 13,
        "agreements": 14,
        "agreement_decisions": 15,
        "corrections": 16,
        "chargebacks": 17,
        "chargeback_reversals": 18,
        "debt_requests": 19,
        "debt_settlements": 20,
        "obligations": 21,
        "obligation_withdrawals": 22,
        "withdrawal_approvals": 23,
        "resolved_discrepancies": 24,
        "confirmed_discrepancies": 25,
        "rejected_discrepancies": 26,
        "restores": 27,
        "restored_lines": 28,
        "restore_lifts": 29,
        "lifted_restores": 30,
        "recipient_confirmations": 31,
        "surcharge_confirmations": 32,
        "obligation_files": 33,
    }
