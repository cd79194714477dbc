"""The shapes of agreements: as they are asked for, and as they are shown."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.api.answers import BankAccountShown, FeeShown
from gateway.api.bodies import BankAccountBody, FeeBody, Kopecks, Reason
from gateway.domain.agreement import CARRY_DAYS, CARRY_DAYS_MAX, CATEGORY_LENGTH_MAX, TARIFFS_MAX
from gateway.domain.payment import METHODS
from splitcore import PPM

Channel = Annotated[
    str,
    Meta(description="How it is paid; absent: however", extra_json_schema={"enum": list(METHODS)}),
]
Category = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=CATEGORY_LENGTH_MAX,
        description="What bills say of their payer as payer_category; absent: any payer",
    ),
]
ReportFormat = Literal["csv", "json", "xlsx"]


class TariffBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One cell of the matrix: `above` is paid by the payer on top of what the recipient gets,
    `below` is withheld from it; a fee left out is none. Of cells that fit the one counts that
    names the payer, then the one that names the channel.
    """

    channel: Channel | None = None
    payer_category: Category | None = None
    above: FeeBody | None = None
    below: FeeBody | None = None


class SecondLevelBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Who else gets how much of the recipient's charges, where a bill says nothing itself."""

    service: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    recipient: str
    ppm: Annotated[int, Meta(extra_json_schema={"minimum": 0, "maximum": PPM})]


class RequisitesBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Whom and where to pay, instead of the recipient's own requisites."""

    name: Annotated[str, Meta(description="1..160 characters")]
    inn: Annotated[str, Meta(description="10 or 12 digits with their check digits")]
    kpp: str | None = None
    bank_account: BankAccountBody


class AgreementBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A version of an agreement, for another person to decide on.

    Exactly one of `recipient` and `acquirer` is given; an acquirer's tariffs are what it keeps for
    itself (`below`), the centre's cost.
    """

    recipient: str | None = None
    acquirer: Annotated[str, Meta(description="The name of an acquirer's key")] | None = None
    contract: Annotated[str, Meta(description="What the paper is called, 1..160 characters")]
    valid_from: date
    valid_until: Annotated[date, Meta(description="The last day")] | None = None
    time_zone: Annotated[str, Meta(examples=["Asia/Barnaul"])] | None = None
    cut_off: Annotated[str, Meta(examples=["20:00"])] | None = None
    tariffs: Annotated[list[TariffBody], Meta(max_length=TARIFFS_MAX)] = []
    second_level: list[SecondLevelBody] = []
    requisites: RequisitesBody | None = None
    minimum_payout: Annotated[
        Kopecks, Meta(description="Less than this waits for a next batch, `carry_days` at most")
    ] = 0
    carry_days: Annotated[
        int, Meta(extra_json_schema={"minimum": 0, "maximum": CARRY_DAYS_MAX})
    ] = CARRY_DAYS
    report_format: ReportFormat | None = None
    accept_inn: Annotated[
        bool, Meta(description="Take the INN although its check digits do not hold")
    ] = False


class DecisionBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Why a version is approved; kept with the name."""

    reason: Reason | None = None


class RejectionBody(Struct, forbid_unknown_fields=True):
    """Why a version is rejected; kept with the name."""

    reason: Reason


class TariffShown(Struct):
    """One cell of the matrix; null is any channel, any payer, no fee."""

    channel: str | None
    payer_category: str | None
    above: FeeShown | None
    below: FeeShown | None


class SecondLevelShown(Struct):
    """Who else gets how much of the recipient's charges."""

    service: str | None
    recipient: str
    ppm: int


class RequisitesShown(Struct):
    """Whom and where to pay."""

    name: str
    inn: str
    kpp: str | None
    bank_account: BankAccountShown


class AgreementShown(Struct):
    """A version of an agreement and its trail. `terms_version`: the first that it is part of."""

    id: str
    state: Literal["proposed", "approved", "rejected"]
    recipient: str | None
    acquirer: str | None
    contract: str
    valid_from: str
    valid_until: str | None
    time_zone: str
    cut_off: str | None
    tariffs: list[TariffShown]
    second_level: list[SecondLevelShown]
    requisites: RequisitesShown | None
    minimum_payout: Kopecks
    carry_days: int
    report_format: str | None
    begins_at: str
    ends_at: str | None
    proposed_at: str
    proposed_by: str
    decided_at: str | None
    decided_by: str | None
    reason: str | None
    terms_version: int | None


class AgreementsShown(Struct):
    """A page of versions, the newest first; `next_cursor` is null on the last one."""

    agreements: list[AgreementShown]
    next_cursor: str | None


class AgreementOfPaymentShown(Struct):
    """The version by which one recipient's part of a payment was reckoned."""

    id: str
    recipient: str
    contract: str
    valid_from: str
    terms_version: int


class PaymentAgreementsShown(Struct):
    """The versions that a payment was split by, none for recipients without one."""

    payment: str
    agreements: list[AgreementOfPaymentShown]


class AcquirerFeesShown(Struct):
    """What one acquirer keeps of a batch's payments by one channel, in kopecks."""

    acquirer: str
    channel: str
    payments: int
    total: Kopecks
    fee: Kopecks


class BatchFeesShown(Struct):
    """What acquirers keep of a batch: the centre's cost, out of no recipient's share."""

    settlement_batch: str
    fee: Kopecks
    acquirers: list[AcquirerFeesShown]
