"""Payments by a code: the bill's own QR, which names the account and the requisites itself.

Keeps what identifies the bill and its payee; names and addresses of people are not kept.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_bank_account, check_bic, inn_has_shape
from gateway.methods import bill_qr
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
_SBP_LINK: Final = "https://qr.nspk.ru/"


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """Facts of a `qr` payment; Refusal method_invalid, qr_invalid, pan_not_allowed.

    A link of SBP in place of a bill is method_invalid: it needs the bank's word on the payment.
    """
    told = texts_of(method, FIELDS)
    payload = told.get("payload")
    if payload is None:
        raise Refusal("method_invalid", "Expected method.payload in a qr payment, was absent")
    if payload.lstrip()[: len(_SBP_LINK)].lower() == _SBP_LINK:
        raise Refusal("method_invalid", "Expected a bill's ST0001 payload, was an SBP link")
    bill = bill_qr.parse(payload)
    _refuse_card_numbers(bill.fields)
    kept = {
        "operation_id": told.get("operation_id"),
        "payee_inn": _if(inn_has_shape, bill.fields.get("PayeeINN")),
        "payee_bic": _if(check_bic, bill.bic),
        "payee_account": _if(check_bank_account, bill.personal_acc),
        "bill_amount_kopecks": None if bill.sum_kopecks is None else str(bill.sum_kopecks),
        "period": bill.period,
        "uin": _if(_has_uin_shape, bill.uin),
    }
    return MethodFacts(
        type="qr",
        facts={name: value for name, value in kept.items() if value is not None},
        subscriber_account=bill.subscriber_account,
        warnings=bill.warnings,
    )


def _if(holds: Callable[[str], bool], value: str | None) -> str | None:
    """Only a value of its own shape is kept: anything may stand in a field of a bill."""
    return value if value is not None and holds(value) else None


def _has_uin_shape(text: str) -> bool:
    return _UIN.fullmatch(text) is not None


def _refuse_card_numbers(fields: Mapping[str, str]) -> None:
    """Free text is looked at; numbers that a billing centre issues are not.

    A field that the standard does not know is free text unless it is digits alone: a private
    number of a household that passes for a card must not stop its every payment.
    """
    for name, value in fields.items():
        free_text = name in FREE_TEXT_FIELDS or (name not in KNOWN_FIELDS and not value.isdigit())
        if free_text and contains_pan(value):
            raise Refusal("pan_not_allowed", "Expected no full card number in payload, was one")
