"""Apple Pay's payment token (EC_v1): opened with our key once Apple's signature holds. Pure.

The card number lives only inside `open_token`; what it gives is what may be kept.
"""

from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import UNSET, Struct, UnsetType

from gateway.domain.payment import OpenedToken
from gateway.domain.refusals import Refusal
from gateway.methods import apple_signature
from gateway.methods.apple_keys import AppleKey, AppleKeys
from gateway.methods.wallet_text import (
    OpenedCard,
    converted,
    facts_of,
    invalid,
    parsed,
    unbase64,
    unhexadecimal,
)

VERSION: Final = "EC_v1"
# Apple: a signature more than a few minutes old may be a replay. Its clock may be a little ahead.
SIGNED_AGO_MAX: Final = timedelta(minutes=5)
SIGNED_AHEAD_MAX: Final = timedelta(minutes=1)
ROUBLES: Final = "643"
AUTHENTICATION: Final = ("3DSecure", "EMV")

SIGNATURE_BYTES_MAX: Final = 16_384
ENCRYPTED_BYTES_MAX: Final = 8_192
PUBLIC_KEY_BYTES_MAX: Final = 256
HASH_BYTES: Final = 32
# The signature covers id and applicationData joined, without their lengths: with a byte of one
# moved to the other it holds still. Apple's applicationData is a SHA-256, always; an id no longer
# than one, beside nothing or a whole one, can be cut in one place only, and so is one id.
ID_BYTES_MAX: Final = HASH_BYTES
TAG_BYTES: Final = 16

_IV: Final = bytes(16)
# The concatenation KDF of NIST SP 800-56A: its one round, the algorithm's name, the sender's.
_ROUND: Final = b"\x00\x00\x00\x01"
_ALGORITHM: Final = b"\x0did-aes256-GCM"
_SENDER: Final = b"Apple"


class _Header(
    Struct,
    forbid_unknown_fields=True,
    rename={
        "ephemeral_key": "ephemeralPublicKey",
        "key_hash": "publicKeyHash",
        "id": "transactionId",
        "application": "applicationData",
    },
):
    ephemeral_key: str
    key_hash: str
    id: str
    application: str | UnsetType = UNSET


class _Token(Struct, forbid_unknown_fields=True, rename={"encrypted": "data"}):
    version: str
    encrypted: str
    signature: str
    header: _Header


class _Envelope(
    Struct,
    forbid_unknown_fields=True,
    rename={
        "token": "paymentData",
        "shown": "paymentMethod",
        "id": "transactionIdentifier",
    },
):
    """The token as a browser's PaymentToken has it: with what it shows of the card."""

    token: _Token
    shown: dict[str, object] | UnsetType = UNSET
    id: str | UnsetType = UNSET


class _Paid(
    Struct,
    rename={
        "pan": "applicationPrimaryAccountNumber",
        "currency": "currencyCode",
        "amount": "transactionAmount",
        "authentication": "paymentDataType",
    },
):
    """What is encrypted, of which the rest is the acquirer's affair."""

    pan: str
    currency: str
    amount: int
    authentication: str


def open_token(token: object, keys: AppleKeys, now: datetime) -> OpenedCard:
    """What may be kept of the card, the token's mark, and the kopecks it is for.

    Refusal token_invalid; token_expired for a signature that is too old; token_amount_mismatch
    for another currency than roubles.
    """
    content, id_ = _decrypted(_told(token), keys, now)
    paid = parsed(content, _Paid, "the token's content")
    if paid.currency != ROUBLES:
        raise Refusal("token_amount_mismatch", "Expected a token for roubles, was another currency")
    if paid.authentication not in AUTHENTICATION:
        raise invalid(f"paymentDataType {' or '.join(AUTHENTICATION)}")
    facts = facts_of(paid.pan, paid.authentication)
    digest = sha256(b"apple_pay\x00" + id_).digest()
    return OpenedCard(facts, OpenedToken(digest, paid.amount))


def decrypted(token: object, keys: AppleKeys, now: datetime) -> bytes:
    """The JSON that Apple encrypted, once every check of the token itself has passed."""
    return _decrypted(_told(token), keys, now)[0]


def _told(token: object) -> _Token:
    if isinstance(token, dict) and "paymentData" in token:
        envelope = converted(token, _Envelope, "token")
        told = envelope.token
        if envelope.id is not UNSET and envelope.id.lower() != told.header.id.lower():
            raise invalid("transactionIdentifier as in the token's header")
    else:
        told = converted(token, _Token, "token")
    if told.version != VERSION:
        raise invalid(f"a token of version {VERSION}")
    return told


def _decrypted(told: _Token, keys: AppleKeys, now: datetime) -> tuple[bytes, bytes]:
    """The content and the token's id."""
    header = told.header
    key = keys.keys.get(unbase64(header.key_hash, "publicKeyHash", HASH_BYTES))
    if key is None:
        raise invalid("a token for one of our certificates")
    ephemeral = unbase64(header.ephemeral_key, "ephemeralPublicKey", PUBLIC_KEY_BYTES_MAX)
    encrypted = unbase64(told.encrypted, "data", ENCRYPTED_BYTES_MAX)
    id_ = unhexadecimal(header.id, "transactionId", ID_BYTES_MAX)
    application = b""
    if header.application is not UNSET:
        application = unhexadecimal(header.application, "applicationData", HASH_BYTES)
        if len(application) != HASH_BYTES:
            raise invalid(f"applicationData a SHA-256 of {HASH_BYTES} bytes")
    signature = unbase64(told.signature, "signature", SIGNATURE_BYTES_MAX)
    signed_at = apple_signature.check(
        signature, ephemeral + encrypted + id_ + application, keys.roots
    )
    if signed_at > now + SIGNED_AHEAD_MAX:
        raise invalid("a token that was signed before now")
    if signed_at < now - SIGNED_AGO_MAX:
        minutes = SIGNED_AGO_MAX.seconds // 60
        raise Refusal("token_expired", f"Expected a token signed within {minutes} minutes")
    try:
        content = AESGCM(_shared_key(key, ephemeral)).decrypt(_IV, encrypted, None)
    except InvalidTag:
        raise invalid("a token that opens with our key") from None
    return content, id_


def _shared_key(key: AppleKey, ephemeral: bytes) -> bytes:
    """The key of the cipher, by ECDH and the concatenation KDF."""
    try:
        other = load_der_public_key(ephemeral)
        if not isinstance(other, ec.EllipticCurvePublicKey):
            raise invalid("ephemeralPublicKey of an elliptic curve")
        shared = key.private_key.exchange(ec.ECDH(), other)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise invalid("ephemeralPublicKey of the curve P-256") from None
    return sha256(_ROUND + shared + _ALGORITHM + _SENDER + key.receiver).digest()
