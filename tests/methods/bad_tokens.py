"""Tokens that must be refused, each made by its wallet with one thing wrong, and the code for it.

The Google list follows the negative cases of tink-java-apps' tests, the Apple list Apple's own list
of checks; what is wrong with the receiver's keys instead of the token is in the tests themselves.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from gateway.demo.apple_wallet import (
    INTERMEDIATE,
    LEAF,
    AppleWallet,
    issue,
    new_key,
    public_bytes,
)
from gateway.demo.google_wallet import GoogleWallet, lengths_first, milliseconds

APPLE_PAN = "5353756319181169"
GOOGLE_PAN = "4111111111111111"
TOTAL = 101_000

MINUTE = timedelta(minutes=1)
INVALID, EXPIRED, MISMATCH = "token_invalid", "token_expired", "token_amount_mismatch"

Token = Any
AppleCase = tuple[Callable[[AppleWallet, datetime], Token], str]
GoogleCase = tuple[Callable[[GoogleWallet, datetime], Token], str]


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def flipped(base64_text: str, at: int = 10) -> str:
    """The same with one bit of it changed."""
    content = bytearray(base64.b64decode(base64_text))
    content[at % len(content)] ^= 1
    return text(bytes(content))


def good_apple(wallet: AppleWallet, now: datetime, total: int = TOTAL) -> dict[str, Any]:
    return wallet.token(wallet.content(APPLE_PAN, total), now)


def _header(**changes: Any) -> AppleCase:
    """A header with other fields; what is None is left out."""

    def make(wallet: AppleWallet, now: datetime) -> Token:
        token = good_apple(wallet, now)
        header = {**token["header"], **changes}
        token["header"] = {name: value for name, value in header.items() if value is not None}
        return token

    return make, INVALID


def _fields(**changes: Any) -> AppleCase:
    def make(wallet: AppleWallet, now: datetime) -> Token:
        token = {**good_apple(wallet, now), **changes}
        return {name: value for name, value in token.items() if value is not None}

    return make, INVALID


def _content(code: str = INVALID, **changes: Any) -> AppleCase:
    def make(wallet: AppleWallet, now: datetime) -> Token:
        content = {**wallet.content(APPLE_PAN, TOTAL), **changes}
        return wallet.token({name: v for name, v in content.items() if v is not None}, now)

    return make, code


def _signed(change: Callable[[AppleWallet, datetime], Mapping[str, Any]]) -> AppleCase:
    """A token whose signature differs in these."""
    return (
        lambda wallet, now: wallet.token(
            wallet.content(APPLE_PAN, TOTAL), now, **change(wallet, now)
        ),
        INVALID,
    )


def _changed(*path: str) -> AppleCase:
    """One bit changed after it was signed."""

    def make(wallet: AppleWallet, now: datetime) -> Token:
        token = good_apple(wallet, now)
        inner = token
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = flipped(inner[path[-1]], 40)
        return token

    return make, INVALID


def _other_id(wallet: AppleWallet, now: datetime) -> Token:
    token = good_apple(wallet, now)
    token["header"]["transactionId"] = "00" * 32
    return token


def _recut(at: int, application: bytes) -> AppleCase:
    """One token signed by Apple, its id made another by moving bytes to or from the data."""

    def make(wallet: AppleWallet, now: datetime) -> Token:
        content = wallet.content(APPLE_PAN, TOTAL)
        token = wallet.token(content, now, application=application)
        joined = token["header"]["transactionId"] + application.hex()
        token["header"] |= {"transactionId": joined[: 2 * at], "applicationData": joined[2 * at :]}
        if not joined[2 * at :]:
            del token["header"]["applicationData"]
        return token

    return make, INVALID


def _two_amounts(wallet: AppleWallet, now: datetime) -> Token:
    content = json.dumps(wallet.content(APPLE_PAN, TOTAL))
    return wallet.token(content.replace("{", '{"transactionAmount": 1, ', 1).encode(), now)


def _at(shift: timedelta) -> Callable[[AppleWallet, datetime], Token]:
    return lambda wallet, now: good_apple(wallet, now + shift)


def _under_another_root(wallet: AppleWallet, now: datetime) -> Token:
    """All of it as it should be, below a root that is not ours."""
    other = AppleWallet(now - timedelta(days=1))
    other.own, other.receiver = wallet.own, wallet.receiver
    return good_apple(other, now)


def _leaf(wallet: AppleWallet, now: datetime, **more: Any) -> dict[str, Any]:
    since = more.pop("since", now - timedelta(days=1))
    by = more.pop("by", wallet.intermediate)
    leaf = issue("another broker", by, since, more.pop("marks", {LEAF: b"\x05\x00"}), **more)
    return {
        "leaf": leaf,
        "certificates": (leaf.certificate, wallet.intermediate.certificate),
    }


def _intermediate(
    wallet: AppleWallet, now: datetime, marks: Mapping[str, bytes], **more: Any
) -> dict[str, Any]:
    since = now - timedelta(days=1)
    between = issue("another CA", wallet.root, since, marks, **{"issues": True, **more})
    leaf = issue("another broker", between, since, {LEAF: b"\x05\x00"})
    return {"leaf": leaf, "certificates": (leaf.certificate, between.certificate)}


def _encrypted_for_another(wallet: AppleWallet, now: datetime) -> Token:
    """To our key, but derived for another merchant id."""
    receiver, wallet.receiver = wallet.receiver, sha256(b"merchant.other").digest()
    try:
        return good_apple(wallet, now)
    finally:
        wallet.receiver = receiver


def _enveloped(wallet: AppleWallet, now: datetime) -> Token:
    return {"paymentData": good_apple(wallet, now), "transactionIdentifier": "00" * 32}


def _signature(make: Callable[[bytes], bytes]) -> AppleCase:
    def bad(wallet: AppleWallet, now: datetime) -> Token:
        token = good_apple(wallet, now)
        token["signature"] = text(make(base64.b64decode(token["signature"])))
        return token

    return bad, INVALID


_NULL = b"\x05\x00"
BAD_APPLE: dict[str, AppleCase] = {
    "signed six minutes ago": (_at(-6 * MINUTE), EXPIRED),
    "signed a day ago": (_at(timedelta(days=-1)), EXPIRED),
    "signed in two minutes": (_at(2 * MINUTE), INVALID),
    "for dollars": _content(MISMATCH, currencyCode="840"),
    "for a kopeck more": _content(MISMATCH, transactionAmount=TOTAL + 1),
    "for a kopeck less": _content(MISMATCH, transactionAmount=TOTAL - 1),
    "for the amount in roubles": _content(MISMATCH, transactionAmount=TOTAL // 100),
    "an amount with a fraction": _content(transactionAmount=1010.5),
    "an amount as a text": _content(transactionAmount=str(TOTAL)),
    "a card number for the authentication": _content(paymentDataType=GOOGLE_PAN),
    "no authentication": _content(paymentDataType=None),
    "two amounts": (_two_amounts, INVALID),
    "no amount": _content(transactionAmount=None),
    "no currency": _content(currencyCode=None),
    "no card number": _content(applicationPrimaryAccountNumber=None),
    "letters for a card number": _content(applicationPrimaryAccountNumber="5353-7563-1918-1169"),
    "a card number of 11 digits": _content(applicationPrimaryAccountNumber="53537563191"),
    "content that is no JSON": (lambda wallet, now: wallet.token(b"{", now), INVALID),
    "content that is no object": (lambda wallet, now: wallet.token(b"[1]", now), INVALID),
    "data changed": _changed("data"),
    "ephemeral key changed": _changed("header", "ephemeralPublicKey"),
    "signature changed": _signature(lambda der: der[:-3] + bytes([der[-3] ^ 1]) + der[-2:]),
    "signature cut short": _signature(lambda der: der[: len(der) // 2]),
    "signature of one byte": _signature(lambda der: b"0"),
    "a certificate of no version": _signature(
        lambda der: der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x7a", 1)
    ),
    "signature nested deep": _signature(lambda der: b"\x30\x80" * 4000),
    "id changed": (_other_id, INVALID),
    "id that is no hexadecimal": _header(transactionId="zz"),
    "id with spaces": _header(transactionId="00 11"),
    "id of nothing": _header(transactionId=""),
    "no id": _header(transactionId=None),
    "key hash of nobody": _header(publicKeyHash=text(bytes(32))),
    "key hash cut short": _header(publicKeyHash=text(bytes(8))),
    "key hash that is no base64": _header(publicKeyHash="!" * 44),
    "an id cut short into application data": _recut(31, b""),
    "an id cut to a byte": _recut(1, b""),
    "an id with a byte of the application data": _recut(33, bytes(32)),
    "an id with all of the application data": _recut(64, bytes(32)),
    "an id without its last byte": _recut(31, bytes(32)),
    "application data added": _header(applicationData="00" * 32),
    "another key in the header": _header(wrappedKey="00"),
    "version RSA_v1": _fields(version="RSA_v1"),
    "version as a number": _fields(version=1),
    "no version": _fields(version=None),
    "no signature": _fields(signature=None),
    "another key": _fields(colour="red"),
    "a header that is a text": _fields(header="{}"),
    "an empty object": (lambda wallet, now: {}, INVALID),
    "an envelope with another id": (_enveloped, INVALID),
    "encrypted for another merchant id": (_encrypted_for_another, INVALID),
    "below another root": (_under_another_root, INVALID),
    "signed by another key": _signed(lambda wallet, now: {"key": new_key()}),
    "over another digest": _signed(lambda wallet, now: {"digest": bytes(32)}),
    "with content of its own": _signed(lambda wallet, now: {"carried": b"content"}),
    "a leaf without its mark": _signed(lambda w, now: _leaf(w, now, marks={})),
    "a leaf with the other mark": _signed(lambda w, n: _leaf(w, n, marks={INTERMEDIATE: _NULL})),
    "a leaf that has expired": _signed(
        lambda w, n: _leaf(w, n, since=n - timedelta(days=9), lasts=timedelta(days=8))
    ),
    "a leaf not valid yet": _signed(lambda w, n: _leaf(w, n, since=n + timedelta(days=1))),
    "a leaf by the root itself": _signed(lambda w, n: _leaf(w, n, by=w.root)),
    "an intermediate without its mark": _signed(lambda w, n: _intermediate(w, n, {})),
    "an intermediate that may not issue": _signed(
        lambda w, n: _intermediate(w, n, {INTERMEDIATE: _NULL}, issues=False)
    ),
    "an intermediate whose key may not issue": _signed(
        lambda w, n: _intermediate(w, n, {INTERMEDIATE: _NULL}, uses=("digital_signature",))
    ),
    "a leaf whose key may not sign": _signed(lambda w, n: _leaf(w, n, uses=("key_agreement",))),
    "only a leaf": _signed(lambda w, n: {"certificates": (w.leaf.certificate,)}),
    "two leaves": _signed(
        lambda w, n: {"certificates": (*_leaf(w, n)["certificates"], w.leaf.certificate)}
    ),
}


def good_google(
    wallet: GoogleWallet, now: datetime, version: str = "ECv2", **changes: Any
) -> dict[str, Any]:
    content = {**wallet.content(GOOGLE_PAN, now), **changes}
    told = {name: value for name, value in content.items() if value is not None}
    return wallet.token(told, now, version)


def _told(version: str = "ECv2", **changes: Any) -> GoogleCase:
    """A token with other fields, not signed anew; what is None is left out."""

    def make(wallet: GoogleWallet, now: datetime) -> Token:
        token = {**good_google(wallet, now, version), **changes}
        return {name: value for name, value in token.items() if value is not None}

    return make, INVALID


def _paid(code: str = INVALID, **changes: Any) -> GoogleCase:
    return lambda wallet, now: good_google(wallet, now, **changes), code


def _card(**changes: Any) -> GoogleCase:
    def make(wallet: GoogleWallet, now: datetime) -> Token:
        details = {**wallet.content(GOOGLE_PAN, now)["paymentMethodDetails"], **changes}
        told = {name: value for name, value in details.items() if value is not None}
        return good_google(wallet, now, paymentMethodDetails=told)

    return make, INVALID


def _message(version: str = "ECv2", signed: bool = True, **changes: Any) -> GoogleCase:
    """A message with other fields, signed by who should unless that is what is wrong."""

    def make(wallet: GoogleWallet, now: datetime) -> Token:
        token = good_google(wallet, now, version)
        told = json.loads(token["signedMessage"])
        for name, change in changes.items():
            told[name] = change(told[name]) if callable(change) else change
        token["signedMessage"] = json.dumps({k: v for k, v in told.items() if v is not None})
        if signed:
            key = wallet.roots["ECv1"] if version == "ECv1" else wallet.signing
            token["signature"] = wallet.sign(key, version, token["signedMessage"])
        return token

    return make, INVALID


def _signer(version: str, **how: Any) -> GoogleCase:
    """Signed by another key, in another sender's name, or for another recipient."""

    def make(wallet: GoogleWallet, now: datetime) -> Token:
        token = good_google(wallet, now, version)
        own = wallet.roots["ECv1"] if version == "ECv1" else wallet.signing
        key = new_key() if how.get("other_key") else own
        named = {name: value for name, value in how.items() if name in ("sender", "recipient")}
        said = how.get("said", version)
        token["signature"] = wallet.sign(key, said, token["signedMessage"], **named)
        return token

    return make, INVALID


