"""Bytes to typed requests: what a body, a header or a query says, checked for shape and range.

Pure: no I/O and no look at what is stored. Refusals name fields, never values.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from gateway.acquirers import instruments
from gateway.acquirers.requests import AuthorisationRequest
from gateway.api import bodies, strict_json
from gateway.domain import ids
from gateway.domain.bill import NAME_LENGTH_MAX, Bill, check_account
from gateway.domain.party import RECIPIENT_KINDS, BankAccount, Recipient
from gateway.domain.payment import METHODS, Claim, PaymentRequest
from gateway.domain.refusals import Refusal
from gateway.methods import contains_pan, normalise
from gateway.methods.facts import refuse_card_numbers
from splitcore import AMOUNT_MAX, TOTAL_MAX, FeeRule

FINGERPRINT_SIZE: Final = 16
REFERENCE_LENGTH_MAX: Final = 128
# What a quote can be asked for. A wallet's payer agrees to a total: its bank asks for that first.
QUOTED_METHODS: Final = frozenset({"card", "mir", "cash", "qr", "apple_pay", "google_pay"})
METHOD_NUMBERS: Final = {name: number for number, name in enumerate(METHODS)}
CARD: Final = METHOD_NUMBERS["card"]

_YEAR_MIN: Final = 2000
_YEAR_MAX: Final = 2099
_KEY: Final = re.compile(r"[!-~]{1,255}", re.ASCII)
_QUOTED: Final = re.compile(r'"((?:[!#-\[\]-~]|\\["\\])*)"', re.ASCII)
_RECIPIENT_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_ESCAPE: Final = re.compile(r'\\(["\\])')
_DIGITS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_RETURN_URL: Final = re.compile(r"https?://[!-~]{1,1016}", re.ASCII)
_ACQUIRER_LENGTH_MAX: Final = 32
_REFERENCE: Final = re.compile(rf"[^\x00-\x1f\x7f]{{1,{REFERENCE_LENGTH_MAX}}}")


class _Payer(msgspec.Struct):
    """A bill of which only the payer is there, as deep as it stands in a bill."""

    payer: dict[str, object] | str


_payment_body: Final = msgspec.json.Decoder(bodies.PaymentBody)
_bulk_body: Final = msgspec.json.Decoder(bodies.BulkPaymentBody)
_bill: Final = msgspec.json.Decoder(Bill)
_payer: Final = msgspec.json.Decoder(_Payer)
_moment: Final = msgspec.json.Decoder(bodies.Moment)
_canonical: Final = msgspec.json.Encoder(order="deterministic")
_encode: Final = msgspec.json.Encoder().encode


def idempotency_key(values: list[str]) -> str:
    """The key out of its header's values, bare or as an RFC 8941 string."""
    if not values:
        raise Refusal("idempotency_key_missing", "Expected an Idempotency-Key header")
    if len(values) > 1:
        raise Refusal("malformed", "Expected one Idempotency-Key header, was several")
    text = values[0]
    quoted = _QUOTED.fullmatch(text) if text[:1] == '"' else None
    if quoted is not None and quoted[1]:
        text = _ESCAPE.sub(r"\1", quoted[1])
    return checked_key(text)


def checked_key(text: str) -> str:
    """The key itself; Refusal malformed unless it is 1..255 visible ASCII characters."""
    if _KEY.fullmatch(text) is None:
        raise Refusal("malformed", "Expected an idempotency key of 1..255 visible ASCII characters")
    return text


def fingerprint(body: msgspec.Struct, *path: str) -> bytes:
    """16 bytes that stand for a decoded body and the ids in its path, whatever its spelling."""
    return digest(b"\x00".join([_canonical.encode(body), *map(str.encode, path)]))


def digest(canonical: bytes) -> bytes:
    """The fingerprint of a body in its one spelling."""
    return blake2b(canonical, digest_size=FINGERPRINT_SIZE).digest()


