"""What opens Apple Pay tokens: payment processing certificates with their keys, and Apple's root.

Pure: PEM text in, keys out. What cannot be used is a ValueError that says what was expected.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct

from gateway.methods.private_keys import KEYS_MAX, private_keys

_RECEIVER_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.6.32")
# A UTF8String of 64 hexadecimal digits, or the digits alone.
_RECEIVER: Final = re.compile(rb"(?:\x0c\x40)?([0-9A-Fa-f]{64})")


class AppleKey(Struct, frozen=True):
    """One payment processing key, and the hash of the merchant id that its certificate is for."""

    private_key: ec.EllipticCurvePrivateKey
    receiver: bytes


class AppleKeys(Struct, frozen=True):
    """Keys by the SHA-256 of their public key, and the roots (DER) that Apple signs below.

    `expires` is when the first of these certificates does; nothing here judges by it, for a
    token's certificates are judged at the moment of its signature.
    """

    keys: Mapping[bytes, AppleKey]
    roots: tuple[bytes, ...]
    expires: datetime


def apple_keys(certificate: bytes, key: bytes, root: bytes) -> AppleKeys:
    """The keys of three PEM files: one or more certificates, a key for each, one or more roots."""
    own = _certificates(certificate, "payment processing certificates")
    roots = _certificates(root, "root certificates")
    by_hash = {public_key_hash(one.public_key()): one for one in private_keys(key)}
    keys = {}
    for one in own:
        digest = sha256(_public_bytes(one)).digest()
        if digest not in by_hash:
            raise ValueError("Expected a private key for each payment processing certificate")
        keys[digest] = AppleKey(by_hash[digest], _receiver(one))
    return AppleKeys(
        keys=keys,
        roots=tuple(one.public_bytes(Encoding.DER) for one in roots),
        expires=min(one.not_valid_after_utc for one in (*own, *roots)),
    )


def public_key_hash(key: ec.EllipticCurvePublicKey) -> bytes:
    """SHA-256 of the key as certificates hold it, by which Apple's tokens name their receiver."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _public_bytes(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _certificates(content: bytes, what: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"Expected {what} in PEM") from None
    if len(found) > KEYS_MAX:
        raise ValueError(f"Expected 1..{KEYS_MAX} {what}, was {len(found)}")
    return found


def _receiver(certificate: x509.Certificate) -> bytes:
    try:
        extension = certificate.extensions.get_extension_for_oid(_RECEIVER_EXTENSION).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        extension = None
    told = extension.value if isinstance(extension, x509.UnrecognizedExtension) else b""
    match = _RECEIVER.fullmatch(told)
    if match is None:
        raise ValueError("Expected a certificate for payment processing (Apple's extension 6.32)")
    return bytes.fromhex(match[1].decode())
