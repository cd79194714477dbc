"""The shapes of answers about money that comes, and about what does not agree."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct

Kopecks = Annotated[int, Meta(description="Whole kopecks")]


class IncomingShown(Struct):
    """A line that is an acquirer's: money that came, or a fee that it took by a line apart."""

    line: int
    amount: Kopecks
    acquirer: str
    is_fee: bool


class ArrivedLineShown(Struct):
    """A line of a statement that brought money."""

    statement: str
    line: int
    booked_on: date
    amount: Kopecks


class ArrivalShown(Struct):
    """Whether a payment's money has come; `released`: two people said that it is not waited
    for. An acquirer is shown no lines.
    """

    payment: str
    arrival: Annotated[str, Meta(description="awaited, reported, arrived or disputed")]
    released: bool
    report: str | None
    lines: list[ArrivedLineShown]
    discrepancies: list[str]


class DaySidesShown(Struct):
    """A day's payments of one acquirer, in kopecks, four ways:

    online + by_report_alone = reported + not_reported = arrived + not_arrived
    = paid_out + in_transit + not_paid + commission + surcharge + suspense + refunded.
    """

    acquirer: str
    payments: int
    online: Kopecks
    by_report_alone: Kopecks
    reported: Kopecks
    not_reported: Kopecks
    arrived: Kopecks
    not_arrived: Kopecks
    paid_out: Kopecks
    in_transit: Kopecks
    not_paid: Kopecks
    commission: Kopecks
    surcharge: Kopecks
    suspense: Kopecks
    refunded: Kopecks


class ReconciliationShown(Struct):
    """The four sides of the payments of one day."""

    day: date
    acquirers: list[DaySidesShown]


class WorklistShown(Struct):
    """What does not agree: kind, side responsible, age, and what it is about."""

    id: Annotated[str, Meta(pattern="^dis_[a-z]+_[0-9a-f]{32}_-?[0-9]+$")]
    kind: str
    side: Annotated[str, Meta(description="acquirer, bank, centre or recipient")]
    state: Annotated[str, Meta(description="open, proposed, resolved or settled")]
    outcome: str | None
    amount: Kopecks
    since: datetime
    age_days: int
    acquirer: str | None
    payment: str | None
    report: str | None
    statement: str | None
    payout: str | None
    line: int | None


class DiscrepanciesShown(Struct):
    """A page of the worklist; `next_cursor` is null on the last one."""

    discrepancies: list[WorklistShown]
    next_cursor: str | None


class EvidenceShown(Struct):
    """The document that a resolution rests on."""

    name: str
    number: str
    date: date
    sha256: str | None
    text: str | None


class DiscrepancyStepShown(Struct):
    """What one person did about a discrepancy."""

    step: Annotated[str, Meta(description="resolve, confirm or reject")]
    outcome: str
    evidence: EvidenceShown | None
    reason: str | None
    at: datetime
    by: str


class DiscrepancyWithSteps(WorklistShown):
    """A discrepancy and all steps about it."""

    steps: list[DiscrepancyStepShown]
