"""The shapes of answers about restores, and about what was paid before them."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

_RESTORE_ID = Meta(pattern="^rst_[0-9a-f]{32}$")
_LIFT_ID = Meta(pattern="^lft_[0-9a-f]{32}$")


class RestoreShown(Struct):
    """That the database was put back to an earlier moment, and who let settlement go on."""

    id: Annotated[str, _RESTORE_ID]
    found: Annotated[
        str,
        Meta(
            description="restore (kopeck restore made it), said (by a person), server (it is on"
            " another one), witness (a gateway remembers more), statement (the bank does)"
        ),
    ]
    detail: str
    at: datetime
    said_by: str | None
    lifted_at: datetime | None
    asked_by: str | None
    approved_by: str | None
    reason: str | None
    document: str | None


class LiftShown(Struct):
    """A lift that was asked for and waits for another person."""

    id: Annotated[str, _LIFT_ID]
    restore: str
    reason: str
    document: str
    asked_at: datetime
    asked_by: str


class StatementTaken(Struct):
    """A statement that was taken since settlement is held, and the days of its lines."""

    id: str
    taken_at: datetime
    first_day: date | None
    last_day: date | None
    lines: int


class LostLineShown(Struct):
    """A line of a statement about an order that the database has lost."""

    statement: str
    line: int
    state: Annotated[
        str,
        Meta(description="undecided, ready (a lift books it), booked, or not_ours"),
    ]
    recipient: str | None
    suggested: Annotated[
        str | None, Meta(description="Whose its account is, which decides nothing")
    ]
    owed: Annotated[
        int,
        Meta(description="Kopecks; below 0 what was paid to the recipient, above what came back"),
    ]
    booked_on: date
    order_number: str
    account: str | None
    named: Annotated[str | None, Meta(description="What the line names that the database has not")]
    decided_by: str | None
    reason: str | None


class RestoresShown(Struct):
    """Whether settlement is held, since which restores, and what statements tell of lost orders."""

    held: bool
    restores: list[RestoreShown]
    lifts: list[LiftShown]
    statements: list[StatementTaken]
    lines: list[LostLineShown]


class LiftAnswered(Struct):
    """A lift, `asked` or `lifted`."""

    id: Annotated[str, _LIFT_ID]
    restore: str
    state: str
