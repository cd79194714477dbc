"""The shapes of answers: what encode.py writes, and what the OpenAPI document shows."""

from datetime import date, datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.api.batch_answers import BusinessDayShown, PaidBeforeShown, RecipientDaysShown
from gateway.api.reconciliation_answers import IncomingShown
from gateway.domain.bill import SecondLevel
from gateway.domain.event import EVENT_TYPES, OUTCOMES
from gateway.payouts.matching import DISCREPANCIES

Kopecks = Annotated[int, Meta(description="Whole kopecks")]


class ShareShown(Struct):
    """What one recipient receives from one charge."""

    charge: int
    service: str
    recipient: str
    amount: Kopecks


class RecipientAmountShown(Struct):
    """What one recipient receives: gross = net + commission."""

    recipient: str
    gross: Kopecks
    commission: Kopecks
    net: Kopecks


class QuoteShown(Struct):
    """The allocation that a payment would get now."""

    subscriber_account: str
    amount: Kopecks
    surcharge: Kopecks
    total: Kopecks
    charges: list[Kopecks]
    shares: list[ShareShown]
    recipients: list[RecipientAmountShown]
    plan: str
    period: str


class StepShown(Struct, omit_defaults=True):
    """What the payer does next: show the `payload` of a qr, go to the `url` of a redirect, open
    that of a deeplink; none where it is the acquirer's turn.
    """

    type: Annotated[str, Meta(description="qr, redirect, deeplink or none")]
    url: str = ""
    payload: str = ""


class PaymentShown(Struct, omit_defaults=True):
    """A payment. In suspense nothing is split: charges, shares and recipients are empty, as they
    are while an acquirer has not taken it (pending) and when it will not (declined).
    """

    id: Annotated[str, Meta(pattern="^pay_[0-9a-f]{32}$")]
    state: Annotated[
        str,
        Meta(description="accepted, suspense, pending, declined, partially_refunded or refunded"),
    ]
    subscriber_account: str
    amount: Kopecks
    surcharge: Kopecks
    total: Kopecks
    charges: list[Kopecks]
    shares: list[ShareShown]
    recipients: list[RecipientAmountShown]
    method: dict[str, Any]
    plan: str | None
    accepted_at: datetime | None
    currency: str
    period: str | None
    refunded: Kopecks
    designation: dict[str, Kopecks] = {}
    reference: str = ""
    paid_at: datetime | None = None
    acquirer: str = ""
    next: StepShown | None = None
    reason: Annotated[str, Meta(description="Why it was declined, out of a closed list")] = ""
    expires_at: Annotated[
        datetime | None, Meta(description="Until when a pending payment can be paid")
    ] = None


class MoveShareShown(Struct):
    """What one recipient receives of one service, below 0 where it is taken from it."""

    service: str
    recipient: str
    amount: Kopecks


class MoveCommissionShown(Struct):
    """What is withheld from one recipient, below 0 where it is given back."""

    recipient: str
    amount: Kopecks


class MoveShown(Struct):
    """What an entry takes from an account (below 0), or gives to it."""

    subscriber_account: str
    period: str
    amount: Kopecks
    shares: list[MoveShareShown]
    commissions: list[MoveCommissionShown]


class EntryShown(Struct, omit_defaults=True):
    """Something that happened to a payment after it was accepted. A refund of a payment that was
    never moved has no moves: its shares are told with it.
    """

    id: str
    kind: Annotated[str, Meta(description="refund, correction, chargeback or reversal")]
    at: datetime
    amount: Kopecks
    moves: list[MoveShown] = []
    reason: str | None = None
    document: str | None = None
    case: str | None = None
    reason_code: str | None = None
    chargeback: str | None = None


class PaymentStanding(PaymentShown):
    """A payment as it stands now. Its shares are those it was split into when it was accepted (or
    placed); what became of them since are its `entries`. `charged_back` is what the payer's bank
    took back and keeps.
    """

    charged_back: int = 0
    entries: list[EntryShown] = []


