"""A batch to its end: executed, returned and paid again, sent once, cancelled, out of a backup."""

import asyncio
from collections.abc import Sequence
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from gateway.audit import report as audit_report
from gateway.domain.clock import SystemClock
from gateway.domain.ids import PAYOUT
from gateway.domain.ids import shown as shown_id
from gateway.domain.refusals import Refusal
from gateway.flows import batch_life, close_batch, take_statement
from gateway.flows.payout_files import payout_file
from gateway.payouts.statements.reading import StatementReader
from gateway.settlement import store as settlement_store
from tests.flows.oracle import check_books
from tests.flows.region import Region, batch_id, bill
from tests.payouts.statement_files import OWN, Told, camt053, one_c


async def settled(region: Region, key: str, amount: int = 90_000) -> UUID:
    """A batch of one payment, closed and approved."""
    await region.pay(f"pay {key}", "A", amount)
    batch = batch_id((await region.close(f"close {key}"))["id"])
    await region.approve(f"approve {key}", batch)
    return batch


async def orders(region: Region, batch: UUID) -> list[Told]:
    """The batch's orders as the bank will tell that it paid them."""
    rows = await region.conn.fetch(
        "SELECT p.order_number, p.amount, p.account, p.inn, p.bic, p.order_date FROM payouts AS p"
        " JOIN settlement_batches AS b ON b.number = p.settlement_batch WHERE b.id = $1"
        " ORDER BY p.order_number",
        batch,
    )
    return [
        Told(str(number), amount, account, inn=inn, bic=bic, drawn=day, booked=day)
        for number, amount, account, inn, bic, day in rows
    ]


def back(one: Told, days: int = 1, **change: Any) -> Told:
    usual = {
        "number": "777",
        "purpose": f"Возврат по п/п № {one.number} от {one.drawn:%d.%m.%Y}: счет закрыт",
        "came": True,
        "booked": one.drawn + timedelta(days),
    }
    return one.but(**{**usual, **change})


async def take(region: Region, key: str, content: bytes) -> dict[str, Any]:
    reader = StatementReader("auto")
    reader.feed(content)
    digest = blake2b(content, digest_size=16).digest()
    claim = region.claim("op", key, "bank_statements", digest)
    answer = await take_statement.take(
        region.worker.context, claim, region.callers["op"], reader.finish(), digest
    )
    found: dict[str, Any] = orjson.loads(answer.content)
    return found


async def shown(region: Region, batch: UUID) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(
        orjson.dumps(await close_batch.show(region.worker.context, batch))
    )
    return found


async def check(region: Region) -> dict[str, Any]:
    """Everything holds, as the audit and the oracle see it; the audit's figures."""
    await check_books(region.conn)
    async with region.conn.transaction(isolation="repeatable_read", readonly=True):
        found = await audit_report.audit(region.conn)
    assert found["problems"] == []
    assert found["paid_out"] == sum(
        int(str(found[state])) for state in ("in_flight", "executed", "returned")
    )
    return found


async def balance(region: Region, account: str) -> int:
    return await region.number(
        "SELECT balance_kopecks FROM trial_balance WHERE ledger_account = $1", account
    )


def kinds(found: dict[str, Any]) -> list[tuple[int, str]]:
    return [(one["line"], one["kind"]) for one in found["discrepancies"]]


