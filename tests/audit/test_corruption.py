"""The audit names every kind of damage: one row of each kind is changed, deleted or added.

The control is the same database before the damage, which has no problems.
"""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import date
from uuid import UUID

import asyncpg
import orjson
import pytest
from msgspec import structs

from gateway import config
from gateway.acquirer_reports.rows import Row
from gateway.audit import gauges, report
from gateway.domain.bill import Bill, Charge, SecondLevel
from gateway.domain.clock import SystemClock
from gateway.domain.ids import SETTLEMENT_BATCH, new_id, read_id
from gateway.domain.packed_bill import PackedBill
from gateway.domain.party import BankAccount, Caller, Recipient
from gateway.domain.payment import METHODS, Claim, OpenedToken, PaymentRequest
from gateway.flows import (
    close_batch,
    load_bills,
    obligations,
    refund_payment,
    resolve_suspense,
    set_terms,
    take_statement,
)
from gateway.flows.accept_payment import Intake
from gateway.flows.bill_forms import BillForms
from gateway.flows.context import Context
from gateway.flows.take_acquirer_report import Taking
from gateway.obligations.store import NewObligation
from gateway.payouts.centre import TRIAL_CENTRE
from gateway.payouts.statements.reading import StatementReader
from gateway.splitting.plans import PlanShelf
from gateway.splitting.terms import TermsShelf
from gateway.storage import keys
from gateway.storage.postgres import open_pool
from splitcore import FeeRule
from tests.acquirer_reports.files import Told, read, sber12
from tests.payouts.statement_files import Told as Told1C
from tests.payouts.statement_files import one_c

ACCOUNTS = {
    "heat": ("40702810268000010356", "049401601"),
    "uk": ("40702810952090030727", "046015602"),
    "waste": ("40702810138250123017", "044525225"),
}


class Silent:
    """An observer of the intake that nobody asks."""

    def group(self, size: int, seconds: float) -> None: ...

    def split(self, seconds: float, count: int) -> None: ...


