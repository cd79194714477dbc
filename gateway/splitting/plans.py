"""Split plans: the structure that bills share, compiled once and kept by number.

A plan never changes, so a plan in memory is never wrong; the shelf is bounded all the same.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from sys import intern

from msgspec import Struct

import splitcore
from gateway.domain.agreement import Above
from gateway.domain.bill import Structure
from gateway.domain.ids import PLAN
from gateway.domain.plan_names import PlanNames
from splitcore import PPM, Fees, GroupAllocation

PLANS_MAX = 20_000
STRUCTURES_MAX = 5_000


class PlanFees(Struct, frozen=True):
    """What a plan's payments by one method are charged, where agreements have a say in it.

    `above` is None where the method's own surcharge counts.
    """

    fees: Fees
    above: Above | None


class Plan:
    """A compiled plan with the names it was made of."""

    __slots__ = (
        "by_method",
        "fees",
        "fees_era",
        "names",
        "number",
        "payer_category",
        "recipient_numbers",
        "service_index",
        "services",
        "split",
    )

    def __init__(
        self,
        number: int,
        split: splitcore.Plan,
        services: Sequence[str],
        recipient_numbers: Sequence[int],
        recipient_ids: Sequence[str],
        digest: bytes,
        payer_category: str | None = None,
    ) -> None:
        self.fees: Fees | None = None
        self.fees_era = -1
        self.by_method: dict[int, PlanFees] | None = None
        self.payer_category = payer_category
        self.number = number
        self.split = split
        # Thousands of plans are made of the same few names.
        self.services = tuple(map(intern, services))
        self.service_index = {name: at for at, name in enumerate(dict.fromkeys(self.services))}
        self.recipient_numbers = tuple(recipient_numbers)
        ids = tuple(map(intern, recipient_ids))
        self.names = PlanNames(
            PLAN + digest[:8].hex(),
            tuple(
                (charge, self.services[charge], ids[recipient], recipient)
                for charge, recipient in zip(split.part_charge, split.part_recipient, strict=True)
            ),
            ids,
        )

    def charges(self, parts: Sequence[int]) -> list[int]:
        """What each charge received, from its parts."""
        received = [0] * len(self.services)
        for (charge, _, _, _), amount in zip(self.names.parts, parts, strict=True):
            received[charge] += amount
        return received

    def allocation(
        self, amount: int, surcharge: int, shares: bytes, commissions: bytes | None
    ) -> GroupAllocation:
        """A stored payment's allocation, out of its packed vectors."""
        parts = splitcore.unpack(shares)
        withheld = (
            splitcore.unpack(commissions) if commissions else [0] * len(self.recipient_numbers)
        )
        gross = [0] * len(withheld)
        for (_, _, _, recipient), share in zip(self.names.parts, parts, strict=True):
            gross[recipient] += share
        receiving = [
            recipient
            for (_, _, _, recipient), share in zip(self.names.parts, parts, strict=True)
            if share
        ]
        return GroupAllocation(
            amount,
            surcharge,
            sum(withheld),
            tuple(self.charges(parts)),
            tuple(parts),
            tuple(dict.fromkeys(receiving)),
            tuple(gross),
            tuple(withheld),
            tuple(all_ - fee for all_, fee in zip(gross, withheld, strict=True)),
            shares,
            commissions,
        )


def plan_digest(
    body: bytes, services: Sequence[str], recipients: Sequence[int], payer_category: str | None
) -> bytes:
    """What tells a plan from all others."""
    names = "\x00".join(services) + "\x01" + ",".join(map(str, recipients))
    if payer_category is not None:
        names += "\x01" + payer_category
    return sha256(body + names.encode()).digest()


class BillPlan(Struct, frozen=True):
    """What loading a bill needs of its plan: its number, and how money is carried over to it.

    `nothing` is packed: nothing paid on any charge.
    """

    number: int
    split: splitcore.Plan
    service_index: dict[str, int]
    nothing: bytes


class Draft:
    """A plan as a bill asks for it, before it has a number."""

    __slots__ = (
        "body",
        "digest",
        "payer_category",
        "recipients",
        "service_index",
        "services",
        "split",
    )

    def __init__(
        self,
        structure: Structure,
        recipients: Mapping[str, int],
        payer_category: str | None = None,
    ) -> None:
        """`recipients` maps ids to numbers and knows every id that the charges name."""
        numbers: dict[int, int] = {}
        service_index: dict[str, int] = {}
        parts = []
        for _, recipient, _, second_level in structure:
            level = [(entry.recipient, entry.ppm) for entry in second_level]
            own = PPM - sum(ppm for _, ppm in level)
            level.append((recipient, own))
            parts.append(
                [(numbers.setdefault(recipients[id_], len(numbers)), ppm) for id_, ppm in level]
            )
        services = [service for service, _, _, _ in structure]
        indexes = [service_index.setdefault(name, len(service_index)) for name in services]
        self.split = splitcore.Plan([tier for _, _, tier, _ in structure], indexes, parts)
        self.services = services
        self.service_index = service_index
        self.recipients = list(numbers)
        self.body = self.split.to_bytes()
        self.payer_category = payer_category
        self.digest = plan_digest(self.body, services, self.recipients, payer_category)

    def numbered(self, number: int) -> BillPlan:
        """What is needed of the plan once it has its number."""
        nothing = splitcore.pack([0] * len(self.services))
        return BillPlan(number, self.split, self.service_index, nothing)


PlanKey = tuple[Structure, str | None]
"""What bills of one plan have in common: their structure, and the category of their payer."""


class StructureShelf:
    """Plans of bills by structure, so that a bill like one loaded before costs no plan.

    Only plans that are committed may be put here: their numbers, and those of recipients, never
    change after. The structure put here first goes first.
    """

    def __init__(self, structures_max: int = STRUCTURES_MAX) -> None:
        self._plans: dict[PlanKey, BillPlan] = {}
        self._structures_max = structures_max

    def get(self, structure: PlanKey) -> BillPlan | None:
        """The plan of a structure that is on the shelf."""
        return self._plans.get(structure)

    def put(self, structure: PlanKey, plan: BillPlan) -> None:
        """Keep a plan, and put away the oldest where it is too many."""
        self._plans[structure] = plan
        if len(self._plans) > self._structures_max:
            del self._plans[next(iter(self._plans))]


class PlanShelf:
    """Plans in memory, the least recently used put away first."""

    def __init__(self, plans_max: int = PLANS_MAX) -> None:
        self._plans: OrderedDict[int, Plan] = OrderedDict()
        self._plans_max = plans_max

    def missing(self, numbers: Iterable[int]) -> list[int]:
        """Those of the numbers that are not on the shelf; the others are needed now as well."""
        wanted = set(numbers)
        for number in wanted & self._plans.keys():
            self._plans.move_to_end(number)
        return sorted(wanted - self._plans.keys())

    def put(self, plan: Plan) -> None:
        """Keep a plan, and put away the one that was needed longest ago where it is too many."""
        self._plans[plan.number] = plan
        if len(self._plans) > self._plans_max:
            self._plans.popitem(last=False)

    def get(self, number: int) -> Plan:
        """A plan that is on the shelf."""
        plan = self._plans[number]
        self._plans.move_to_end(number)
        return plan
