"""Wallet payments through the door: each token once, and of a refused one nothing stays."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from gateway.config import StartRefused
from gateway.demo.apple_wallet import AppleWallet, key_pem, new_key
from gateway.demo.google_wallet import GoogleWallet
from gateway.domain.clock import SystemClock
from gateway.flows.wallets import wallets_of
from tests.api.conftest import (
    BOTH_ROADS,
    RECIPIENTS,
    Gateway,
    bill,
    recipient,
    served,
    settings_for,
)
from tests.methods.bad_tokens import (
    BAD_APPLE,
    BAD_GOOGLE,
    GOOGLE_PAN,
    TOTAL,
    good_apple,
    good_google,
)

ROADS = BOTH_ROADS
ACCOUNT = "220012345"


class Wallets:
    """Both wallets, and the settings of a gateway that trusts them."""

    def __init__(self, folder: Path) -> None:
        since = now() - timedelta(days=30)
        self.apple, self.google = AppleWallet(since), GoogleWallet(since)
        files = {
            "apple_pay_certificate": self.apple.own.pem,
            "apple_pay_key": self.apple.own.key_pem,
            "apple_pay_root": self.apple.root.pem,
            "google_pay_keys": self.google.keys_pem,
            "google_pay_root_keys": self.google.root_keys(),
        }
        self.settings: dict[str, Any] = {"google_pay_recipient": self.google.recipient}
        for name, content in files.items():
            (folder / name).write_bytes(content)
            self.settings[name] = folder / name
        self.settings["google_pay_root_keys"] = str(folder / "google_pay_root_keys")

    def pay(self, method: str, token: Any = None, total: int = TOTAL) -> dict[str, Any]:
        """The body of a payment."""
        if token is None and method == "apple_pay":
            token = good_apple(self.apple, now())
        elif token is None:
            token = good_google(self.google, now())
        return {
            "subscriber_account": ACCOUNT,
            "total": total,
            "method": {"type": method, "token": token},
        }

    def bad(self, method: str) -> Iterator[tuple[str, Any, str]]:
        """Bad tokens: what is wrong, the token, and the code for it."""
        if method == "apple_pay":
            for name, (make_apple, code) in BAD_APPLE.items():
                yield name, make_apple(self.apple, now()), code
        else:
            for name, (make_google, code) in BAD_GOOGLE.items():
                yield name, make_google(self.google, now()), code


def now() -> datetime:
    return SystemClock().now()


@pytest.fixture
def wallets(tmp_path: Path) -> Wallets:
    return Wallets(tmp_path)


@pytest.fixture
async def paying(database_url: str, wallets: Wallets) -> AsyncIterator[Gateway]:
    """A worker that trusts both wallets, with the bill of ACCOUNT."""
    async with served(database_url, **wallets.settings) as gateway:
        for id_ in RECIPIENTS:
            await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
        await gateway.send(
            "POST", "/v1/bills", {"bills": [bill()]}, role="operator", key=gateway.key()
        )
        yield gateway


async def stored(gateway: Gateway) -> tuple[int, int, int]:
    """Payments, spent tokens, and keys of payments."""
    conn = await asyncpg.connect(gateway.database_url)
    try:
        return tuple(
            await conn.fetchrow(
                "SELECT (SELECT count(*) FROM payments), (SELECT count(*) FROM wallet_tokens),"
                " (SELECT count(*) FROM idempotency_keys WHERE route = 0)"
            )
        )
    finally:
        await conn.close()


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        (
            "apple_pay",
            {
                "network": "mastercard",
                "masked_pan": "535375******1169",
                "authentication": "3DSecure",
            },
        ),
        (
            "google_pay",
            {
                "network": "visa",
                "masked_pan": "411111******1111",
                "authentication": "CRYPTOGRAM_3DS",
            },
        ),
    ],
)
async def test_a_wallet_pays_and_pays_once(
    paying: Gateway, wallets: Wallets, method: str, shown: dict[str, str]
) -> None:
    quote = await paying.send(
        "POST",
        "/v1/quotes",
        {"subscriber_account": ACCOUNT, "total": TOTAL, "method": {"type": method}},
        role="acquirer",
    )
    assert (quote.status, quote.json["total"]) == (200, TOTAL)
    body = wallets.pay(method)
    first = await paying.pay(body, key="k")
    assert first.status == 201, first.content
    assert first.json["method"] == {"type": method, **shown}
    assert first.json["shares"] == quote.json["shares"]
    again = await paying.pay(body, key="k")
    assert (again.status, again.content) == (201, first.content)
    assert again.headers["Idempotency-Replayed"] == "true"
    for role in ("acquirer", "acquirer2"):
        other = await paying.pay(body, role=role)
        assert (other.status, other.code) == (409, "token_replayed")
    found = await paying.send("GET", f"/v1/payments/{first.json['id']}", role="acquirer")
    assert found.json["method"] == first.json["method"]
    assert await stored(paying) == (1, 1, 1)


async def test_googles_token_is_taken_as_a_text_too(paying: Gateway, wallets: Wallets) -> None:
    token = orjson.dumps(good_google(wallets.google, now(), "ECv1")).decode()
    answer = await paying.pay(wallets.pay("google_pay", token))
    assert answer.status == 201, answer.content


@pytest.mark.parametrize("method", ["apple_pay", "google_pay"])
async def test_each_bad_token_is_refused_and_nothing_of_it_stays(
    paying: Gateway, wallets: Wallets, method: str
) -> None:
    for name, token, code in wallets.bad(method):
        answer = await paying.pay(wallets.pay(method, token), key="k")
        assert (name, answer.status, answer.code) == (name, 422, code)
        assert GOOGLE_PAN.encode() not in answer.content
    assert await stored(paying) == (0, 0, 0)
    taken = await paying.pay(wallets.pay(method), key="k")
    assert taken.status == 201, "the key is free"


async def test_lines_of_a_bulk_body_pay_by_wallets(paying: Gateway, wallets: Wallets) -> None:
    once = wallets.pay("apple_pay")
    expired = wallets.pay("apple_pay", good_apple(wallets.apple, now() - timedelta(hours=1)))
    bodies = [
        (once, "a"),
        (wallets.pay("google_pay"), "b"),
        (once, "c"),
        (expired, "d"),
        (once, "a"),
        ({**once, "method": {"type": "cash"}}, "e"),
    ]
    content = b"\n".join(orjson.dumps({**body, "idempotency_key": key}) for body, key in bodies)
    answer = await paying.send(
        "POST",
        "/v1/payments/bulk",
        content,
        role="acquirer",
        headers={"Content-Type": "application/x-ndjson"},
    )
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line["status"] for line in lines] == [201, 201, 409, 422, 201, 201]
    assert [line.get("code") for line in lines[2:4]] == ["token_replayed", "token_expired"]
    assert (lines[4]["id"], lines[4]["replayed"]) == (lines[0]["id"], True)
    assert await stored(paying) == (3, 2, 3)


@pytest.mark.parametrize("method", ["apple_pay", "google_pay"])
async def test_a_wallet_that_is_not_set_is_no_method(
    region: Gateway, wallets: Wallets, method: str
) -> None:
    answer = await region.pay(wallets.pay(method))
    assert (answer.status, answer.code) == (422, "method_invalid")
    assert await stored(region) == (0, 0, 0)


async def test_wallet_payments_are_counted_as_theirs(paying: Gateway, wallets: Wallets) -> None:
    body = wallets.pay("apple_pay")
    for key in ("a", "a", "b"):
        await paying.pay(body, key=key)
    text = (await paying.send("GET", "/metrics")).content.decode()
    for outcome in ("accepted", "replayed", "refused"):
        assert f'kopeck_payments_total{{method="apple_pay",outcome="{outcome}"}} 1.0' in text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("apple_pay_certificate", b"none"),
        ("apple_pay_key", key_pem(new_key())),
        ("apple_pay_root", b""),
        ("apple_pay_root", None),
        ("google_pay_keys", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"),
        ("google_pay_keys", None),
        ("google_pay_root_keys", b"{}"),
        ("google_pay_root_keys", None),
    ],
)
def test_a_start_is_refused_in_one_line_that_names_the_setting(
    wallets: Wallets, tmp_path: Path, name: str, content: bytes | None
) -> None:
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StartRefused) as refused:
        wallets_of(settings_for("postgresql://", **wallets.settings))
    said = str(refused.value)
    assert f"KOPECK_{name.upper()}" in said
    assert "\n" not in said
    assert "PRIVATE KEY" not in said


def test_what_runs_out_is_told_by_setting(wallets: Wallets) -> None:
    """For whoever watches over it: the first of Apple's certificates, the last of Google's keys."""
    found = wallets_of(settings_for("postgresql://", **wallets.settings)).expirations()
    assert set(found) == {"KOPECK_APPLE_PAY_CERTIFICATE", "KOPECK_GOOGLE_PAY_ROOT_KEYS"}
    for moment in found.values():
        assert timedelta(days=334) < moment - now() < timedelta(days=336)
        assert moment.tzinfo is UTC
    assert wallets_of(settings_for("postgresql://")).expirations() == {}


def test_a_root_that_cannot_be_reached_does_not_stop_the_start(wallets: Wallets) -> None:
    settings = {**wallets.settings, "google_pay_root_keys": "https://unreachable.invalid/keys.json"}
    made = wallets_of(settings_for("postgresql://", **settings))
    assert made.google_roots is not None
    assert made.google_roots.value is None
