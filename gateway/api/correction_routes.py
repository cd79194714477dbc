"""The routes of what becomes of payments afterwards, and of recipients' debts."""

from typing import Final

from gateway.api import answers, bodies, corrections
from gateway.api.routes import JSON_BODY, Route

_OPERATOR: Final = frozenset({"operator"})
_BANKS: Final = frozenset({"acquirer", "operator"})
_READERS: Final = frozenset({"operator", "approver", "auditor", "recipient"})


def routes() -> list[Route]:
    """All of them."""
    return [*_moves(), *_debts()]


def _moves() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/payments/{id}/corrections",
            name="corrections",
            view=corrections.correct,
            roles=_OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Move what a payment gave to what it was meant for",
            asks=bodies.CorrectionBody,
            answers={201: answers.CorrectionShown},
            codes=(
                *("not_found", "account_invalid", "state_conflict", "refund_exceeds_payment"),
                *("amount_out_of_range", "designation_out_of_range", "designation_exceeds_amount"),
                *("overpayment", "nothing_to_allocate", "pan_not_allowed"),
            ),
        ),
        Route(
            method="POST",
            path="/v1/payments/{id}/chargebacks",
            name="chargebacks",
            view=corrections.charge,
            roles=_BANKS,
            body=JSON_BODY,
            keyed=True,
            summary="Book that the payer's bank took the money back",
            asks=bodies.ChargebackBody,
            answers={201: answers.ChargebackShown},
            codes=(
                *("not_found", "amount_out_of_range", "refund_exceeds_payment", "state_conflict"),
                "pan_not_allowed",
            ),
        ),
        Route(
            method="POST",
            path="/v1/payments/{id}/chargebacks/{chargeback}/reversals",
            name="chargeback_reversals",
            view=corrections.reverse,
            roles=_BANKS,
            body=JSON_BODY,
            keyed=True,
            summary="Book that a chargeback was won",
            asks=bodies.ReversalBody,
            answers={201: answers.ReversalShown},
            codes=("not_found", "amount_out_of_range", "state_conflict", "pan_not_allowed"),
        ),
    ]


def _debts() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/receivables",
            name="receivables",
            view=corrections.show_receivables,
            roles=_READERS,
            summary="What recipients owe and nothing netted yet; a recipient sees its own",
            answers={200: answers.ReceivablesShown},
        ),
        Route(
            method="POST",
            path="/v1/receivables/{recipient}",
            name="debt_requests",
            view=corrections.ask_debt,
            roles=_OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Ask that a debt be lessened: paid in by the debtor, or written off",
            asks=bodies.DebtBody,
            answers={201: answers.DebtShown},
            codes=("not_found", "amount_out_of_range", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/debt-requests/{id}/approve",
            name="debt_settlements",
            view=corrections.approve_debt,
            roles=frozenset({"approver"}),
            body=JSON_BODY,
            keyed=True,
            summary="Approve such a request; not for whoever asked",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: answers.DebtShown},
            codes=("not_found", "state_conflict"),
        ),
    ]
