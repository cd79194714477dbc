"""Fee rules and agreements as they stood at any version and moment (pure)."""

import bisect
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

from gateway.domain.agreement import PlanTariff, cell, in_force, plan_tariff, tariffs_of
from splitcore import FeeRule


class Charged(Protocol):
    """What terms have to know of a plan."""

    @property
    def recipients(self) -> Sequence[int]:
        """Recipients' numbers."""

    @property
    def payer_category(self) -> str | None:
        """What its bills say of their payer."""


class Terms:
    """Fee rules by kind and subject, and agreements' cells, out of their rows."""

    def __init__(self, rules: list[Any], cells: list[Any]) -> None:
        self._rules: dict[tuple[str, int], tuple[list[int], list[FeeRule]]] = {}
        for row in rules:
            versions, found = self._rules.setdefault((row["kind"], row["subject"]), ([], []))
            versions.append(row["version"])
            found.append(FeeRule(row["ppm"], row["fixed"], row["min"], row["max"]))
        self._agreements = tariffs_of(cells)

    def at(self, kind: str, subject: int, version: int) -> FeeRule | None:
        """The rule of a recipient or method that was in force at a version."""
        versions, rules = self._rules.get((kind, subject), ([], []))
        place = bisect.bisect_right(versions, version)
        return rules[place - 1] if place else None

    @property
    def has_agreements(self) -> bool:
        """Whether any agreement has a say in anything."""
        return bool(self._agreements)

    def tariff(self, plan: Charged, method: int, version: int, moment: datetime) -> PlanTariff:
        """What a payment by a plan and a method was to be charged."""
        cells = []
        for recipient in plan.recipients:
            known = self._agreements.get(recipient, ())
            one = in_force([each for each in known if each.terms_version <= version], moment)
            cells.append(None if one is None else cell(one.cells, method, plan.payer_category))
        commissions = [self.at("commission", number, version) for number in plan.recipients]
        return plan_tariff(cells, commissions, self.at("surcharge", method, version))
