"""The routes of batches in pages, and of what one recipient may see of its own money."""

from typing import Final

from gateway.api import answers, own, own_answers, settlement
from gateway.api.routes import Route

READERS: Final = frozenset({"operator", "auditor", "recipient"})


def routes() -> list[Route]:
    """This part of the table."""
    return [
        Route(
            method="GET",
            path="/v1/settlement-batches",
            name="settlement_batches_list",
            view=own.batches,
            roles=READERS | {"approver"},
            summary="Settlement batches, the newest first; a recipient sees its own positions",
            answers={200: (own_answers.BatchesShown, own_answers.OwnBatchesShown)},
            query=("recipient", "state", "cursor", "limit"),
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}",
            name="settlement_batch",
            view=own.batch,
            roles=READERS | {"approver"},
            summary="A settlement batch and its positions; a recipient sees its own figures",
            answers={200: (answers.SettlementBatchShown, own_answers.OwnBatchShown)},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/recipients/{id}",
            name="recipient",
            view=own.requisites,
            roles=READERS,
            summary="A recipient; a recipient's key sees its own",
            answers={200: answers.RecipientShown},
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/recipients/{id}/coming",
            name="recipient_coming",
            view=own.coming,
            roles=READERS,
            summary="What no batch has closed yet, what waits, what is on its way, and when",
            answers={200: own_answers.ComingShown},
            codes=("not_found", "state_conflict"),
        ),
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}/reports/{recipient}/act",
            name="act",
            view=settlement.act,
            roles=READERS,
            summary="An act of a recipient and batch on one page, with commission and VAT",
            answers={200: None},
            answer_types=(settlement.ACT_TYPE,),
            codes=("not_found", "state_conflict"),
        ),
    ]
