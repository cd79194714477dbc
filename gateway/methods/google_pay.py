"""Google Pay's payment method token (ECv1, ECv2): opened with our key once Google's signatures
hold. Pure.

The card number lives only inside `open_token`; what it gives is what may be kept.
"""

import hmac
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import UNSET, Struct, UnsetType

from gateway.domain.payment import OpenedToken
from gateway.domain.refusals import Refusal
from gateway.methods.google_keys import GoogleKeys, RootKey, moment, public_key
from gateway.methods.wallet_text import (
    OpenedCard,
    converted,
    facts_of,
    invalid,
    parsed,
    unbase64,
)

ECV1: Final = "ECv1"
ECV2: Final = "ECv2"
AUTHENTICATION: Final = ("PAN_ONLY", "CRYPTOGRAM_3DS")

TOKEN_LENGTH_MAX: Final = 16_384
# Each is tried with each root key: the bound is on the time that a bad token takes.
SIGNATURES_MAX: Final = 4
SIGNATURE_BYTES_MAX: Final = 128
ENCRYPTED_BYTES_MAX: Final = 8_192
POINT_BYTES: Final = 65
TAG_BYTES: Final = 32
ID_LENGTH_MAX: Final = 1_024

_SENDER: Final = b"Google"
_SALT: Final = bytes(32)
_IV: Final = bytes(16)
# Bytes of the cipher's key, and of the tag's.
_KEY_BYTES: Final = {ECV1: 16, ECV2: 32}


class _Intermediate(Struct, forbid_unknown_fields=True, rename="camel"):
    signed_key: str
    signatures: list[str]


class _Token(Struct, forbid_unknown_fields=True, rename="camel"):
    protocol_version: str
    signature: str
    signed_message: str
    intermediate_signing_key: _Intermediate | UnsetType = UNSET


class _SignedKey(Struct, rename="camel"):
    key_value: str
    key_expiration: str


class _Message(Struct, forbid_unknown_fields=True, rename="camel"):
    encrypted_message: str
    ephemeral_public_key: str
    tag: str


class _Details(Struct, rename={"authentication": "authMethod"}):
    pan: str
    authentication: str


class _Paid(Struct, rename="camel"):
    """What is encrypted, of which the rest is the acquirer's affair."""

    message_id: str
    message_expiration: str
    payment_method: str
    payment_method_details: _Details


def open_token(
    token: object, keys: GoogleKeys, roots: Sequence[RootKey], now: datetime
) -> OpenedCard:
    """What may be kept of the card, and the token's mark; it names no amount.

    Refusal token_invalid, and token_expired for a message or a signing key past its time.
    """
    paid = parsed(decrypted(token, keys, roots, now), _Paid, "the token's content")
    _check_lasts(paid.message_expiration, "a message", now)
    if not 1 <= len(paid.message_id) <= ID_LENGTH_MAX:
        raise invalid(f"messageId of 1..{ID_LENGTH_MAX} characters")
    if paid.payment_method != "CARD":
        raise invalid("paymentMethod CARD")
    details = paid.payment_method_details
    if details.authentication not in AUTHENTICATION:
        raise invalid(f"authMethod {' or '.join(AUTHENTICATION)}")
    facts = facts_of(details.pan, details.authentication)
    digest = sha256(b"google_pay\x00" + paid.message_id.encode()).digest()
    return OpenedCard(facts, OpenedToken(digest))


def decrypted(token: object, keys: GoogleKeys, roots: Sequence[RootKey], now: datetime) -> bytes:
    """What Google encrypted, once every signature holds; what it says is not looked at."""
    told = _told(token)
    version = told.protocol_version
    trusted = [root.key for root in roots if _is_trusted(root, version, now)]
    if told.intermediate_signing_key is UNSET:
        signers = trusted
    else:
        signers = [_intermediate(told.intermediate_signing_key, trusted, now)]
    if len(told.signed_message) > TOKEN_LENGTH_MAX:
        raise invalid(f"signedMessage of at most {TOKEN_LENGTH_MAX} characters")
    signed = _lengths_first(_SENDER, keys.recipient, version, told.signed_message)
    signature = unbase64(told.signature, "signature", SIGNATURE_BYTES_MAX)
    if not _holds(signed, [signature], signers):
        raise invalid("a message that Google signed for us")
    message = parsed(told.signed_message, _Message, "signedMessage")
    return _opened(message, keys.private_keys, _KEY_BYTES[version])


