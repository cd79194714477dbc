"""Wallets' tokens: public vectors open, with the clock where they were made; bad ones do not."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.demo.apple_wallet import RECEIVER, AppleWallet, Issued, issue, key_pem, new_key
from gateway.demo.google_wallet import GoogleWallet, milliseconds
from gateway.domain.refusals import Refusal
from gateway.methods import apple_pay, google_pay
from gateway.methods.apple_keys import AppleKeys, apple_keys
from gateway.methods.google_keys import GoogleKeys, root_keys
from gateway.methods.private_keys import private_keys
from gateway.methods.wallet_text import OpenedCard
from tests.methods.bad_tokens import (
    APPLE_PAN,
    BAD_APPLE,
    BAD_GOOGLE,
    GOOGLE_PAN,
    MISMATCH,
    TOTAL,
    good_apple,
    good_google,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
VECTORS = json.loads(Path(__file__).with_name("wallet_vectors.json").read_text(encoding="utf-8"))
APPLE = AppleWallet(NOW - timedelta(days=30))
GOOGLE = GoogleWallet(NOW)


def open_apple(token: object, wallet: AppleWallet = APPLE, now: datetime = NOW) -> OpenedCard:
    return apple_pay.open_token(token, keys_of(wallet), now)


def keys_of(wallet: AppleWallet) -> AppleKeys:
    return apple_keys(wallet.own.pem, wallet.own.key_pem, wallet.root.pem)


def open_google(
    token: object, keys: bytes | None = None, roots: bytes | None = None, now: datetime = NOW
) -> OpenedCard:
    own = GoogleKeys(GOOGLE.recipient, private_keys(keys or GOOGLE.keys_pem))
    return google_pay.open_token(token, own, root_keys(roots or GOOGLE.root_keys()), now)


def code_of(refused: pytest.ExceptionInfo[Refusal], *secrets: str) -> str:
    """The code of a refusal that tells nothing of the token's."""
    said = str(refused.value)
    assert not any(secret in said for secret in secrets)
    return refused.value.code


def test_apples_public_vector_opens_at_its_time() -> None:
    vector = VECTORS["apple_pay"]
    keys = apple_keys(
        *(vector[name].encode() for name in ("certificate_pem", "private_key_pem", "root_pem"))
    )
    then = datetime(2021, 9, 1, 19, 5, tzinfo=UTC)
    content = json.loads(apple_pay.decrypted(vector["token"], keys, then))
    assert content["applicationPrimaryAccountNumber"] == vector["pan"]
    assert (content["currencyCode"], content["transactionAmount"]) == ("840", 100)
    with pytest.raises(Refusal) as refused:
        apple_pay.open_token(vector["token"], keys, then)
    assert code_of(refused, vector["pan"]) == MISMATCH
    with pytest.raises(Refusal) as refused:
        apple_pay.decrypted(vector["token"], keys, NOW)
    assert code_of(refused) == "token_expired"


def of_vector(version: str) -> tuple[Any, GoogleKeys, bytes]:
    vector = VECTORS[version]
    pem = f"-----BEGIN PRIVATE KEY-----\n{vector['private_key_pkcs8']}\n-----END PRIVATE KEY-----"
    root = {"keyValue": vector["root_key"], "protocolVersion": version}
    if version == "ECv2":
        root["keyExpiration"] = "32506264800000"
    keys = GoogleKeys(vector["recipient"], private_keys(pem.encode()))
    return vector["token"], keys, json.dumps({"keys": [root]}).encode()


def test_googles_public_vector_of_ecv1_opens() -> None:
    token, keys, roots = of_vector("ECv1")
    assert google_pay.decrypted(token, keys, root_keys(roots), NOW) == b"plaintext"


