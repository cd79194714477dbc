"""Google Pay of the demo's own: root keys, signing keys below them, and tokens as a phone sends.

Nothing of Google's is here but the shapes; a gateway takes these tokens only if it is told to trust
these root keys.
"""

import base64
import hmac
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.demo.apple_wallet import MakeKey, key_pem, new_key, public_bytes

RECIPIENT: Final = "gateway:kopeckdemo"
_LASTS: Final = timedelta(days=7)
_KEY_BYTES: Final = {"ECv1": 16, "ECv2": 32}


class GoogleWallet:
    """Google and its phones, and the gateway's own key; `recipient` is who tokens are for."""

    def __init__(
        self, since: datetime, recipient: str = RECIPIENT, make_key: MakeKey = new_key
    ) -> None:
        self.recipient = recipient
        self.roots = {version: make_key() for version in _KEY_BYTES}
        self.signing = make_key()
        self.own = make_key()
        self._ends = since + timedelta(days=365)

    @property
    def keys_pem(self) -> bytes:
        """The gateway's private key as a PEM file."""
        return key_pem(self.own)

    def root_keys(self, **expirations: str | None) -> bytes:
        """The document of root keys; `expirations` by version, None for a key that has none."""
        return orjson.dumps(
            {
                "keys": [
                    {
                        "keyValue": _text(public_bytes(key)),
                        "protocolVersion": version,
                        **_expiration(expirations.get(version, milliseconds(self._ends))),
                    }
                    for version, key in self.roots.items()
                ]
            }
        )

    def content(
        self, pan: str, now: datetime, authentication: str = "CRYPTOGRAM_3DS"
    ) -> dict[str, Any]:
        """What a phone encrypts: a card, and the message's own id and end."""
        details = {
            "pan": pan,
            "expirationMonth": 12,
            "expirationYear": 2031,
            "authMethod": authentication,
        }
        if authentication == "CRYPTOGRAM_3DS":
            details |= {"cryptogram": _text(os.urandom(20)), "eciIndicator": "05"}
        return {
            "gatewayMerchantId": "kopeck",
            "messageExpiration": milliseconds(now + _LASTS),
            "messageId": _text(os.urandom(24)),
            "paymentMethod": "CARD",
            "paymentMethodDetails": details,
        }

    def token(
        self, content: Mapping[str, Any] | bytes, now: datetime, version: str = "ECv2"
    ) -> dict[str, Any]:
        """A token with this content."""
        plain = content if isinstance(content, bytes) else orjson.dumps(content)
        message = orjson.dumps(self.sealed(plain, version)).decode()
        if version == "ECv1":
            return {
                "protocolVersion": version,
                "signature": self.sign(self.roots[version], version, message),
                "signedMessage": message,
            }
        return {
            "protocolVersion": version,
            "signature": self.sign(self.signing, version, message),
            "intermediateSigningKey": self.signed_key(now + _LASTS),
            "signedMessage": message,
        }

    def signed_key(
        self, expires: datetime, root: ec.EllipticCurvePrivateKey | None = None
    ) -> dict[str, Any]:
        """The key that signs messages, signed by a root key."""
        told = orjson.dumps(
            {
                "keyValue": _text(public_bytes(self.signing)),
                "keyExpiration": milliseconds(expires),
            }
        ).decode()
        return self.signed(told, root)

    def signed(self, told: str, root: ec.EllipticCurvePrivateKey | None = None) -> dict[str, Any]:
        """What is told of a signing key, signed by a root key."""
        signature = (root or self.roots["ECv2"]).sign(
            lengths_first(b"Google", b"ECv2", told.encode()), ec.ECDSA(SHA256())
        )
        return {"signedKey": told, "signatures": [_text(signature)]}

    def sign(
        self,
        key: ec.EllipticCurvePrivateKey,
        version: str,
        message: str,
        *,
        sender: bytes = b"Google",
        recipient: str | None = None,
    ) -> str:
        """A signature of a message, as it stands in a token."""
        told = (recipient or self.recipient).encode()
        signed = lengths_first(sender, told, version.encode(), message.encode())
        return _text(key.sign(signed, ec.ECDSA(SHA256())))

    def sealed(
        self, plain: bytes, version: str, to: ec.EllipticCurvePrivateKey | None = None
    ) -> dict[str, str]:
        """A message that only the gateway's key opens."""
        ephemeral = new_key()
        point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        shared = ephemeral.exchange(ec.ECDH(), (to or self.own).public_key())
        size = _KEY_BYTES[version]
        derived = HKDF(SHA256(), 2 * size, bytes(32), b"Google").derive(point + shared)
        cipher = Cipher(algorithms.AES(derived[:size]), modes.CTR(bytes(16))).encryptor()
        encrypted = cipher.update(plain) + cipher.finalize()
        return {
            "encryptedMessage": _text(encrypted),
            "ephemeralPublicKey": _text(point),
            "tag": _text(hmac.digest(derived[size:], encrypted, "sha256")),
        }


def lengths_first(*parts: bytes) -> bytes:
    """Each part behind its length, as Google signs them."""
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def milliseconds(moment: datetime) -> str:
    """A moment as Google writes it."""
    return str(int(moment.timestamp()) * 1000)


def _expiration(told: str | None) -> dict[str, str]:
    return {} if told is None else {"keyExpiration": told}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
