"""What payers were told, kept outside of everything that is killed, and the judge of it.

A payment is acknowledged once a payer has read 201. Anything but a refusal to connect, before
which nothing was sent, leaves its outcome unknown until the same key is answered.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

import asyncpg

_STORED = """
    SELECT k.key, p.id, p.subscriber_account, p.amount, p.surcharge
    FROM payments AS p LEFT JOIN idempotency_keys AS k ON k.resource = p.id AND k.route = 0
"""


@dataclass
class Sent:
    """One payment as it was sent, and the payment that 201 named, if it came."""

    key: str
    account: str
    amount: int
    payment: str | None = None
    total: int | None = None


@dataclass(frozen=True)
class Stored:
    """One payment as the database has it, with its key."""

    key: str | None
    payment: str
    account: str
    amount: int
    total: int


class History:
    """Every payment sent, in a file as well, one JSON line when sent and one when acknowledged."""

    def __init__(self, file: IO[str]) -> None:
        self.sent: list[Sent] = []
        self.acknowledged = 0
        self._moments: list[float] = []
        self._file = file

    def send(self, account: str, amount: int) -> Sent:
        sent = Sent(f"key-{len(self.sent)}", account, amount)
        self.sent.append(sent)
        self._write(invoke=sent.key, account=account, amount=amount)
        return sent

    def acknowledge(self, sent: Sent, payment: str, total: int) -> None:
        self._write(ok=sent.key, payment=payment, total=total)
        sent.payment, sent.total = payment, total
        self.acknowledged += 1
        self._moments.append(time.monotonic())

    def longest_silence(self, since: float) -> float:
        """For how many seconds nothing was acknowledged, at worst, from a moment until the last."""
        moments = [since, *(one for one in self._moments if one > since)]
        return max((later - one for one, later in pairwise(moments)), default=0.0)

    def unknown(self) -> list[Sent]:
        return [sent for sent in self.sent if sent.payment is None]

    def _write(self, **line: object) -> None:
        self._file.write(json.dumps(line) + "\n")


async def stored(url: str) -> list[Stored]:
    conn = await asyncpg.connect(url)
    try:
        return [
            Stored(
                row["key"],
                f"pay_{row['id'].hex}",
                row["subscriber_account"],
                row["amount"],
                row["amount"] + row["surcharge"],
            )
            for row in await conn.fetch(_STORED)
        ]
    finally:
        await conn.close()


def complaints(sent: Iterable[Sent], rows: Iterable[Stored], *, settled: bool) -> list[str]:
    """Each payment that is not as it was told, in words; `settled` once no outcome is unknown."""
    rows = list(rows)
    times = Counter(row.key for row in rows)
    by_key = {row.key: row for row in rows}
    told = {one.key for one in sent}
    found = [f"{row.payment} stands under no key that was sent" for row in rows
             if row.key not in told]  # fmt: skip
    for one in sent:
        row = by_key.get(one.key)
        if times[one.key] > 1:
            found.append(f"{one.key} was taken {times[one.key]} times")
        elif row is None:
            if one.payment is not None:
                found.append(f"{one.key} was acknowledged and is lost")
            elif settled:
                found.append(f"{one.key} has no outcome")
        elif (row.account, row.amount) != (one.account, one.amount):
            found.append(f"{one.key} is stored as another payment")
        elif one.payment is not None and (row.payment, row.total) != (one.payment, one.total):
            found.append(f"{one.key} was acknowledged as another payment")
        elif one.payment is None and settled:
            found.append(f"{one.key} has no outcome")
    return found
