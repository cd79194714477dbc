"""The QR of a printed bill: `ST0001x|Key=Value|…` of GOST R 56042-2014 → its fields.

Reads whatever bills really carry and says in warnings what was wrong with it; refuses only
what is not such a code at all. It names requisites; that they are right it cannot promise.
"""

import re
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import account_key_holds, check_inn
from gateway.methods import bill_qr_text
from gateway.methods.bill_qr_fields import (
    FREE_TEXT_FIELDS,
    canonical_key,
    clean_value,
    is_too_long,
    kopecks_of,
    period_of,
    subscriber_account_of,
)

PAYLOAD_LENGTH_MAX: Final = 4096
"""Characters or bytes: the largest QR holds 2,953 bytes, base64 makes 3,940 of them."""
FIELDS_MAX: Final = 128

_START: Final = "ST0001"
# ST, version 0001, digit of the encoding, separator: any ASCII that no key or number may have.
_HEADER: Final = re.compile(r"ST0001([0-9])([^\x80-\U0010ffff0-9A-Za-z=])")
# The payer's account at the centre; then the contract, which small suppliers use in its place;
# PersonalAccount is by the standard the payee's account at a treasury, yet bills misuse it.
_SUBSCRIBER_FIELDS: Final = ("PersAcc", "Contract", "PersonalAccount")
_MISSING: Final = {
    "Name": "name_missing",
    "PersonalAcc": "personal_acc_missing",
    "BankName": "bank_name_missing",
    "BIC": "bic_missing",
    "CorrespAcc": "corresp_acc_missing",
}


class BillQr(Struct, frozen=True):
    """What a bill's QR says. Money in kopecks, `period` as YYYY-MM.

    `fields` has every non-empty value under the standard's key; `encoding` is the one it was
    read by (`text` where it came decoded); `corresp_acc` is None where the bank has none.
    """

    name: str | None
    personal_acc: str | None
    bank_name: str | None
    bic: str | None
    corresp_acc: str | None
    sum_kopecks: int | None
    subscriber_account: str | None
    period: str | None
    uin: str | None
    purpose: str | None
    fields: dict[str, str]
    encoding: str
    separator: str
    warnings: tuple[str, ...]


def is_bill(payload: str | bytes) -> bool:
    """Whether a scanned code is meant to be a bill's, right or wrong."""
    unwrapped = bill_qr_text.unwrap(payload[:PAYLOAD_LENGTH_MAX])
    if isinstance(unwrapped, bytes):
        return unwrapped.startswith(_START.encode())
    return unwrapped.startswith(_START)


