"""The machine's gate in a real database: to each recipient what the journal owes it, or nothing."""

from typing import Any
from uuid import UUID

import pytest
from msgspec import structs

from gateway.domain.party import BankAccount
from gateway.domain.refusals import Refusal
from gateway.flows import set_terms
from gateway.flows.seal_batches import seal_all
from gateway.storage.migrate import migrations
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_statements import back, cancel, check, orders, settled, shown, take
from tests.payouts.statement_files import one_c

HELD = "SELECT state FROM settlement_batches WHERE id = $1"
RECIPIENT = "(SELECT number FROM recipients WHERE id = '{}')"
# Each moves kopecks from one recipient to another, so that what all have together stays right.
WRONG_NET = (
    "UPDATE positions SET gross = gross + {sign}, net = net + {sign}, payable = payable + {sign}"
)
WRONG_CARRY = "UPDATE positions SET carried_in = carried_in + {sign}, payable = payable + {sign}"
NOT_PAID = (
    "UPDATE positions SET payable = 0, carried_out = carried_in + returned + net + transferred"
)


async def closed(region: Region, key: str, amount: int = 90_000) -> UUID:
    await region.pay(f"pay {key}", "A", amount)
    return batch_id((await region.close(f"close {key}"))["id"])


async def move_account(region: Region, whose: str) -> None:
    """The recipient names another account of another bank."""
    context = region.worker.context
    before = await set_terms.find_recipient(context, whose)
    account = BankAccount("044030790", "40703810990200000032")
    changed = structs.replace(before, bank_account=account)
    await set_terms.set_recipient(context, region.callers["op"], changed, False)


async def swap(region: Region, change: str, number: int) -> None:
    for whose, sign in (("heat", 1), ("waste", -1)):
        where = f"WHERE settlement_batch = {number} AND recipient = {RECIPIENT.format(whose)}"
        await region.conn.execute(f"{change.format(sign=sign)} {where}")


async def refused(region: Region, batch: UUID, key: str = "wrong") -> str:
    """Why it is not approved, whoever knows better; nothing was paid of it."""
    with pytest.raises(Refusal) as caught:
        await region.approve(key, batch, override="I know better")
    assert caught.value.code == "ledger_mismatch"
    assert await region.conn.fetchval(HELD, batch) == "closed"
    assert (await shown(region, batch))["payouts"] == []
    return caught.value.detail


@pytest.mark.parametrize("change", [WRONG_NET, WRONG_CARRY])
async def test_a_kopeck_from_one_recipient_to_another_is_seen(region: Region, change: str) -> None:
    await region.load(bill("A"))
    await settled(region, "first")
    batch = await closed(region, "second")
    await seal_all(region.worker.context)
    total = await region.number("SELECT sum(payable) FROM positions WHERE settlement_batch = 2")
    await swap(region, change, 2)
    same = await region.number("SELECT sum(payable) FROM positions WHERE settlement_batch = 2")
    assert same == total
    assert "kopecks for heat, as the ledger owes" in await refused(region, batch)
    await swap(region, change.replace("+ {sign}", "- {sign}"), 2)
    await region.approve("right", batch)
    await check(region)


async def test_a_carry_that_was_changed_before_it_was_taken_on(region: Region) -> None:
    await region.load(bill("A"))
    await settled(region, "first")
    await region.conn.execute("ALTER TABLE positions DROP CONSTRAINT carried_out_is_left")
    await swap(region, "UPDATE positions SET carried_out = carried_out + {sign}", 1)
    batch = await closed(region, "second")
    assert "as the ledger owes" in await refused(region, batch)


async def test_money_that_nothing_says_waits_is_paid(region: Region) -> None:
    await region.load(bill("A"))
    batch = await closed(region, "1")
    where = f" WHERE recipient = {RECIPIENT.format('heat')}"
    await region.conn.execute(NOT_PAID + where)
    assert "0 to pay" in await refused(region, batch)