def _told(token: object) -> _Token:
    if isinstance(token, str):
        if len(token) > TOKEN_LENGTH_MAX * 2:
            raise invalid(f"token of at most {TOKEN_LENGTH_MAX * 2} characters")
        told = parsed(token, _Token, "token")
    else:
        told = converted(token, _Token, "token")
    if told.protocol_version not in _KEY_BYTES:
        raise invalid(f"protocolVersion {ECV1} or {ECV2}")
    if (told.protocol_version == ECV2) is (told.intermediate_signing_key is UNSET):
        raise invalid(f"intermediateSigningKey with {ECV2} alone")
    return told


def _is_trusted(root: RootKey, version: str, now: datetime) -> bool:
    """Whether a root key may sign now. With ECv2 one that never expires may not, as Google says."""
    if root.version != version:
        return False
    if root.expires is None:
        return version == ECV1
    return now < root.expires


def _intermediate(
    told: _Intermediate, trusted: Sequence[ec.EllipticCurvePublicKey], now: datetime
) -> ec.EllipticCurvePublicKey:
    """The key that signs messages, once a root key signed it."""
    if not 1 <= len(told.signatures) <= SIGNATURES_MAX:
        raise invalid(f"1..{SIGNATURES_MAX} signatures of the signing key")
    signed = _lengths_first(_SENDER, ECV2, told.signed_key)
    signatures = [
        unbase64(one, "intermediateSigningKey.signatures", SIGNATURE_BYTES_MAX)
        for one in told.signatures
    ]
    if not _holds(signed, signatures, trusted):
        raise invalid("a signing key that Google's root key signed")
    key = parsed(told.signed_key, _SignedKey, "signedKey")
    _check_lasts(key.key_expiration, "a signing key", now)
    try:
        return public_key(key.key_value)
    except ValueError:
        raise invalid("keyValue a public key of the curve P-256") from None


def _lengths_first(*parts: str | bytes) -> bytes:
    """Each part behind its length, four bytes little-endian: what Google signs."""
    whole = bytearray()
    for part in parts:
        content = part if isinstance(part, bytes) else _utf8(part)
        whole += len(content).to_bytes(4, "little") + content
    return bytes(whole)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise invalid("text that UTF-8 can hold") from None


def _holds(
    signed: bytes, signatures: Iterable[bytes], signers: Iterable[ec.EllipticCurvePublicKey]
) -> bool:
    """Whether any of the signatures is by any of the signers."""
    for signature in signatures:
        for signer in signers:
            try:
                signer.verify(signature, signed, ec.ECDSA(SHA256()))
            except InvalidSignature:
                continue
            return True
    return False


def _check_lasts(text: str, what: str, now: datetime) -> None:
    try:
        expires = moment(text)
    except ValueError:
        raise invalid(f"{what} with its expiration in milliseconds") from None
    if expires <= now:
        raise Refusal("token_expired", f"Expected {what} that has not expired")


def _opened(
    message: _Message, private_keys: Sequence[ec.EllipticCurvePrivateKey], key_bytes: int
) -> bytes:
    """The content, by whichever of our keys the tag holds; nothing is decrypted before it does."""
    point = unbase64(message.ephemeral_public_key, "ephemeralPublicKey", POINT_BYTES)
    encrypted = unbase64(message.encrypted_message, "encryptedMessage", ENCRYPTED_BYTES_MAX)
    tag = unbase64(message.tag, "tag", TAG_BYTES)
    if len(point) != POINT_BYTES:
        raise invalid("ephemeralPublicKey an uncompressed point")
    try:
        other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        raise invalid("ephemeralPublicKey a point of the curve P-256") from None
    for private_key in private_keys:
        shared = private_key.exchange(ec.ECDH(), other)
        derive = HKDF(SHA256(), 2 * key_bytes, _SALT, _SENDER)
        keys = derive.derive(point + shared)
        found = hmac.digest(keys[key_bytes:], encrypted, "sha256")
        if hmac.compare_digest(found, tag):
            cipher = Cipher(algorithms.AES(keys[:key_bytes]), modes.CTR(_IV)).decryptor()
            return cipher.update(encrypted) + cipher.finalize()
    raise invalid("a message that one of our keys opens")
