"""A gateway in this process and a sandbox bank beside it, which speak over real sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.acquirers.sandbox import OutcomeSaid
from gateway.sandbox import server
from tests.api.conftest import RECIPIENTS, Answer, Gateway, bill, recipient, served, until

KEY = "sandbox-key-0123456789"
NAME = "play"


@dataclass
class Pair:
    """A worker and the bank that it asks."""

    gateway: Gateway
    bank: server.Sandbox
    conn: asyncpg.Connection
    folder: Path
    numbers: int = 0

    def body(self, card: str = "approve", **changes: Any) -> dict[str, Any]:
        """A payment of 1 000.00 by a test card, under an order's number of its own."""
        self.numbers += 1
        made: dict[str, Any] = {
            "subscriber_account": "220012345",
            "amount": 100000,
            "method": {"type": "card", "reference": card},
            "reference": f"site-order-{self.numbers}",
            "acquirer": NAME,
        }
        return {name: value for name, value in (made | changes).items() if value is not ...}

    async def pay(self, card: str = "approve", **changes: Any) -> Answer:
        return await self.gateway.pay(self.body(card, **changes))

    async def show(self, id_: str) -> dict[str, Any]:
        answer = await self.gateway.send("GET", f"/v1/payments/{id_}", role="acquirer")
        assert answer.status == 200, answer.content
        return dict(answer.json)

    async def settled(self, id_: str, state: str) -> dict[str, Any]:
        """The payment once it has come to this state; TimeoutError where it does not."""
        shown: dict[str, Any] = {}
        done = False

        async def look() -> None:
            nonlocal shown, done
            shown = await self.show(id_)
            done = shown["state"] == state

        for _ in range(600):
            await look()
            if done:
                return shown
            await self.passed()
        raise TimeoutError(f"Expected {state}, was {shown['state']}")

    async def passed(self) -> None:
        """A moment, in which the gateway and the bank go on."""
        ticks = 0

        def tick() -> bool:
            nonlocal ticks
            ticks += 1
            return ticks > 5

        await until(tick)

    async def payments(self) -> int:
        count: int = await self.conn.fetchval("SELECT count(*) FROM payments")
        return count

    async def state(self, id_: str) -> str:
        """The state of a try in its row."""
        found: str = await self.conn.fetchval(
            "SELECT state FROM authorisations WHERE id = $1::uuid", id_.removeprefix("pay_")
        )
        return found

    def charged(self) -> list[OutcomeSaid]:
        """What the bank took."""
        return self.bank.bank.charges


def acquirers_file(folder: Path, url: str, **changes: Any) -> Path:
    """The setting's file with one sandbox; small times, so that tests see them pass."""
    (folder / "sandbox.key").write_text(KEY + "\n")
    numbers = {"timeout_ms": 500, "expires_s": 3600, "absent_after_s": 30, **changes}
    lines = [f"[{NAME}]", 'kind = "sandbox"', f'url = "{url}"']
    lines += [f"{name} = {value}" for name, value in numbers.items()]
    lines += [f"[{NAME}.secrets]", 'key = "sandbox.key"']
    path = folder / "acquirers.toml"
    path.write_text("\n".join(lines))
    return path


@asynccontextmanager
async def paired(
    database_url: str, folder: Path, delay_s: float = 0.1, **changes: Any
) -> AsyncIterator[Pair]:
    """A worker with the bill of account 220012345, and its sandbox."""
    bank = server.Sandbox(KEY, None, delay_s)
    async with server.running(bank, "127.0.0.1", 0) as url:
        path = acquirers_file(folder, url, **changes)
        conn = await asyncpg.connect(database_url)
        try:
            async with served(database_url, acquirers=path) as gateway:
                bank.callbacks = f"{gateway.url}/v1/acquirers/{NAME}/callbacks"
                for id_ in RECIPIENTS:
                    answer = await gateway.send(
                        "PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator"
                    )
                    assert answer.status == 200, answer.content
                answer = await gateway.send(
                    "POST", "/v1/bills", {"bills": [bill()]}, role="operator", key=gateway.key()
                )
                assert answer.json["accepted"] == 1
                yield Pair(gateway, bank, conn, folder)
        finally:
            await conn.close()


@pytest.fixture
async def pair(database_url: str, tmp_path: Path) -> AsyncIterator[Pair]:
    async with paired(database_url, tmp_path) as made:
        yield made
