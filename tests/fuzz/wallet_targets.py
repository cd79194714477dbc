"""Wallets' tokens for the fuzzer: whole ones, and what stands behind signatures made here.

A bent token ends at its signature. So that bytes get further, some targets sign and encrypt what
they are given, as the wallet would, and let it be opened.
"""

import base64
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.apple_wallet import AppleWallet
from gateway.demo.google_wallet import GoogleWallet
from gateway.domain.refusals import Refusal
from gateway.methods import apple_pay, apple_signature, google_pay
from gateway.methods.apple_keys import apple_keys
from gateway.methods.google_keys import GoogleKeys, root_keys
from gateway.methods.private_keys import private_keys

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PAN = "4111111111111111"
_numbers = itertools.count(1)


def _same_key() -> ec.EllipticCurvePrivateKey:
    """The next of keys that are the same in every process, as what the fuzzer found is kept."""
    return ec.derive_private_key(next(_numbers), ec.SECP256R1())


APPLE = AppleWallet(NOW - timedelta(days=30), _same_key)
GOOGLE = GoogleWallet(NOW, make_key=_same_key)
REFUSALS = frozenset({"token_invalid", "token_expired", "token_amount_mismatch"})

_APPLE_KEYS = apple_keys(APPLE.own.pem, APPLE.own.key_pem, APPLE.root.pem)
_GOOGLE_KEYS = GoogleKeys(GOOGLE.recipient, private_keys(GOOGLE.keys_pem))
_ROOTS = root_keys(GOOGLE.root_keys())
_APPLE_TOKEN = APPLE.token(APPLE.content(PAN, 100), NOW)
_GOOGLE_TOKEN = GOOGLE.token(GOOGLE.content(PAN, NOW), NOW)


def _open_apple(token: object) -> None:
    card = apple_pay.open_token(token, _APPLE_KEYS, NOW)
    if PAN in repr(card):
        raise RuntimeError("Expected no card number in what is kept")


def _open_google(token: object) -> None:
    card = google_pay.open_token(token, _GOOGLE_KEYS, _ROOTS, NOW)
    if PAN in repr(card):
        raise RuntimeError("Expected no card number in what is kept")


def apple_token(content: bytes) -> None:
    """Any JSON as a token."""
    _as_json(content, _open_apple)


def apple_content(content: bytes) -> None:
    """Any bytes that Apple signed and encrypted."""
    _open_apple(APPLE.token(content, NOW))


def signature(content: bytes) -> None:
    """Any bytes as a signature."""
    apple_signature.check(content, b"", _APPLE_KEYS.roots)


def google_token(content: bytes) -> None:
    """Any JSON as a token."""
    _as_json(content, _open_google)


def google_text(content: bytes) -> None:
    """Any text as a token."""
    _open_google(content.decode("utf-8", "replace"))


def google_content(content: bytes) -> None:
    """Any bytes that Google signed and encrypted."""
    _open_google(GOOGLE.token(content, NOW))


def google_message(content: bytes) -> None:
    """Any message, and any signing key, that Google signed."""
    text = content.decode("utf-8", "replace")
    signed = {**_GOOGLE_TOKEN, "signedMessage": text}
    signed["signature"] = GOOGLE.sign(GOOGLE.signing, "ECv2", text)
    try:
        _open_google(signed)
    except Refusal as refusal:
        if refusal.code not in REFUSALS:
            raise
    _open_google({**_GOOGLE_TOKEN, "intermediateSigningKey": GOOGLE.signed(text)})


def google_roots(content: bytes) -> None:
    """Any bytes as a document of root keys."""
    try:
        root_keys(content)
    except ValueError as expected:
        if not str(expected).startswith("Expected "):
            raise


def keys(content: bytes) -> None:
    """Any bytes as a file of private keys."""
    try:
        private_keys(content)
    except ValueError as expected:
        if not str(expected).startswith("Expected "):
            raise


def _as_json(content: bytes, open_token: Callable[[object], None]) -> None:
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        return
    open_token(told)


Run = Callable[[bytes], None]
WALLET_TARGETS: dict[str, tuple[Run, list[bytes]]] = {
    "apple_token": (
        apple_token,
        [orjson.dumps(_APPLE_TOKEN), orjson.dumps({"paymentData": _APPLE_TOKEN})],
    ),
    "apple_content": (apple_content, [orjson.dumps(APPLE.content(PAN, 100))]),
    "apple_signature": (signature, [base64.b64decode(_APPLE_TOKEN["signature"])]),
    "google_token": (google_token, [orjson.dumps(_GOOGLE_TOKEN)]),
    "google_text": (google_text, [orjson.dumps(_GOOGLE_TOKEN)]),
    "google_content": (google_content, [orjson.dumps(GOOGLE.content(PAN, NOW))]),
    "google_message": (
        google_message,
        [
            _GOOGLE_TOKEN["signedMessage"].encode(),
            _GOOGLE_TOKEN["intermediateSigningKey"]["signedKey"].encode(),
        ],
    ),
    "google_root_keys": (google_roots, [GOOGLE.root_keys(), GOOGLE.root_keys(ECv1=None)]),
    "private_keys": (keys, [GOOGLE.keys_pem]),
}
"""Of each target: how it runs, and its seeds."""
