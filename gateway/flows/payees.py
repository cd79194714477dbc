"""Whom an approval pays, and from where: requisites read once, with the version they are of.

What is looked at is what is paid by: a change that is made meanwhile is for the next approval.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from gateway.agreements import store as agreement_store
from gateway.domain.agreement import Requisites
from gateway.domain.party import Recipient
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.parties import store as party_store
from gateway.parties import store_versions as version_store
from gateway.payouts.centre import TRIAL_CENTRE, party
from gateway.payouts.files.order import Party
from gateway.settlement.store import PositionRow
from gateway.settlement.store_approvals import Used


class Payees(Struct, frozen=True):
    """Who pays, and by id whom a batch pays: the number, and
    the recipient as its order names it; `used` is where all of these are from.
    """

    payer: Party
    payees: Mapping[str, tuple[int, Recipient]]
    used: Sequence[Used]


async def read(conn: Any, positions: Sequence[PositionRow], at: datetime) -> Payees:
    """Whom these positions pay at a moment; refuses `state_conflict` where requisites were changed
    past their versions, by an older program or by hand.
    """
    agreed = await agreement_store.recipients_in_force(conn, at)
    centre = await party_store.find_centre(conn)
    paid = [position.recipient for position in positions if position.payable > 0]
    numbers = await party_store.numbers(conn, paid)
    wanted = [*numbers.values(), *([] if centre is None else [centre[0]])]
    versions = await version_store.latest(conn, wanted)
    used: list[Used] = []

    def own(recipient: str, number: int, *, is_payer: bool) -> Recipient:
        found = versions.get(number)
        if found is None or not found.stands:
            raise Refusal(
                "state_conflict",
                f"Expected {recipient} as its last version has it; set this recipient again",
            )
        used.append(Used(number, is_payer, found.version, None))
        return found.recipient

    payees = {}
    for recipient in paid:
        if recipient not in numbers:
            raise InvariantBroken("Expected positions of recipients that are registered")
        number = numbers[recipient]
        version = agreed.get(recipient)
        requisites = None if version is None else version.content.requisites
        if version is None or requisites is None:
            payees[recipient] = number, own(recipient, number, is_payer=False)
        else:
            used.append(Used(number, False, None, version.id))
            payees[recipient] = number, _as_agreed(recipient, requisites)
    payer = TRIAL_CENTRE
    if centre is not None:
        payer = party(own(centre[1].id, centre[0], is_payer=True))
    return Payees(payer, payees, used)


def _as_agreed(recipient: str, requisites: Requisites) -> Recipient:
    return Recipient(
        recipient,
        requisites.name,
        "supplier",
        requisites.inn,
        requisites.kpp,
        requisites.bank_account,
    )