@pytest.mark.parametrize("write", [one_c, camt053])
async def test_executed_then_returned_then_paid_again(region: Region, write: Any) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")
    told = await orders(region, batch)
    total = sum(one.amount for one in told)
    assert await balance(region, "in_transit") == total
    first = await take(region, "s1", write(told[:2]))
    assert [one["order_number"] for one in first["executed"]] == [int(o.number) for o in told[:2]]
    assert (first["returned"], first["discrepancies"]) == ([], [])
    assert (await shown(region, batch))["state"] == "partially_executed"
    await take(region, "s2", write(told[2:]))
    found = await shown(region, batch)
    assert found["state"] == "executed"
    assert {one["state"] for one in found["payouts"]} == {"executed"}
    assert (await balance(region, "bank"), await balance(region, "in_transit")) == (total, 0)
    await check(region)

    came = await take(region, "s3", write([back(told[0])]))
    (returned,) = came["returned"]
    assert (returned["amount"], came["executed"], came["discrepancies"]) == (told[0].amount, [], [])
    assert (await shown(region, batch))["state"] == "partially_executed"
    await check(region)
    # It is owed again, and paid in the next batch under a number of its own.
    again = await settled(region, "2", 500)
    recipient = returned["recipient"]
    (position,) = [
        one for one in (await shown(region, again))["positions"] if one["recipient"] == recipient
    ]
    assert position["returned"] == told[0].amount
    assert position["payable"] == position["net"] + told[0].amount
    new = next(one for one in await orders(region, again) if one.other == told[0].other)
    assert new.amount == position["payable"]
    assert new.number != told[0].number
    await take(region, "s4", write(await orders(region, again)))
    figures = await check(region)
    assert figures["returned"] == told[0].amount
    assert figures["executed"] == total - told[0].amount + sum(
        one.amount for one in await orders(region, again)
    )
    assert figures["in_flight"] == await balance(region, "recipients") == 0


async def test_the_same_statement_changes_nothing(region: Region) -> None:
    await region.load(bill("A"))
    told = await orders(region, await settled(region, "1"))
    whole = one_c([*told, back(told[0])])
    first = await take(region, "s1", whole)
    assert len(first["executed"]) == len(told)
    assert len(first["returned"]) == 1
    tables = ("payouts", "payout_events", "returned_money", "settlement_events", "bank_statements")
    before = [await region.conn.fetch(f"SELECT * FROM {table}") for table in tables]
    # The same key, the same bytes under other keys, four at once.
    answers = await asyncio.gather(*(take(region, key, whole) for key in ("s1", "a", "b", "c")))
    assert answers == [first] * 4
    assert [await region.conn.fetch(f"SELECT * FROM {table}") for table in tables] == before
    # Another statement with the same lines: interim and final, or one by day and one by month.
    other = await take(region, "s2", camt053([*told, back(told[0])]))
    assert (other["known"], other["executed"], other["returned"]) == (len(told) + 1, [], [])
    assert other["discrepancies"] == []
    assert [await region.conn.fetch(f"SELECT * FROM {table}") for table in tables[:4]] == before[:4]
    await check(region)


@pytest.mark.parametrize("write", [one_c, camt053])
async def test_what_does_not_agree_is_named_and_moves_nothing(region: Region, write: Any) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")
    one, two, three = await orders(region, batch)
    executed = await take(region, "s1", write([three]))
    assert len(executed["executed"]) == 1
    odd = [
        one.but(amount=one.amount - 1),
        one.but(other=two.other, bic=two.bic),
        one.but(inn="7802532605"),
        one.but(number="999998"),
        Told("5", 100, "70601810000000000001", "Комиссия банка"),
        three.but(booked=three.drawn + timedelta(1)),
        Told("8", 5_000, "40702810300000000001", "Перечисление принятых платежей", came=True),
        back(one, amount=one.amount + 1),
        back(two, purpose="Возврат по неизвестному поручению"),
    ]
    found = await take(region, "s2", write(odd))
    assert kinds(found) == [
        (1, "sum-differs"),
        (2, "requisites-differ"),
        (3, "requisites-differ"),
        (4, "unknown-debit"),
        (5, "unknown-debit"),
        (6, "executed-twice"),
        (7, "unknown-credit"),
        (8, "sum-differs"),
        (9, "unknown-return"),
    ]
    assert (found["executed"], found["returned"], found["known"]) == ([], [], 0)
    assert (await shown(region, batch))["state"] == "partially_executed"
    stored = await region.conn.fetch("SELECT line, kind FROM statement_discrepancies ORDER BY 1")
    assert [tuple(row) for row in stored] == kinds(found)
    await check(region)


async def test_one_line_twice_in_a_statement_is_one_too_many(region: Region) -> None:
    await region.load(bill("A"))
    told = await orders(region, await settled(region, "1"))
    found = await take(region, "s", one_c([*told, told[0], back(told[1]), back(told[1])]))
    assert kinds(found) == [(4, "executed-twice"), (6, "returned-twice")]
    assert (len(found["executed"]), len(found["returned"])) == (3, 1)
    await check(region)


