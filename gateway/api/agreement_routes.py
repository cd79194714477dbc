"""The routes of agreements."""

from typing import Final

from gateway.api import agreement_words, agreements
from gateway.api.routes import JSON_BODY, Route

OPERATOR: Final = frozenset({"operator"})
APPROVER: Final = frozenset({"approver"})
READERS: Final = frozenset({"operator", "approver", "auditor"})


def routes() -> list[Route]:
    """This part of the table."""
    return [*_changes(), *_shown()]


def _changes() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/agreements",
            name="agreements",
            view=agreements.propose,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Propose a version of an agreement, for another person to decide on",
            asks=agreement_words.AgreementBody,
            answers={201: agreement_words.AgreementShown},
            codes=(
                "recipient_unknown",
                "fee_out_of_range",
                "second_level_out_of_range",
                "amount_out_of_range",
                "account_key_invalid",
                "inn_invalid",
                "pan_not_allowed",
            ),
        ),
        Route(
            method="POST",
            path="/v1/agreements/{id}/approve",
            name="agreement_approvals",
            view=agreements.approve,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Approve a version; not for whoever proposed it",
            asks=agreement_words.DecisionBody,
            may_be_empty=True,
            answers={200: agreement_words.AgreementShown},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="POST",
            path="/v1/agreements/{id}/reject",
            name="agreement_rejections",
            view=agreements.reject,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Reject a version; not for whoever proposed it",
            asks=agreement_words.RejectionBody,
            answers={200: agreement_words.AgreementShown},
            codes=("not_found", "state_conflict", "pan_not_allowed"),
        ),
    ]


def _shown() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/agreements",
            name="agreements_list",
            view=agreements.list_all,
            roles=READERS | {"recipient"},
            summary="Versions with who proposed and decided on each; a recipient sees its own",
            answers={200: agreement_words.AgreementsShown},
            query=("recipient", "acquirer", "state", "cursor", "limit"),
        ),
        Route(
            method="GET",
            path="/v1/agreements/{id}",
            name="agreement",
            view=agreements.show,
            roles=READERS | {"recipient"},
            summary="A version as it stands; a recipient sees its own",
            answers={200: agreement_words.AgreementShown},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/payments/{id}/agreements",
            name="payment_agreements",
            view=agreements.of_payment,
            roles=frozenset({"operator", "auditor"}),
            summary="The versions that a payment was split by",
            answers={200: agreement_words.PaymentAgreementsShown},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}/acquirer-fees",
            name="acquirer_fees",
            view=agreements.acquirer_fees,
            roles=frozenset({"operator", "auditor"}),
            summary="What acquirers keep of a batch by their agreements: the centre's cost",
            answers={200: agreement_words.BatchFeesShown},
            codes=("not_found",),
        ),
    ]
