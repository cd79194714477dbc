"""Routes of reconciliation: who may see whether money has come, and who resolves what differs."""

from typing import Final

from gateway.api import bodies, reconciliation
from gateway.api import reconciliation_answers as answers
from gateway.api.routes import JSON_BODY, Route
from gateway.reconciliation.terms import ArrivalTerms

READERS: Final = frozenset({"operator", "approver", "auditor"})
OPERATOR: Final = frozenset({"operator"})
APPROVER: Final = frozenset({"approver"})
_FILTERS: Final = ("state", "kind", "side", "acquirer", "older_than", "cursor", "limit")


def routes() -> list[Route]:
    """Terms, the summary and a payment's money; the worklist and its steps."""
    return [*_arrivals(), *_worklist()]


def _arrivals() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/arrival-terms/{caller}",
            name="arrival_terms",
            view=reconciliation.show_terms,
            roles=READERS,
            summary="By what an acquirer's money is known on a statement, and when it is due",
            answers={200: ArrivalTerms},
            codes=("not_found",),
        ),
        Route(
            method="PUT",
            path="/v1/arrival-terms/{caller}",
            name="arrival_terms_put",
            view=reconciliation.put_terms,
            roles=OPERATOR,
            body=JSON_BODY,
            summary="Set that, for what comes from now on",
            asks=ArrivalTerms,
            answers={200: ArrivalTerms},
            codes=("not_found", "inn_invalid", "state_conflict"),
        ),
        Route(
            method="GET",
            path="/v1/payments/{id}/arrival",
            name="payment_arrival",
            view=reconciliation.arrival,
            roles=READERS | {"acquirer"},
            summary="Whether a payment's money has come; an acquirer sees its own payments",
            answers={200: answers.ArrivalShown},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/reconciliation",
            name="reconciliation",
            view=reconciliation.day,
            roles=READERS,
            summary="A day's payments four ways: online, reported, arrived, paid out",
            answers={200: answers.ReconciliationShown},
            query=("day", "acquirer"),
        ),
    ]


def _worklist() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/discrepancies",
            name="discrepancies",
            view=reconciliation.listed,
            roles=READERS,
            summary="What does not agree, the oldest first; without a state what is open",
            answers={200: answers.DiscrepanciesShown},
            query=_FILTERS,
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/discrepancies/{id}",
            name="discrepancy",
            view=reconciliation.show,
            roles=READERS,
            summary="One of them, with what people did about it",
            answers={200: answers.DiscrepancyWithSteps},
            codes=("not_found",),
        ),
        *(
            Route(
                method="POST",
                path=f"/v1/discrepancies/{{id}}/{verb}",
                name=name,
                view=view,
                roles=roles,
                body=JSON_BODY,
                keyed=True,
                summary=summary,
                asks=asks,
                may_be_empty=asks is bodies.NoBody,
                answers={200: answers.DiscrepancyWithSteps},
                codes=("not_found", "state_conflict", "pan_not_allowed"),
            )
            for verb, name, view, roles, asks, summary in (
                (
                    "resolve",
                    "resolved_discrepancies",
                    reconciliation.resolve,
                    OPERATOR,
                    bodies.DiscrepancyBody,
                    "Say what became of it, and by what document",
                ),
                (
                    "confirm",
                    "confirmed_discrepancies",
                    reconciliation.confirm,
                    APPROVER,
                    bodies.NoBody,
                    "Confirm what another person has said of it",
                ),
                (
                    "reject",
                    "rejected_discrepancies",
                    reconciliation.reject,
                    APPROVER,
                    bodies.CancellationBody,
                    "Reject that; it is open again",
                ),
            )
        ),
    ]
