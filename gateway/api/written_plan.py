"""How the shares and recipients of a plan are written as JSON: names once, then only numbers.

A plan has thousands of payments that differ in their numbers alone, and most give every part
something: then its whole list is one template. To build and encode an object for every share and
every recipient took three times as long, a fifth of a payment's way through a worker.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

import msgspec

from gateway.domain.plan_names import PlanNames
from splitcore import GroupAllocation

TEMPLATES_MAX: Final = 20_000

_text: Final = msgspec.json.Encoder().encode


class WrittenPlan:
    """Templates of the members `shares` and `recipients` of all payments that a plan splits."""

    __slots__ = ("_all_recipients", "_recipient", "_recipients", "_share", "_shares")

    def __init__(self, names: PlanNames) -> None:
        self._share = [
            b'{"charge":%d,"service":%b,"recipient":%b,"amount":%%d}'
            % (charge, _fixed(service), _fixed(recipient))
            for charge, service, recipient, _ in names.parts
        ]
        self._recipient = [
            b'{"recipient":%b,"gross":%%d,"commission":%%d,"net":%%d}' % _fixed(recipient)
            for recipient in names.recipients
        ]
        self._shares = _listed(self._share)
        self._recipients = _listed(self._recipient)
        self._all_recipients = list(range(len(self._recipient)))

    def shares(self, parts: Sequence[int]) -> bytes:
        """A list of what each recipient receives from each charge, parts of nothing left out."""
        if 0 not in parts:
            return self._shares % tuple(parts)
        return _listed(
            [share % amount for share, amount in zip(self._share, parts, strict=True) if amount]
        )

    def recipients(self, allocation: GroupAllocation) -> bytes:
        """A list of what each recipient receives, in order of first appearance."""
        numbers = zip(allocation.gross, allocation.commissions, allocation.net, strict=True)
        if allocation.recipients == self._all_recipients:
            return self._recipients % tuple(chain.from_iterable(numbers))
        told = list(numbers)
        return _listed([self._recipient[at] % told[at] for at in allocation.recipients])


@lru_cache(TEMPLATES_MAX)
def written_plan(names: PlanNames) -> WrittenPlan:
    """The templates of a plan, made when the first payment by it is shown."""
    return WrittenPlan(names)


def _fixed(text: str) -> bytes:
    """The text as JSON, to stand in a template."""
    return _text(text).replace(b"%", b"%%")


def _listed(entries: Sequence[bytes]) -> bytes:
    return b"[%b]" % b",".join(entries)
