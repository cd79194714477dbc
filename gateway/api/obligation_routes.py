"""The routes of obligations between recipients."""

from typing import Final

from gateway.api import bodies, obligations
from gateway.api import obligation_answers as answers
from gateway.api.routes import JSON_BODY, STREAM, Route

OPERATOR: Final = frozenset({"operator"})
APPROVER: Final = frozenset({"approver"})
READERS: Final = frozenset({"operator", "approver", "auditor", "recipient"})


def routes() -> list[Route]:
    """This part of the table."""
    return [*_loads(), *_shown(), *_withdrawals()]


def _loads() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/obligations",
            name="obligations",
            view=obligations.load,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Load what recipients owe others, all of it or nothing",
            asks=bodies.ObligationsBody,
            answers={201: answers.ObligationsLoaded},
            codes=(
                "recipient_unknown",
                "amount_out_of_range",
                "pan_not_allowed",
                "state_conflict",
            ),
        ),
        Route(
            method="POST",
            path="/v1/obligation-files",
            name="obligation_files",
            view=obligations.load_file,
            roles=OPERATOR,
            body=STREAM,
            keyed=True,
            summary="Load a file of debts, a debt a line as CSV or JSON; good lines are kept",
            takes=obligations.FILE_TYPES,
            answers={200: answers.ObligationFileLoaded},
        ),
    ]


def _shown() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/obligations",
            name="obligations_list",
            view=obligations.list_all,
            roles=READERS,
            summary="Obligations after a number; a recipient sees both its sides, and no others",
            answers={200: answers.ObligationsShown},
            query=("recipient", "open", "after", "limit"),
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/obligations/{id}",
            name="obligation",
            view=obligations.show,
            roles=READERS,
            summary="An obligation with its latest transfers and withdrawals",
            answers={200: answers.ObligationInFull},
        ),
    ]


def _withdrawals() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/obligations/{id}/withdraw",
            name="obligation_withdrawals",
            view=obligations.withdraw,
            roles=OPERATOR,
            body=JSON_BODY,
            keyed=True,
            summary="Ask that a debt, or a part of it, be withdrawn; it is once approved",
            asks=bodies.WithdrawalBody,
            answers={201: answers.WithdrawalOfObligation},
            codes=("amount_out_of_range", "pan_not_allowed", "state_conflict"),
        ),
        Route(
            method="POST",
            path="/v1/obligation-withdrawals/{id}/approve",
            name="withdrawal_approvals",
            view=obligations.approve_withdrawal,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Approve a withdrawal; not for whoever asked",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: answers.WithdrawalOfObligation},
            codes=("state_conflict",),
        ),
    ]
