"""The sandbox's books: orders and refunds, and what comes of each; no I/O, no clock of its own."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from gateway.acquirers.sandbox import MIR_PAY, SBP, OrderSaid, OutcomeSaid, RefundSaid
from gateway.acquirers.words import ACCEPTED, DECLINED, NOTHING, PENDING, Step

ORDERS_MAX: Final = 100_000

APPROVE: Final = "approve"
DECLINE: Final = "decline"
TIMEOUT: Final = "timeout"
LOST_ANSWER: Final = "lost-answer"
LATE_CALLBACK: Final = "late-callback"
DUPLICATE_CALLBACK: Final = "duplicate-callback"
EARLY_CALLBACK: Final = "early-callback"
LATE_ACCEPT: Final = "late-accept"
WRONG_AMOUNT: Final = "wrong-amount"
FAULT: Final = "fault"
# Good cards, of which only refunds go wrong: declined, given and the answer lost, never arrived.
REFUND_DECLINE: Final = "refund-decline"
REFUND_LOST_ANSWER: Final = "refund-lost-answer"
REFUND_FAULT: Final = "refund-fault"
CARDS: Final = (
    APPROVE,
    DECLINE,
    TIMEOUT,
    LOST_ANSWER,
    LATE_CALLBACK,
    DUPLICATE_CALLBACK,
    EARLY_CALLBACK,
    LATE_ACCEPT,
    WRONG_AMOUNT,
    FAULT,
    REFUND_DECLINE,
    REFUND_LOST_ANSWER,
    REFUND_FAULT,
)
"""References of test cards; a wallet's token names one as `{"outcome": …}`, and without is good."""

# What the bank tells of the card itself when it is asked; the rest comes later, or not at all.
_AT_ONCE: Final = {
    APPROVE: (ACCEPTED, None),
    TIMEOUT: (ACCEPTED, None),
    EARLY_CALLBACK: (ACCEPTED, None),
    LOST_ANSWER: (ACCEPTED, None),
    WRONG_AMOUNT: (ACCEPTED, None),
    DECLINE: (DECLINED, "insufficient_funds"),
    LATE_ACCEPT: (DECLINED, "refused_by_bank"),
    LATE_CALLBACK: (PENDING, None),
    DUPLICATE_CALLBACK: (PENDING, None),
    REFUND_DECLINE: (ACCEPTED, None),
    REFUND_LOST_ANSWER: (ACCEPTED, None),
    REFUND_FAULT: (ACCEPTED, None),
}
_PAID_BY_PAYER: Final = (SBP, MIR_PAY)


class Order(Struct):
    """An order in the books. `refunded` is what was given back (kopecks), `faults` how many
    requests for a refund came to nothing.
    """

    said: OrderSaid
    told: OutcomeSaid
    refunded: int = 0
    faults: int = 0


class Bank:
    """Orders by number; the same order again is the same, whatever is said of it.

    `url` is where payers find the pages of their orders.
    """

    def __init__(self, url: str = "") -> None:
        self.url = url
        self._orders: dict[str, Order] = {}
        self._refunds: dict[str, OutcomeSaid] = {}

    @property
    def taken_on(self) -> list[str]:
        """The numbers of all orders, in their order."""
        return list(self._orders)

    @property
    def charges(self) -> list[OutcomeSaid]:
        """Every order of which money was taken."""
        return [one.told for one in self._orders.values() if one.told.state == ACCEPTED]

    def take(self, said: OrderSaid) -> Order | None:
        """The order, new or as it stands; None where the books are full, or the bank is at fault.

        An instrument that names no outcome it knows is declined.
        """
        found = self._orders.get(said.order)
        if found is not None:
            return found
        if said.outcome == FAULT or len(self._orders) >= ORDERS_MAX:
            return None
        step = NOTHING
        if said.instrument in _PAID_BY_PAYER:
            state, reason = PENDING, None
            step = _step(said.instrument, f"{self.url}/pay/{said.order}")
        else:
            outcome = said.outcome or (DECLINE if said.instrument == "card" else APPROVE)
            state, reason = _AT_ONCE.get(outcome, (DECLINED, "card_invalid"))
        amount = said.total - 1 if said.outcome == WRONG_AMOUNT else said.total
        told = OutcomeSaid(said.order, state, f"sb-{said.order}", amount, reason, step)
        made = self._orders[said.order] = Order(said, told)
        return made

    def find(self, number: str, now: datetime) -> Order | None:
        """The order as it stands; what nobody paid in time is declined for good."""
        found = self._orders.get(number)
        is_open = found is not None and found.told.state == PENDING
        if found is not None and is_open and datetime.fromisoformat(found.said.expires_at) <= now:
            self.settle(found, DECLINED, "expired")
        return found

    def settle(self, order: Order, state: str, reason: str | None = None) -> None:
        """Give an order its last state, once: what was taken stays taken."""
        if order.told.state != ACCEPTED:
            order.told = msgspec.structs.replace(
                order.told, state=state, reason=reason, step=NOTHING
            )

    def give_back(self, said: RefundSaid) -> OutcomeSaid | None:
        """The refund, new or as it stands; None for an order of which nothing was taken."""
        found = self._refunds.get(said.refund)
        if found is not None:
            return found
        order = self._orders.get(said.order)
        if order is None or order.told.state != ACCEPTED:
            return None
        if order.said.outcome == REFUND_FAULT and not order.faults:
            order.faults += 1
            return None
        fits = order.refunded + said.amount <= order.told.amount
        enough = fits and order.said.outcome != REFUND_DECLINE
        if enough:
            order.refunded += said.amount
        made = OutcomeSaid(
            said.refund,
            ACCEPTED if enough else DECLINED,
            f"sb-refund-{said.refund}",
            said.amount,
            None if enough else "limit_exceeded",
        )
        self._refunds[said.refund] = made
        return made

    def outcome(self, number: str) -> str:
        """The outcome that an order was asked for with."""
        order = self._orders.get(number)
        return "" if order is None else order.said.outcome

    @property
    def given_back(self) -> list[OutcomeSaid]:
        """Every refund that was given."""
        return [one for one in self._refunds.values() if one.state == ACCEPTED]

    def refund(self, number: str) -> OutcomeSaid | None:
        """A refund that was asked for."""
        return self._refunds.get(number)


def _step(instrument: str, url: str) -> Step:
    return Step("qr", payload=url) if instrument == SBP else Step("deeplink", url=url)
