"""A payment: what the caller asks for, and what is durable once it is accepted."""

from datetime import datetime
from uuid import UUID

from msgspec import Struct

from gateway.domain.plan_names import PlanNames
from gateway.domain.refusals import Refusal, Unavailable
from splitcore import GroupAllocation

METHODS: tuple[str, ...] = ("card", "mir", "cash", "qr", "apple_pay", "google_pay", "sbp")
"""Ways to pay; the position is the number the journal stores, so the order never changes."""

ACCEPTED = "accepted"
SUSPENSE = "suspense"
PARTIALLY_REFUNDED = "partially_refunded"
REFUNDED = "refunded"
# Of a payment that an acquirer is asked to take: it has not answered, or will not take it.
PENDING = "pending"
DECLINED = "declined"


class Claim(Struct, frozen=True, gc=False):
    """An idempotency key as its caller used it: on which route, for which body.

    `fingerprint` is 16 bytes of BLAKE2b over the canonical body.
    """

    caller: int
    key: str
    route: str
    fingerprint: bytes


class Taken(Struct, frozen=True, gc=False):
    """Of money that is there already: the surcharge (kopecks) that the payer was told beforehand.

    It is refused by nothing: what cannot be split, or may not be (`held`), goes to suspense.
    """

    surcharge: int
    held: bool = False


class SealedToken(Struct, frozen=True, gc=False):
    """A wallet's token as its caller sent it, an object or a text. Never stored, never shown."""

    content: object

    def __repr__(self) -> str:
        return "SealedToken()"


class OpenedToken(Struct, frozen=True, gc=False):
    """What tells an opened token from any other, for ever: 32 bytes of SHA-256 over its id.

    `total` is the kopecks that the payer agreed to, None where the wallet does not say.
    """

    digest: bytes
    total: int | None = None


class PaymentRequest(Struct, frozen=True, gc=False):
    """A payment as asked for, decoded and checked for shape, not yet accepted.

    `amount` is in kopecks; with `is_total` it is what the payer hands over, surcharge included.
    `facts` is a JSON object (bytes) of what the method tells to keep: network, masked number, ...
    `designation` names services and kopecks. `token` is a wallet's: sealed, opened, or why it is
    not taken, which is told unless the key was used before.
    """

    claim: Claim
    id: UUID
    subscriber_account: str
    amount: int
    is_total: bool
    method: int
    facts: bytes
    designation: tuple[tuple[str, int], ...] = ()
    reference: str | None = None
    paid_at: datetime | None = None
    taken: Taken | None = None
    token: SealedToken | OpenedToken | Refusal | Unavailable | None = None


class Payment(Struct, frozen=True, gc=False):
    """A durable payment. `allocation` is how it was split, by a plan with these `names`; both are
    None, as `period` is, while it is held in suspense.
    """

    id: UUID
    caller: int
    state: str
    subscriber_account: str
    amount: int
    surcharge: int
    method: int
    facts: bytes
    accepted_at: datetime
    designation: tuple[tuple[str, int], ...] = ()
    reference: str | None = None
    paid_at: datetime | None = None
    allocation: GroupAllocation | None = None
    names: PlanNames | None = None
    period: str | None = None
    refunded: int = 0

    @property
    def total(self) -> int:
        """What the payer handed over: the amount and the surcharge."""
        return self.amount + self.surcharge


class Receipt(Struct, frozen=True, gc=False):
    """What the caller gets once its payment is durable; `replayed` if it already was.

    `written` is the body of the answer where that was written beforehand, else nothing.
    """

    payment: Payment
    replayed: bool
    written: bytes = b""
