"""The shapes of answers about obligations."""

from datetime import date, datetime
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.api.answers import Kopecks


class ObligationShown(Struct):
    """A debt and what became of it: amount = transferred + withdrawn + remaining."""

    id: Annotated[str, Meta(pattern="^obl_[0-9a-f]{32}$")]
    number: int
    debtor: str
    creditor: str
    services: Annotated[list[str], Meta(description="Out of which it is paid; none: all")]
    amount: Kopecks
    document_number: str
    document_date: date
    state: Annotated[
        str, Meta(description="open, covered, or withdrawn where some of it was and none remains")
    ]
    transferred: Kopecks
    withdrawn: Kopecks
    remaining: Kopecks
    loaded_at: datetime


class ObligationsLoaded(Struct):
    """The obligations in the order they were told."""

    obligations: list[ObligationShown]


class RefusedDebt(Struct):
    """A line that was not loaded, by its number in the file, and why."""

    line: int
    code: str
    detail: str


class ObligationFileLoaded(Struct):
    """What became of a file's lines."""

    accepted: int
    amount: Annotated[Kopecks, Meta(description="Of those that are accepted, together")]
    known: Annotated[int, Meta(description="Loaded before, the same in everything")]
    refused: list[RefusedDebt]


class ObligationsShown(Struct):
    """Obligations in the order they were loaded; `last_number` is `after` of the next page."""

    obligations: list[ObligationShown]
    last_number: int


class ObligationPaidShown(Struct):
    """What one batch paid on an obligation out of one service."""

    id: Annotated[str, Meta(pattern="^obt_[0-9a-f]{32}$")]
    settlement_batch: Annotated[str, Meta(pattern="^sb_[0-9a-f]{32}$")]
    business_date: date
    service: str
    amount: Kopecks


class WithdrawalShown(Struct):
    """What is to be withdrawn (null: all that remains then), or was; recipients see no names."""

    id: Annotated[str, Meta(pattern="^obw_[0-9a-f]{32}$")]
    state: Annotated[str, Meta(description="asked or approved")]
    amount: Kopecks | None
    reason: str
    asked_at: datetime
    approved_at: datetime | None
    asked_by: str | UnsetType = UNSET
    approved_by: str | UnsetType | None = UNSET


class WithdrawalOfObligation(WithdrawalShown, kw_only=True):
    """A withdrawal with its obligation as it stands."""

    obligation: ObligationShown


class ObligationInFull(ObligationShown):
    """An obligation with its latest transfers and withdrawals, the newest first."""

    transfers: list[ObligationPaidShown]
    withdrawals: list[WithdrawalShown]
