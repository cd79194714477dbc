"""The routes of what recipients and fees from above were before, and who made them so."""

from typing import Final

from gateway.api import version_words, versions
from gateway.api.routes import Route

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
    ]
