"""A small region in a real database, and workers that take payments for it.

Each worker has a pool, shelves and an intake of its own, as each process of the gateway has.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from gateway.acquirers.requests import Authorisation
from gateway.api import encode
from gateway.config import Settings
from gateway.domain.bill import Bill, Charge, OverpaymentCharge, SecondLevel
from gateway.domain.clock import Clock, SystemClock
from gateway.domain.ids import PAYMENT, SETTLEMENT_BATCH, new_id, read_id
from gateway.domain.packed_bill import PackedBill
from gateway.domain.party import BankAccount, Caller, Recipient
from gateway.domain.payment import METHODS, Claim, Payment, PaymentRequest
from gateway.domain.refusals import Refusal
from gateway.flows import close_batch, load_bills, refund_payment, resolve_suspense, set_terms
from gateway.flows.accept_payment import Intake
from gateway.flows.bill_forms import BillForms
from gateway.flows.context import Context
from gateway.flows.wallets import Wallets
from gateway.splitting import store as splitting_store
from gateway.splitting.plans import PlanShelf
from gateway.splitting.terms import TermsShelf
from gateway.storage import keys
from gateway.storage.postgres import open_pool
from splitcore import FeeRule

CARD, CASH = METHODS.index("card"), METHODS.index("cash")
COMMISSIONS = {"heat": FeeRule(ppm=15_000), "waste": FeeRule(ppm=7_777, fixed=3, max=900)}
SURCHARGES = {CARD: FeeRule(ppm=10_000, min=100)}
CALLERS = {"bank": "acquirer", "post": "acquirer", "op": "operator", "boss": "approver"}

# Three real-looking accounts whose keys agree with their BICs, and the centre's own.
_ACCOUNTS = {
    "heat": ("supplier", "049401601", "40702810268000010356"),
    "uk": ("management_company", "046015602", "40702810952090030727"),
    "waste": ("regional_operator", "044525225", "40702810138250123017"),
    "centre": ("centre", "044525225", "40702810138250123017"),
}


class Nobody:
    """Nobody is told of groups."""

    def group(self, size: int, seconds: float) -> None:
        pass

    def split(self, seconds: float, count: int) -> None:
        pass


@dataclass(frozen=True)
class Worker:
    """What one process of the gateway has."""

    context: Context
    intake: Intake


def fingerprint(*body: object) -> bytes:
    return hashlib.blake2b(repr(body).encode(), digest_size=16).digest()


def bill(account: str, *charges: Charge, period: str = "2026-10", **more: Any) -> Bill:
    """A bill of `charges`, or of three kinds: second level, two tiers of one service, plain."""
    usual = (
        Charge("heating", "heat", 80_000, 1, None, (SecondLevel("uk", 50_000),)),
        Charge("waste", "waste", 40_000, 1),
        Charge("heating", "heat", 1_000, 0),
    )
    return Bill(account, period, charges or usual, **more)


def as_read(payment: Payment | Authorisation) -> dict[str, Any]:
    """The payment as its caller reads it."""
    read: dict[str, Any] = orjson.loads(encode.started(payment))
    return read


def to_charge(charge: int) -> OverpaymentCharge:
    return OverpaymentCharge(charge)


def packed(forms: BillForms, line: Bill | Refusal) -> PackedBill | Refusal:
    """The bill packed, or why it is none."""
    try:
        return line if isinstance(line, Refusal) else forms.pack(line)
    except Refusal as refusal:
        return refusal


class Region:
    """The database with its callers; `conn` is for plain SQL, `worker` a first worker."""

    def __init__(self, url: str, conn: asyncpg.Connection, callers: dict[str, Caller]) -> None:
        self.url = url
        self.conn = conn
        self.callers = callers
        self.loaded: dict[str, Bill] = {}
        self.worker: Worker

    @asynccontextmanager
    async def working(
        self,
        clock: Clock | None = None,
        url: str | None = None,
        wallets: Wallets | None = None,
        **settings: Any,
    ) -> AsyncIterator[Worker]:
        """One more worker; its queue is finished before it goes."""
        chosen = Settings(**{"database_url": url or self.url, "pool_max": 5, **settings})
        pool = await open_pool(chosen)
        context = Context(
            pool,
            clock or SystemClock(),
            chosen,
            PlanShelf(),
            TermsShelf(),
            wallets=wallets or Wallets(),
        )
        intake = Intake(context, Nobody())
        await intake.start()
        try:
            yield Worker(context, intake)
        finally:
            await intake.drain()
            pool.terminate()

    def claim(self, caller: str, key: str, route: str, *body: object) -> Claim:
        return Claim(self.callers[caller].number, key, route, fingerprint(*body))

    def payment(
        self,
        key: str,
        account: str,
        amount: int,
        *designation: tuple[str, int],
        caller: str = "bank",
        method: int = CARD,
        is_total: bool = False,
    ) -> PaymentRequest:
        claim = self.claim(caller, key, "payments", account, amount, designation, method)
        return PaymentRequest(
            claim, new_id(), account, amount, is_total, method, b"{}", designation
        )

    async def pay(self, key: str, account: str, amount: int, *designation: Any) -> Payment:
        """A payment through the first worker."""
        request = self.payment(key, account, amount, *designation)
        return (await self.worker.intake.accept(request)).payment

    async def load(
        self, *bills: Bill | Refusal, worker: Worker | None = None
    ) -> list[tuple[int, str]]:
        """Loads bills, each marked so that the oracle knows it again; what was refused."""

        async def lines() -> AsyncIterator[list[PackedBill | Refusal]]:
            forms = BillForms()
            for line in bills:
                if isinstance(line, Bill):
                    line = Bill(**{**_fields(line), "payer": f"bill {len(self.loaded)}"})
                    self.loaded[str(line.payer)] = line
                yield [packed(forms, line)]

        context = (worker or self.worker).context
        answer: Any = await load_bills.load(context, self.callers["op"], lines())
        assert answer["accepted"] + len(answer["refused"]) == len(bills)
        return [(refused["index"], refused["code"]) for refused in answer["refused"]]

    async def refund(
        self, key: str, payment: UUID, amount: int, caller: str = "bank", on: Worker | None = None
    ) -> dict[str, Any]:
        claim = self.claim(caller, key, "refunds", payment, amount)
        context = (on or self.worker).context
        answer = await refund_payment.refund(context, claim, self.callers[caller], payment, amount)
        return _read(answer.content)

    async def resolve(self, key: str, payment: UUID, account: str) -> dict[str, Any]:
        claim = self.claim("op", key, "resolutions", payment, account)
        answer = await resolve_suspense.resolve(
            self.worker.context, claim, self.callers["op"], payment, account
        )
        return _read(answer.content)

    async def close(self, key: str, on: Worker | None = None) -> dict[str, Any]:
        claim = self.claim("op", key, "settlement_batches")
        context = (on or self.worker).context
        answer = await close_batch.close(context, claim, self.callers["op"], None)
        return _read(answer.content)

    async def approve(
        self,
        key: str,
        batch: UUID,
        caller: str = "boss",
        on: Worker | None = None,
        override: str | None = None,
    ) -> dict[str, Any]:
        claim = self.claim(caller, key, "approvals", batch)
        context = (on or self.worker).context
        by = self.callers[caller]
        answer = await close_batch.approve(context, claim, by, batch, override)
        return _read(answer.content)

    async def number(self, query: str, *values: object) -> int:
        """One number by plain SQL; NULL is 0."""
        return int(await self.conn.fetchval(query, *values) or 0)


@asynccontextmanager
async def region_in(url: str) -> AsyncIterator[Region]:
    """A region in an empty, migrated database: callers, recipients, fee rules."""
    conn = await asyncpg.connect(url)
    try:
        for name, role in CALLERS.items():
            await keys.add(conn, name, keys.parse_role(role))
        rows = await conn.fetch("SELECT number, name, role FROM callers")
        callers = {row["name"]: Caller(*row.values()) for row in rows}
        region = Region(url, conn, callers)
        async with region.working() as worker:
            region.worker = worker
            for id_, (kind, bic, number) in _ACCOUNTS.items():
                account = BankAccount(bic, number)
                recipient = Recipient(
                    id_, f"ООО {id_}", kind, "7707083893", None, account, COMMISSIONS.get(id_)
                )
                await set_terms.set_recipient(worker.context, callers["op"], recipient, False)
            for method, rule in SURCHARGES.items():
                await set_terms.set_surcharge(worker.context, callers["op"], method, rule)
            yield region
    finally:
        await conn.close()


def payment_id(shown: str) -> UUID:
    return _id(PAYMENT, shown)


def batch_id(shown: str) -> UUID:
    return _id(SETTLEMENT_BATCH, shown)


async def know_terms(worker: Worker) -> None:
    """The worker knows the fee rules, as after its first payment: the next may go at once."""
    async with worker.context.connection() as conn:
        version = await splitting_store.current_version(conn)
        await splitting_store.fetch_terms(conn, worker.context.terms, version)


def receipts_of(outcomes: Sequence[Any]) -> list[Payment]:
    """The payments of outcomes that must all be receipts."""
    failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert failed == []
    return [outcome.payment for outcome in outcomes]


def _id(prefix: str, shown: str) -> UUID:
    found = read_id(prefix, shown)
    assert found is not None
    return found


def _read(content: bytes) -> dict[str, Any]:
    answer = orjson.loads(content)
    assert isinstance(answer, dict)
    return answer


def _fields(line: Bill) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}
