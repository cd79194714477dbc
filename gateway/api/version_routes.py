"""The routes of what recipients and fees from above were before, and who made them so."""

from typing import Final

from gateway.api import bodies, version_words, versions
from gateway.api.routes import JSON_BODY, Route

APPROVER: Final = frozenset({"approver"})
READERS: Final = frozenset({"operator", "approver", "auditor"})


def routes() -> list[Route]:
    """This part of the table."""
    return [
        Route(
            method="GET",
            path="/v1/recipients/{id}/versions",
            name="recipient_versions",
            view=versions.of_recipient,
            roles=READERS,
            summary="What a recipient was and who made it so, the newest change first",
            answers={200: version_words.RecipientVersionsShown},
            query=("cursor", "limit"),
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/surcharges/{method}/versions",
            name="surcharge_versions",
            view=versions.of_surcharge,
            roles=READERS,
            summary="What was paid on top by a method and who set it, the newest change first",
            answers={200: version_words.SurchargeVersionsShown},
            query=("cursor", "limit"),
            codes=("not_found",),
        ),
        *_confirmations(),
        Route(
            method="GET",
            path="/v1/settlement-batches/{id}/changes",
            name="batch_changes",
            view=versions.of_batch,
            roles=READERS,
            summary="Requisites and fees of a batch that only who changed them had looked at",
            answers={200: version_words.BatchChangesShown},
            codes=("not_found", "state_conflict"),
        ),
    ]


def _confirmations() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/v1/recipients/{id}/versions/{version}/confirm",
            name="recipient_confirmations",
            view=versions.confirm_recipient,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Confirm a change of a recipient; not for whoever made it",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: version_words.RecipientVersionShown},
            codes=("not_found",),
        ),
        Route(
            method="POST",
            path="/v1/surcharges/{method}/versions/{version}/confirm",
            name="surcharge_confirmations",
            view=versions.confirm_surcharge,
            roles=APPROVER,
            body=JSON_BODY,
            keyed=True,
            summary="Confirm a change of a surcharge; not for whoever made it",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: version_words.SurchargeVersionShown},
            codes=("not_found",),
        ),
    ]