class World:
    """A day of a small region: bills, payments of every fate, a closed and an open batch."""

    def __init__(self, context: Context, callers: dict[str, Caller]) -> None:
        self.context = context
        self.callers = callers
        self.intake = Intake(context, Silent())
        self._keys = 0

    def claim(self, name: str, route: str) -> Claim:
        self._keys += 1
        return Claim(self.callers[name].number, f"key-{self._keys}", route, bytes(16))

    async def pay(self, account: str, amount: int, *named: tuple[str, int]) -> UUID:
        request = PaymentRequest(
            self.claim("bank", "payments"), new_id(), account, amount, False, 0, b"{}", named
        )
        return (await self.intake.accept(request)).payment.id

    async def pay_by_wallet(self, account: str, amount: int) -> None:
        token = OpenedToken(bytes(31) + bytes([self._keys]))
        claim = self.claim("bank", "payments")
        method = METHODS.index("google_pay")
        request = PaymentRequest(claim, new_id(), account, amount, False, method, b"{}", ())
        await self.intake.accept(structs.replace(request, token=token))

    async def refund(self, payment: UUID, amount: int) -> None:
        claim = self.claim("bank", "refunds")
        await refund_payment.refund(self.context, claim, self.callers["bank"], payment, amount)

    async def take_statement(self, conn: asyncpg.Connection) -> None:
        """All orders of the first batch executed, and one of them returned; money of an acquirer's
        that no report tells of, and somebody's that nothing does.
        """
        await conn.execute(
            "INSERT INTO arrival_terms (caller, comes, payer_account, fee, report_days,"
            " arrival_days, set_at, set_by)"
            " VALUES ($1, 'by_report', '30232810000000000001', 'withheld', 1, 1, now(), $2)",
            *(self.callers[name].number for name in ("bank", "operator")),
        )
        brought = Told1C("501", 70_000, "30232810000000000001", "Перечисление", came=True)
        strange = Told1C("502", 5_000, "40702810300000000001", "По договору", came=True)
        rows = await conn.fetch("SELECT order_number, amount, account FROM payouts ORDER BY 1")
        told = [Told1C(str(number), amount, account) for number, amount, account in rows]
        back = told[0].but(came=True, purpose=f"Возврат п/п № {told[0].number}")
        reader = StatementReader("1c")
        reader.feed(one_c([*told, back, brought, strange], own=TRIAL_CENTRE.account))
        claim, by = self.claim("operator", "bank_statements"), self.callers["operator"]
        await take_statement.take(self.context, claim, by, reader.finish(), bytes(16))

    async def close(self) -> None:
        claim, by = self.claim("operator", "settlement_batches"), self.callers["operator"]
        shown = orjson.loads((await close_batch.close(self.context, claim, by, None)).content)
        batch = read_id(SETTLEMENT_BATCH, shown["id"])
        assert batch is not None
        claim, by = self.claim("boss", "approvals"), self.callers["boss"]
        await close_batch.approve(self.context, claim, by, batch)

    async def owe(self) -> None:
        """The company owes two: one of them is soon paid, the other for long not."""
        day = date(2026, 9, 30)
        told = [
            NewObligation("uk", "heat", ("heating",), 1_000, "1", day),
            NewObligation("uk", "waste", ("heating",), 9_000, "2", day),
        ]
        claim, by = self.claim("operator", "obligations"), self.callers["operator"]
        await obligations.load(self.context, claim, by, told)

    async def withdraw(self, conn: asyncpg.Connection) -> None:
        """Some of the second debt was paid elsewhere, another part is only asked for."""
        debt = await conn.fetchval("SELECT id FROM obligations WHERE document_number = '2'")
        for amount in (1_000, 2_000):
            claim, by = self.claim("operator", "obligation_withdrawals"), self.callers["operator"]
            await obligations.ask_withdrawal(self.context, claim, by, debt, amount, "paid by 17")
        asked = await conn.fetchval("SELECT id FROM obligation_withdrawals WHERE amount = 2000")
        claim, by = self.claim("boss", "withdrawal_approvals"), self.callers["boss"]
        await obligations.approve_withdrawal(self.context, claim, by, asked)

    async def take_report(self, text: str) -> None:
        rows, file = read(text.encode())

        async def parts() -> AsyncIterator[list[Row]]:
            yield rows

        bank = self.callers["bank"].number
        taking = Taking(self.context, self.intake, bank, new_id(), file)
        told = await taking.take(parts(), lambda _: None)
        assert (told["created"], told["discrepancy_count"]) == (1, 1)

    async def load(self, period: str, due: int) -> None:
        async def bills() -> AsyncIterator[list[PackedBill]]:
            forms = BillForms()
            yield [forms.pack(Bill(account, period, charges(due))) for account in ("A", "B")]

        loaded = await load_bills.load(self.context, self.callers["operator"], bills())
        assert loaded == {"accepted": 2, "refused": []}