def payment(content: bytes, key: str, caller: int) -> PaymentRequest | AuthorisationRequest:
    """A payment out of a whole body, or what an acquirer is to take; the key came in a header."""
    body = strict_json.typed(_payment_body, content)
    canonical = canonical_form(body, content)
    if body.acquirer is not None or body.return_url is not None:
        return _authorisation_request(body, canonical, key, caller)
    return _payment_request(body, canonical, key, caller)


def canonical(content: bytes) -> bytes:
    """The one spelling of a whole body, of which its fingerprint is made."""
    return canonical_form(strict_json.typed(_payment_body, content), content)


def bulk_payment(line: bytes, caller: int) -> PaymentRequest:
    """A payment out of one line, which brings its own key."""
    body, canonical, key = _bulk_line(line)
    if key is None:
        raise Refusal("idempotency_key_missing", "Expected idempotency_key in every line")
    if body.acquirer is not None or body.return_url is not None:
        raise Refusal("malformed", "Expected payments that were taken, was one for an acquirer")
    return _payment_request(body, canonical, checked_key(key), caller)


def bulk_canonical(line: bytes) -> bytes:
    """The one spelling of a line's payment, of which its fingerprint is made."""
    return _bulk_line(line)[1]


def _bulk_line(line: bytes) -> tuple[bodies.BulkPaymentBody, bytes, str | None]:
    body = strict_json.typed(_bulk_body, line)
    key = body.idempotency_key
    # The same payment through either door has the same fingerprint, so the key is left out of it.
    body.idempotency_key = None
    return body, canonical_form(body, line, left_out=0 if key is None else 2), key


def canonical_form(body: bodies.PaymentBody, content: bytes, left_out: int = 0) -> bytes:
    """The one spelling of a body whose text has `left_out` strings more; Refusal malformed."""
    if body.currency == bodies.CURRENCY and body.currency is not bodies.CURRENCY:
        # msgspec leaves a default out only where it is the same object; said or not is one request.
        body.currency = bodies.CURRENCY
        left_out += 2
    canonical = _canonical.encode(body)
    strict_json.check_text_against(content, canonical, left_out)
    return canonical


def _payment_request(
    body: bodies.PaymentBody, canonical: bytes, key: str, caller: int
) -> PaymentRequest:
    """The request a body stands for, with a new id for what may become of it."""
    check_currency(body.currency)
    amount, is_total = amount_or_total(body.amount, body.total)
    reference = body.reference
    if reference is not None and not _REFERENCE.fullmatch(reference):
        raise _reference_misfit(reference)
    if body.paid_at is not None:
        check_year(body.paid_at, "paid_at")
    method = normalise(body.method)
    account = subscriber_account(body.subscriber_account, method.subscriber_account)
    claim = Claim(caller, key, "payments", digest(canonical))
    return PaymentRequest(
        claim=claim,
        id=ids.new_id(),
        subscriber_account=account,
        amount=amount,
        is_total=is_total,
        method=METHOD_NUMBERS[method.type],
        facts=_encode(method.facts),
        designation=designation(body.designation) if body.designation else (),
        reference=reference,
        paid_at=None if body.paid_at is None else _kept(body.paid_at),
        token=method.token,
    )


def _reference_misfit(reference: str) -> Refusal:
    if 1 <= len(reference) <= REFERENCE_LENGTH_MAX:
        return Refusal("malformed", "Expected reference without control characters")
    return Refusal("malformed", f"Expected reference of 1..{REFERENCE_LENGTH_MAX} characters")