class CorrectionShown(Struct):
    """A correction; its moves add up to nothing."""

    id: Annotated[str, Meta(pattern="^cor_[0-9a-f]{32}$")]
    payment: str
    amount: Kopecks
    reason: str
    document: str
    moves: list[MoveShown]


class ChargebackShown(Struct):
    """A chargeback; without moves where the money was in suspense."""

    id: Annotated[str, Meta(pattern="^chb_[0-9a-f]{32}$")]
    payment: str
    amount: Kopecks
    case: str
    reason_code: str
    moves: list[MoveShown]


class ReversalShown(Struct):
    """A chargeback that was won; without moves where the money is in suspense again."""

    id: Annotated[str, Meta(pattern="^rev_[0-9a-f]{32}$")]
    payment: str
    chargeback: str
    amount: Kopecks
    document: str
    moves: list[MoveShown]


class ReceivableShown(Struct):
    """What a recipient owes, since when, and what became of it: `netted` by batches, `paid_in` by
    the debtor, `written_off`. `largest` is the most it owed since. Each batch nets what it can.
    """

    recipient: str
    kind: str
    amount: Kopecks
    since_batch: str
    since: datetime
    days: int
    batches: int
    largest: Kopecks
    netted: Kopecks
    paid_in: Kopecks
    written_off: Kopecks


class DebtRequestShown(Struct):
    """What waits for an approval."""

    id: Annotated[str, Meta(pattern="^dbt_[0-9a-f]{32}$")]
    recipient: str
    kind: Annotated[str, Meta(description="paid_in or written_off")]
    amount: Kopecks
    reason: str
    document: str
    asked_at: datetime
    asked_by: str


class ReceivablesShown(Struct):
    """Debts of recipients as the last counted batch left them."""

    receivables: list[ReceivableShown]
    requests: list[DebtRequestShown]


class DebtShown(Struct):
    """A request against a debt: asked, or booked in the open batch."""

    id: Annotated[str, Meta(pattern="^dbt_[0-9a-f]{32}$")]
    recipient: str
    kind: str
    amount: Kopecks
    state: Annotated[str, Meta(description="asked or booked")]


class PaymentsShown(Struct):
    """A page of payments; `next_cursor` is null on the last one."""

    payments: list[PaymentShown]
    next_cursor: str | None


class RefundShareShown(Struct):
    """What one recipient gives back of one service."""

    service: str
    recipient: str
    amount: Kopecks


class RefundShown(Struct):
    """A refund; its shares add up to its amount, or are empty where it came out of suspense.

    Of a payment that an acquirer took it has a `state`: pending until the acquirer has given the
    money back and the shares are known, then refunded, or declined and a `reason`.
    """

    id: Annotated[str, Meta(pattern="^ref_[0-9a-f]{32}$")]
    payment: str
    amount: Kopecks
    shares: list[RefundShareShown]
    state: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class ResolutionShown(Struct):
    """A payment out of suspense, split onto its account."""

    id: str
    state: str
    subscriber_account: str
    amount: Kopecks
    charges: list[Kopecks]
    shares: list[RefundShareShown]
    plan: str


class RefusedBill(Struct):
    """A bill of a load that was not kept, by its place in the load."""

    index: int
    code: str
    detail: str


class BillsLoaded(Struct):
    """What became of a load of bills."""

    accepted: int
    refused: list[RefusedBill]


class ChargeShown(Struct):
    """One charge of the open bill: `due` is what is still owed on it."""

    service: str
    recipient: str
    due: Kopecks
    billed: Kopecks
    paid: Kopecks
    tier: int
    weight: Kopecks
    second_level: list[SecondLevel]


class BillShown(Struct):
    """The open bill of an account."""

    subscriber_account: str
    period: str
    plan: str
    charges: list[ChargeShown]
    due_total: Kopecks
    overpayment: Any


