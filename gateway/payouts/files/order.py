"""Payment orders as any bank format needs them, and their checks before anything is written.

Only shapes, lengths and check digits are known here; characters that a format cannot carry are
its own module's matter.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import account_key_holds, check_bic, check_kpp, inn_has_shape

NAME_LENGTH_MAX: Final = 160
PURPOSE_LENGTH_MAX: Final = 210
NUMBER_MAX: Final = 999_999
AMOUNT_KOPECKS_MAX: Final = 10**17 - 1
"""A payment order carries 18 characters of a sum, the mark among them."""
ORDERS_MAX: Final = 100_000
PRIORITIES: Final = range(1, 6)
_NUMBER_TAIL: Final = 1000


class Party(Struct, frozen=True):
    """A payer or a recipient of a payment order.

    `account` and `correspondent` are 20 digits, `bic` 9; `correspondent` is None where the bank
    has none or the writer is to leave it to the bank's own directory.
    """

    name: str
    inn: str
    kpp: str | None
    account: str
    bic: str
    bank_name: str | None = None
    correspondent: str | None = None


class Order(Struct, frozen=True):
    """One payment order: its number in the file, day, amount in kopecks, and whom it pays.

    `priority` is the order of payment by article 855 of the Civil Code (5 for utilities), `kind`
    the code of the operation (01, a payment order).
    """

    number: int
    date: date
    amount_kopecks: int
    recipient: Party
    purpose: str
    priority: int = 5
    kind: str = "01"


def check_orders(payer: Party, orders: Sequence[Order]) -> None:
    """Refusal state_conflict, account_key_invalid or inn_invalid for the first wrong one.

    The detail names the order by its number and the field, never the value.
    """
    if len(orders) > ORDERS_MAX:
        raise refused("file", f"at most {ORDERS_MAX} orders", str(len(orders)))
    _check_party("payer", payer)
    numbers = set()
    for order in orders:
        _check_order(order)
        if order.number in numbers:
            raise refused(f"order {order.number}", "a number of its own", "used twice")
        numbers.add(order.number)


def refused(place: str, expected: str, was: str) -> Refusal:
    """The refusal of one place in a payout file: stored requisites must be mended first."""
    return Refusal("state_conflict", f"Expected {expected} in {place}, was {was}")


def _check_order(order: Order) -> None:
    if type(order.number) is not int or not 1 <= order.number <= NUMBER_MAX:
        raise refused("order number", f"1..{NUMBER_MAX}", "another")
    place = f"order {order.number}"
    if order.number % _NUMBER_TAIL == 0:
        # Banks tell orders of a day apart by the last three digits and refuse 000.
        raise refused(place, "a number with a last three digits other than 000", "000")
    if not isinstance(order.date, date) or isinstance(order.date, datetime):
        raise refused(place, "a date without time", type(order.date).__name__)
    if type(order.amount_kopecks) is not int or not 1 <= order.amount_kopecks <= AMOUNT_KOPECKS_MAX:
        raise refused(place, f"amount_kopecks 1..{AMOUNT_KOPECKS_MAX}", "another")
    if type(order.priority) is not int or order.priority not in PRIORITIES:
        raise refused(place, "priority 1..5", "another")
    if len(order.kind) != 2 or not order.kind.isascii() or not order.kind.isdigit():
        raise refused(place, "kind of two digits", "another")
    _check_text(place, "purpose", order.purpose, PURPOSE_LENGTH_MAX)
    _check_party(place, order.recipient)


def _check_party(place: str, party: Party) -> None:
    _check_text(place, "name", party.name, NAME_LENGTH_MAX)
    if party.bank_name is not None:
        _check_text(place, "bank_name", party.bank_name, NAME_LENGTH_MAX)
    if not inn_has_shape(party.inn):
        raise Refusal("inn_invalid", f"Expected an INN of 10 or 12 digits in {place}, was another")
    if party.kpp is not None and not check_kpp(party.kpp):
        raise refused(place, "kpp of 9 characters", "another")
    if not check_bic(party.bic):
        raise refused(place, "bic of 9 digits from 04", "another")
    for field, account in (("account", party.account), ("correspondent", party.correspondent)):
        if account is not None and not account_key_holds(account, party.bic):
            raise Refusal(
                "account_key_invalid", f"Expected {field} with the key of its bank in {place}"
            )


def _check_text(place: str, field: str, text: str, length_max: int) -> None:
    if not text or text != text.strip():
        raise refused(place, f"{field} without blanks around it", "empty or padded")
    if len(text) > length_max:
        raise refused(place, f"{field} of at most {length_max} characters", str(len(text)))