def _authorisation_request(
    body: bodies.PaymentBody, canonical: bytes, key: str, caller: int
) -> AuthorisationRequest:
    """What an acquirer is to take, with the id of the payment that it may become."""
    check_currency(body.currency)
    amount, is_total = amount_or_total(body.amount, body.total)
    if body.acquirer is None or not 1 <= len(body.acquirer) <= _ACQUIRER_LENGTH_MAX:
        raise Refusal("malformed", "Expected the name of an acquirer")
    if body.paid_at is not None:
        raise Refusal("malformed", "Expected no paid_at of what is not paid yet")
    if body.reference is None:
        # Without it a second try could not be told from a second payment.
        raise Refusal("malformed", "Expected reference of what an acquirer is to take")
    if not _REFERENCE.fullmatch(body.reference):
        raise _reference_misfit(body.reference)
    if body.return_url is not None and _RETURN_URL.fullmatch(body.return_url) is None:
        raise Refusal("malformed", "Expected return_url of https: and at most 1024 characters")
    refuse_card_numbers(body.method, frozenset({"token"}))
    told = instruments.read(body.method)
    account = subscriber_account(body.subscriber_account, None)
    request = PaymentRequest(
        claim=Claim(caller, key, "authorisations", digest(canonical)),
        id=ids.new_id(),
        subscriber_account=account,
        amount=amount,
        is_total=is_total,
        method=METHOD_NUMBERS[told.type],
        facts=told.facts,
        designation=designation(body.designation) if body.designation else (),
        reference=body.reference,
    )
    return AuthorisationRequest(request, body.acquirer, told.instrument, body.return_url)


def _kept(moment: datetime) -> datetime:
    # The journal keeps moments, not offsets, and a replay must show what the first answer did.
    return moment.astimezone(UTC)


def paid_at(text: bytes) -> tuple[datetime, bytes]:
    """A moment out of a JSON string, as it is kept, and its one spelling; Refusal malformed."""
    try:
        found = _moment.decode(b'"%b"' % text)
    except ValueError:
        raise Refusal("malformed", "Expected paid_at as RFC 3339 with an offset") from None
    check_year(found, "paid_at")
    return _kept(found), _encode(found)[1:-1]


def subscriber_account(asked: str | None, named: str | None) -> str:
    """The account of a payment, told by the request, by the bill's code, or by both alike."""
    if asked is None:
        if named is None:
            raise Refusal("malformed", "Expected subscriber_account, was absent")
        asked = named
    check_account(asked)
    if named is not None and named != asked:
        raise Refusal("qr_invalid", "Expected the account that the code names, was another")
    return asked


def amount_or_total(amount: int | UnsetType, total: int | UnsetType) -> tuple[int, bool]:
    """The kopecks given, and whether they are the total."""
    if (amount is UNSET) == (total is UNSET):
        raise Refusal("malformed", "Expected exactly one of amount and total")
    kopecks = amount if total is UNSET else total
    if type(kopecks) is not int:
        raise Refusal("malformed", "Expected a whole number of kopecks")
    if total is UNSET:
        check_amount(kopecks)
    elif not 1 <= kopecks <= TOTAL_MAX:
        # The amount within it is checked where the surcharge is known.
        raise Refusal("amount_out_of_range", f"Expected a total in 1..{TOTAL_MAX} kopecks")
    return kopecks, total is not UNSET


def check_amount(kopecks: int) -> None:
    """Refusal amount_out_of_range outside 1..AMOUNT_MAX."""
    if not 1 <= kopecks <= AMOUNT_MAX:
        raise Refusal("amount_out_of_range", f"Expected an amount in 1..{AMOUNT_MAX} kopecks")


def check_currency(currency: str) -> None:
    """Refusal malformed for anything but roubles."""
    if currency != bodies.CURRENCY:
        raise Refusal("malformed", f"Expected currency {bodies.CURRENCY}")


def check_year(moment: datetime, name: str) -> None:
    """Refusal malformed for a moment that no payment of ours can have."""
    if not _YEAR_MIN <= moment.year <= _YEAR_MAX:
        raise Refusal("malformed", f"Expected {name} in the years {_YEAR_MIN}..{_YEAR_MAX}")


