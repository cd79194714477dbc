"""Payments by a code: the bill's own QR, which names the account and the requisites itself, or an
SBP link by which a bank has taken the money already.

Keeps what identifies the bill and its payee, or the link; names and addresses of people are not
kept.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_bank_account, check_bic, inn_has_shape
from gateway.methods import bill_qr, sbp_link
from gateway.methods.bill_qr_fields import FREE_TEXT_FIELDS, KNOWN_FIELDS
from gateway.methods.facts import MethodFacts, Text, texts_of
from gateway.methods.pan import contains_pan

_ANYTHING: Final = re.compile(r"[^\x00\ud800-\udfff]+")
FIELDS: Final = {
    "operation_id": Text(64),
    "payload": Text(bill_qr.PAYLOAD_LENGTH_MAX, _ANYTHING),
}

# A УИН of 20 or 25 digits, or the payment document's id in ГИС ЖКХ, which has letters.
_UIN: Final = re.compile(r"[0-9A-Za-zА-Яа-яЁё/-]{1,40}")


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """Facts of a `qr` payment; Refusal method_invalid, qr_invalid, qr_crc_mismatch and
    pan_not_allowed.
    """
    told = texts_of(method, FIELDS)
    payload = told.get("payload")
    if payload is None:
        raise Refusal("method_invalid", "Expected method.payload in a qr payment, was absent")
    if sbp_link.is_link(payload):
        return _paid_by_link(payload, told.get("operation_id"))
    bill = bill_qr.parse(payload)
    refuse_card_numbers(bill.fields)
    kept = {
        "operation_id": told.get("operation_id"),
        "payee_inn": _if(inn_has_shape, bill.fields.get("PayeeINN")),
        "payee_bic": _if(check_bic, bill.bic),
        "payee_account": _if(check_bank_account, bill.personal_acc),
        "bill_amount_kopecks": None if bill.sum_kopecks is None else str(bill.sum_kopecks),
        "period": bill.period,
        "uin": _if(uin_has_shape, bill.uin),
    }
    return MethodFacts(
        type="qr",
        facts={name: value for name, value in kept.items() if value is not None},
        subscriber_account=bill.subscriber_account,
        warnings=bill.warnings,
    )


def _paid_by_link(payload: str, operation_id: str | None) -> MethodFacts:
    """Facts of a payment that a bank took through SBP; the account has to come beside it.

    A sum in the link that is not the payment's refuses nothing, as the money is taken already: it
    is kept, so that whoever compares both with the bank's report sees it.
    """
    link = sbp_link.parse(payload)
    if operation_id is None:
        raise Refusal("method_invalid", "Expected method.operation_id beside a link, was absent")
    kept = {
        "operation_id": operation_id,
        "link_id": link.id,
        "link_kind": link.kind,
        "link_bank": link.member,
        "link_amount_kopecks": None if link.sum_kopecks is None else str(link.sum_kopecks),
        # Whoever looks at the payment must see that nothing stood behind its link.
        "warning": "sbp_sandbox" if "sbp_sandbox" in link.warnings else None,
    }
    return MethodFacts(
        type="qr",
        facts={name: value for name, value in kept.items() if value is not None},
        warnings=link.warnings,
    )


def _if(holds: Callable[[str], bool], value: str | None) -> str | None:
    """Only a value of its own shape is kept: anything may stand in a field of a bill."""
    return value if value is not None and holds(value) else None


def uin_has_shape(text: str) -> bool:
    """Whether the text may be the number of a payment document, and no free text."""
    return _UIN.fullmatch(text) is not None


def refuse_card_numbers(fields: Mapping[str, str]) -> None:
    """Refusal pan_not_allowed for a full card number in the free text of a bill's fields.

    Numbers that a billing centre issues are not looked at.

    A field that the standard does not know is free text unless it is digits alone: a private
    number of a household that passes for a card must not stop its every payment.
    """
    for name, value in fields.items():
        free_text = name in FREE_TEXT_FIELDS or (name not in KNOWN_FIELDS and not value.isdigit())
        if free_text and contains_pan(value):
            raise Refusal("pan_not_allowed", "Expected no full card number in payload, was one")
