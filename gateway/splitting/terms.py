"""The fee rules in force, kept in memory whole and replaced whole when their version changes."""

from collections.abc import Mapping

from gateway.splitting.plans import Plan
from splitcore import FeeRule, Fees


class TermsShelf:
    """Surcharge rules by method number and commission rules by recipient number."""

    def __init__(self) -> None:
        self.version = -1
        self._commissions: Mapping[int, FeeRule] = {}
        self._surcharges: Mapping[int, FeeRule] = {}

    @property
    def is_known(self) -> bool:
        """Whether any rules were read yet."""
        return self.version >= 0

    def replace(
        self, version: int, commissions: Mapping[int, FeeRule], surcharges: Mapping[int, FeeRule]
    ) -> None:
        """Take the rules of `version` for all that is split from now on."""
        self._commissions = commissions
        self._surcharges = surcharges
        self.version = version

    def surcharge(self, method: int) -> FeeRule | None:
        """The surcharge rule of a method, None where payers pay none."""
        return self._surcharges.get(method)

    def fees(self, plan: Plan) -> Fees:
        """The commission rules of a plan's recipients, compiled once for each version."""
        if plan.fees is None or plan.fees_version != self.version:
            plan.fees = Fees([self._commissions.get(number) for number in plan.recipient_numbers])
            plan.fees_version = self.version
        return plan.fees
