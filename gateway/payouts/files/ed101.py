"""ED101 in a PacketEPD: payment orders as the Bank of Russia's electronic messages (УФЭБС 2.0).

windows-1251, sums in whole kopecks; docs/ed101.xsd is what a packet of ours keeps to. Must not be
signed here: the key is the sender's, and so is the envelope it goes in.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from gateway.payouts.files.order import Order, Party, check_orders, refused
from gateway.payouts.files.xml import Element, document

NAMESPACE: Final = "urn:cbr-ru:ed:v2.0"
ENCODING: Final = "windows-1251"
AUTHOR_DIGITS: Final = 10
NUMBER_MAX: Final = 999_999_999
# Numbers up to a million are those of the orders; a packet's own stand above them.
PACKETS_FROM: Final = 1_000_000
_SYSTEM: Final = "01"
_KIND: Final = "01"


def author_of(bic: str) -> str:
    """The ten digits (УИС) by which a bank of this BIC usually signs: its BIC without `04`."""
    return f"{bic[2:]}000"


def write(
    payer: Party,
    orders: Sequence[Order],
    day: date,
    packet: int,
    author: str,
    receiver: str | None = None,
) -> bytes:
    """The packet's bytes, number `packet` among those of its author.

    An order's electronic number is its own, so that numbers are unique by author and day. Refusal
    state_conflict, account_key_invalid or inn_invalid before any byte is made.
    """
    check_orders(payer, orders)
    if not 1 <= packet <= NUMBER_MAX - PACKETS_FROM:
        raise refused("packet", "a number of at most nine digits", "a greater one")
    for digits in (author, receiver):
        if digits is not None and not (digits.isascii() and digits.isdigit()):
            raise refused("packet", f"{AUTHOR_DIGITS} digits of author and receiver", "others")
    root = Element(
        "PacketEPD",
        *(_order(payer, order, author) for order in orders),
        xmlns=NAMESPACE,
        EDNo=PACKETS_FROM + packet,
        EDDate=day.isoformat(),
        EDAuthor=author,
        EDReceiver=receiver,
        EDQuantity=len(orders),
        Sum=sum(order.amount_kopecks for order in orders),
        SystemCode=_SYSTEM,
    )
    return document(root, ENCODING)


def _order(payer: Party, order: Order, author: str) -> Element:
    day = order.date.isoformat()
    return Element(
        "ED101",
        Element("AccDoc", AccDocNo=order.number, AccDocDate=day),
        _party("Payer", payer),
        _party("Payee", order.recipient),
        Element("Purpose", text=order.purpose),
        EDNo=order.number,
        EDDate=day,
        EDAuthor=author,
        Sum=order.amount_kopecks,
        TransKind=_KIND,
        Priority=order.priority,
        SystemCode=_SYSTEM,
    )


def _party(role: str, party: Party) -> Element:
    return Element(
        role,
        Element("Name", text=party.name),
        Element("Bank", BIC=party.bic, CorrespAcc=party.correspondent),
        PersonalAcc=party.account,
        INN=party.inn,
        KPP=party.kpp,
    )