class FeeShown(Struct):
    """A fee rule with every field."""

    ppm: int
    fixed: Kopecks
    min: Kopecks
    max: Kopecks | None


class SurchargeShown(FeeShown):
    """The surcharge on payments by one method."""

    method: str


class BankAccountShown(Struct):
    """Where a recipient is paid."""

    bic: str
    number: str
    correspondent: str | None
    bank_name: str | None


class RecipientShown(Struct):
    """An organisation that money is owed to."""

    id: str
    name: str
    kind: str
    inn: str
    kpp: str | None
    bank_account: BankAccountShown
    commission: FeeShown | None


class RecipientsShown(Struct):
    """Every recipient."""

    recipients: list[RecipientShown]


class PositionShown(Struct):
    """What one recipient is owed by one settlement batch: net = gross - commission - refunds.

    carried_in + returned + net + transferred = payable + carried_out: a balance below zero is
    carried over, what came back from the bank is owed again, and `transferred` is what obligations
    brought, or took where it is below zero.
    """

    recipient: str
    gross: Kopecks
    commission: Kopecks
    refunds: Kopecks
    net: Kopecks
    carried_in: Kopecks
    returned: Kopecks
    transferred: Kopecks
    payable: Kopecks
    carried_out: Kopecks


class TransferShown(Struct):
    """What a batch paid on an obligation, out of the debtor's share of a service."""

    id: Annotated[str, Meta(pattern="^obt_[0-9a-f]{32}$")]
    obligation: Annotated[str, Meta(pattern="^obl_[0-9a-f]{32}$")]
    debtor: str
    creditor: str
    service: str
    amount: Kopecks
    document_number: str
    document_date: date


class PayoutShown(Struct):
    """One payment order of a batch, and whether the bank has paid it."""

    id: Annotated[str, Meta(pattern="^po_[0-9a-f]{32}$")]
    recipient: str
    amount: Kopecks
    state: Annotated[str, Meta(description="approved, sent, executed, returned or cancelled")]
    order_number: int
    order_date: date


class BatchEventShown(Struct):
    """One step of a batch since it was closed: what happened, by whom, and why."""

    event: str
    state: str
    at: datetime
    by: str
    reason: str | None


class SettlementBatchShown(Struct):
    """A settlement batch with a position for every recipient in it, and payouts once approved."""

    id: Annotated[str, Meta(pattern="^sb_[0-9a-f]{32}$")]
    state: Annotated[
        str,
        Meta(
            description="closed, approved, sent, partially_executed, executed, returned or"
            " cancelled; cut while it is counted"
        ),
    ]
    business_date: Annotated[date, Meta(description="The last business day in it")]
    settlement_date: Annotated[
        date | None, Meta(description="The working day on which its money is to go out")
    ]
    cut_off: Annotated[
        datetime | None, Meta(description="What it was closed for by itself; null by a person")
    ]
    business_days: Annotated[
        list[BusinessDayShown], Meta(description="Those on which anything came")
    ]
    recipient_days: Annotated[
        list[RecipientDaysShown],
        Meta(description="Of each recipient, where agreements have cut-offs of their own"),
    ]
    payments: int | None
    positions: list[PositionShown]
    transfers: list[TransferShown]
    paid_before: Annotated[
        list[PaidBeforeShown], Meta(description="What was paid of it before a restore")
    ]
    payouts: list[PayoutShown]
    events: list[BatchEventShown]


class MovedPayoutShown(Struct):
    """A payout that a line of a statement is about."""

    payout: Annotated[str, Meta(pattern="^po_[0-9a-f]{32}$")]
    settlement_batch: str
    recipient: str
    amount: Kopecks
    order_number: int
    booked_on: date
    line: int


class StatementDiscrepancyShown(Struct):
    """A line that agrees with no payout: which, its sum, and the payout that comes nearest."""

    kind: Annotated[str, Meta(description=", ".join(DISCREPANCIES))]
    line: int
    amount: Kopecks
    payout: str | UnsetType = UNSET


