"""Refusals and failures as RFC 9457 problems; the only HTTP statuses of errors in the product.

What the caller sent is never repeated here: a detail comes from our own sentences alone.
"""

from typing import Final

import orjson

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:kopeck:problem:"

# code: (status, title). A code that is missing here is a bug, which a test looks for.
PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "malformed": (400, "The request is not of the expected shape"),
    "idempotency_key_missing": (400, "An Idempotency-Key is required"),
    "unauthenticated": (401, "A valid API key is required"),
    "forbidden": (403, "This key's role may not do this"),
    "signature_invalid": (403, "The callback is not signed as its acquirer signs"),
    "not_found": (404, "There is no such thing, or it is not yours"),
    "method_not_allowed": (405, "This path does not take this method"),
    "request_timeout": (408, "The body did not arrive in time"),
    "idempotency_key_in_progress": (409, "The first request with this key is still worked on"),
    "state_conflict": (409, "The present state does not allow this"),
    "ledger_mismatch": (409, "What would be paid is not what the ledger owes"),
    "token_replayed": (409, "The wallet token was used before"),
    "body_too_large": (413, "The body is too large"),
    "unsupported_media_type": (415, "The body is in a form that is not taken"),
    "expectation_failed": (417, "The expectation cannot be met"),
    "idempotency_key_reused": (422, "The key was used for another request"),
    "amount_out_of_range": (422, "The amount is out of range"),
    "charges_out_of_range": (422, "The number of charges is out of range"),
    "due_out_of_range": (422, "A due is out of range"),
    "tier_out_of_range": (422, "A tier is out of range"),
    "weight_out_of_range": (422, "A weight is out of range"),
    "second_level_out_of_range": (422, "A second level is out of range"),
    "fee_out_of_range": (422, "A fee rule is out of range"),
    "designation_out_of_range": (422, "A designation is out of range"),
    "designation_exceeds_amount": (422, "The designation exceeds the amount"),
    "overpayment": (422, "More than is owed, and the bill refuses overpayments"),
    "nothing_to_allocate": (422, "Nothing on the bill can receive the money"),
    "total_out_of_range": (422, "The total is out of range"),
    "refund_exceeds_payment": (422, "The refund exceeds what is left of the payment"),
    "account_invalid": (422, "The subscriber account is not of the expected shape"),
    "account_key_invalid": (422, "The bank account's key does not hold"),
    "inn_invalid": (422, "The INN's check digits do not hold"),
    "recipient_unknown": (422, "The recipient is not registered"),
    "period_closed": (422, "The account has a bill of a newer period"),
    "method_invalid": (422, "The way to pay is not taken as sent"),
    "token_invalid": (422, "The wallet token is not valid"),
    "token_expired": (422, "The wallet token has expired"),
    "token_amount_mismatch": (422, "The wallet token is for another amount"),
    "qr_invalid": (422, "The QR code is not valid"),
    "qr_crc_mismatch": (422, "The QR code's control sum does not hold"),
    "pan_not_allowed": (422, "A full card number is not taken"),
    "control_total_mismatch": (422, "The file's control total does not hold"),
    "url_not_allowed": (422, "Webhooks may not go to this URL"),
    "rate_limited": (429, "Too many requests with this key"),
    "internal": (500, "A fault of ours"),
    "overloaded": (503, "Too much at once; nothing was done"),
    "unavailable": (503, "Not available now; the outcome may be unknown"),
    "http_version_not_supported": (505, "Only HTTP/1.0 and HTTP/1.1 are spoken"),
}


def status_of(code: str) -> int:
    """The HTTP status of a code; KeyError for one that is not in the table."""
    return PROBLEMS[code][0]


def as_object(code: str, detail: str) -> dict[str, object]:
    """The problem's members."""
    status, title = PROBLEMS[code]
    return {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
    }


def content(code: str, detail: str) -> bytes:
    """The problem as JSON."""
    return orjson.dumps(as_object(code, detail))