def designation(named: Mapping[str, int] | None) -> tuple[tuple[str, int], ...]:
    """Services and kopecks as the payer named them. Names are free text, so no card number."""
    if not named:
        return ()
    for service, kopecks in named.items():
        if not 1 <= len(service) <= NAME_LENGTH_MAX:
            raise Refusal(
                "malformed", f"Expected services of 1..{NAME_LENGTH_MAX} characters in designation"
            )
        if contains_pan(service):
            raise Refusal("pan_not_allowed", "Expected no full card number in designation, was one")
        if not 0 <= kopecks <= AMOUNT_MAX:
            raise Refusal(
                "designation_out_of_range", f"Expected designations in 0..{AMOUNT_MAX} kopecks"
            )
    return tuple(named.items())


def quoted_method(method: Mapping[str, object]) -> int:
    """The number of the method a quote is for; only `type` is told."""
    name = method.get("type")
    if not isinstance(name, str) or name not in QUOTED_METHODS or len(method) != 1:
        names = ", ".join(one for one in METHODS if one in QUOTED_METHODS)
        raise Refusal("method_invalid", f"Expected method with type alone, one of {names}")
    return METHOD_NUMBERS[name]


def fee_rule(body: bodies.FeeBody) -> FeeRule:
    """The fee rule of a body; its limits are checked where it is put in force."""
    return FeeRule(body.ppm, body.fixed, body.min, body.max)


def recipient(id_: str, body: bodies.RecipientBody) -> Recipient:
    """The recipient of a body; requisites are checked where they are written."""
    if _RECIPIENT_ID.fullmatch(id_) is None:
        raise Refusal("malformed", "Expected a recipient id of 1..64 of A-Z a-z 0-9 . _ -")
    if body.kind not in RECIPIENT_KINDS:
        raise Refusal("malformed", f"Expected kind one of {', '.join(RECIPIENT_KINDS)}")
    account = body.bank_account
    return Recipient(
        id=id_,
        name=body.name,
        kind=body.kind,
        inn=body.inn,
        kpp=body.kpp,
        bank_account=BankAccount(
            account.bic, account.number, account.correspondent, account.bank_name
        ),
        commission=None if body.commission is None else fee_rule(body.commission),
    )


def bill(line: bytes | msgspec.Raw) -> Bill:
    """One bill; its amounts are checked where bills are loaded."""
    return strict_json.decode(_bill, bytes(line))


def payer(value: bytes) -> dict[str, object] | str:
    """A bill's payer out of the value alone, read as strictly as within its bill."""
    body = strict_json.decode(_payer, b'{"payer":%b}' % value)
    return body.payer


def path_id(prefix: str, text: str) -> UUID:
    """The UUID behind an id of a path; Refusal not_found for what can be no id of ours."""
    found = ids.read_id(prefix, text)
    if found is None:
        raise Refusal("not_found", f"Expected an id that begins with {prefix}")
    return found


def moment(text: str, name: str) -> datetime:
    """A moment of a query: RFC 3339 with an offset, whose + may have come as a space."""
    try:
        found = _moment.decode(b'"%b"' % text.replace(" ", "+").encode())
    except ValueError:
        raise Refusal("malformed", f"Expected {name} as RFC 3339 with an offset") from None
    check_year(found, name)
    return found


def business_date(told: date | None) -> date | None:
    """The business date of a settlement batch, None for today's."""
    if told is not None:
        check_day(told, "business_date")
    return told


def check_day(day: date, name: str) -> None:
    """Refusal malformed for a day that nothing of ours can have."""
    if not _YEAR_MIN <= day.year <= _YEAR_MAX:
        raise Refusal("malformed", f"Expected {name} in {_YEAR_MIN}..{_YEAR_MAX}")


def whole_number(text: str, name: str, least: int, most: int) -> int:
    """A whole number of a query, in ASCII digits."""
    if _DIGITS.fullmatch(text) is None or not least <= int(text) <= most:
        raise Refusal("malformed", f"Expected {name} a whole number in {least}..{most}")
    return int(text)
