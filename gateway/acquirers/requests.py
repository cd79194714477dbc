"""What is asked of an acquirer, as it stands in our rows: orders and refunds on their way."""

from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.acquirers import instruments
from gateway.acquirers.words import NOTHING, Instrument, Order, Refund, Step, Utilities
from gateway.domain.party import Recipient
from gateway.domain.payment import METHODS, Claim, PaymentRequest, Taken

# The first questions come soon, as a payer is waiting; later ones seldom, as a bank is asked.
FIRST_POLL_S: Final = 2.0
POLL_GROWTH: Final = 1.5
POLL_MAX_S: Final = 900.0
# What was declined as never sent may have been on its way all the same: it is looked at again.
WATCH_EVERY: Final = timedelta(hours=6)
WATCHED: Final = timedelta(days=2)


class AuthorisationRequest(Struct, frozen=True, gc=False):
    """A payment that an acquirer is to take: `payment` is what it will be once it was taken."""

    payment: PaymentRequest
    acquirer: str
    instrument: Instrument
    return_url: str | None = None

    @property
    def claim(self) -> Claim:
        """The key as its caller used it."""
        return self.payment.claim


class Authorisation(Struct, frozen=True, kw_only=True):
    """One try to take a payment's money, as stored; its id is the payment's, for ever.

    `state` is one of domain.states.AUTHORISATION; `holds_reference` bars another try under the
    caller's reference; with `to_suspense` the money is held whole once it is there.
    """

    id: UUID
    caller: int
    acquirer: str
    kind: str
    state: str
    method: int
    subscriber_account: str
    amount: int
    surcharge: int
    terms_version: int
    period: str
    facts: bytes
    designation: tuple[tuple[str, int], ...]
    reference: str
    created_at: datetime
    expires_at: datetime
    holds_reference: bool = True
    to_suspense: bool = False
    operation: str | None = None
    reason: str | None = None
    step: Step = NOTHING
    settled_at: datetime | None = None
    next_poll_at: datetime | None = None
    polls: int = 0

    @property
    def total(self) -> int:
        """What the payer is to hand over."""
        return self.amount + self.surcharge

    def order(
        self,
        instrument: Instrument | None = None,
        recipient: Recipient | None = None,
        return_url: str | None = None,
    ) -> Order:
        """The order as the acquirer is told it, when it is asked for and when it is asked about."""
        method = METHODS[self.method]
        year, month = int(self.period[:4]), int(self.period[5:7])
        text = f"Оплата ЖКУ, л/с {self.subscriber_account}, за {month:02}.{year}"
        return Order(
            id=self.id,
            total=self.total,
            description=text,
            instrument=instrument or instruments.again(method, self.facts),
            created_at=self.created_at,
            expires_at=self.expires_at,
            utilities=Utilities(self.subscriber_account, text, (year, month), recipient),
            return_url=return_url,
        )

    def as_payment(self) -> PaymentRequest:
        """The payment that this became; its key is of a form that no caller's has."""
        operation = {"acquirer": self.acquirer, "operation": self.operation}
        kept = {**msgspec.json.decode(self.facts), **operation}
        body = f"{self.id.hex} {self.amount} {self.surcharge}".encode()
        claim = Claim(
            self.caller,
            f"authorisation {self.id.hex}",
            "payments",
            blake2b(body, digest_size=16).digest(),
        )
        return PaymentRequest(
            claim,
            self.id,
            self.subscriber_account,
            self.amount,
            False,
            self.method,
            msgspec.json.encode(kept),
            self.designation,
            self.reference,
            None,
            Taken(self.surcharge, self.to_suspense),
        )


class AcquirerRefund(Struct, frozen=True, kw_only=True):
    """Money of a payment that an acquirer is asked to give back, as stored."""

    id: UUID
    payment: UUID
    caller: int
    acquirer: str
    kind: str
    state: str
    amount: int
    remaining: int
    taken_by: str
    created_at: datetime
    operation: str | None = None
    reason: str | None = None
    settled_at: datetime | None = None
    next_poll_at: datetime | None = None
    polls: int = 0

    def asked(self) -> Refund:
        """The refund as the acquirer is told it."""
        return Refund(
            id=self.id,
            order=self.payment,
            operation=self.taken_by,
            amount=self.amount,
            left=self.remaining,
            operation_of_refund=self.operation,
        )


def pause(polls: int) -> timedelta:
    """How long after the `polls`-th question the next one comes."""
    # The power is bounded before it is taken.
    return timedelta(seconds=min(POLL_MAX_S, FIRST_POLL_S * POLL_GROWTH ** min(polls, 40)))
