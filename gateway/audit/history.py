"""One account's history up to a payment's splits, with what each of them was made from (pure).

What others were split into is taken as it is stored: it is the audit that proves it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

import splitcore
from gateway.audit.replay import AuditPlan, Replay
from gateway.audit.terms import Terms
from gateway.domain.agreement import PlanTariff
from gateway.domain.designation import still_meant
from gateway.domain.paid import given_back
from gateway.domain.refusals import InvariantBroken
from splitcore import unpack
from splitcore.reference_plans import Plan as ReferencePlan

Steps = Iterator[tuple[str, str, str]]


class Found(Struct, frozen=True):
    """What one split was made from, and what it came to (kopecks).

    `due`, `weights` and `paid` have an entry a charge; `designation` is what the payer named and
    the bill knew; `event` is the row of the split.
    """

    event: Any
    plan: AuditPlan
    due: Sequence[int]
    weights: Sequence[int]
    paid: Sequence[int]
    overpayment: int
    designation: tuple[tuple[str, int], ...]
    tariff: PlanTariff
    parts: Sequence[int]
    commissions: Sequence[int]


class History(Replay):
    """The account played again until the splits of some lots are found; nothing is judged."""

    def __init__(
        self, plans: Mapping[int, AuditPlan], terms: Terms, wanted: Collection[UUID]
    ) -> None:
        super().__init__(plans, terms)
        self._wanted = wanted
        self.found: dict[UUID, Found] = {}

    def _event(self, event: Any) -> Steps:
        if len(self.found) < len(self._wanted):
            yield from super()._event(event)
            # One step for each event, so that whoever plays a long history can let others on.
            yield "", "", ""

    def _split(self, row: str, event: Any) -> Steps:
        bill = self._bill
        if bill is None or bill["number"] != event["bill"] or bill["plan"] != event["plan"]:
            raise InvariantBroken("Expected a split by the bill that was open")
        plan = self._plans[event["plan"]]
        parts = unpack(event["shares"])
        told = event["commissions"]
        commissions = unpack(told) if told else [0] * len(plan.recipients)
        if event["lot"] in self._wanted:
            named = tuple((orjson.loads(event["designation"] or b"{}")).items())
            if event["placed"]:
                named = still_meant(named, plan.services, event["amount"])
            due = unpack(bill["due"])
            self.found[event["lot"]] = Found(
                event,
                plan,
                due,
                unpack(bill["weight"]) if bill["weight"] else due,
                unpack(self._paid),
                bill["overpayment"],
                named,
                self._terms.tariff(plan, event["method"], event["terms_version"], event["at"]),
                parts,
                commissions,
            )
        self._paid = given_back(self._paid, plan.charges(parts))
        self._start_lot(event, parts, commissions)
        yield from ()

    def _open(self, open_bill: Any) -> Steps:
        yield from ()


def plan_of(row: Any) -> AuditPlan:
    """A plan as the audit sees it, out of its row; ValueError where it cannot be read."""
    return AuditPlan(
        splitcore.Plan.from_bytes(row["plan"]),
        ReferencePlan.from_bytes(row["plan"]),
        row["services"],
        row["recipients"],
        row["payer_category"],
    )
