"""Secrets of webhooks: made, read, sealed where a key is set, and what they sign.

They have to be at hand to sign, so no digest would do. With KOPECK_WEBHOOK_KEY they are stored
sealed (AES-256-GCM, bound to their webhook), without it as they are. Never logged.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.config import StartRefused
from gateway.domain.refusals import InvariantBroken, Refusal

PREFIX: Final = "whsec_"
BYTES_MIN, BYTES_MAX, BYTES_NEW = 24, 64, 32
KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_PLAIN, _SEALED = b"\x00", b"\x01"
_BASE64 = re.compile(r"[A-Za-z0-9+/]{4,128}={0,2}", re.ASCII)


def new() -> bytes:
    """A new secret."""
    return secrets.token_bytes(BYTES_NEW)


def shown(secret: bytes) -> str:
    """The secret as its owner keeps it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def read(text: str) -> bytes:
    """The secret behind `whsec_…`; Refusal malformed, without a word of it."""
    coded = text.removeprefix(PREFIX)
    try:
        if not text.startswith(PREFIX) or _BASE64.fullmatch(coded) is None:
            raise binascii.Error
        found = base64.b64decode(coded, validate=True)
    except binascii.Error:
        found = b""
    if not BYTES_MIN <= len(found) <= BYTES_MAX:
        raise Refusal(
            "malformed", f"Expected whsec_ and base64 of {BYTES_MIN}..{BYTES_MAX} random bytes"
        )
    return found


def signatures(keys: Sequence[bytes], message: str, timestamp: int, body: bytes) -> str:
    """The value of webhook-signature: one for each secret in force."""
    signed = f"{message}.{timestamp}.".encode() + body
    made = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(one).decode()}" for one in made)


class Seal:
    """Seals and opens stored secrets; without a key it stores them as they are."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads the key, base64 of 32 bytes; raises StartRefused."""
        self._sealing = None if path is None else AESGCM(_key(path))

    def seal(self, secret: bytes, webhook: UUID) -> bytes:
        """What is stored of a secret."""
        if self._sealing is None:
            return _PLAIN + secret
        nonce = os.urandom(_NONCE_BYTES)
        return _SEALED + nonce + self._sealing.encrypt(nonce, secret, webhook.bytes)

    def open(self, stored: bytes, webhook: UUID) -> bytes:
        """The secret again; InvariantBroken where it was sealed by another key, or for another."""
        kind, rest = stored[:1], stored[1:]
        if kind == _PLAIN:
            return rest
        try:
            if self._sealing is None:
                raise InvalidTag
            return self._sealing.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], webhook.bytes)
        except InvalidTag:
            raise InvariantBroken("Expected the key that sealed the webhook's secret") from None


def _key(path: Path) -> bytes:
    try:
        found = base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, binascii.Error):
        found = b""
    if len(found) != KEY_BYTES:
        raise StartRefused(f"Expected base64 of {KEY_BYTES} bytes in KOPECK_WEBHOOK_KEY's file")
    return found
