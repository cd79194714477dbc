"""The shapes of versions of recipients and of fees from above."""

from typing import Literal

from msgspec import Struct

from gateway.api.answers import FeeShown, RecipientShown


class RecipientVersionShown(RecipientShown):
    """A recipient as one change left it; `terms_version` is the first that its commission is
    part of.
    """

    version: int
    terms_version: int | None
    set_at: str
    set_by: str
    confirmed_by: list[str]


class RecipientVersionsShown(Struct):
    """A page of versions, the newest first; `next_cursor` is null on the last one."""

    versions: list[RecipientVersionShown]
    next_cursor: str | None


class SurchargeVersionShown(FeeShown):
    """A fee from above; `version` is the first terms version that it is part of."""

    version: int
    set_at: str
    set_by: str
    confirmed_by: list[str]


class SurchargeVersionsShown(Struct):
    """A page of versions, the newest first; `next_cursor` is null on the last one."""

    method: str
    versions: list[SurchargeVersionShown]
    next_cursor: str | None


class ChangeShown(Struct):
    """A change that nobody but who made it had looked at; of a recipient or a method, the other is
    null.
    """

    what: Literal["requisites", "commission", "surcharge"]
    recipient: str | None
    method: str | None
    version: int | None
    set_at: str
    set_by: str


class BatchChangesShown(Struct):
    """What a batch pays by and charged that its approval answers for; who made one of these does
    not approve it.
    """

    settlement_batch: str
    changes: list[ChangeShown]
