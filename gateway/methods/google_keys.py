"""What opens Google Pay tokens: who we are to Google, our private keys, and Google's root keys.

Pure: text in, keys out. What cannot be used is a ValueError that says what was expected.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

ROOT_KEYS_MAX: Final = 32

_MILLISECONDS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_END_OF_TIME_MS: Final = 253_402_300_799_000


class RootKey(msgspec.Struct, frozen=True):
    """A key that Google signs with, for one version of the protocol; `expires` may be never."""

    key: ec.EllipticCurvePublicKey
    version: str
    expires: datetime | None


class GoogleKeys(msgspec.Struct, frozen=True):
    """Who tokens are for (`merchant:…` or `gateway:…`), and every private key that may open them:
    while keys are changed, tokens for the old and for the new one come in together.
    """

    recipient: str
    private_keys: Sequence[ec.EllipticCurvePrivateKey]


class _RootKey(
    msgspec.Struct,
    rename={"value": "keyValue", "version": "protocolVersion", "expires": "keyExpiration"},
):
    value: str
    version: str
    expires: str | None = None


class _RootKeys(msgspec.Struct):
    keys: list[_RootKey]


def root_keys(content: bytes) -> tuple[RootKey, ...]:
    """The keys of a document in the form of Google's keys.json, 1..ROOT_KEYS_MAX."""
    try:
        told = msgspec.json.decode(content, type=_RootKeys).keys
    except (ValueError, RecursionError):
        raise ValueError("Expected root keys in the form of Google's keys.json") from None
    if not 1 <= len(told) <= ROOT_KEYS_MAX:
        raise ValueError(f"Expected 1..{ROOT_KEYS_MAX} root keys, was {len(told)}")
    return tuple(
        RootKey(
            public_key(one.value),
            one.version,
            None if one.expires is None else moment(one.expires),
        )
        for one in told
    )


def public_key(text: str) -> ec.EllipticCurvePublicKey:
    """A key of the curve P-256 out of base64, as certificates hold it."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, TypeError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError("Expected a public key in base64") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
        raise ValueError("Expected a public key of the curve P-256")
    return key


def moment(text: str) -> datetime:
    """A moment out of the decimal milliseconds that Google writes; never later than year 9999."""
    if _MILLISECONDS.fullmatch(text) is None:
        raise ValueError("Expected milliseconds in decimal digits")
    milliseconds = min(int(text), _END_OF_TIME_MS)
    return datetime.fromtimestamp(milliseconds // 1000, UTC)
