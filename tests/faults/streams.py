"""A bank that sends its register as one stream, and the same stream again when it broke off."""

import json
import random
from collections import Counter
from collections.abc import Sequence

import aiohttp

from tests.faults.history import History, Sent
from tests.faults.payers import LOST

_ANSWER_S = 120.0


class Register:
    """Payments in one order, each under its key, as often as it is sent."""

    def __init__(self, history: History, secret: str, port: int, seed: int, lines: int) -> None:
        self.history = history
        self.answers: Counter[int] = Counter()
        # Payments that were acknowledged once, and as something else when they were sent again.
        self.changed: list[str] = []
        self.replayed = 0
        dice = random.Random(seed)
        # One payment in ten is for an account that no bill was loaded for.
        self._lines: Sequence[Sent] = [
            history.send(f"A{dice.randrange(22)}", dice.randint(1, 50_000)) for _ in range(lines)
        ]
        self._body = b"".join(map(_line, self._lines))
        self._secret = secret
        self._url = f"http://127.0.0.1:{port}/v1/payments/bulk"

    def unknown(self) -> int:
        """How many of its payments were not acknowledged yet."""
        return sum(one.payment is None for one in self._lines)

    async def send(self) -> bool:
        """Sends all of it on one connection; whether every line was answered."""
        told = 0
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
                    headers={"Authorization": f"Bearer {self._secret}"},
                ) as session,
                session.post(self._url, data=self._body) as answer,
            ):
                assert answer.status == 200
                async for line in answer.content:
                    if not line.endswith(b"\n"):
                        break
                    self._hear(told, json.loads(line))
                    told += 1
        except LOST:
            return False
        return told == len(self._lines)

    def _hear(self, index: int, outcome: dict[str, object]) -> None:
        assert outcome["index"] == index, "Expected outcomes in the order of the lines"
        status, payment, total = outcome["status"], outcome.get("id"), outcome.get("total")
        assert isinstance(status, int)
        self.answers[status] += 1
        if status != 201:
            return
        assert isinstance(payment, str)
        assert isinstance(total, int)
        sent = self._lines[index]
        self.replayed += outcome.get("replayed") is True
        if sent.payment is None:
            self.history.acknowledge(sent, payment, total)
        elif (sent.payment, sent.total) != (payment, total):
            self.changed.append(sent.key)


def _line(sent: Sent) -> bytes:
    body = {
        "idempotency_key": sent.key,
        "subscriber_account": sent.account,
        "amount": sent.amount,
        "method": {"type": "card", "network": "visa", "masked_pan": "427644******1234"},
        "reference": f"op {sent.key}",
    }
    return json.dumps(body).encode() + b"\n"