def charges(due: int) -> tuple[Charge, ...]:
    return (
        Charge("heating", "heat", due, 0, None, (SecondLevel("uk", 50_000),)),
        Charge("waste", "waste", due // 2, 1),
        Charge("upkeep", "uk", due // 3, 1),
    )


@asynccontextmanager
async def world_on(database_url: str) -> AsyncIterator[tuple[World, asyncpg.Connection]]:
    """A world in which nothing has happened yet, and a connection to its database."""
    conn = await asyncpg.connect(database_url)
    for name, role in (("bank", "acquirer"), ("operator", "operator"), ("boss", "approver")):
        await keys.add(conn, name, keys.parse_role(role))
    rows = await conn.fetch("SELECT number, name, role FROM callers")
    callers = {row["name"]: Caller(row["number"], row["name"], row["role"]) for row in rows}
    settings = dataclasses.replace(config.Settings(), pool_min=1, pool_max=2)
    pool = await open_pool(settings, database_url)
    world = World(Context(pool, SystemClock(), settings, PlanShelf(), TermsShelf()), callers)
    try:
        yield world, conn
    finally:
        pool.terminate()
        await conn.close()


@pytest.fixture
async def damaged(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the world's database on which triggers and checks are out of the way."""
    async with world_on(database_url) as (world, conn):
        await a_day(world, conn)
        yield conn


async def a_day(world: World, conn: asyncpg.Connection) -> None:
    await world.intake.start()
    operator = world.callers["operator"]
    recipient: Recipient
    for id_, (number, bic) in ACCOUNTS.items():
        rule = FeeRule(15_000) if id_ == "heat" else None
        account = BankAccount(bic, number)
        recipient = Recipient(id_, f"ООО {id_}", "supplier", "7707083893", None, account, rule)
        await set_terms.set_recipient(world.context, operator, recipient, False)
    # And what has two versions.
    changed = structs.replace(recipient, name="ООО «Новое имя»", commission=FeeRule(7_000))
    await set_terms.set_recipient(world.context, operator, changed, False)
    await set_terms.set_surcharge(world.context, operator, 0, FeeRule(10_000, 0, 100))
    await world.load("2026-10", 90_000)
    await world.owe()
    first = await world.pay("A", 50_000)
    await world.pay("A", 30_000, ("waste", 7_777))
    await world.pay("B", 33_333)
    await world.refund(first, 12_345)
    await world.close()
    await world.take_statement(conn)
    await world.withdraw(conn)
    lost = await world.pay("nobody", 10_000)
    await world.refund(lost, 1_000)
    claim = world.claim("operator", "resolutions")
    await resolve_suspense.resolve(world.context, claim, operator, lost, "B")
    await world.load("2026-10", 95_000)
    await world.pay("B", 44_444)
    await world.pay("nobody else", 5_000)
    await world.refund(first, 5_000)
    await world.close()
    await world.pay("A", 1_001)
    await world.take_report(sber12([Told("op", "A", 700), Told("op", "A", 700)]))
    await world.pay_by_wallet("A", 2_000)
    await world.pay_by_wallet("nobody", 400)
    await world.intake.drain()


MOVE_A_KOPECK = """
    SET shares = set_byte(set_byte(shares, 4, (get_byte(shares, 4) + 1) % 256), 8,
                          (get_byte(shares, 8) + 255) % 256)
"""
SPLIT_ONE = "(SELECT id FROM payments WHERE bill IS NOT NULL ORDER BY id LIMIT 1)"

DAMAGE = [
    ("an amount", "UPDATE payments SET amount = amount + 1 WHERE id = " + SPLIT_ONE,
     "payment_unbalanced"),
    ("a total", "UPDATE payments SET total = total + 1 WHERE id = " + SPLIT_ONE,
     "payment_unbalanced"),
    ("a surcharge and its total",
     "UPDATE payments SET surcharge = surcharge + 1, total = total + 1 WHERE id = " + SPLIT_ONE,
     "surcharge_wrong"),
    ("a kopeck from share to share", "UPDATE payments" + MOVE_A_KOPECK + "WHERE id = " + SPLIT_ONE,
     "split_wrong"),
    ("a commission moved out",
     "UPDATE payments SET commission = 0, commissions = NULL WHERE commission > 0",
     "commission_wrong"),
    ("a payment's batch", "UPDATE payments SET settlement_batch = 2 WHERE id = " + SPLIT_ONE,
     "position_wrong"),
    ("a batch that is not there",
     "UPDATE payments SET settlement_batch = 77 WHERE id = " + SPLIT_ONE, "batch_unknown"),
    ("a payment's order", "UPDATE payments SET sequence = sequence + 5 WHERE id = " + SPLIT_ONE,
     "sequence_broken"),
    ("a payment's bill", "UPDATE payments SET bill = bill + 1 WHERE id = " + SPLIT_ONE,
     "split_wrong"),
    ("a payment's account",
     "UPDATE payments SET subscriber_account = 'B' WHERE id = " + SPLIT_ONE, "sequence_broken"),
    ("a designation", "UPDATE payments SET designation = NULL WHERE designation IS NOT NULL",
     "split_wrong"),
    ("a payment deleted", "DELETE FROM payments WHERE id = " + SPLIT_ONE, "key_without_payment"),
    ("a payment added",
     "INSERT INTO payments SELECT gen_random_uuid(), accepted_at, paid_at, amount, surcharge,"
     " total, commission, bill, terms_version, caller, settlement_batch, sequence, plan, method,"
     " subscriber_account, shares, commissions, facts, designation, reference FROM payments"
     " LIMIT 1", "payment_without_key"),
    ("a refund's amount", "UPDATE refunds SET amount = amount + 1", "refund_unbalanced"),
    ("a refund's shares",
     "UPDATE refunds" + MOVE_A_KOPECK + "WHERE shares IS NOT NULL", "refund_wrong"),
    ("a refund deleted", "DELETE FROM refunds WHERE shares IS NOT NULL", "key_without_payment"),
    ("a refund without its key", "DELETE FROM idempotency_keys WHERE route = 1",
     "refund_without_key"),
    ("a payment without its key", "DELETE FROM idempotency_keys WHERE route = 0",
     "payment_without_key"),
    ("a resolution's amount", "UPDATE resolutions SET amount = amount + 1",
     "resolution_unbalanced"),
    ("a resolution deleted", "DELETE FROM resolutions", "sequence_broken"),
    ("what is paid", "UPDATE open_bills SET paid = due WHERE subscriber_account = 'A'",
     "paid_wrong"),
    ("what is due on the open bill",
     "UPDATE open_bills SET due = set_byte(due, 4, 1) WHERE subscriber_account = 'A'",
     "open_bill_wrong"),
    ("a bill as it was loaded",
     "UPDATE bills SET due = set_byte(due, 3, 1) WHERE number = (SELECT min(number) FROM bills)",
     "split_wrong"),
    ("a bill deleted", "DELETE FROM bills WHERE number = (SELECT max(number) FROM bills)",
     "open_bill_wrong"),
    ("an open bill deleted", "DELETE FROM open_bills WHERE subscriber_account = 'B'",
     "sequence_broken"),
    ("a commission rule", "UPDATE commission_terms SET ppm = ppm + 1000 WHERE ppm > 0",
     "commission_wrong"),
    ("a surcharge rule", "UPDATE surcharge_terms SET min = min + 1000", "surcharge_wrong"),
    ("a plan's bytes", "UPDATE split_plans SET plan = set_byte(plan, length(plan) - 1, 1)",
     "plan_wrong"),
    ("a plan's names", "UPDATE split_plans SET services = array_replace(services, 'waste', 'w')",
     "plan_wrong"),
    ("a plan's parts",
     "UPDATE split_plan_parts SET recipient = (SELECT max(number) FROM recipients)"
     " WHERE place = 0", "plan_wrong"),
    ("a plan's recipients",
     "UPDATE split_plan_recipients SET recipient = recipient % 3 + 1", "plan_wrong"),
    ("a position", "UPDATE positions SET gross = gross + 1, net = net + 1, payable = payable + 1",
     "position_wrong"),
    ("a position deleted", "DELETE FROM positions WHERE settlement_batch = 1", "position_wrong"),
    ("a carry",
     "UPDATE positions SET carried_in = -5, payable = payable - 5 WHERE settlement_batch = 2"
     " AND payable > 5", "carry_broken"),
    ("a balance that was judged", "INSERT INTO judged_balances VALUES (1, 1, 5)",
     "judged_balance_wrong"),
    ("a batch's count", "UPDATE settlement_batches SET payments = payments + 1",
     "batch_count_wrong"),
    ("a payout's amount", "UPDATE payouts SET amount = amount + 1", "payout_wrong"),
    ("a payout deleted", "DELETE FROM payouts", "payout_wrong"),
    ("a payout twice",
     "ALTER TABLE payouts DROP CONSTRAINT payouts_settlement_batch_recipient_key;"
     " INSERT INTO payouts SELECT gen_random_uuid(), settlement_batch, recipient, state, amount,"
     " order_number + 500, order_date, name, inn, kpp, bic, account, correspondent_account,"
     " purpose FROM payouts LIMIT 1", "duplicate_payouts"),
    ("a payout's state", "UPDATE payouts SET state = 'executed'", "payout_state_wrong"),
    ("an execution deleted", "DELETE FROM payout_events WHERE event = 'execute'",
     "payout_state_wrong"),
    ("a batch's state", "UPDATE settlement_batches SET state = 'executed' WHERE number = 1",
     "batch_state_wrong"),
    ("a mark of a restore that was none",
     "UPDATE settlement_batches SET restored_at = now() WHERE number = 1", "restored_at_wrong"),
    ("a batch's steps deleted", "DELETE FROM settlement_events", "batch_event_missing"),
    ("money back deleted", "DELETE FROM returned_money", "returned_wrong"),
    ("money back changed", "UPDATE returned_money SET amount = amount + 1", "returned_wrong"),
    ("money back in another batch", "UPDATE returned_money SET settlement_batch = 3",
     "returned_not_counted"),
    ("money back for somebody else",
     "UPDATE returned_money SET recipient = recipient % 3 + 1", "returned_wrong"),
    ("a position's money back",
     "UPDATE positions SET returned = returned + 1, payable = payable + 1 WHERE returned > 0",
     "returned_not_counted"),
    ("a line that tells of two things",
     "UPDATE payout_events SET line = 1 WHERE statement IS NOT NULL", "statement_line_wrong"),
    ("a line beyond the statement", "UPDATE bank_statements SET line_count = 1",
     "statement_line_wrong"),
    ("an incoming line that nothing matched deleted",
     "DELETE FROM incoming_money", "statement_line_without_trace"),
    ("a line that agrees with nothing deleted", "DELETE FROM statement_discrepancies",
     "statement_line_without_trace"),
    ("a line deleted with what it led to",
     "DELETE FROM statement_lines WHERE kind = 'unknown-credit';"
     " ALTER TABLE positions DROP CONSTRAINT IF EXISTS none;"
     " DELETE FROM statement_discrepancies WHERE kind = 'unknown-credit'",
     "statement_line_missing"),
    ("all lines deleted with what one led to",
     "DELETE FROM statement_lines;"
     " ALTER TABLE positions DROP CONSTRAINT IF EXISTS none;"
     " DELETE FROM statement_discrepancies WHERE kind = 'unknown-credit'",
     "statement_lines_gone"),
    ("a line's sum", "UPDATE statement_lines SET amount = amount + 1",
     "statement_line_missing"),
    ("a line's side", "UPDATE statement_lines SET is_debit = NOT is_debit",
     "statement_line_missing"),
    ("what a line was", "UPDATE statement_lines SET kind = 'known' WHERE kind = 'executed'",
     "statement_line_without_trace"),
    ("a discrepancy's sum", "UPDATE statement_discrepancies SET amount = amount + 1",
     "statement_line_without_trace"),
    ("an approval by the closer", "UPDATE settlement_batches SET approved_by = closed_by",
     "approval_by_closer"),
    ("an approval withdrawn",
     "UPDATE settlement_batches SET state = 'closed', approved_by = NULL, approved_at = NULL",
     "payout_wrong"),
    ("a payout file's sum",
     "UPDATE payout_files SET content = content"
     " || convert_to(E'\\r\\nСумма=1.00\\r\\n', 'WIN1251')", "payout_file_wrong"),
    ("a report's count", "UPDATE acquirer_reports SET matched = matched + 1", "report_miscounted"),
    ("a discrepancy deleted", "DELETE FROM report_discrepancies", "report_miscounted"),
    ("a payment's report",
     "UPDATE payments SET facts = '{}' WHERE facts ->> 'report' IS NOT NULL", "report_miscounted"),
    ("a token deleted",
     "DELETE FROM wallet_tokens WHERE digest = (SELECT min(digest) FROM wallet_tokens)",
     "wallet_token_wrong"),
    ("a token of no payment",
     "INSERT INTO wallet_tokens VALUES (sha256('x'), gen_random_uuid(), 'A')",
     "wallet_token_wrong"),
    ("a second token of a payment",
     "INSERT INTO wallet_tokens SELECT sha256('x'), payment, subscriber_account"
     " FROM wallet_tokens LIMIT 1", "wallet_token_wrong"),
    ("a token of a payment by card",
     "UPDATE payments SET method = 0 WHERE method = 5", "wallet_token_wrong"),
    ("a token for another account",
     "UPDATE wallet_tokens SET subscriber_account = 'B'", "wallet_token_wrong"),
    ("a payout file deleted", "DELETE FROM payout_files", "payout_file_wrong"),
    ("a debt made greater", "UPDATE obligations SET amount = amount + 1", "obligation_overpaid"),
    ("a debt made greater with what remains",
     "UPDATE obligations SET amount = amount + 9 WHERE document_number = '1';"
     " ALTER TABLE positions DROP CONSTRAINT IF EXISTS none;"
     " INSERT INTO open_obligations VALUES (1, (SELECT debtor FROM obligations LIMIT 1), 9)",
     "transfer_wrong"),
    ("what remains of a debt", "UPDATE open_obligations SET remaining = remaining - 1",
     "obligation_overpaid"),
    ("an open debt deleted", "DELETE FROM open_obligations", "obligation_overpaid"),
    ("a debt's debtor", "UPDATE obligations SET debtor = creditor, creditor = debtor",
     "transfer_unknown"),
    ("a debt's services", "UPDATE obligations SET services = '{upkeep}' WHERE number = 2",
     "transfer_wrong"),
    ("a debt's day", "UPDATE obligations SET services = '{}',"
     " document_date = document_date - number", "transfer_wrong"),
    ("a debt's first batch", "UPDATE obligations SET settlement_batch = 2", "transfer_unknown"),
    ("a debt deleted", "DELETE FROM obligations WHERE document_number = '1'", "transfer_unknown"),
    ("a transfer's amount", "UPDATE obligation_transfers SET amount = amount + 1",
     "transfers_not_counted"),
    ("a kopeck from transfer to debt and position",
     "UPDATE obligation_transfers SET amount = amount - 1 WHERE settlement_batch = 2;"
     " ALTER TABLE positions DROP CONSTRAINT IF EXISTS none;"
     " UPDATE open_obligations SET remaining = remaining + 1;"
     " UPDATE positions SET transferred = transferred + 1, payable = payable + 1"
     " WHERE settlement_batch = 2 AND transferred < 0;"
     " UPDATE positions SET transferred = transferred - 1, payable = payable - 1"
     " WHERE settlement_batch = 2 AND transferred > 0", "transfer_wrong"),
    ("a transfer's service", "UPDATE obligation_transfers SET service = 'waste'",
     "transfer_wrong"),
    ("a transfer's creditor", "UPDATE obligation_transfers SET creditor = 7", "transfer_unknown"),
    ("a transfer deleted", "DELETE FROM obligation_transfers WHERE settlement_batch = 2",
     "transfers_not_counted"),
    ("a position's transfers", "UPDATE positions SET transferred = transferred + 1,"
     " payable = payable + 1 WHERE transferred > 0", "transfers_not_counted"),
    ("a withdrawal's amount", "UPDATE obligation_reductions SET amount = amount + 1",
     "withdrawal_wrong"),
    ("a withdrawal's reason", "UPDATE obligation_reductions SET reason = 'x'", "withdrawal_wrong"),
    ("a withdrawal by one person", "UPDATE obligation_reductions SET approved_by = asked_by",
     "withdrawal_wrong"),
    ("a withdrawal that nobody asked for", "DELETE FROM obligation_withdrawals",
     "withdrawal_wrong"),
    ("a withdrawal deleted", "DELETE FROM obligation_reductions", "obligation_overpaid"),
    ("an approval by the loader", "UPDATE obligations SET loaded_by ="
     " (SELECT approved_by FROM settlement_batches WHERE number = 1)", "approval_by_loader"),
    ("a recipient's account", "UPDATE recipients SET account = '40702810138250123017'"
     " WHERE id = 'heat'", "recipient_changed"),
    ("a version deleted", "DELETE FROM recipient_versions WHERE version = 1 AND recipient ="
     " (SELECT recipient FROM recipient_versions WHERE version = 2)", "recipient_version_missing"),
    ("a version under another number", "UPDATE recipient_versions SET version = 3"
     " WHERE version = 2", "recipient_version_missing"),
    ("a version's commission is another's",
     "UPDATE commission_terms SET set_by = set_by + 1 WHERE version ="
     " (SELECT terms_version FROM recipient_versions WHERE version = 2)", "terms_version_wrong"),
]  # fmt: skip


async def free_hand(conn: asyncpg.Connection) -> None:
    """Put triggers and check constraints out of the way, as whoever does damage would."""
    await conn.execute("SET session_replication_role = replica")
    # A month's own are free once those of all months are gone.
    for _ in range(2):
        checks = await conn.fetch(
            "SELECT conrelid::regclass::text AS place, conname FROM pg_constraint"
            " WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND coninhcount = 0"
        )
        for check in checks:
            place, name = check["place"], check["conname"]
            await conn.execute(f'ALTER TABLE {place} DROP CONSTRAINT "{name}"')


async def test_an_untouched_day_has_no_problems(damaged: asyncpg.Connection) -> None:
    found = await in_snapshot(damaged)

    assert found["problems"] == []
    assert (found["payments"], found["refunds"], found["payouts"]) == (10, 3, 4)
    assert found["suspense"] == 5_400
    assert found["obligations"] == 2
    left = 10_000 - 2_000 - found["transferred"]  # type: ignore[operator]
    assert found["obligations_remaining"] == left > 0
    assert found["amount"] == found["shares"] + 5_400 + 1_000  # type: ignore[operator]


@pytest.mark.parametrize(("what", "damage", "check"), DAMAGE, ids=[d[0] for d in DAMAGE])
async def test_damage_is_named(
    damaged: asyncpg.Connection, what: str, damage: str, check: str
) -> None:
    await free_hand(damaged)
    for statement in damage.split("; " if "CONSTRAINT" in damage else "\x00"):
        await damaged.execute(statement)

    found = await in_snapshot(damaged)

    assert check in found["found"], f"{what}: found {found['found']}"  # type: ignore[operator]
    problems = found["problems"]
    assert isinstance(problems, list)
    assert all(problem["row"] for problem in problems if problem["check"] == check)


async def test_a_share_changed_shows_in_the_gauges(damaged: asyncpg.Connection) -> None:
    async def no_pause(seconds: float) -> None: ...

    before = await gauges.money(lambda: nullcontext(damaged), no_pause)
    await free_hand(damaged)
    # The last kopeck of the last share of one payment of the open day.
    await damaged.execute("""
        UPDATE payments SET shares = set_byte(shares, length(shares) - 1,
                                              get_byte(shares, length(shares) - 1) # 1)
        WHERE id = (SELECT id FROM payments WHERE shares IS NOT NULL ORDER BY id DESC LIMIT 1)
    """)
    after = await gauges.money(lambda: nullcontext(damaged), no_pause)
    assert (before.imbalance, abs(after.imbalance)) == (0, 1)


async def in_snapshot(conn: asyncpg.Connection) -> dict[str, object]:
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        return await report.audit(conn)
