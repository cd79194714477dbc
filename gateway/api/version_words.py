"""The shapes of versions of recipients and of fees from above."""

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


class RecipientVersionsShown(Struct):
    """A page of versions, the newest first; `next_cursor` is null on the last one."""

    versions: list[RecipientVersionShown]
    next_cursor: str | None


class SurchargeVersionShown(FeeShown):
    """A fee from above; `version` is the first terms version that it is part of."""

    version: int
    set_at: str
    set_by: str


class SurchargeVersionsShown(Struct):
    """A page of versions, the newest first; `next_cursor` is null on the last one."""

    method: str
    versions: list[SurchargeVersionShown]
    next_cursor: str | None
