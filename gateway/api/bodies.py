"""The shapes of request bodies: decoded strictly, shown as they stand in the OpenAPI document.

Money is an integer of kopecks everywhere; whether it is in range is decided in decode.py, as a
wrong shape (400) and an amount out of range (422) are two different answers.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.domain.bill import Bill
from gateway.domain.event import EVENT_TYPES
from splitcore import AMOUNT_MAX, PPM

CURRENCY = "RUB"
ACCOUNT_PATTERN = "^[A-Za-z0-9._/-]{1,30}$"

# Ranges and patterns here are for the document only: what they say is refused with its own code.
Kopecks = Annotated[
    int,
    Meta(
        description="Whole kopecks, a JSON integer",
        extra_json_schema={"minimum": 0, "maximum": AMOUNT_MAX},
    ),
]
Amount = Annotated[
    int,
    Meta(
        description="Whole kopecks, a JSON integer",
        extra_json_schema={"minimum": 1, "maximum": AMOUNT_MAX},
    ),
]
Account = Annotated[
    str,
    Meta(
        description="1..30 of A-Z a-z 0-9 - . _ /",
        examples=["220012345"],
        extra_json_schema={"pattern": ACCOUNT_PATTERN},
    ),
]
Method = Annotated[
    dict[str, Any],
    Meta(
        description=(
            "How it was paid. `type` is card, mir, cash, qr, apple_pay or google_pay. "
            "card and mir: `network`, "
            "`masked_pan`, `rrn`, `authorization_code`, `terminal`; mir also "
            "`instrument` (mir_pay); cash: `terminal`; qr: "
            "`payload` (the bill's ST0001x text, or the SBP link by which a bank took the money), "
            "`operation_id` (needed beside a link); apple_pay and google_pay: `token` alone, as "
            "the wallet gave it, opened here and spent once for ever. Never a full card number."
        ),
        examples=[{"type": "card", "network": "visa", "masked_pan": "427644******1234"}],
    ),
]
Designation = Annotated[
    dict[str, Kopecks],
    Meta(description="What the payer named for single services", examples=[{"heating": 100000}]),
]
RecipientId = Annotated[
    str,
    Meta(examples=["heat"], extra_json_schema={"pattern": "^[A-Za-z0-9._-]{1,64}$"}),
]
Reason = Annotated[str, Meta(min_length=1, max_length=500, description="Why, for whoever asks")]
EventType = Annotated[str, Meta(extra_json_schema={"enum": list(EVENT_TYPES)})]
Moment = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset")]


class PaymentBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One payment. Exactly one of `amount` and `total` (surcharge included) is given.

    With `acquirer` the gateway has it taken there: then `method` is `{"type": "sbp"}`,
    `{"type": "mir"}` (Mir Pay), card or mir with the `reference` of a card that the acquirer keeps,
    or apple_pay or google_pay with their `token`, and `reference` has to be given.
    """

    method: Method
    subscriber_account: Account | None = None
    amount: Amount | UnsetType = UNSET
    total: Amount | UnsetType = UNSET
    currency: Annotated[
        str, Meta(description="Always RUB", extra_json_schema={"const": CURRENCY})
    ] = CURRENCY
    paid_at: Moment | None = None
    designation: Designation | None = None
    reference: Annotated[str, Meta(description="The caller's own number, 1..128 characters")] | (
        None
    ) = None
    acquirer: Annotated[str, Meta(description="The acquirer that is to take it, by its name")] | (
        None
    ) = None
    return_url: Annotated[str, Meta(description="Where the payer's page goes on afterwards")] | (
        None
    ) = None


class BulkPaymentBody(PaymentBody, kw_only=True):
    """A payment as one line of a bulk body, with its own idempotency key."""

    idempotency_key: Annotated[str, Meta(description="1..255 visible ASCII characters")] | None = (
        None
    )


class QuoteBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a payment would be split into. Exactly one of `amount` and `total` is given."""

    subscriber_account: Account
    method: Annotated[dict[str, Any], Meta(examples=[{"type": "card"}])]
    amount: Amount | UnsetType = UNSET
    total: Amount | UnsetType = UNSET
    currency: Annotated[
        str, Meta(description="Always RUB", extra_json_schema={"const": CURRENCY})
    ] = CURRENCY
    designation: Designation | None = None


class ScanBody(Struct, forbid_unknown_fields=True):
    """What a scanner read, as it handed it over."""

    payload: Annotated[
        str,
        Meta(
            description="A bill's ST0001x text, an SBP link or the digits of a linear barcode",
            examples=["ST00012|Name=ООО Тепло|PersonalAcc=40702810268000010356|PersAcc=220012345"],
        ),
    ]


class RefundBody(Struct, forbid_unknown_fields=True):
    """How much of the payment goes back to the payer."""

    amount: Amount


class ResolveBody(Struct, forbid_unknown_fields=True):
    """Whose account a payment in suspense belongs to."""

    subscriber_account: Account


Document = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        description="What proves it: a letter, a case, a statement, by number and date",
        examples=["letter 17 of 2026-11-24"],
    ),
]


class CorrectionBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a payment was really meant for. Taken are `amount`, or `services` by name, or all that
    is left, of what is on `from_account` or wherever it is; given to `subscriber_account` or where
    it was, by `designation` and the open bill, or the same to the same for another `period`.
    """

    amount: Amount | None = None
    services: Annotated[
        dict[str, Kopecks], Meta(description="What to take, by service", min_length=1)
    ] | (None) = None
    from_account: Account | None = None
    subscriber_account: Account | None = None
    designation: Designation | None = None
    period: Annotated[str, Meta(examples=["2026-10"])] | None = None
    reason: Reason
    document: Document


class ChargebackBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What the payer's bank took back: without `amount` all that is left of the payment."""

    amount: Amount | None = None
    case: Annotated[
        str, Meta(min_length=1, max_length=64, description="The acquirer's number of the case")
    ]
    reason_code: Annotated[
        str,
        Meta(min_length=1, max_length=16, description="As its network has it", examples=["10.4"]),
    ]


class ReversalBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A chargeback that was won: without `amount` all that it holds."""

    amount: Amount | None = None
    document: Document


class DebtBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """What lessens a recipient's debt beside its batches."""

    kind: Literal["paid_in", "written_off"]
    amount: Amount
    reason: Reason
    document: Document


class RestoreBody(Struct, forbid_unknown_fields=True):
    """How it is known that the database was put back, and to what moment."""

    reason: Reason


class RestoredLineBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose a line of a statement on a lost order is; `recipient` null: no order of ours."""

    statement: Annotated[str, Meta(pattern="^bst_[0-9a-f]{32}$")]
    line: Annotated[int, Meta(ge=1, le=20_000)]
    recipient: str | None
    reason: Reason


class LiftBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Why settlement may go on after a restore, and the document that it rests on."""

    reason: Reason
    document: Document


class SettlementBatchBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Closes what is open up to now, for the business date given or today's."""

    business_date: date | None = None


class NoBody(Struct, forbid_unknown_fields=True):
    """An empty object, or nothing at all."""


class ApprovalBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`override` is why a batch is right that the machine finds unlikely; kept with the name."""

    override: Reason | None = None


class CancellationBody(Struct, forbid_unknown_fields=True):
    """Why a batch is not to be paid."""

    reason: Reason


class ObligationBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a debtor owes a creditor by a document, paid out of its share of `services`, or of all.

    The same document of the same two is loaded once.
    """

    debtor: RecipientId
    creditor: RecipientId
    amount: Amount
    document_number: Annotated[
        str,
        Meta(examples=["УО-17/2026"], extra_json_schema={"minLength": 1, "maxLength": 64}),
    ]
    document_date: date
    services: Annotated[
        list[str],
        Meta(
            examples=[["heating"]],
            extra_json_schema={"maxItems": 64, "uniqueItems": True},
        ),
    ] = []


class ObligationsBody(Struct, forbid_unknown_fields=True):
    """Obligations that are loaded together."""

    obligations: Annotated[
        list[ObligationBody], Meta(extra_json_schema={"minItems": 1, "maxItems": 256})
    ]


class WithdrawalBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is no longer to be paid here, and why; without `amount` all that remains."""

    reason: Reason
    amount: Amount | None = None


class WebhookBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Where a recipient is told of its money, and of what; without `types` of everything."""

    url: Annotated[
        str,
        Meta(
            description="An https URL on a public address",
            examples=["https://example.org/kopeck"],
            extra_json_schema={"maxLength": 2048, "pattern": "^https://[!-~]+$"},
        ),
    ]
    types: list[EventType] = []
    state: Annotated[
        Literal["active", "paused"],
        Meta(description="What is told while it is paused waits; active resumes a disabled one"),
    ] = "active"


class WebhookSecretBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A secret of the recipient's own making; without it one is made."""

    secret: (
        Annotated[
            str,
            Meta(
                description="whsec_ and base64 of 24..64 random bytes",
                examples=["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
            ),
        ]
        | None
    ) = None


class FeeBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """fee(x) = min(max(floor(x * ppm / 1000000 + 1/2) + fixed, min), max)."""

    ppm: Annotated[
        int,
        Meta(description="Parts per million", extra_json_schema={"minimum": 0, "maximum": PPM}),
    ] = 0
    fixed: Kopecks = 0
    min: Kopecks = 0
    max: Kopecks | None = None


class BankAccountBody(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Where a recipient is paid; the account's key must fit the bank."""

    bic: Annotated[str, Meta(examples=["040173604"])]
    number: Annotated[str, Meta(description="20 digits")]
    correspondent: Annotated[str, Meta(description="20 digits")] | None = None
    bank_name: (
        Annotated[
            str, Meta(description="As the bank is called, for payment orders and codes on bills")
        ]
        | None
    ) = None


class RecipientBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An organisation that money is owed to."""

    name: Annotated[str, Meta(description="1..160 characters")]
    kind: Annotated[
        str, Meta(description="supplier, management_company, regional_operator or centre")
    ]
    inn: Annotated[str, Meta(description="10 or 12 digits with their check digits")]
    kpp: str | None = None
    bank_account: BankAccountBody
    commission: FeeBody | None = None
    accept_inn: Annotated[
        bool, Meta(description="Take the INN although its check digits do not hold")
    ] = False


class BillsBody(Struct, forbid_unknown_fields=True):
    """A load of bills as one document; NDJSON, a bill a line, has no limit on their number."""

    bills: list[Bill]


class EvidenceBody(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The document that a resolution rests on: its SHA-256, its text, or both."""

    name: Annotated[str, Meta(min_length=1, max_length=160, examples=["Акт сверки"])]
    number: Annotated[str, Meta(min_length=1, max_length=64)]
    date: date
    sha256: Annotated[str, Meta(description="64 hexadecimal digits")] | None = None
    text: Annotated[str, Meta(min_length=1, max_length=4000)] | None = None


class DiscrepancyBody(Struct, forbid_unknown_fields=True):
    """What became of a discrepancy. `compensated` (the money came or went otherwise) and
    `written_off` (the centre bears it) let a payout be made that waits for this money.
    """

    outcome: Literal["explained", "corrected", "compensated", "written_off"]
    evidence: EvidenceBody