async def test_an_order_that_is_not_the_position(region: Region) -> None:
    await region.load(bill("A"))
    batch = await closed(region, "1")
    bent = """
        CREATE FUNCTION bend() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.amount := NEW.amount + CASE
                WHEN NEW.recipient = (SELECT number FROM recipients WHERE id = 'heat') THEN 1
                WHEN NEW.recipient = (SELECT number FROM recipients WHERE id = 'waste') THEN -1
                ELSE 0 END;
            RETURN NEW;
        END $$;
        CREATE TRIGGER bend BEFORE INSERT ON payouts FOR EACH ROW EXECUTE FUNCTION bend()
    """
    await region.conn.execute(bent)
    assert "Expected an order of" in await refused(region, batch)
    await region.conn.execute("DROP TRIGGER bend ON payouts")
    await region.approve("right", batch)
    await check(region)


async def test_a_share_that_only_the_double_entry_lacks(region: Region) -> None:
    """The sum by recipient and the one by the double entry are made by different programs."""
    await region.load(bill("A"))
    batch = await closed(region, "1")
    text = await region.conn.fetchval("SELECT pg_get_viewdef('ledger'::regclass)")
    less = text.rstrip(";").replace("packed_sum(allocations.shares)", "packed_sum(shares) - 7")
    assert less != text.rstrip(";")
    await region.conn.execute(f"CREATE OR REPLACE VIEW ledger AS {less}")
    assert "was 7 kopecks more" in await refused(region, batch)


async def test_batches_are_judged_in_whatever_order(region: Region) -> None:
    """A debt, a return and cancellations on the way: the carry is that of the rows."""
    await region.load(bill("A"))
    first = await settled(region, "1")
    paid = await region.pay("more", "A", 30_000)
    second = batch_id((await region.close("close 2"))["id"])
    await region.refund("back", paid.id, 30_000)
    third = batch_id((await region.close("close 3"))["id"])
    assert min(one["carried_out"] for one in (await shown(region, third))["positions"]) < 0
    told = await orders(region, first)
    await take(region, "s1", one_c([*told, back(told[0])]))
    fourth = await closed(region, "4", 70_000)
    await cancel(region, "x", second)
    fifth = await closed(region, "5", 10_000)
    for batch in (fourth, third, fifth):
        await region.approve(f"approve {batch}", batch)
    judged = await region.conn.fetch("SELECT settlement_batch FROM judged_batches ORDER BY 1")
    assert [row[0] for row in judged] == [1, 3, 4, 5]
    await check(region)


async def test_what_an_approval_keeps_is_what_positions_carry(region: Region) -> None:
    await region.load(bill("A"))
    paid = await region.pay("p", "A", 30_000)
    await region.approve("a1", batch_id((await region.close("c1"))["id"]))
    await region.refund("back", paid.id, 30_000)
    await region.approve("a2", batch_id((await region.close("c2"))["id"]))
    kept = await region.conn.fetch(
        "SELECT settlement_batch, recipient, amount FROM judged_balances ORDER BY 1, 2"
    )
    carried = await region.conn.fetch(
        "SELECT settlement_batch, recipient, carried_out FROM positions WHERE carried_out <> 0"
        " ORDER BY 1, 2"
    )
    assert [tuple(row) for row in kept] == [tuple(row) for row in carried] != []
    with pytest.raises(Exception, match="judged_balances"):
        await region.conn.execute("UPDATE judged_balances SET amount = 5")
    # A debt that was forgotten is one that the next batch would pay.
    await region.conn.execute("SET session_replication_role = replica")
    await region.conn.execute("DELETE FROM judged_balances")
    await region.conn.execute("SET session_replication_role = origin")
    batch = await closed(region, "3")
    assert "as the ledger owes" in await refused(region, batch)


async def test_a_jump_and_the_cap(region: Region) -> None:
    await region.load(bill("A"))
    for n in range(3):
        await settled(region, str(n), 1_000)
    jump: dict[str, Any] = {"payout_jump_from_roubles": 100}
    batch = await closed(region, "big")
    async with region.working(**jump) as strict:
        with pytest.raises(Refusal, match=r"state_conflict: .*10 times the greatest before it"):
            await region.approve("a", batch, on=strict)
        async with region.working(**jump, batch_payout_max_roubles=800) as capped:
            with pytest.raises(Refusal, match=r"state_conflict: .*at most 80000 kopecks"):
                await region.approve("b", batch, on=capped, override="January")
        await region.approve("d", batch, on=strict, override="January")
    (approval,) = (await shown(region, batch))["events"]
    assert (approval["event"], approval["by"], approval["reason"]) == ("approve", "boss", "January")
    await check(region)