@pytest.mark.parametrize("form", [dict, json.dumps])
def test_the_public_vector_of_ecv2_opens_until_its_signing_key_ends(form: Any) -> None:
    token, keys, roots = of_vector("ECv2")
    card = google_pay.open_token(form(token), keys, root_keys(roots), NOW)
    assert card.facts == {
        "network": "visa",
        "masked_pan": "411111******1111",
        "authentication": "PAN_ONLY",
    }
    end = datetime.fromtimestamp(VECTORS["ECv2"]["intermediate_expires_ms"] // 1000, UTC)
    google_pay.open_token(token, keys, root_keys(roots), end - timedelta(seconds=1))
    with pytest.raises(Refusal) as refused:
        google_pay.open_token(token, keys, root_keys(roots), end)
    assert code_of(refused) == "token_expired"


def test_a_token_of_apples_becomes_facts_without_the_card_number() -> None:
    token = good_apple(APPLE, NOW)
    card = open_apple(token)
    assert card.facts == {
        "network": "mastercard",
        "masked_pan": "535375******1169",
        "authentication": "3DSecure",
    }
    assert card.token.total == TOTAL
    assert len(card.token.digest) == 32
    assert APPLE_PAN not in repr(card)
    upper = {**token, "header": {**token["header"]}}
    upper["header"]["transactionId"] = upper["header"]["transactionId"].upper()
    assert open_apple(upper) == card, "one token in another spelling is the same token"
    enveloped = {
        "paymentData": token,
        "paymentMethod": {"displayName": "MasterCard 1169", "network": "MasterCard"},
        "transactionIdentifier": token["header"]["transactionId"].upper(),
    }
    assert open_apple(enveloped) == card
    of_an_app = APPLE.token(APPLE.content(APPLE_PAN, TOTAL), NOW, application=bytes(32))
    assert open_apple(of_an_app).facts == card.facts


@pytest.mark.parametrize("version", ["ECv1", "ECv2"])
@pytest.mark.parametrize("authentication", ["PAN_ONLY", "CRYPTOGRAM_3DS"])
def test_a_token_of_googles_becomes_facts_without_the_card_number(
    version: str, authentication: str
) -> None:
    content = GOOGLE.content(GOOGLE_PAN, NOW, authentication)
    card = open_google(GOOGLE.token(content, NOW, version))
    assert card.facts == {
        "network": "visa",
        "masked_pan": "411111******1111",
        "authentication": authentication,
    }
    assert card.token.total is None
    again = open_google(GOOGLE.token(content, NOW, version))
    assert again.token == card.token, "one message sealed twice is one message"
    other = open_google(good_google(GOOGLE, NOW, version))
    assert other.token != card.token


@pytest.mark.parametrize("minutes", [-5, 0, 1])
def test_a_signature_is_good_within_its_window(minutes: int) -> None:
    assert open_apple(good_apple(APPLE, NOW + timedelta(minutes=minutes))).token.total == TOTAL


@pytest.mark.parametrize("name", [name for name, case in BAD_APPLE.items() if case[1] != MISMATCH])
def test_a_bad_token_of_apples_is_refused(name: str) -> None:
    make, code = BAD_APPLE[name]
    token = make(APPLE, NOW)
    with pytest.raises(Refusal) as refused:
        open_apple(token)
    assert code_of(refused, APPLE_PAN) == code
    assert open_apple(good_apple(APPLE, NOW)).token.total == TOTAL


@pytest.mark.parametrize("name", BAD_GOOGLE)
def test_a_bad_token_of_googles_is_refused(name: str) -> None:
    make, code = BAD_GOOGLE[name]
    token = make(GOOGLE, NOW)
    with pytest.raises(Refusal) as refused:
        open_google(token)
    assert code_of(refused, GOOGLE_PAN) == code


def test_apples_keys_are_chosen_by_the_hash_in_the_token() -> None:
    old, new = AppleWallet(NOW - timedelta(days=30)), AppleWallet(NOW - timedelta(days=1))
    pem = [wallet.own.pem for wallet in (old, new)]
    keys = apple_keys(b"".join(pem), new.own.key_pem + old.own.key_pem, old.root.pem + new.root.pem)
    for wallet in (old, new):
        token = good_apple(wallet, NOW)
        assert apple_pay.open_token(token, keys, NOW).token.total == TOTAL


def test_certificates_are_judged_when_the_token_was_signed() -> None:
    """Those of a token that waited a minute for us may have ended in that minute."""
    wallet = AppleWallet(NOW - timedelta(days=365) - timedelta(seconds=30))
    token = good_apple(wallet, NOW - timedelta(minutes=1))
    assert open_apple(token, wallet).token.total == TOTAL
    with pytest.raises(Refusal) as refused:
        open_apple(good_apple(wallet, NOW), wallet)
    assert code_of(refused) == "token_invalid"


@pytest.mark.parametrize("version", ["ECv1", "ECv2"])
def test_every_private_key_is_tried(version: str) -> None:
    others = [key_pem(new_key()) for _ in range(3)]
    token = good_google(GOOGLE, NOW, version)
    for at in range(4):
        keys = b"".join([*others[:at], GOOGLE.keys_pem, *others[at:]])
        assert open_google(token, keys).facts["network"] == "visa"
    with pytest.raises(Refusal) as refused:
        open_google(token, b"".join(others))
    assert code_of(refused) == "token_invalid"


def test_every_root_key_and_every_signature_is_tried() -> None:
    other = GoogleWallet(NOW)
    roots = json.loads(GOOGLE.root_keys())["keys"]
    others = json.loads(other.root_keys())["keys"]
    for told in ([*others, *roots], [*roots, *others]):
        for version in ("ECv1", "ECv2"):
            document = json.dumps({"keys": told}).encode()
            open_google(good_google(GOOGLE, NOW, version), roots=document)
    token = good_google(GOOGLE, NOW)
    token["intermediateSigningKey"]["signatures"].insert(0, base64.b64encode(bytes(70)).decode())
    open_google(token)


@pytest.mark.parametrize("version", ["ECv1", "ECv2"])
def test_a_root_key_signs_until_it_expires(version: str) -> None:
    token = good_google(GOOGLE, NOW, version)
    ahead = GOOGLE.root_keys(**{version: milliseconds(NOW + timedelta(seconds=1))})
    open_google(token, roots=ahead)
    with pytest.raises(Refusal) as refused:
        open_google(token, roots=GOOGLE.root_keys(**{version: milliseconds(NOW)}))
    assert code_of(refused) == "token_invalid"


def test_only_ecv1_takes_a_root_key_that_never_expires() -> None:
    roots = GOOGLE.root_keys(ECv1=None, ECv2=None)
    open_google(good_google(GOOGLE, NOW, "ECv1"), roots=roots)
    with pytest.raises(Refusal) as refused:
        open_google(good_google(GOOGLE, NOW, "ECv2"), roots=roots)
    assert code_of(refused) == "token_invalid"


@pytest.mark.parametrize("version", ["ECv1", "ECv2"])
def test_a_root_key_of_another_version_signs_nothing(version: str) -> None:
    told = json.loads(GOOGLE.root_keys())
    told["keys"] = [key for key in told["keys"] if key["protocolVersion"] != version]
    with pytest.raises(Refusal) as refused:
        open_google(good_google(GOOGLE, NOW, version), roots=json.dumps(told).encode())
    assert code_of(refused) == "token_invalid"


def unmarked() -> Issued:
    return issue("no receiver", None, NOW, {})


UNUSABLE_KEYS: dict[str, Callable[[], tuple[bytes, bytes, bytes]]] = {
    "no certificate": lambda: (b"", APPLE.own.key_pem, APPLE.root.pem),
    "no key": lambda: (APPLE.own.pem, b"", APPLE.root.pem),
    "another key": lambda: (APPLE.own.pem, key_pem(new_key()), APPLE.root.pem),
    "no root": lambda: (APPLE.own.pem, APPLE.own.key_pem, b"root"),
    "another certificate": lambda: (unmarked().pem, APPLE.own.key_pem, APPLE.root.pem),
    "a certificate of another kind": lambda: (
        (other := unmarked()).pem,
        other.key_pem,
        APPLE.root.pem,
    ),
    "a receiver that is none": lambda: (
        (other := issue("x", None, NOW, {RECEIVER: b"\x0c\x01x"})).pem,
        other.key_pem,
        APPLE.root.pem,
    ),
}


@pytest.mark.parametrize("name", UNUSABLE_KEYS)
def test_keys_that_cannot_be_used_say_what_was_expected(name: str) -> None:
    with pytest.raises(ValueError, match=r"^Expected "):
        apple_keys(*UNUSABLE_KEYS[name]())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        b"".join(key_pem(new_key()) for _ in range(9)),
    ],
)
def test_private_keys_that_cannot_be_used_say_what_was_expected(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^Expected "):
        private_keys(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"keys":[]}',
        b'{"keys":[{"keyValue":"AAAA","protocolVersion":"ECv1"}]}',
        b'{"keys":[{"protocolVersion":"ECv1"}]}',
        GOOGLE.root_keys(ECv1="soon"),
        GOOGLE.root_keys(ECv1="-1"),
        b"[" * 60_000,
    ],
)
def test_root_keys_that_cannot_be_used_say_what_was_expected(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^Expected "):
        root_keys(content)


def test_no_fewer_than_the_public_lists_are_refused() -> None:
    assert len(BAD_APPLE) >= 45
    assert len(BAD_GOOGLE) >= 45