async def test_a_return_may_be_told_of_before_what_it_gives_back(region: Region) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")
    told = await orders(region, batch)
    came = await take(region, "s1", one_c([back(one) for one in told]))
    assert len(came["returned"]) == len(told)
    assert (await shown(region, batch))["state"] == "returned"
    await check(region)
    late = await take(region, "s2", one_c(told))
    assert len(late["executed"]) == len(told)
    assert (await shown(region, batch))["state"] == "returned"
    assert await balance(region, "in_transit") == await balance(region, "bank") == 0
    await check(region)


async def test_a_return_through_the_recipients_bank_is_one(region: Region) -> None:
    await region.load(bill("A"))
    told = await orders(region, await settled(region, "1"))
    await take(region, "s1", one_c(told))
    from_bank = back(told[0], other="30232810000000000001", inn="7707083893")
    stranger = back(told[1], other="30232810000000000001", bic="044030827", inn="7707083893")
    found = await take(region, "s2", one_c([from_bank, stranger]))
    assert [one["line"] for one in found["returned"]] == [1]
    assert kinds(found) == [(2, "requisites-differ")]


async def test_a_statement_of_another_account_is_not_ours(region: Region) -> None:
    await region.load(bill("A"))
    told = await orders(region, await settled(region, "1"))
    found = await take(region, "s", one_c(told, own="40702810900000000001"))
    assert [kind for _, kind in kinds(found)] == ["requisites-differ"] * 3


async def test_only_one_claim_of_a_batch_succeeds(region: Region) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")

    async def send(key: str, context: Any) -> Any:
        claim = region.claim("op", key, "payout_claims", batch)
        return await batch_life.send(context, claim, region.callers["op"], batch)

    async with region.working() as other:
        contexts = (region.worker.context, other.context)
        outcomes = await asyncio.gather(
            *(send(f"k{n}", contexts[n % 2]) for n in range(8)), return_exceptions=True
        )
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    assert (len(refused), {one.code for one in refused}) == (7, {"state_conflict"})
    # Whoever won is told so again after a crash, by its own key.
    (winner,) = [n for n, one in enumerate(outcomes) if not isinstance(one, Refusal)]
    assert (await send(f"k{winner}", region.worker.context)).replayed
    found = await shown(region, batch)
    assert found["state"] == "sent"
    assert {one["state"] for one in found["payouts"]} == {"sent"}
    assert [one["event"] for one in found["events"]] == ["approve", "send"]
    with pytest.raises(Refusal, match="state_conflict"):
        await cancel(region, "c", batch)
    await take(region, "s", one_c(await orders(region, batch)))
    await check(region)


async def cancel(region: Region, key: str, batch: UUID) -> None:
    claim = region.claim("boss", key, "cancellations", batch)
    await batch_life.cancel(
        region.worker.context, claim, region.callers["boss"], batch, "requisites are wrong"
    )


@pytest.mark.parametrize("approved", [True, False])
async def test_what_was_cancelled_is_owed_again(region: Region, approved: bool) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    closed = await region.close("c")
    batch = batch_id(closed["id"])
    if approved:
        await region.approve("a", batch)
    told = await orders(region, batch)
    await cancel(region, "x", batch)
    await cancel(region, "x", batch)
    found = await shown(region, batch)
    assert (found["state"], found["events"][-1]["reason"]) == ("cancelled", "requisites are wrong")
    with pytest.raises(Refusal, match="state_conflict"):
        await region.approve("again", batch)
    await check(region)
    again = batch_id((await region.close("c2"))["id"])
    await region.approve("a2", again)
    owed = {one["recipient"]: one["payable"] for one in closed["positions"]}
    paid = {one["recipient"]: one["payable"] for one in (await shown(region, again))["positions"]}
    assert paid == owed
    # The bank had the orders after all: a human must know, and nothing moves.
    told_of = await take(region, "s", one_c(told)) if approved else {"discrepancies": []}
    assert [kind for _, kind in kinds(told_of)] == ["cancelled-executed"] * len(told)
    figures = await check(region)
    assert figures["in_flight"] == sum(paid.values()) == await balance(region, "in_transit")


