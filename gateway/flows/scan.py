"""A scanned code: what kind it is, what it names, and what is owed on the account that it names.

Nothing is stored. Names and addresses of people, which bills carry in their codes, are not told.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_bank_account, check_bic, check_kpp, inn_has_shape
from gateway.flows import find_bill
from gateway.flows.context import Context
from gateway.methods import bill_qr, qr, sbp_link
from gateway.methods.bill_qr import BillQr
from gateway.scans.codes import Code
from gateway.scans.templates import Templates
from gateway.steps import timed

BILL_QR = "bill_qr"
SBP_LINK = "sbp_link"
BARCODE = "barcode"
KINDS = (BILL_QR, SBP_LINK, BARCODE)
"""In the order in which they are preferred where a picture has several codes."""


class Payee(Struct, frozen=True):
    """Whom a code says to pay; what is not of its shape is left out."""

    name: str | None = None
    inn: str | None = None
    kpp: str | None = None
    bank_name: str | None = None
    bic: str | None = None
    account: str | None = None
    correspondent: str | None = None


class LinkSeen(Struct, frozen=True):
    """An SBP link: its id, which of sbp_link's kinds it is, and the number of its bank."""

    id: str
    kind: str
    member: str


class OpenBillSeen(Struct, frozen=True):
    """The open bill of the account, as it stands now."""

    period: str
    due_total: int


class Scan(Struct, frozen=True):
    """What a code names, money in kopecks; None for what it does not.

    `template` names the barcode's; `bill` is ours, not the code's.
    """

    kind: str
    subscriber_account: str | None = None
    amount: int | None = None
    period: str | None = None
    payee: Payee | None = None
    uin: str | None = None
    link: LinkSeen | None = None
    template: str | None = None
    bill: OpenBillSeen | None = None
    warnings: tuple[str, ...] = ()


@timed("scans", "text")
async def scan_text(context: Context, templates: Templates, payload: str) -> Scan:
    """What a payload names, as a scanner or an app hands it over.

    Refuses `qr_invalid`, `qr_crc_mismatch` and `pan_not_allowed`.
    """
    return await _with_bill(context, _read(templates, payload, None))


async def scan_codes(context: Context, templates: Templates, codes: Sequence[Code]) -> Scan:
    """What the codes of a picture name: the best of them, by KINDS.

    Refuses as `scan_text` does, for the first code, where none can be read.
    """
    read: list[Scan] = []
    refused: list[Refusal] = []
    for code in codes:
        try:
            read.append(_read(templates, code.content, code.symbology))
        except Refusal as refusal:
            refused.append(refusal)
    if not read:
        # A wrong control sum tells more than another code of the page that is none of ours.
        refused.sort(key=lambda one: one.code == "qr_invalid")
        raise next(iter(refused), Refusal("qr_invalid", "Expected a code in the picture, was none"))
    best = min(read, key=lambda one: KINDS.index(one.kind))
    if any(one != best for one in read):
        best = structs.replace(best, warnings=(*best.warnings, "several_codes"))
    return await _with_bill(context, best)


def _read(templates: Templates, payload: str | bytes, symbology: str | None) -> Scan:
    if bill_qr.is_bill(payload):
        return _of_bill(bill_qr.parse(payload))
    text = payload if isinstance(payload, str) else payload.decode("latin-1")
    if sbp_link.is_link(text):
        link = sbp_link.parse(text)
        return Scan(
            SBP_LINK,
            amount=link.sum_kopecks,
            link=LinkSeen(link.id, link.kind, link.member),
            warnings=link.warnings,
        )
    reading = templates.read(text.strip(), symbology)
    if reading is None:
        raise Refusal(
            "qr_invalid", "Expected a bill's ST0001 code, an SBP link or a barcode that is known"
        )
    return Scan(
        BARCODE,
        subscriber_account=reading.subscriber_account,
        amount=reading.amount_kopecks,
        period=reading.period,
        payee=None if reading.payee_inn is None else Payee(inn=reading.payee_inn),
        template=reading.template,
        warnings=reading.warnings,
    )


def _of_bill(bill: BillQr) -> Scan:
    qr.refuse_card_numbers(bill.fields)
    fields = bill.fields
    account, inn, kpp = bill.personal_acc, fields.get("PayeeINN"), fields.get("KPP")
    correspondent = bill.corresp_acc
    return Scan(
        BILL_QR,
        subscriber_account=bill.subscriber_account,
        amount=bill.sum_kopecks,
        period=bill.period,
        payee=Payee(
            name=bill.name,
            inn=inn if inn is not None and inn_has_shape(inn) else None,
            kpp=kpp if kpp is not None and check_kpp(kpp) else None,
            bank_name=bill.bank_name,
            bic=bill.bic if bill.bic is not None and check_bic(bill.bic) else None,
            account=account if account is not None and check_bank_account(account) else None,
            correspondent=correspondent
            if correspondent is not None and check_bank_account(correspondent)
            else None,
        ),
        uin=bill.uin if bill.uin is not None and qr.uin_has_shape(bill.uin) else None,
        warnings=bill.warnings,
    )


async def _with_bill(context: Context, scan: Scan) -> Scan:
    """The scan beside the open bill of its account, and how they differ."""
    account = scan.subscriber_account
    if account is None:
        # A link's account is known to whoever had it made.
        told = () if scan.kind == SBP_LINK else ("subscriber_account_missing",)
        return structs.replace(scan, warnings=scan.warnings + told)
    try:
        found: dict[str, Any] = await find_bill.find(context, account)
    except Refusal:
        return structs.replace(scan, warnings=(*scan.warnings, "account_unknown"))
    bill = OpenBillSeen(found["period"], found["due_total"])
    warnings = list(scan.warnings)
    if scan.amount is not None and scan.amount != bill.due_total:
        warnings.append("amount_differs")
    if scan.period is not None and scan.period != bill.period:
        warnings.append("period_differs")
    return structs.replace(scan, bill=bill, warnings=tuple(warnings))
