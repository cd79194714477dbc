"""What the gateway says to an acquirer and hears from it, whatever bank it is.

An order is one try to take one payment's money; a second try has another id. Money is whole
kopecks. Nothing here holds a full card number, and nothing that holds a secret shows it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from msgspec import Struct

from gateway.domain.party import Recipient

PENDING: Final = "pending"
ACCEPTED: Final = "accepted"
DECLINED: Final = "declined"
# Nobody can tell: no answer, one cut off, a fault of the acquirer's. Ask again, never charge again.
UNKNOWN: Final = "unknown"
# The acquirer says that it never heard of the order.
ABSENT: Final = "absent"
ANSWERS: Final = (PENDING, ACCEPTED, DECLINED, UNKNOWN, ABSENT)

REASONS: Final = (
    "refused_by_bank",
    "insufficient_funds",
    "limit_exceeded",
    "card_invalid",
    "authentication_failed",
    "suspected_fraud",
    "cancelled",
    "expired",
    # The acquirer did not take the request as it was sent: a setting of ours is wrong.
    "request_refused",
    # It was never taken on: the acquirer could not be reached, or knows nothing of it.
    "not_sent",
    "other",
)
"""Why an order was declined, whatever words the acquirer has for it."""


class SavedCard(Struct, frozen=True, gc=False):
    """A card that the acquirer keeps, by the reference it gave for it (a binding)."""

    reference: str


class WalletToken(Struct, frozen=True, gc=False):
    """A wallet's token for the acquirer to open: `wallet` is apple_pay or google_pay.

    `token` is the JSON that the wallet gave, as it came. It is never stored.
    """

    wallet: str
    token: bytes

    def __repr__(self) -> str:
        return f"WalletToken({self.wallet})"


class SbpQr(Struct, frozen=True, gc=False):
    """A code of the faster payments system for this one payment."""


class MirPay(Struct, frozen=True, gc=False):
    """A session that the payer's Mir Pay opens by a deep link; there is no token."""


Instrument = SavedCard | WalletToken | SbpQr | MirPay


class Utilities(Struct, frozen=True):
    """What a payment for housing must say of itself: whose account, what for, who collects it.

    `period` is year and month of the bill; `purpose` is at most 210 characters.
    """

    subscriber_account: str
    purpose: str
    period: tuple[int, int] | None = None
    recipient: Recipient | None = None


class Order(Struct, frozen=True, kw_only=True):
    """One try to take `total` kopecks (roubles) by `instrument`, to be paid before `expires_at`."""

    id: UUID
    total: int
    description: str
    instrument: Instrument
    created_at: datetime
    expires_at: datetime
    utilities: Utilities
    return_url: str | None = None

    @property
    def number(self) -> str:
        """The order as the acquirer knows it: 32 hexadecimal digits, which every bank takes."""
        return self.id.hex


class Step(Struct, frozen=True):
    """What the payer does next: show a qr (`payload`), go to a page, open a deep link."""

    type: str
    url: str = ""
    payload: str = ""


NOTHING: Final = Step("none")


class Answer(Struct, frozen=True):
    """What became of an order, or of a refund, as the acquirer tells it.

    `operation` is the acquirer's own id of it; `amount` what was taken (kopecks), where it says so;
    `reason` one of REASONS where it was declined.
    """

    state: str
    operation: str | None = None
    reason: str | None = None
    step: Step = NOTHING
    amount: int | None = None


class Refund(Struct, frozen=True, kw_only=True):
    """Kopecks to give back of an order: `left` is what of it stays taken once this one is done."""

    id: UUID
    order: UUID
    operation: str
    amount: int
    left: int
    operation_of_refund: str | None = None

    @property
    def number(self) -> str:
        """The refund as the acquirer knows it."""
        return self.id.hex


class Notice(Struct, frozen=True):
    """What an acquirer told of itself: of which order, and what.

    Without an answer (the acquirer does not sign, or tells of something else of this order) the
    acquirer is asked for its status. `reply` is the body that it documents for "taken".
    """

    order: UUID | None
    answer: Answer | None
    reply: bytes = b""
    reply_type: str = "text/plain"


class NoAnswer(Exception):
    """Nobody knows whether the acquirer did what it was asked; the message holds no secret."""


class Acquirer(Protocol):
    """A bank or aggregator, spoken to as it documents it.

    Every call raises NoAnswer, or answers UNKNOWN, where the outcome cannot be told. A call after
    a crash may be the second one for an id, so whatever the acquirer offers to tell a repeat by
    (the order's number, an idempotence key) is sent.
    """

    async def authorise(self, order: Order) -> Answer:
        """Ask to take the money; once for an order, whatever comes of it."""
        ...

    async def status(self, order: Order, operation: str | None) -> Answer:
        """What became of an order; `operation` as an earlier answer gave it, None if none did.

        The order's instrument may be a SavedCard without reference or a WalletToken without token.
        """
        ...

    async def refund(self, refund: Refund) -> Answer:
        """Ask to give money back; may be asked again with the same id."""
        ...

    async def refund_status(self, refund: Refund) -> Answer:
        """What became of a refund; ABSENT allows to ask for it again."""
        ...

    def notice(self, headers: Mapping[str, str], body: bytes, peer: str) -> Notice:
        """Read a callback, `headers` by lower-case name; pure.

        Refuses `signature_invalid` for one that is not the acquirer's, `malformed` for one that
        cannot be read.
        """
        ...
