"""The fee rules in force, kept in memory whole and replaced whole when their version changes.

Agreements begin and end at moments: whoever splits names the moment first, and the rules are those
of that version at that moment, in every worker alike.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gateway.domain.agreement import (
    Cells,
    Tariffs,
    cell,
    in_force,
    plan_tariff,
)
from gateway.splitting.plans import Plan, PlanFees
from splitcore import FeeRule, Fees

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


class TermsShelf:
    """Surcharge rules by method number, commission rules and agreements by recipient number."""

    def __init__(self) -> None:
        self.version = -1
        self._commissions: Mapping[int, FeeRule] = {}
        self._surcharges: Mapping[int, FeeRule] = {}
        self._agreements: Mapping[int, Sequence[Tariffs]] = {}
        self._cells: dict[int, Cells] = {}
        # Of each change of what is in force, so that a plan's compiled rules tell theirs.
        self._era = 0
        self._since = _EARLIEST
        self._until = _LATEST

    @property
    def is_known(self) -> bool:
        """Whether any rules were read yet."""
        return self.version >= 0

    def replace(
        self,
        version: int,
        commissions: Mapping[int, FeeRule],
        surcharges: Mapping[int, FeeRule],
        agreements: Mapping[int, Sequence[Tariffs]],
    ) -> None:
        """Take the rules of `version` for all that is split from now on."""
        self._commissions = commissions
        self._surcharges = surcharges
        self._agreements = agreements
        self.version = version
        # Of the moment that was asked for last; whoever splits asks for its own.
        self._enter(self._since)

    def at(self, moment: datetime) -> None:
        """Take the agreements in force at a moment for all that is split from now on."""
        if not self._since <= moment < self._until:
            self._enter(moment)

    def _enter(self, moment: datetime) -> None:
        self._era += 1
        self._cells = {}
        self._since, self._until = _EARLIEST, _LATEST
        for recipient, versions in self._agreements.items():
            for version in versions:
                for turn in (version.begins_at, version.ends_at or _LATEST):
                    if turn <= moment:
                        self._since = max(self._since, turn)
                    else:
                        self._until = min(self._until, turn)
            found = in_force(versions, moment)
            if found is not None and found.cells:
                self._cells[recipient] = found.cells

    def surcharge(self, method: int) -> FeeRule | None:
        """The surcharge rule of a method, None where payers pay none."""
        return self._surcharges.get(method)

    def fees(self, plan: Plan) -> Fees:
        """The commission rules of a plan's recipients, compiled once for each version.

        Where `plan.by_method` is then no None, agreements say otherwise by the method.
        """
        if plan.fees is None or plan.fees_era != self._era:
            plan.fees = Fees([self._commissions.get(number) for number in plan.recipient_numbers])
            agreed = any(number in self._cells for number in plan.recipient_numbers)
            plan.by_method = {} if agreed else None
            plan.fees_era = self._era
        return plan.fees

    def is_agreed(self, plan: Plan) -> bool:
        """Whether agreements have a say in what a plan's payments are charged."""
        self.fees(plan)
        return plan.by_method is not None

    def by_method(self, plan: Plan, method: int) -> PlanFees:
        """The rules of a plan that agreements have a say in, for one method."""
        known = plan.by_method
        if known is None:
            known = {}
        found = known.get(method)
        if found is None:
            numbers = plan.recipient_numbers
            tariff = plan_tariff(
                [
                    cell(self._cells[number], method, plan.payer_category)
                    if number in self._cells
                    else None
                    for number in numbers
                ],
                [self._commissions.get(number) for number in numbers],
                self._surcharges.get(method),
            )
            found = known[method] = PlanFees(Fees(tariff.commissions), tariff.above)
        return found