def _signing_key(code: str = INVALID, **how: Any) -> GoogleCase:
    """A signing key by another root, past its time, or otherwise written."""

    def make(wallet: GoogleWallet, now: datetime) -> Token:
        token = good_google(wallet, now)
        expires = now + how.get("lasts", timedelta(days=1))
        signed = wallet.signed_key(expires, how.get("root"))
        if "signed_key" in how:
            told = how["signed_key"](json.loads(signed["signedKey"]))
            signed["signedKey"] = json.dumps(told)
            content = lengths_first(b"Google", b"ECv2", signed["signedKey"].encode())
            if how.get("signed", True):
                made = wallet.roots["ECv2"].sign(content, ec.ECDSA(SHA256()))
                signed["signatures"] = [text(made)]
        if "signatures" in how:
            signed["signatures"] = how["signatures"](signed["signatures"])
        token["intermediateSigningKey"] = {**signed, **how.get("more", {})}
        return token

    return make, code


def _for_another_key(version: str) -> GoogleCase:
    def make(wallet: GoogleWallet, now: datetime) -> Token:
        own, wallet.own = wallet.own, new_key()
        try:
            return good_google(wallet, now, version)
        finally:
            wallet.own = own

    return make, INVALID


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda told: {key: value for key, value in told.items() if key != name}


