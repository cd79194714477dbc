"""What is stored of events, webhooks and deliveries, as it is read."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import orjson
from msgspec import Struct

from gateway.domain.ids import EVENT, shown


class NewEvent(Struct, frozen=True):
    """What a recipient (by its id) is to be told; `webhook` where only one is told."""

    recipient: str
    type: str
    content: Mapping[str, object]
    webhook: UUID | None = None


class EventRow(Struct, frozen=True):
    """An event that is published; `content` is JSON."""

    id: UUID
    type: str
    at: datetime
    sequence: int
    content: str

    def members(self) -> dict[str, object]:
        """The event as a webhook is sent it, and as it is read."""
        return {
            "type": self.type,
            "timestamp": self.at.isoformat(),
            "id": shown(EVENT, self.id),
            "sequence": self.sequence,
            "data": orjson.loads(self.content),
        }


class WebhookRow(Struct, frozen=True):
    """A webhook; `types` is empty where all are wanted, `reason` is why it is disabled."""

    id: UUID
    recipient: int
    name: str
    url: str
    types: list[str]
    state: str
    reason: str | None
    created_at: datetime
    changed_at: datetime


class SecretRow(Struct, frozen=True):
    """A secret as it is stored; `until` is None for the one that stays."""

    number: int
    secret: bytes
    until: datetime | None


class Due(Struct, frozen=True):
    """A delivery that is due, held by whoever took it until `leased_until`."""

    webhook: UUID
    url: str
    tries: int
    begun_at: datetime
    leased_until: datetime
    event: EventRow
    secrets: list[bytes]


class AttemptRow(Struct, frozen=True):
    """One attempt: when, a word of event.OUTCOMES, and what the server answered if it did."""

    at: datetime
    outcome: str
    status: int | None


class DeliveryRow(Struct, frozen=True):
    """One event's delivery to one webhook, with its attempts in their order."""

    event: UUID
    type: str
    sequence: int
    state: str
    next_at: datetime | None
    attempts: list[AttemptRow]
