"""How the shares and recipients of a plan are written as JSON: names once, then only numbers.

A plan has thousands of payments that differ in their numbers alone, and most give every part
something: then its whole list is one template. To build and encode an object for every share and
every recipient took three times as long, a fifth of a payment's way through a worker.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from gateway.domain.plan_names import PlanNames
from splitcore import GroupAllocation, Template

TEMPLATES_MAX: Final = 20_000

_text: Final = msgspec.json.Encoder().encode


class WrittenPlan:
    """Templates of the members `shares` and `recipients` of all payments that a plan splits."""

    __slots__ = ("_all_recipients", "_recipients", "_shares", "_whole_recipients", "_whole_shares")

    def __init__(self, names: PlanNames) -> None:
        parts = [(charge, service, recipient) for charge, service, recipient, _ in names.parts]
        self._shares = [_share(*part) for part in parts]
        self._recipients = list(map(_recipient, names.recipients))
        self._whole_shares = _listed([_share_pieces(*part) for part in parts])
        self._whole_recipients = _listed(list(map(_recipient_pieces, names.recipients)))
        self._all_recipients = tuple(range(len(names.recipients)))

    def whole(self, allocation: GroupAllocation) -> tuple[object, object] | None:
        """Templates of shares and recipients with what fills them; None where any gets nothing."""
        if 0 in allocation.parts or allocation.recipients != self._all_recipients:
            return None
        columns = allocation.gross, allocation.commissions, allocation.net
        return (self._whole_shares, allocation.parts), (self._whole_recipients, *columns)

    def shares(self, parts: tuple[int, ...]) -> bytes:
        """A list of what each recipient receives from each charge, parts of nothing left out."""
        if 0 not in parts:
            return self._whole_shares.filled(parts)
        each = zip(self._shares, parts, strict=True)
        return b"[%b]" % b",".join([share.filled((amount,)) for share, amount in each if amount])

    def recipients(self, allocation: GroupAllocation) -> bytes:
        """A list of what each recipient receives, in order of first appearance."""
        columns = allocation.gross, allocation.commissions, allocation.net
        if allocation.recipients == self._all_recipients:
            return self._whole_recipients.filled(*columns)
        return b"[%b]" % b",".join(
            [
                self._recipients[at].filled(*((column[at],) for column in columns))
                for at in allocation.recipients
            ]
        )


# By the object that all payments of a plan share, which is kept beside: to tell names by what is in
# them takes as long as to write ten numbers.
_written: Final[dict[int, tuple[PlanNames, WrittenPlan]]] = {}


def written_plan(names: PlanNames) -> WrittenPlan:
    """The templates of a plan, made when the first payment by it is shown."""
    known = _written.get(id(names))
    if known is None:
        if len(_written) >= TEMPLATES_MAX:
            _written.clear()
        known = _written[id(names)] = names, WrittenPlan(names)
    return known[1]


def _share_pieces(charge: int, service: str, recipient: str) -> list[bytes]:
    share = b'{"charge":%d,"service":%b,"recipient":%b,"amount":'
    return [share % (charge, _text(service), _text(recipient)), b"}"]


def _recipient_pieces(recipient: str) -> list[bytes]:
    return [b'{"recipient":%b,"gross":' % _text(recipient), b',"commission":', b',"net":', b"}"]


# Plans are many and their parts few: each of these stands in the plans of a thousand houses.
@lru_cache(TEMPLATES_MAX)
def _share(charge: int, service: str, recipient: str) -> Template:
    return Template(_share_pieces(charge, service, recipient))


@lru_cache(TEMPLATES_MAX)
def _recipient(recipient: str) -> Template:
    return Template(_recipient_pieces(recipient))


def _listed(entries: Sequence[Sequence[bytes]]) -> Template:
    """The template of a list whose entries are made of these pieces."""
    pieces = [b"["]
    for number, (first, *others) in enumerate(entries):
        pieces[-1] += (b"," if number else b"") + first
        pieces += others
    pieces[-1] += b"]"
    return Template(pieces)