async def test_a_batch_out_of_a_backup_is_approved_by_name_and_makes_the_same_orders(
    region: Region,
) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    batch = batch_id((await region.close("c"))["id"])
    await region.approve("a", batch)
    content = await payout_file(region.worker.context, batch, "pain001")
    before = await orders(region, batch)
    await forget_approval(region.conn)
    await settlement_store.mark_restored(region.conn, SystemClock().now())
    with pytest.raises(Refusal, match=r"state_conflict: .*backup"):
        await region.approve("b", batch)
    await region.approve("d", batch, override="the bank says it was not paid")
    assert await orders(region, batch) == before
    again = await payout_file(region.worker.context, batch, "pain001")
    created = b"<CreDtTm>"
    assert again.partition(created)[0] == content.partition(created)[0]
    assert again.partition(created)[2][20:] == content.partition(created)[2][20:]
    (approval,) = (await shown(region, batch))["events"]
    assert (approval["by"], approval["reason"]) == ("boss", "the bank says it was not paid")


async def test_a_batch_that_was_approved_in_a_backup_is_sent_by_name_alone(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    batch = batch_id((await region.close("c"))["id"])
    await region.approve("a", batch)
    await settlement_store.mark_restored(region.conn, SystemClock().now())
    context, by = region.worker.context, region.callers["op"]
    with pytest.raises(Refusal, match=r"state_conflict: .*backup"):
        await batch_life.send(context, region.claim("op", "s", "payout_claims"), by, batch)
    claim = region.claim("op", "t", "payout_claims")
    await batch_life.send(context, claim, by, batch, "the bank has no such orders")
    sent = (await shown(region, batch))["events"][-1]
    assert (sent["event"], sent["reason"]) == ("send", "the bank has no such orders")


@pytest.mark.parametrize("approved", [False, True])
async def test_a_batch_out_of_a_backup_keeps_its_mark_through_cancellations(
    region: Region, approved: bool
) -> None:
    """Cancelled and closed again its money would go out under new orders without a word."""
    context, boss = region.worker.context, region.callers["boss"]
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    batch = batch_id((await region.close("c"))["id"])
    if approved:
        await region.approve("a", batch)
    # As older programs marked it, before each restore had a row.
    await region.conn.execute(
        "UPDATE schema_migrations SET applied_at = now() + interval '1 day' WHERE name = 'restores'"
    )
    await settlement_store.mark_restored(region.conn, SystemClock().now())
    for n in range(3):
        claim = region.claim("boss", f"x{n}", "cancellations")
        await batch_life.cancel(context, claim, boss, batch, "so")
        batch = batch_id((await region.close(f"c{n}"))["id"])
        with pytest.raises(Refusal, match=r"state_conflict: .*backup"):
            await region.approve(f"b{n}", batch)
    await region.approve("d", batch, override="the bank has none of its orders")
    # What has nothing of it is approved as ever.
    await region.pay("q", "A", 10_000)
    await region.approve("e", batch_id((await region.close("f"))["id"]))
    await check(region)


async def test_the_file_of_a_cancelled_batch_is_given_to_nobody(region: Region) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    batch = batch_id((await region.close("c"))["id"])
    await region.approve("a", batch)
    context = region.worker.context
    assert await payout_file(context, batch, "1c")
    claim = region.claim("boss", "x", "cancellations")
    await batch_life.cancel(context, claim, region.callers["boss"], batch, "a wrong day")
    for name in ("1c", "ed101", "pain001"):
        with pytest.raises(Refusal, match=r"state_conflict: .*cancelled"):
            await payout_file(context, batch, name)


async def forget_approval(conn: asyncpg.Connection) -> None:
    """As a backup that was taken before the approval has it."""
    await conn.execute("SET session_replication_role = replica")
    kept = ("payout_files", "payouts", "settlement_events", "batch_approvals", "requisites_used")
    for table in (*kept, "judged_balances", "judged_batches"):
        await conn.execute(f"DELETE FROM {table}")
    await conn.execute(
        "UPDATE settlement_batches SET state = 'closed', approved_at = NULL, approved_by = NULL"
    )
    await conn.execute("DELETE FROM idempotency_keys WHERE route = 5")
    await conn.execute("SET session_replication_role = origin")


async def test_numbers_stay_with_their_batches_in_whatever_order_they_are_approved(
    region: Region,
) -> None:
    await region.load(bill("A"))
    batches = []
    for n in range(3):
        await region.pay(f"p{n}", "A", 1_000)
        batches.append(batch_id((await region.close(f"c{n}"))["id"]))
    for n in (2, 0, 1):
        await region.approve(f"a{n}", batches[n])
    numbers: Sequence[list[int]] = [
        [int(one.number) for one in await orders(region, batch)] for batch in batches
    ]
    assert numbers[0] < numbers[1] < numbers[2]
    days = await region.conn.fetch("SELECT DISTINCT order_date FROM payouts")
    assert all(isinstance(row[0], date) for row in days)
    assert OWN in (await region.conn.fetchval("SELECT payer_account FROM settlement_batches"))


async def two_alike(region: Region) -> list[list[Told]]:
    """The orders of two batches, of the same recipients and sums."""
    await region.load(bill("A"), bill("B"))
    told = []
    for account in ("A", "B"):
        await region.pay(f"pay {account}", account, 1_000)
        batch = batch_id((await region.close(f"close {account}"))["id"])
        await region.approve(f"approve {account}", batch)
        told.append(await orders(region, batch))
    return told


async def test_a_line_told_again_moves_no_other_order(region: Region) -> None:
    """Its words could mean two orders of a sum; each statement tells of one return, the same."""
    first, second = await two_alike(region)
    one, other = first[0], second[0]
    assert (one.other, one.amount) == (other.other, other.amount)
    await take(region, "paid", one_c([*first, *second]))
    came = back(one, purpose=f"Возврат п/п {one.number}, {other.number}: закрыт счет")
    (returned,) = (await take(region, "s1", one_c([came])))["returned"]
    assert returned["order_number"] == int(one.number)
    # By day and by month, in both forms, and beside what is another's.
    for key, content in (
        ("s2", camt053([came])),
        ("s3", one_c([*first, came])),
        ("s4", camt053([came, *second])),
    ):
        found = await take(region, key, content)
        assert (found["returned"], found["executed"], found["discrepancies"]) == ([], [], [])
    # Two of them in one statement are two: the second is the other's.
    again = await take(region, "s5", camt053([came, came]))
    assert again["known"] == 1
    assert [one["order_number"] for one in again["returned"]] == [int(other.number)]
    assert (await take(region, "s6", one_c([came, came])))["known"] == 2
    assert await region.number("SELECT count(*) FROM returned_money") == 2
    await check(region)


async def test_two_that_come_back_alike_are_told_apart_by_our_id(region: Region) -> None:
    """One sum, one day, one account of the bank's: nothing else differs, and neither is lost."""
    told = await two_alike(region)
    await take(region, "paid", one_c([*told[0], *told[1]]))
    came = []
    for (one, *_), rest in zip(told, ("закрыт счет", "счет не найден"), strict=True):
        id_ = await region.conn.fetchval(
            "SELECT id FROM payouts WHERE order_number = $1", int(one.number)
        )
        came.append(
            back(one, purpose=f"Возврат: {rest}").but(
                number="NOTPROVIDED",
                other="47422810000000000001",
                instruction=shown_id(PAYOUT, id_),
            )
        )
    (first,) = (await take(region, "s1", camt053(came[:1])))["returned"]
    again = await take(region, "s2", camt053([came[1], came[0]]))
    assert (again["known"], again["discrepancies"]) == (1, [])
    (second,) = again["returned"]
    assert [first["order_number"], second["order_number"]] == [int(one[0].number) for one in told]
    assert (await take(region, "s3", camt053(came)))["known"] == 2
    await check(region)
