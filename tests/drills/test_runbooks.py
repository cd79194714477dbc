"""Each alert's condition is brought about, its page is followed, and what it mends is mended."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.api.conftest import RECIPIENTS, Gateway, bill, payment, recipient
from tests.drills.on_call import WITHIN_S, Drill, Limits, drilled, fires, promtool
from tests.watch.test_watch import Ahead
from tests.webhooks.receiving import receiving

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def seen() -> Iterator[None]:
    """Says loudly, once the drill is over, that nobody looked whether the alert fires."""
    yield
    if promtool() is None:
        pytest.skip("FOLLOWED, BUT THE ALERT WAS NOT SEEN: no promtool on the PATH")


@asynccontextmanager
async def region(
    url: str, folder: Path, clock: Ahead | None = None, limits: Limits = None
) -> AsyncIterator[tuple[Drill, Gateway, asyncpg.Connection]]:
    """A gateway with three recipients and a bill, and a connection beside it."""
    async with drilled(url, folder, clock, limits=limits) as (drill, gateway):
        for id_ in RECIPIENTS:
            body = recipient(id_)
            answer = await gateway.send("PUT", f"/v1/recipients/{id_}", body, role="operator")
            assert answer.status == 200, answer.content
        bills = {"bills": [bill()]}
        key = gateway.key()
        answer = await gateway.send("POST", "/v1/bills", bills, role="operator", key=key)
        assert answer.status == 200
        conn = await asyncpg.connect(url)
        try:
            yield drill, gateway, conn
        finally:
            await conn.close()


async def admin(url: str, *statements: str) -> None:
    """Statements about this database, from another one."""
    conn = await asyncpg.connect(url.replace(f"/{database_of(url)}?", "/postgres?"))
    try:
        for statement in statements:
            await conn.execute(statement.replace("THIS", database_of(url)))
    finally:
        await conn.close()


def database_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


# So that a payment is soon told that the database is away, or waits long for a lock.
IMPATIENT = {
    "lock_timeout_ms": 1_000,
    "statement_timeout_ms": 1_000,
    "commit_deadline_ms": 1_500,
    "pool_wait_ms": 500,
}
PATIENT = {"lock_timeout_ms": 20_000, "statement_timeout_ms": 20_000, "commit_deadline_ms": 25_000}
AWAY = (
    "ALTER DATABASE THIS ALLOW_CONNECTIONS false",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'THIS'",
)
BACK = ("ALTER DATABASE THIS ALLOW_CONNECTIONS true",)


async def test_payments_that_fail(database_url: str, tmp_path: Path) -> None:
    async with region(database_url, tmp_path, limits=IMPATIENT) as (drill, gateway, _):
        assert (await gateway.pay(payment())).status == 201
        before = await drill.metrics()
        await admin(database_url, *AWAY)
        bodies = [payment(amount=1000 + n) for n in range(10)]
        keys = [gateway.key() for _ in bodies]
        sent = [gateway.pay(body, key=key) for body, key in zip(bodies, keys, strict=True)]
        assert {answer.status for answer in await asyncio.gather(*sent)} == {503}
        told = await drill.follow("PaymentErrorBudgetFast", "Look")
        assert "unavailable" in told
        assert "database" in told
        await drill.follow("PaymentErrorBudgetSlow", "Look")
        failed = 'kopeck_http_requests_total{route="payments",status="503"}'
        after = await drill.until(lambda m: m.get(failed, 0) >= 10)
        assert fires("PaymentErrorBudgetFast", after, before) in (True, None)
        assert fires("PaymentErrorBudgetSlow", after, before) in (True, None)
        assert fires("PaymentErrorBudgetFast", before) in (False, None)
        await admin(database_url, *BACK)
        for body, key in zip(bodies, keys, strict=True):
            assert (await gateway.pay(body, key=key)).status == 201
        await drill.follow("PaymentErrorBudgetFast", "Afterwards")
        await drill.follow("PaymentErrorBudgetSlow", "Do")


# What the budget of latency allows a payment.
SLOW_S = 0.25


async def until_somebody_waits(conn: asyncpg.Connection) -> None:
    """Returns once somebody has waited for a lock for longer than payments may take.

    pg_locks is read anew within a db_transaction too.
    """
    waited = f"clock_timestamp() - waitstart > interval '{2 * SLOW_S} s'"
    async with asyncio.timeout(WITHIN_S):
        while True:
            if await conn.fetchval(f"SELECT EXISTS (SELECT FROM pg_locks WHERE {waited})"):
                return
            await asyncio.sleep(0.02)


async def test_payments_that_wait_for_a_lock(database_url: str, tmp_path: Path) -> None:
    async with region(database_url, tmp_path, limits=PATIENT) as (drill, gateway, conn):
        before = await drill.metrics()
        await conn.execute("BEGIN")
        await conn.execute("SELECT * FROM open_bills FOR UPDATE")
        paying = asyncio.gather(*(gateway.pay(payment()) for _ in range(8)))
        await until_somebody_waits(conn)
        assert "transactionid" in await drill.follow("PaymentLatencyBudgetFast", "Look")
        await drill.follow("PaymentLatencyBudgetFast", "Do", "Afterwards")
        assert {answer.status for answer in await paying} == {201}
        await drill.follow("PaymentLatencyBudgetSlow")
        after = await drill.until(lambda m: m["kopeck_payment_seconds_count"] >= 8)
        assert fires("PaymentLatencyBudgetFast", after, before) in (True, None)
        assert fires("PaymentLatencyBudgetSlow", after, before) in (True, None)


async def test_a_ledger_that_somebody_changed(database_url: str, tmp_path: Path) -> None:
    name = "kopeck_ledger_imbalance_kopecks"
    async with region(database_url, tmp_path) as (drill, gateway, conn):
        await gateway.pay(payment())
        whole = await drill.until(lambda m: m["kopeck_ledger_proved_timestamp_seconds"] > 0)
        assert fires("LedgerImbalance", whole) in (False, None)
        await conn.execute("ALTER TABLE payments DISABLE TRIGGER USER")
        await conn.execute("ALTER TABLE payments DROP CONSTRAINT payment_holds")
        await conn.execute("UPDATE payments SET total = total + 1")
        broken = await drill.until(lambda m: m[name] != 0)
        assert fires("LedgerImbalance", broken) in (True, None)
        told = await drill.follow("LedgerImbalance", "Look")
        assert "payment_unbalanced" in told
        assert "backup verified: evidence-" in told
        await conn.execute("UPDATE payments SET total = total - 1")
        mended = await drill.until(lambda m: m[name] == 0)
        await drill.follow("LedgerImbalance", "Afterwards")
        assert fires("LedgerImbalance", mended) in (False, None)


async def test_a_ledger_that_nobody_counts(database_url: str, tmp_path: Path) -> None:
    name = "kopeck_ledger_proved_timestamp_seconds"
    async with region(database_url, tmp_path) as (drill, _, _):
        proved = await drill.until(lambda m: m[name] > 0)
        assert fires("LedgerNotProved", proved) in (False, None)
        await admin(database_url, *AWAY)
        await drill.follow("LedgerNotProved", "Look")
        assert fires("LedgerNotProved", await drill.metrics(), later_s=1800) in (True, None)
        await admin(database_url, *BACK)
        old = (await drill.metrics())[name]
        await drill.follow("LedgerNotProved", "Do")
        fresh = await drill.until(lambda m: m[name] > old + 1)
        assert fires("LedgerNotProved", fresh) in (False, None)


async def test_suspense_that_nobody_resolves(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, gateway, _):
        await gateway.pay(payment(subscriber_account="999"))
        await drill.until(lambda m: m["kopeck_suspense_age_seconds"] > 0)
        clock.by = 4 * DAY
        aged = await drill.until(lambda m: m["kopeck_suspense_age_seconds"] > 86_400)
        assert fires("SuspenseAged", aged) in (True, None)
        assert "999" in await drill.follow("SuspenseAged", ACCOUNT="220012345")
        placed = await drill.until(lambda m: m["kopeck_suspense_age_seconds"] == 0)
        assert fires("SuspenseAged", placed) in (False, None)


async def test_a_day_that_nobody_closes_and_pays(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, gateway, conn):
        await gateway.pay(payment())
        await drill.until(lambda m: m["kopeck_unsettled_age_seconds"] > 0)
        # Whatever day this is, a working day has ended by then.
        clock.by = 20 * DAY
        late = await drill.until(lambda m: m["kopeck_settlement_late_seconds"] > 3_600)
        assert fires("SettlementLate", late) in (True, None)
        assert fires("PayoutStuck", late) in (False, None)
        await drill.follow("SettlementLate")
        paid = await drill.until(lambda m: m["kopeck_settlement_late_seconds"] == 0)
        assert fires("SettlementLate", paid) in (False, None)
        clock.by = 25 * DAY
        stuck = await drill.until(lambda m: m["kopeck_payout_age_seconds"] > 4 * 86_400)
        assert fires("PayoutStuck", stuck) in (True, None)
        assert fires("StatementMissing", stuck) in (True, None)
        await drill.follow("PayoutStuck")
        await drill.follow("StatementMissing")
        await conn.execute("UPDATE settlement_batches SET state = 'executed'")
        done = await drill.until(lambda m: m["kopeck_payout_age_seconds"] == 0)
        assert fires("PayoutStuck", done) in (False, None)
        assert fires("StatementMissing", done) in (False, None)


async def test_a_debt_that_nothing_nets(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, gateway, _):
        paid = (await gateway.pay(payment())).json

        async def close() -> None:
            told = await gateway.send(
                "POST", "/v1/settlement-batches", {}, role="operator", key=gateway.key()
            )
            assert told.status == 201

        await close()
        back = f"/v1/payments/{paid['id']}/refunds"
        body = {"amount": paid["amount"]}
        await gateway.send("POST", back, body, role="acquirer", key=gateway.key())
        await close()
        clock.by = timedelta(days=31)
        aged = await drill.until(lambda m: m["kopeck_receivable_age_seconds"] > 30 * 86_400)
        assert fires("ReceivableAged", aged) in (True, None)
        assert "asked" in await drill.follow("ReceivableAged")
        await gateway.pay(payment(amount=200_000))
        await close()
        done = await drill.until(lambda m: m["kopeck_receivable_age_seconds"] == 0)
        assert fires("ReceivableAged", done) in (False, None)


async def test_a_database_that_was_put_back(database_url: str, tmp_path: Path) -> None:
    async with region(database_url, tmp_path, Ahead()) as (drill, gateway, _):
        body = {"reason": "a snapshot of noon was put back"}
        said = await gateway.send("POST", "/v1/restores", body, role="operator", key=gateway.key())
        assert said.status == 201
        held = await drill.until(lambda m: m["kopeck_settlement_held_seconds"] > 0)
        assert fires("SettlementHeld", held) in (True, None)
        assert "asked" in await drill.follow("SettlementHeld")
        shown = await gateway.send("GET", "/v1/restores", role="approver")
        path = f"/v1/restore-lifts/{shown.json['lifts'][0]['id']}/approve"
        lifted = await gateway.send("POST", path, b"", role="approver", key=gateway.key())
        assert lifted.status == 200
        done = await drill.until(lambda m: m["kopeck_settlement_held_seconds"] == 0)
        assert fires("SettlementHeld", done) in (False, None)


async def test_a_discrepancy_that_nobody_resolves(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, gateway, _):
        terms = {"comes": "by_report", "payer_inn": "7707083893"}
        told = await gateway.send("PUT", "/v1/arrival-terms/acquirer", terms, role="operator")
        assert told.status == 200
        await gateway.pay(payment())
        clock.by = 12 * DAY
        oldest = 'kopeck_discrepancies_oldest_seconds{kind="not-reported"}'
        aged = await drill.until(lambda m: m[oldest] > 7 * 86_400)
        assert fires("DiscrepancyAged", aged) in (True, None)
        assert "not-reported" in await drill.follow("DiscrepancyAged")
        await gateway.send("PUT", "/v1/arrival-terms/acquirer", {"comes": "own"}, role="operator")
        listed = await gateway.send("GET", "/v1/discrepancies", role="operator")
        (one,) = listed.json["discrepancies"]
        path = f"/v1/discrepancies/{one['id']}"
        document = {"name": "act", "number": "1", "date": "2026-11-20", "text": "own"}
        body = {"outcome": "explained", "evidence": document}
        await gateway.send("POST", f"{path}/resolve", body, role="operator", key="dr")
        await gateway.send("POST", f"{path}/confirm", {}, role="approver", key="dc")
        done = await drill.until(lambda m: m[oldest] == 0)
        assert fires("DiscrepancyAged", done) in (False, None)


async def test_clocks_that_differ(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, _, _):
        clock.by = timedelta(seconds=-5)
        skewed = await drill.until(lambda m: m["kopeck_clock_skew_seconds"] > 4)
        assert fires("ClockSkew", skewed) in (True, None)
        assert "clock" in await drill.follow("ClockSkew")
        clock.by = timedelta(0)
        right = await drill.until(lambda m: abs(m["kopeck_clock_skew_seconds"]) < 1)
        assert fires("ClockSkew", right) in (False, None)


async def test_months_that_nobody_made(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    async with region(database_url, tmp_path, clock) as (drill, _, _):
        ahead = "kopeck_payments_months_ahead_seconds"
        made = await drill.until(lambda m: m[ahead] > 28 * 86_400)
        assert fires("PaymentMonthMissing", made) in (False, None)
        clock.by = timedelta(seconds=made[ahead]) - timedelta(days=13)
        missing = await drill.until(lambda m: m[ahead] < 14 * 86_400)
        assert fires("PaymentMonthMissing", missing) in (True, None)
        assert "payments_first" in await drill.follow("PaymentMonthMissing")


async def test_an_agent_whose_numbering_began_again(database_url: str, tmp_path: Path) -> None:
    conflicts = "kopeck_biller_conflicts_total"
    async with region(database_url, tmp_path) as (drill, gateway, _):
        before = await drill.metrics()

        async def pay(amount: str) -> Any:
            asked = f"command=pay&txn_id=77&txn_date=20261112093107&account=220012345&sum={amount}"
            secret = gateway.secrets["acquirer"]
            return await gateway.send("GET", f"/osmp/{secret}?{asked}")

        assert (await pay("10.00")).status == 200
        assert (await pay("20.00")).status == 200
        after = await drill.until(
            lambda m: sum(v for n, v in m.items() if n.startswith(conflicts)) > 0
        )
        assert fires("BillerConflict", after, before) in (True, None)
        assert conflicts in await drill.follow("BillerConflict")


async def event_for_heat(gateway: Gateway, url: str) -> None:
    """A webhook of heat's, and a closed batch to tell it of."""
    path = "/v1/webhooks/books?recipient=heat"
    made = await gateway.send("PUT", path, {"url": url}, role="operator")
    assert made.status == 201, made.content
    await gateway.pay(payment())
    closed = await gateway.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=gateway.key()
    )
    assert closed.status == 201, closed.content


