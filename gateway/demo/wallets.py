"""Payments by phone: both wallets of the demo's own, the keys the gateway opens tokens with, and
what it takes and refuses of them.

The card numbers are published test numbers; none of them may be seen outside its token.
"""

import itertools
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec

from gateway.demo.apple_wallet import AppleWallet, MakeKey
from gateway.demo.books import require, require_equal
from gateway.demo.calls import Caller
from gateway.demo.google_wallet import GoogleWallet
from gateway.demo.payers import Planned
from gateway.demo.stage import Stage
from gateway.domain.clock import SystemClock

CARD_NUMBERS: Final = {"apple_pay": "5105105105105100", "google_pay": "4111111111111111"}
_SHOWN: Final = {"apple_pay": "510510******5100", "google_pay": "411111******1111"}
_ISSUED_AGO: Final = timedelta(days=30)


@dataclass(frozen=True)
class Wallets:
    """Both wallets, and the environment of a gateway that trusts them."""

    apple: AppleWallet
    google: GoogleWallet
    environ: dict[str, str]

    def token(self, method: str, total: int, now: datetime) -> Any:
        """What a phone gives for a payment of this total, in kopecks."""
        number = CARD_NUMBERS[method]
        if method == "apple_pay":
            return self.apple.token(self.apple.content(number, total), now)
        return self.google.token(self.google.content(number, now), now)


def make(folder: Path) -> Wallets:
    """Wallets whose keys are `folder`'s own, and always the same; what a gateway needs to know of
    them are files there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_key = _keys_of(_seed(folder / "seed"))
    since = SystemClock().now() - _ISSUED_AGO
    apple, google = AppleWallet(since, make_key), GoogleWallet(since, make_key=make_key)
    files = {
        "KOPECK_APPLE_PAY_CERTIFICATE": ("apple-certificate.pem", apple.own.pem),
        "KOPECK_APPLE_PAY_KEY": ("apple-key.pem", apple.own.key_pem),
        "KOPECK_APPLE_PAY_ROOT": ("apple-root.pem", apple.root.pem),
        "KOPECK_GOOGLE_PAY_KEYS": ("google-keys.pem", google.keys_pem),
        "KOPECK_GOOGLE_PAY_ROOT_KEYS": ("google-root-keys.json", google.root_keys()),
    }
    environ = {"KOPECK_GOOGLE_PAY_RECIPIENT": google.recipient}
    for variable, (name, content) in files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        environ[variable] = str(path.absolute())
    return Wallets(apple, google, environ)


def _seed(path: Path) -> bytes:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(os.urandom(32))
    return path.read_bytes()


def _keys_of(seed: bytes) -> MakeKey:
    """Keys that follow from a seed, one after another, so that the next process has them too."""
    numbers = itertools.count()

    def make_key() -> ec.EllipticCurvePrivateKey:
        digest = sha256(seed + next(numbers).to_bytes(4, "big")).digest()
        # A byte less than the order of the curve has, so that any number is in range.
        return ec.derive_private_key(1 + int.from_bytes(digest[1:], "big"), ec.SECP256R1())

    return make_key


async def pay_by_phone(stage: Stage, wallets: Wallets) -> None:
    """Pays with both, and shows that a token is for one total and for one time."""
    stage.show.chapter("By phone: Apple Pay and Google Pay")
    bank = stage.banks[0]
    rows: list[list[str | int | None]] = []
    for number in range(stage.size.wallets):
        method = ("apple_pay", "google_pay")[number % 2]
        planned = stage.payers.by_wallet(method)
        body = await _with_token(bank, planned, wallets)
        reply = await bank.post("/v1/payments", body, planned.key)
        answer = reply.json
        stage.books.take(answer)
        kept = answer["method"]
        require_equal(f"what is kept of a card in {method}", kept["masked_pan"], _SHOWN[method])
        require(
            CARD_NUMBERS[method].encode() not in reply.content,
            "Expected no card number in an answer, was one",
        )
        told = [method, kept["masked_pan"], kept["authentication"]]
        if number < len(CARD_NUMBERS):
            rows.append([*told, answer["amount"], answer["surcharge"], answer["total"]])
            await _show_once(stage, bank, planned, body, reply.content)
    columns = ["method", "kept of the card", "known by", "amount>", "surcharge>", "total>"]
    stage.show.table(columns, rows)
    await _show_another_total(stage, bank, wallets)
    stage.show.holds(
        f"{stage.size.wallets} tokens, from keys this demo made itself: signatures checked, opened,"
        " their card numbers kept nowhere, and spent in the commit of their payments."
    )


async def _with_token(bank: Caller, planned: Planned, wallets: Wallets) -> dict[str, Any]:
    """The payment as its payer confirmed it on the phone: the total is asked for before."""
    body, method = planned.body, planned.body["method"]["type"]
    names = ("subscriber_account", "amount")
    asked = {name: body[name] for name in names} | {"method": {"type": method}}
    total = (await bank.post("/v1/quotes", asked, expect=200)).json["total"]
    token = wallets.token(method, total, SystemClock().now())
    return {**body, "method": {"type": method, "token": token}}


async def _show_once(
    stage: Stage, bank: Caller, planned: Planned, body: dict[str, Any], first: bytes
) -> None:
    """The same request is answered again; the same token under another key is not taken."""
    again = await bank.post("/v1/payments", body, planned.key)
    require(again.replayed and again.content == first, "Expected the first answer, was another")
    for caller in stage.banks:
        reply = await caller.post("/v1/payments", body, f"{planned.key}-again", expect=409)
        require_equal("the code for a used token", reply.code, "token_replayed")
    stage.show.holds(
        f"A token of {body['method']['type']} again: with its key the first answer, with another"
        " key or from another bank 409 token_replayed."
    )


async def _show_another_total(stage: Stage, bank: Caller, wallets: Wallets) -> None:
    """Apple's payers agree to a total: a token for a kopeck less is given back with its key."""
    planned = stage.payers.by_wallet("apple_pay")
    body = await _with_token(bank, planned, wallets)
    more = {**body, "amount": body["amount"] + 1}
    reply = await bank.post("/v1/payments", more, planned.key, expect=422)
    require_equal("the code for another total", reply.code, "token_amount_mismatch")
    stage.books.take((await bank.post("/v1/payments", body, planned.key)).json)
    stage.show.holds(
        "A kopeck more than the payer agreed to: 422 token_amount_mismatch; then the right total"
        " with the same key and the same token: 201."
    )