def _two_tags(wallet: GoogleWallet, now: datetime) -> Token:
    token = good_google(wallet, now)
    told = '{"tag": "", ' + token["signedMessage"][1:]
    return {**token, "signedMessage": told, "signature": wallet.sign(wallet.signing, "ECv2", told)}


def _two_ids(wallet: GoogleWallet, now: datetime) -> Token:
    content = json.dumps(wallet.content(GOOGLE_PAN, now))
    return wallet.token(content.replace("{", '{"messageId": "first", ', 1).encode(), now)


def _two_versions(wallet: GoogleWallet, now: datetime) -> Token:
    return '{"protocolVersion": "ECv1", ' + json.dumps(good_google(wallet, now))[1:]


_SOON = timedelta(seconds=-1)
BAD_GOOGLE: dict[str, GoogleCase] = {
    **{
        f"{version}: {what}": case
        for version in ("ECv1", "ECv2")
        for what, case in {
            "encrypted to another key": _for_another_key(version),
            "signed by another key": _signer(version, other_key=True),
            "signed by another sender": _signer(version, sender=b"not Google"),
            "signed for another recipient": _signer(version, recipient="merchant:other"),
            "signed for another version": _signer(version, said="ECv0"),
            "message changed": _message(version, signed=False, encryptedMessage=flipped),
            "signature changed": _told(version, signature=text(bytes(70))),
            "signature that is no base64": _told(version, signature="?" * 96),
            "no signature": _told(version, signature=None),
            "no message": _told(version, signedMessage=None),
            "a message that is an object": _told(version, signedMessage={}),
            "another key": _told(version, colour="red"),
            "encrypted part changed": _message(version, encryptedMessage=flipped),
            "tag changed": _message(version, tag=flipped),
            "tag cut short": _message(version, tag=text(bytes(16))),
            "no tag": _message(version, tag=None),
            "another key in the message": _message(version, colour="red"),
            "ephemeral point changed": _message(version, ephemeralPublicKey=flipped),
            "ephemeral point compressed": _message(
                version, ephemeralPublicKey=lambda t: text(b"\x02" + base64.b64decode(t)[1:33])
            ),
        }.items()
    },
    "ECv1 told as ECv2": _told("ECv1", protocolVersion="ECv2"),
    "ECv2 told as ECv1": _told("ECv2", protocolVersion="ECv1"),
    "ECv1 with a signing key": (
        lambda w, n: {
            **good_google(w, n, "ECv1"),
            "intermediateSigningKey": w.signed_key(n + timedelta(days=1)),
        },
        INVALID,
    ),
    "ECv2 without a signing key": _told(intermediateSigningKey=None),
    "ECv2SigningOnly": _told(protocolVersion="ECv2SigningOnly"),
    "version as a whole number": _told(protocolVersion=1),
    "version as a fraction": _told(protocolVersion=1.1),
    "no version": _told(protocolVersion=None),
    "a signing key by another root": _signing_key(root=new_key()),
    "a signing key past its time": _signing_key(EXPIRED, lasts=_SOON),
    "a signing key changed": _signing_key(signed=False, signed_key=lambda t: {**t, "n": 1}),
    "a signing key without a time": _signing_key(signed_key=_without("keyExpiration")),
    "a signing key with its time a number": _signing_key(
        signed_key=lambda t: {**t, "keyExpiration": int(t["keyExpiration"])}
    ),
    "a signing key that is none": _signing_key(signed_key=lambda t: {**t, "keyValue": "AAAA"}),
    "a signing key of another curve": _signing_key(
        signed_key=lambda t: {
            **t,
            "keyValue": text(public_bytes(ec.generate_private_key(ec.SECP384R1()))),
        }
    ),
    "a signing key not signed": _signing_key(signatures=lambda found: []),
    "a signing key signed wrong": _signing_key(signatures=lambda found: [text(bytes(70))]),
    "a signing key signed too often": _signing_key(signatures=lambda found: found * 5),
    "a signing key with another key": _signing_key(more={"colour": "red"}),
    "message past its time": (
        lambda w, n: good_google(w, n, messageExpiration=milliseconds(n + _SOON)),
        EXPIRED,
    ),
    "ECv1 message past its time": (
        lambda w, n: good_google(w, n, "ECv1", messageExpiration=milliseconds(n + _SOON)),
        EXPIRED,
    ),
    "a message with two tags": (_two_tags, INVALID),
    "a message with two ids": (_two_ids, INVALID),
    "a text of two versions": (_two_versions, INVALID),
    "message without a time": _paid(messageExpiration=None),
    "message with its time a number": _paid(messageExpiration=1),
    "message with its time in words": _paid(messageExpiration="tomorrow"),
    "message without an id": _paid(messageId=None),
    "message with an empty id": _paid(messageId=""),
    "message with a long id": _paid(messageId="x" * 1025),
    "a tokenized card": _paid(paymentMethod="TOKENIZED_CARD"),
    "no card": _paid(paymentMethodDetails=None),
    "no card number": _card(pan=None),
    "a card number with letters": _card(pan="4111x11111111111"),
    "a card number in other digits": _card(pan="٤" * 16),
    "authentication by word of mouth": _card(authMethod="TRUST_ME"),
    "content that is no JSON": (lambda w, n: w.token(b"plaintext", n), INVALID),
    "an empty object": (lambda w, n: {}, INVALID),
    "an empty text": (lambda w, n: "", INVALID),
    "a text that is no JSON": (lambda w, n: "{", INVALID),
    "a text of an array": (lambda w, n: "[]", INVALID),
    "a text nested deep": (lambda w, n: "[" * 30_000, INVALID),
    "a text of Google's other product": (lambda w, n: '{"id":"tok_1"}', INVALID),
    "a text with a key twice, once wrong": (
        lambda w, n: json.dumps(good_google(w, n))[:-1] + ',"protocolVersion":"ECv1"}',
        INVALID,
    ),
}