def parse(payload: str | bytes) -> BillQr:
    """The bill behind a scanned code, whichever way the scanner hands it over.

    Refusal qr_invalid: too long, no ST0001 header, no Key=Value, or no account named at all.
    """
    if not 1 <= len(payload) <= PAYLOAD_LENGTH_MAX:
        raise Refusal(
            "qr_invalid", f"Expected 1..{PAYLOAD_LENGTH_MAX} characters, was {len(payload)}"
        )
    text, encoding, warnings = _text_of(payload)
    header = _HEADER.match(text)
    if header is None:
        raise Refusal("qr_invalid", "Expected a header like ST00012|, was something else")
    separator = header[2]
    fields = _fields(text[header.end() :], separator, warnings)
    subscriber_account = _subscriber_account(fields, warnings)
    if subscriber_account is None and "PersonalAcc" not in fields:
        raise Refusal("qr_invalid", "Expected PersonalAcc or PersAcc, was neither")
    sum_kopecks = _sum_kopecks(fields, warnings)
    period = _period(fields, warnings)
    _warn_of_requisites(fields, warnings)
    corresp_acc = fields.get("CorrespAcc")
    return BillQr(
        name=fields.get("Name"),
        personal_acc=fields.get("PersonalAcc"),
        bank_name=fields.get("BankName"),
        bic=fields.get("BIC"),
        corresp_acc=None if corresp_acc == "0" else corresp_acc,
        sum_kopecks=sum_kopecks,
        subscriber_account=subscriber_account,
        period=period,
        uin=fields.get("UIN"),
        purpose=fields.get("Purpose"),
        fields=fields,
        encoding=encoding,
        separator=separator,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _text_of(payload: str | bytes) -> tuple[str, str, list[str]]:
    unwrapped = bill_qr_text.unwrap(payload)
    if isinstance(unwrapped, bytes):
        text, encoding, mislabelled = bill_qr_text.decode(unwrapped)
    else:
        text, encoding, mislabelled = bill_qr_text.repair(unwrapped)
    warnings = ["encoding_mislabelled"] if mislabelled else []
    if "\ufffd" in text:
        warnings.append("text_damaged")
    return text, encoding, warnings


def _fields(body: str, separator: str, warnings: list[str]) -> dict[str, str]:
    """Canonical key → cleaned value; of two values the first that is not empty."""
    pieces = [piece for piece in body.split(separator) if clean_value(piece)]
    if len(pieces) > FIELDS_MAX:
        raise Refusal("qr_invalid", f"Expected at most {FIELDS_MAX} fields, was {len(pieces)}")
    entries: list[tuple[str, str]] = []
    for piece in pieces:
        key, equals, value = piece.partition("=")
        if equals:
            entries.append((canonical_key(key), value))
        elif entries and entries[-1][0] in FREE_TEXT_FIELDS:
            # The separator stands inside a value, against the standard: the rest belongs to it.
            entries[-1] = (entries[-1][0], f"{entries[-1][1]}{separator}{piece}")
            warnings.append("separator_in_value")
        else:
            warnings.append("stray_text")
    if not entries:
        raise Refusal("qr_invalid", "Expected Key=Value after the header, was none")
    fields: dict[str, str] = {}
    for key, value in entries:
        cleaned = clean_value(value)
        if key and cleaned and fields.setdefault(key, cleaned) != cleaned:
            warnings.append("field_repeated")
    return fields


def _subscriber_account(fields: dict[str, str], warnings: list[str]) -> str | None:
    for name in _SUBSCRIBER_FIELDS:
        if name not in fields:
            continue
        account = subscriber_account_of(fields[name])
        if account is None:
            warnings.append("subscriber_account_unreadable")
            continue
        if name != _SUBSCRIBER_FIELDS[0]:
            warnings.append("subscriber_account_from_another_field")
        return account
    return None


def _sum_kopecks(fields: dict[str, str], warnings: list[str]) -> int | None:
    if "Sum" not in fields:
        return None
    kopecks, in_roubles = kopecks_of(fields["Sum"])
    if kopecks is None:
        warnings.append("sum_unreadable")
    elif in_roubles:
        warnings.append("sum_in_roubles")
    return kopecks


def _period(fields: dict[str, str], warnings: list[str]) -> str | None:
    if "PaymPeriod" not in fields:
        return None
    period = period_of(fields["PaymPeriod"])
    if period is None:
        warnings.append("period_unreadable")
    return period


def _warn_of_requisites(fields: dict[str, str], warnings: list[str]) -> None:
    """Bills with wrong check digits are paid every day, so none of this refuses."""
    warnings.extend(code for name, code in _MISSING.items() if name not in fields)
    if any(is_too_long(name, value) for name, value in fields.items()):
        warnings.append("field_too_long")
    bic = fields.get("BIC", "")
    if "PersonalAcc" in fields and not account_key_holds(fields["PersonalAcc"], bic):
        warnings.append("personal_acc_key")
    if fields.get("CorrespAcc", "0") != "0" and not account_key_holds(fields["CorrespAcc"], bic):
        warnings.append("corresp_acc_key")
    if "PayeeINN" in fields and not check_inn(fields["PayeeINN"]):
        warnings.append("payee_inn")