class BankStatementShown(Struct):
    """What a bank's statement said of our payouts; `known` lines were told of before."""

    id: Annotated[str, Meta(pattern="^bst_[0-9a-f]{32}$")]
    format: str
    lines: int
    executed: list[MovedPayoutShown]
    returned: list[MovedPayoutShown]
    known: int
    discrepancies: list[StatementDiscrepancyShown]
    incoming: list[IncomingShown] = []


class DiscrepancyShown(Struct):
    """What does not agree: the file's row (from 1), our payment, or both. `code` is that of the
    refusal that kept a row from being a payment.
    """

    kind: Annotated[
        str,
        Meta(
            description="online-only, registry-only, sum-differs, account-differs or"
            " duplicate-in-registry"
        ),
    ]
    row: int | UnsetType = UNSET
    payment: str | UnsetType = UNSET
    code: str | UnsetType = UNSET


class AcquirerReportShown(Struct):
    """What became of an acquirer's file: rows that are payments we knew, rows that became payments,
    and what differs; `discrepancy_count` counts also those beyond the first 100,000.
    """

    id: Annotated[str, Meta(pattern="^rep_[0-9a-f]{32}$")]
    format: str
    rows: int
    matched: int
    created: int
    discrepancy_count: int
    discrepancies: list[DiscrepancyShown]


class WebhookShown(Struct):
    """A webhook: `types` is empty for all; `secret` is shown once, when it is made."""

    name: str
    url: str
    types: list[str]
    state: Annotated[str, Meta(description="active, paused or disabled")]
    reason: Annotated[
        str | None, Meta(description="Why it is disabled: gone (410) or failed (seven days)")
    ]
    created_at: datetime
    changed_at: datetime
    secret: str | UnsetType = UNSET


class WebhooksShown(Struct):
    """A recipient's webhooks by name."""

    webhooks: list[WebhookShown]


class WebhookSecretShown(Struct):
    """The secret that signs from now on, and until when those before sign beside it."""

    secret: str
    before_until: list[datetime]


class AttemptShown(Struct):
    """One attempt to deliver; `status` is None where no server answered."""

    at: datetime
    outcome: Annotated[str, Meta(description=", ".join(OUTCOMES))]
    status: int | None


class DeliveryShown(Struct):
    """What became of one event at one webhook."""

    event: Annotated[str, Meta(pattern="^evt_[0-9a-f]{32}$")]
    type: str
    sequence: int
    state: Annotated[str, Meta(description="due, delivered or failed")]
    next_at: datetime | None
    attempts: list[AttemptShown]


class DeliveriesShown(Struct):
    """Deliveries, the newest event first; the last `sequence` is `before` of the next page."""

    deliveries: list[DeliveryShown]


class EventShown(Struct):
    """An event, as webhooks are sent it."""

    type: Annotated[str, Meta(description=", ".join(EVENT_TYPES))]
    timestamp: datetime
    id: Annotated[str, Meta(pattern="^evt_[0-9a-f]{32}$")]
    sequence: Annotated[int, Meta(description="The recipient's own: 1, 2, 3 … without a gap")]
    data: dict[str, Any]


class EventsShown(Struct):
    """Events in their order; `last_sequence` is `after` of the next page."""

    events: list[EventShown]
    last_sequence: int


class EventSent(Struct):
    """The event that will be sent, and to how many webhooks where it is sent again."""

    event: Annotated[str, Meta(pattern="^evt_[0-9a-f]{32}$")]
    webhooks: int | UnsetType = UNSET


class StateShown(Struct):
    """How a probe found this process."""

    state: str


class ProblemShown(Struct):
    """RFC 9457: `code` is for programs, `detail` for people."""

    type: str
    title: str
    status: int
    detail: str
    code: str
