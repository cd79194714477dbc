"""Bytes of stored payments and of their keys, as COPY reads them, a million in a second or two.

Models pay through the kernel; everybody else has paid what their model has, under an account, ids
and keys of their own. Keys are random, as acquirers' are: each finds its place in the index by
chance.
"""

import os
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec
import orjson

from gateway.domain.bill import OpenBill
from gateway.journal.idempotency import ROUTES
from gateway.splitting.plans import PlanShelf
from loadtests import households
from splitcore import Fees, pack, split_payment, unpack

CHUNK = 2_000
# How many are accepted in the same millisecond, so that ids follow each other as they do live.
A_MILLISECOND = 10
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
PAYMENT_COLUMNS = (
    *("id", "accepted_at", "subscriber_account", "bill", "settlement_batch", "sequence"),
    *("amount", "surcharge", "total", "commission", "terms_version", "caller", "plan", "method"),
    *("shares", "facts", "reference"),
)
KEY_COLUMNS = ("resource", "key", "fingerprint", "subscriber_account", "caller", "route")
_PAYMENT_HEAD = struct.pack("!hi", len(PAYMENT_COLUMNS), 16)
_KEY_HEAD = struct.pack("!hi", len(KEY_COLUMNS), 16)
_KEY_TEXT = struct.pack("!i", 32)
_FINGERPRINT = struct.pack("!i", 16)
_POSTGRES_EPOCH_MS = 946_684_800_000
_VARIANT = 0b10 << 62


def bigint(value: int) -> bytes:
    """A value of eight bytes behind its length."""
    return struct.pack("!iq", 8, value)


def integer(value: int) -> bytes:
    """A value of four bytes behind its length."""
    return struct.pack("!ii", 4, value)


def smallint(value: int) -> bytes:
    """A value of two bytes behind its length."""
    return struct.pack("!ih", 2, value)


def text(value: bytes) -> bytes:
    """Bytes behind their length."""
    return struct.pack("!i", len(value)) + value


class Models:
    """What each model has paid: a round is one payment of every model, and nobody takes fees.

    `bills` are their open bills as the rounds leave them, `received` what each recipient number
    received from each model in each round.
    """

    def __init__(self, bills: Sequence[OpenBill], plans: PlanShelf, caller: int) -> None:
        self.bills = list(bills)
        self.received: list[list[Mapping[int, int]]] = []
        self._plans = plans
        self._caller = caller

    def pay(self, batch: int) -> list[bytes]:
        """One more round, into this settlement batch; the columns that copies share with each."""
        dice = random.Random(batch)
        made = []
        received: list[Mapping[int, int]] = []
        for at, bill in enumerate(self.bills):
            amount = dice.randint(1_000, 30_000)
            plan = self._plans.get(bill.plan)
            numbers = plan.recipient_numbers
            before = unpack(bill.paid)
            split = split_payment(
                plan.split,
                Fees([None] * len(numbers)),
                amount,
                unpack(bill.due),
                unpack(bill.weight) if bill.weight else None,
                before,
                bill.overpayment,
                False,
                None,
                None,
            )
            gross: dict[int, int] = {}
            for recipient, kopecks in zip(plan.split.part_recipient, split.parts, strict=True):
                number = numbers[recipient]
                gross[number] = gross.get(number, 0) + kopecks
            received.append(gross)
            paid = [a + b for a, b in zip(before, split.charges, strict=True)]
            self.bills[at] = msgspec.structs.replace(
                bill, paid=pack(paid), sequence=bill.sequence + 1
            )
            made.append(
                b"".join(
                    (
                        *(integer(batch), integer(bill.sequence + 1), bigint(amount), bigint(0)),
                        *(bigint(amount), bigint(0), bigint(0), integer(self._caller)),
                        *(integer(bill.plan), smallint(0), text(pack(split.parts))),
                        *(text(_facts(dice)), text(b"op-%08d" % at)),
                    )
                )
            )
        self.received.append(received)
        return made


def _facts(dice: random.Random) -> bytes:
    return orjson.dumps(
        {
            "network": "visa",
            "masked_pan": f"427644******{dice.randint(0, 9999):04}",
            "rrn": f"{dice.randint(0, 10**12 - 1):012}",
            "authorization_code": f"{dice.randint(0, 999_999):06}",
        }
    )


class Payers:
    """Whoever pays in a round: households by number, each with its bill's, in a scattered order."""

    def __init__(self, bill_numbers: Sequence[int], models: int, caller: int) -> None:
        self._models = models
        self._order = list(range(len(bill_numbers)))
        random.Random(len(bill_numbers)).shuffle(self._order)
        self._accounts = [
            text(households.account(number).encode()) for number in range(len(bill_numbers))
        ]
        self._bills = [bigint(number) for number in bill_numbers]
        self._key_tail = integer(caller) + smallint(ROUTES.index("payments"))

    def pay(self, shared: Sequence[bytes], first_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """A round's rows of payments and of keys, CHUNK of them at a time."""
        order = iter(self._order)
        ms = first_ms
        while numbers := list(islice(order, CHUNK)):
            yield self._chunk(numbers, shared, ms)
            ms += len(numbers) // A_MILLISECOND

    def _chunk(
        self, numbers: Sequence[int], shared: Sequence[bytes], ms: int
    ) -> tuple[bytes, bytes]:
        count = len(numbers)
        # The last 62 bits of an id are random.
        tails = struct.unpack(f"!{count}Q", os.urandom(8 * count))
        keys = os.urandom(16 * count).hex().encode()
        fingerprints = os.urandom(16 * count)
        payments: list[bytes] = []
        claims: list[bytes] = []
        for at, number in enumerate(numbers):
            moment, within = divmod(at, A_MILLISECOND)
            id_ = struct.pack(
                "!QQ", (ms + moment) << 16 | 0x7000 | within, tails[at] >> 2 | _VARIANT
            )
            account = self._accounts[number]
            accepted_at = bigint((ms + moment - _POSTGRES_EPOCH_MS) * 1000)
            payments += (_PAYMENT_HEAD, id_, accepted_at, account, self._bills[number])
            payments.append(shared[number % self._models])
            claims += (_KEY_HEAD, id_, _KEY_TEXT, keys[32 * at : 32 * at + 32], _FINGERPRINT)
            claims += (fingerprints[16 * at : 16 * at + 16], account, self._key_tail)
        return b"".join(payments), b"".join(claims)
