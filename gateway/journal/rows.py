"""Rows of the journal as the flows read them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from gateway.domain.bill import OpenBill
from gateway.domain.payment import PaymentRequest
from splitcore import GroupAllocation


class Cut(Struct, frozen=True, gc=False):
    """The settlement batch that is open, and the version of the fee rules in force."""

    settlement_batch: int
    terms_version: int


class AcceptedRow(Struct, frozen=True, gc=False):
    """A payment to be added; without allocation and bill, its sequence 0, it is in suspense."""

    request: PaymentRequest
    allocation: GroupAllocation | None
    amount: int
    surcharge: int
    bill: OpenBill | None
    sequence: int


class PaidBill(Struct, frozen=True, gc=False):
    """What is now paid on an open bill (packed), and its account's new sequence."""

    bill: OpenBill
    paid: bytes
    sequence: int


class PaymentRow(Struct, frozen=True):
    """A stored payment with what came of it. `plan`, `bill` and the packed vectors are None in
    suspense; once that is resolved they are the resolution's, and `resolved` says so. `refunded` is
    what went back to the payer, `charged_back` what his bank took and did not return.
    """

    id: UUID
    caller: int
    subscriber_account: str
    placed_on: str
    amount: int
    surcharge: int
    method: int
    facts: bytes
    accepted_at: datetime
    paid_at: datetime | None
    designation: tuple[tuple[str, int], ...]
    reference: str | None
    resolved: bool
    bill: int | None
    plan: int | None
    sequence: int | None
    period: str | None
    shares: bytes | None
    commissions: bytes | None
    refunded: int
    charged_back: int

    @property
    def left(self) -> int:
        """Kopecks of the payment that are still with us."""
        return self.amount - self.refunded - self.charged_back

    def as_first_answered(self) -> "PaymentRow":
        """The row as it stood when the payment was accepted."""
        if self.resolved:
            return _changed(
                self,
                resolved=False,
                placed_on=self.subscriber_account,
                bill=None,
                plan=None,
                sequence=None,
                period=None,
                shares=None,
                commissions=None,
                refunded=0,
                charged_back=0,
            )
        return _changed(self, refunded=0, charged_back=0)


class RefundRow(Struct, frozen=True):
    """A stored refund; `shares` packed by the plan's parts, None out of suspense."""

    id: UUID
    amount: int
    shares: bytes | None
    plan: int | None


class NewRefund(Struct, frozen=True):
    """A refund about to be added; `shares` (packed) and `sequence` are None out of suspense."""

    id: UUID
    caller: int
    amount: int
    shares: bytes | None
    sequence: int | None


def payment_row(row: Mapping[str, Any], periods: Mapping[int, str]) -> PaymentRow:
    """A PaymentRow from the query's columns; `periods` are of bills that suspense was placed on."""
    resolved = row["resolved_account"] is not None
    prefix = "resolved_" if resolved else ""
    designation = row["designation"]
    return PaymentRow(
        id=row["id"],
        caller=row["caller"],
        subscriber_account=row["subscriber_account"],
        placed_on=row["resolved_account"] if resolved else row["subscriber_account"],
        amount=row["amount"],
        surcharge=row["surcharge"],
        method=row["method"],
        facts=(row["facts"] or "{}").encode(),
        accepted_at=row["accepted_at"],
        paid_at=row["paid_at"],
        designation=tuple(orjson.loads(designation).items()) if designation else (),
        reference=row["reference"],
        resolved=resolved,
        bill=row[prefix + "bill"],
        plan=row[prefix + "plan"],
        sequence=row[prefix + "sequence"],
        period=periods.get(row["resolved_bill"]) if resolved else row["period"],
        shares=row[prefix + "shares"],
        commissions=row[prefix + "commissions"],
        refunded=row["refunded"],
        charged_back=row["charged_back"],
    )


def refund_row(row: Mapping[str, Any]) -> RefundRow:
    """A RefundRow from the query's columns."""
    return RefundRow(row["id"], row["amount"], row["shares"], row["plan"])


def _changed(row: PaymentRow, **changes: object) -> PaymentRow:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return PaymentRow(**(fields | changes))