async def test_an_order_that_is_many_times_its_recipients_usual(region: Region) -> None:
    await region.load(bill("A"))
    for n in range(3):
        await settled(region, str(n), 1_000)
    batch = await closed(region, "big")
    async with region.working(payout_order_jump_from_roubles=1) as strict:
        with pytest.raises(Refusal, match=r"kopecks to \w+ are more than 10 times"):
            await region.approve("a", batch, on=strict)
        await region.approve("b", batch, on=strict, override="a bill of a year")


async def test_a_first_payout_and_a_changed_account(region: Region) -> None:
    await region.load(bill("A"))
    strict: dict[str, Any] = {"payout_first_from_roubles": 10, "payout_changed_from_roubles": 10}
    async with region.working(**strict) as worker:
        # The first batch of a centre is nobody's first alone.
        first = await closed(region, "1", 1_000)
        await region.approve("a1", first, on=worker)
        # Paid before, at the same account: nothing to say.
        second = await closed(region, "2", 70_000)
        with pytest.raises(Refusal, match=r"kopecks to \w+ are its first payout"):
            await region.approve("a2", second, on=worker)
        await region.approve("b2", second, on=worker, override="the contract is of May")
        await region.approve("a3", await closed(region, "3", 20_000), on=worker)
        await move_account(region, "waste")
        fourth = await closed(region, "4", 20_000)
        with pytest.raises(Refusal, match="to waste are for another account than was paid last"):
            await region.approve("a4", fourth, on=worker)
        await region.approve("b4", fourth, on=worker, override="its letter 12 of today")
        fifth = await closed(region, "5", 20_000)
        await region.approve("a5", fifth, on=worker)
        # What came back says nothing of where it is paid.
        (told,) = [one for one in await orders(region, fourth) if one.other.startswith("40703")]
        await take(region, "s", one_c([told, back(told)]))
        (other,) = [one for one in await orders(region, fifth) if one.other.startswith("40703")]
        await take(region, "s5", one_c([other, back(other)]))
        sixth = await closed(region, "6", 20_000)
        with pytest.raises(Refusal, match="to waste are for another account than was paid last"):
            await region.approve("a6", sixth, on=worker)
    await check(region)


async def test_by_default_a_region_begins_without_a_word(region: Region) -> None:
    """Small first batches, new recipients and changed accounts of small sums need no reason."""
    await region.load(bill("A"))
    for n in range(4):
        await settled(region, str(n), 90_000 if n else 100)
        await move_account(region, "heat")
    await check(region)


@pytest.mark.parametrize("left_open", [False, True])
async def test_what_was_settled_before_is_begun_from_its_whole_history(
    region: Region, left_open: bool
) -> None:
    """As migrations find a database that was approved in without judging, with or without a batch
    of nothing that nobody approved.
    """
    await region.load(bill("A"))
    nothing = batch_id((await region.close("c0"))["id"])
    if not left_open:
        await region.approve("a0", nothing)
    paid = await region.pay("p", "A", 30_000)
    await region.approve("a1", batch_id((await region.close("c1"))["id"]))
    await region.refund("back", paid.id, 30_000)
    await region.approve("a2", batch_id((await region.close("c2"))["id"]))
    waits = await closed(region, "3", 1_000)
    wanted = await region.conn.fetch(
        "SELECT recipient, amount FROM judged_balances WHERE settlement_batch = 3 ORDER BY 1"
    )
    # Nor was there a history: what stands now is sealed before the next approval.
    await region.conn.execute("TRUNCATE seals, seal_pages, history_seals, history_rows")
    await region.conn.execute("TRUNCATE judged_balances, judged_batches")
    found = {one.name: one.sql for one in migrations()}
    begin = found["judged_balances"].index("INSERT INTO judged_batches")
    await region.conn.execute(found["judged_balances"][begin:])
    await region.conn.execute(found["judged_from_the_last"])
    rows = await region.conn.fetch("SELECT * FROM judged_balances ORDER BY 2")
    assert [tuple(row) for row in rows] == [(3, *row) for row in wanted] != []
    judged = await region.conn.fetch("SELECT settlement_batch FROM judged_batches ORDER BY 1")
    assert [row[0] for row in judged] == [3]
    await region.approve("a3", waits)
    await check(region)
