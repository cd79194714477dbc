"""Payments that the gateway starts itself, at a sandbox bank in a process of its own."""

import asyncio
import secrets
from pathlib import Path
from typing import Any, Final

import aiohttp

from gateway.acquirers.sandbox import SIGNATURE, signature
from gateway.config import PREFIX
from gateway.demo.books import DemoFailed, require, require_equal
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

NAME: Final = "sandbox"
_AMOUNT: Final = 50_000
_LOOKS_MAX: Final = 300
_PAUSE_S: Final = 0.1


def make_key(data: Path) -> Path:
    """A new key for the gateway and the bank to sign with, in a file that only we read."""
    path = data / "sandbox.key"
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text(secrets.token_hex(32), encoding="ascii")
    return path


def acquirers(data: Path, bank: str) -> dict[str, str]:
    """The setting and its file: one sandbox, which is not waited for long."""
    path = data / "acquirers.toml"
    lines = (
        f"[{NAME}]",
        'kind = "sandbox"',
        f'url = "{bank}"',
        "timeout_ms = 1000",
        f"[{NAME}.secrets]",
        'key = "sandbox.key"',
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {f"{PREFIX}ACQUIRERS": str(path)}


async def introduce(data: Path, bank: str, gateway: str) -> None:
    """Tells the bank where it is heard; both chose their ports themselves."""
    key = (data / "sandbox.key").read_text(encoding="ascii")
    url = f"{gateway}/v1/acquirers/{NAME}/callbacks".encode()
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{bank}/callbacks", data=url, headers={SIGNATURE: signature(key, url)}
        ) as told,
    ):
        require_equal("the bank to answer", told.status, 200)


async def start(stage: Stage) -> None:
    """A code that is paid, a card that is declined, a timeout that is found out, a refund."""
    stage.show.chapter("Payments that the gateway starts itself, at a sandbox bank")
    await _code(stage)
    await _declined(stage)
    paid = await _found_out(stage)
    await _given_back(stage, paid)


async def _code(stage: Stage) -> None:
    asked = await _ask(stage, "code", {"type": "sbp"})
    require_equal("the state of a code that nobody paid", asked["state"], "pending")
    stage.show.say(f"201 {asked['id']} pending: a code of SBP, {asked['next']['payload']}")
    async with (
        aiohttp.ClientSession() as phone,
        phone.post(asked["next"]["payload"]) as paid,
    ):
        require_equal("the bank's page to answer", paid.status, 200)
    accepted = await _settled(stage, asked["id"], "accepted")
    require_equal("what was taken", accepted["total"], asked["total"])
    stage.books.take(accepted)
    stage.show.holds(
        f"The payer pays it, the bank calls back signed: accepted, {roubles(accepted['amount'])}"
        f" in {len(accepted['shares'])} shares."
    )


async def _declined(stage: Stage) -> None:
    asked = await _ask(stage, "declined", {"type": "card", "reference": "decline"})
    require_equal("the state of a declined card", asked["state"], "declined")
    stage.show.holds(f"A card without money: declined, {asked['reason']}; nothing is booked.")


async def _found_out(stage: Stage) -> dict[str, Any]:
    asked = await _ask(stage, "timeout", {"type": "card", "reference": "timeout"})
    require_equal("the state after a timeout", asked["state"], "pending")
    body = _body(stage, "timeout", {"type": "card", "reference": "approve"})
    again = await stage.banks[0].post("/v1/payments", body, f"{stage.run}-again", expect=409)
    require_equal("the code of a second charge", again.code, "state_conflict")
    accepted = await _settled(stage, asked["id"], "accepted")
    stage.books.take(accepted)
    stage.show.holds(
        "A bank that never answers: unknown, and no second charge (409 state_conflict); asked"
        " again, it says that it took the money: accepted, once."
    )
    return accepted


async def _given_back(stage: Stage, paid: dict[str, Any]) -> None:
    path = f"/v1/payments/{paid['id']}/refunds"
    body = {"amount": paid["amount"] // 2}
    made = (await stage.banks[0].post(path, body, f"{stage.run}-back")).json
    require_equal("the state of the refund", made["state"], "refunded")
    stage.books.refund(made)
    stage.show.holds(f"The bank gives {roubles(made['amount'])} of it back, then the books do.")


def _body(stage: Stage, reference: str, method: dict[str, str]) -> dict[str, Any]:
    return {
        "subscriber_account": stage.region.bills[3].subscriber_account,
        "amount": _AMOUNT,
        "method": method,
        "reference": f"{stage.run}-{reference}",
        "acquirer": NAME,
    }


async def _ask(stage: Stage, name: str, method: dict[str, str]) -> dict[str, Any]:
    reply = await stage.banks[0].post(
        "/v1/payments", _body(stage, name, method), f"{stage.run}-{name}"
    )
    found: dict[str, Any] = reply.json
    return found


async def _settled(stage: Stage, payment: str, state: str) -> dict[str, Any]:
    for _ in range(_LOOKS_MAX):
        found: dict[str, Any] = (await stage.banks[0].get(f"/v1/payments/{payment}")).json
        if found["state"] == state:
            return found
        require(found["state"] == "pending", f"Expected {payment} {state}, was {found['state']}")
        await asyncio.sleep(_PAUSE_S)
    raise DemoFailed(f"Expected {payment} {state} in time, was pending")
