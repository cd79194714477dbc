"""The routes of what recipients are told: webhooks and events."""

from typing import Final

from gateway.api import answers, bodies, webhooks
from gateway.api.routes import JSON_BODY, Route

OWNERS: Final = frozenset({"recipient", "operator"})
READERS: Final = frozenset({"recipient", "operator", "auditor"})
WHOSE: Final = ("recipient",)


def routes() -> list[Route]:
    """This part of the table."""
    return [*_webhooks(), *_deliveries(), *_events()]


def _webhooks() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/webhooks",
            name="webhooks",
            view=webhooks.list_all,
            roles=READERS,
            summary="A recipient's webhooks",
            answers={200: answers.WebhooksShown},
            query=WHOSE,
            codes=("not_found",),
        ),
        Route(
            method="GET",
            path="/v1/webhooks/{name}",
            name="webhook",
            view=webhooks.show,
            roles=READERS,
            summary="A webhook as it stands now, without its secret",
            answers={200: answers.WebhookShown},
            query=WHOSE,
        ),
        Route(
            method="PUT",
            path="/v1/webhooks/{name}",
            name="webhook_put",
            view=webhooks.put,
            roles=OWNERS,
            body=JSON_BODY,
            summary="Set a webhook, pause it or resume it; a new one is answered with its secret",
            asks=bodies.WebhookBody,
            answers={200: answers.WebhookShown, 201: answers.WebhookShown},
            query=WHOSE,
            codes=("url_not_allowed", "state_conflict", "pan_not_allowed"),
        ),
        Route(
            method="DELETE",
            path="/v1/webhooks/{name}",
            name="webhook_delete",
            view=webhooks.remove,
            roles=OWNERS,
            summary="Remove a webhook with what waits for it",
            answers={200: answers.StateShown},
            query=WHOSE,
        ),
        Route(
            method="PUT",
            path="/v1/webhooks/{name}/secret",
            name="webhook_secret_put",
            view=webhooks.rotate,
            roles=OWNERS,
            body=JSON_BODY,
            summary="Sign with another secret, and for 24 hours with those before as well",
            asks=bodies.WebhookSecretBody,
            may_be_empty=True,
            answers={200: answers.WebhookSecretShown},
            query=WHOSE,
            codes=("state_conflict",),
        ),
    ]


def _deliveries() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/webhooks/{name}/deliveries",
            name="webhook_deliveries",
            view=webhooks.deliveries,
            roles=READERS,
            summary="A webhook's deliveries with their attempts, the newest event first",
            answers={200: answers.DeliveriesShown},
            query=(*WHOSE, "before", "limit"),
        ),
        Route(
            method="POST",
            path="/v1/webhooks/{name}/test",
            name="webhook_tests",
            view=webhooks.test,
            roles=OWNERS,
            body=JSON_BODY,
            keyed=True,
            summary="Send a webhook an event that tells of nothing",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: answers.EventSent},
            query=WHOSE,
        ),
    ]


def _events() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/v1/events",
            name="events",
            view=webhooks.events,
            roles=READERS,
            summary="A recipient's events after a sequence, in order and without gaps",
            answers={200: answers.EventsShown},
            query=(*WHOSE, "after", "limit"),
            codes=("not_found",),
        ),
        Route(
            method="POST",
            path="/v1/events/{id}/redeliver",
            name="redeliveries",
            view=webhooks.redeliver,
            roles=OWNERS,
            body=JSON_BODY,
            keyed=True,
            summary="Send an event anew, under its id, to its recipient's webhooks",
            asks=bodies.NoBody,
            may_be_empty=True,
            answers={200: answers.EventSent},
        ),
    ]