async def test_a_webhook_that_takes_nothing(database_url: str, tmp_path: Path) -> None:
    clock = Ahead()
    name = "kopeck_webhook_deliveries_oldest_seconds"
    limits = {"webhook_loopback": "allow"}
    async with (
        receiving(statuses=[500] * 200) as to,
        region(database_url, tmp_path, clock, limits) as (drill, gateway, _),
    ):
        await event_for_heat(gateway, to.url)
        waits = await drill.until(lambda m: m[name] > 0)
        assert fires("WebhookStuck", waits) in (False, None)
        clock.by = 2 * DAY
        stuck = await drill.until(lambda m: m[name] > 86_400)
        assert fires("WebhookStuck", stuck) in (True, None)
        assert fires("WebhookDisabled", stuck) in (False, None)
        assert "heat" in await drill.follow("WebhookStuck", "Look")
        to.statuses.clear()
        await drill.follow("WebhookStuck", "Do", "Afterwards")
        told = await drill.until(lambda m: m["kopeck_webhook_deliveries_waiting"] == 0)
        assert fires("WebhookStuck", told) in (False, None)


async def test_a_webhook_that_is_gone(database_url: str, tmp_path: Path) -> None:
    gone = 'kopeck_webhooks_disabled{reason="gone"}'
    limits = {"webhook_loopback": "allow"}
    async with (
        receiving(statuses=[410]) as to,
        region(database_url, tmp_path, limits=limits) as (drill, gateway, _),
    ):
        silent = await drill.metrics()
        assert fires("WebhookDisabled", silent) in (False, None)
        await event_for_heat(gateway, to.url)
        disabled = await drill.until(lambda m: m.get(gone, 0) == 1)
        assert fires("WebhookDisabled", disabled) in (True, None)
        assert "gone" in await drill.follow("WebhookDisabled", "Look")
        await drill.follow("WebhookDisabled", "Do", "Afterwards")
        resumed = await drill.until(lambda m: m.get(gone, 0) == 0)
        assert fires("WebhookDisabled", resumed) in (False, None)


async def test_a_step_that_fails_by_our_fault(database_url: str, tmp_path: Path) -> None:
    failed = 'kopeck_steps_total{outcome="failed",room="splitting",step="surcharge"}'
    async with region(database_url, tmp_path) as (drill, gateway, conn):

        async def surcharge() -> int:
            body = {"ppm": 100}
            answer = await gateway.send("PUT", "/v1/surcharges/cash", body, role="operator")
            return answer.status

        before = await drill.until(lambda m: failed in m)
        assert fires("StepFailing", before) in (False, None)
        await conn.execute("ALTER TABLE surcharge_terms RENAME TO mislaid")
        assert await surcharge() == 500
        after = await drill.until(lambda m: m[failed] > 0)
        assert fires("StepFailing", after, before) in (True, None)
        assert 'room="splitting",step="surcharge"' in await drill.follow("StepFailing", "Look")
        await conn.execute("ALTER TABLE mislaid RENAME TO surcharge_terms")
        await drill.follow("StepFailing", "Do")
        assert await surcharge() == 200
        # A quarter of an hour later, as it went on from there.
        assert fires("StepFailing", await drill.metrics()) in (False, None)
