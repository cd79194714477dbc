"""Small groups that are committed by one statement, and what sends them the long way instead."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.bills import store as bill_store
from gateway.domain.bill import Charge
from gateway.domain.payment import Payment, Receipt
from gateway.domain.refusals import Refusal
from gateway.flows import accept_payment, patience
from gateway.flows.find_bill import find as find_bill
from gateway.flows.find_payments import find
from gateway.flows.set_terms import set_surcharge
from gateway.journal import db_transaction
from gateway.journal import store as journal_store
from splitcore import FeeRule
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import CASH, Nobody, Region, Worker, as_read, bill, know_terms

Meanwhile = Callable[[Callable[[], Awaitable[Any]]], None]
AT_ONCE, NOT_AS_IT_WAS, LONG_WAY = "at once", "not as it was", "the long way"
AS_NEW, BUT_REPEATED = "as new", "at once, but what was repeated"


@pytest.fixture
async def worker(region: Region) -> AsyncIterator[Worker]:
    async with region.working() as made:
        await know_terms(made)
        yield made


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which ways the groups went, in their order."""
    gone: list[str] = []
    at_once, begin = journal_store.commit_at_once, journal_store.begin_group
    claim, repeated = journal_store.claim_new, journal_store.commit_but_repeated

    async def commit_at_once(*args: Any) -> None:
        try:
            await at_once(*args)
        except journal_store.NotAsItWas:
            gone.append(NOT_AS_IT_WAS)
            raise
        gone.append(AT_ONCE)

    async def commit_but_repeated(*args: Any) -> Any:
        try:
            left_out = await repeated(*args)
        except journal_store.NotAsItWas:
            gone.append(NOT_AS_IT_WAS)
            raise
        gone.append(BUT_REPEATED)
        return left_out

    async def begin_group(*args: Any) -> Any:
        gone.append(LONG_WAY)
        return await begin(*args)

    async def claim_new(*args: Any) -> Any:
        try:
            cut = await claim(*args)
        except journal_store.NotAsItWas:
            gone.append(NOT_AS_IT_WAS)
            raise
        gone.append(AS_NEW)
        return cut

    monkeypatch.setattr(journal_store, "claim_new", claim_new)
    monkeypatch.setattr(journal_store, "commit_at_once", commit_at_once)
    monkeypatch.setattr(journal_store, "commit_but_repeated", commit_but_repeated)
    monkeypatch.setattr(journal_store, "begin_group", begin_group)
    return gone


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Something that is done once, after a group has read its bills and before it goes on."""

    def once(act: Callable[[], Awaitable[Any]]) -> None:
        read = bill_store.find_by_index

        async def find_then_act(*args: Any) -> Any:
            found = await read(*args)
            monkeypatch.setattr(bill_store, "find_by_index", read)
            await act()
            return found

        monkeypatch.setattr(bill_store, "find_by_index", find_then_act)

    return once


async def check_all(region: Region, payments: int) -> None:
    """Every payment and its key stands once, and all of it adds up."""
    for table in ("payments", "idempotency_keys"):
        assert await region.number(f"SELECT count(*) FROM {table}") == payments, table
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_what_nobody_comes_between_is_committed_at_once(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"), bill("B"))
    first = (await worker.intake.accept(region.payment("p", "A", 1_000))).payment
    group = [("q", "A", 2_000), ("r", "B", 3_000), ("s", "A", 500), ("t", "nowhere", 70)]
    told = await worker.intake.submit([region.payment(*one) for one in group])
    receipts = [one for one in await told if isinstance(one, Receipt)]
    assert ways == [AT_ONCE, AT_ONCE]
    assert [one.payment.state for one in receipts] == ["accepted"] * 3 + ["suspense"]
    for payment in (first, *(one.payment for one in receipts)):
        found = await find(worker.context, region.callers["bank"], payment.id)
        assert as_read(found) == as_read(payment)
    sequences = await region.conn.fetch(
        "SELECT subscriber_account, sequence FROM open_bills ORDER BY subscriber_account"
    )
    assert [tuple(row) for row in sequences] == [("A", 3), ("B", 1)]
    await check_all(region, 5)


async def test_a_key_that_is_not_new_is_answered_from_its_row(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    request = region.payment("p", "A", 1_000)
    first = await worker.intake.accept(request)
    again = await worker.intake.accept(region.payment("p", "A", 1_000))
    assert ways == [AT_ONCE, NOT_AS_IT_WAS, BUT_REPEATED]
    assert (again.payment, again.replayed) == (first.payment, True)
    with pytest.raises(Refusal, match="idempotency_key_reused"):
        await worker.intake.accept(region.payment("p", "A", 1_001))
    await check_all(region, 1)


async def test_what_was_repeated_is_left_out_of_a_group(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"), bill("B"), bill("C"))
    paid = {key: await region.pay(key, account, 1_000) for key, account in (("p", "A"), ("q", "x"))}
    group = [("p", "A"), ("r", "B"), ("q", "x"), ("s", "C"), ("p", "A"), ("t", "B"), ("u", "y")]
    requests = [region.payment(key, account, 1_000) for key, account in group]
    requests.append(region.payment("r", "B", 1_001))
    told = list(await (await worker.intake.submit(requests)))
    assert ways[-2:] == [NOT_AS_IT_WAS, BUT_REPEATED]
    refused = told.pop()
    assert isinstance(refused, Refusal)
    assert refused.code == "idempotency_key_reused"
    receipts = [one for one in told if isinstance(one, Receipt)]
    assert [one.replayed for one in receipts] == [True, False, True, False, True, False, False]
    assert [receipts[at].payment.id for at in (0, 2, 4)] == [paid[key].id for key in "pqp"]
    for receipt in receipts:
        found = await find(worker.context, region.callers["bank"], receipt.payment.id)
        assert as_read(found) == as_read(receipt.payment)
    await check_all(region, 6)


async def test_what_was_split_with_a_repeated_payment_to_its_account_is_split_anew(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    await region.pay("p", "A", 1_000)
    requests = [region.payment("p", "A", 1_000), region.payment("q", "A", 60_000)]
    told = [one for one in await (await worker.intake.submit(requests)) if isinstance(one, Receipt)]
    assert ways[-3:] == [NOT_AS_IT_WAS, NOT_AS_IT_WAS, LONG_WAY]
    assert [one.replayed for one in told] == [True, False]
    assert as_read(told[1].payment)["charges"] == [40_000, 20_000, 0]
    await check_all(region, 2)


async def test_a_key_twice_in_one_group_is_one_payment(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    requests = [region.payment("p", "A", 1_000) for _ in range(2)]
    one, other = [r for r in await (await worker.intake.submit(requests)) if isinstance(r, Receipt)]
    assert ways == [AT_ONCE]
    assert (one.payment, one.replayed, other.replayed) == (other.payment, False, True)
    await check_all(region, 1)


async def test_a_payment_that_came_between_is_split_before(
    region: Region, worker: Worker, ways: list[str], meanwhile: Meanwhile
) -> None:
    await region.load(bill("A"))
    meanwhile(lambda: region.pay("between", "A", 1_000))
    payment = (await worker.intake.accept(region.payment("p", "A", 60_000))).payment
    assert ways == [LONG_WAY, NOT_AS_IT_WAS, BUT_REPEATED], "the other worker knows no terms yet"
    assert as_read(payment)["charges"] == [40_000, 20_000, 0], "the old debt was paid between"
    await check_all(region, 2)


async def test_a_bill_that_came_between_is_the_one_that_is_paid(
    region: Region, worker: Worker, ways: list[str], meanwhile: Meanwhile
) -> None:
    await region.load(bill("A"))
    meanwhile(lambda: region.load(bill("A", Charge("waste", "waste", 9_000))))
    payment = (await worker.intake.accept(region.payment("p", "A", 500))).payment
    assert ways == [NOT_AS_IT_WAS, BUT_REPEATED]
    assert as_read(payment)["charges"] == [500]
    await check_all(region, 1)


async def test_fee_rules_that_came_between_are_those_that_hold(
    region: Region, worker: Worker, ways: list[str], meanwhile: Meanwhile
) -> None:
    await region.load(bill("A"))
    rule = FeeRule(fixed=70)
    meanwhile(lambda: set_surcharge(region.worker.context, region.callers["op"], CASH, rule))
    request = region.payment("p", "A", 500, method=CASH)
    assert (await worker.intake.accept(request)).payment.surcharge == 70
    assert ways == [NOT_AS_IT_WAS, NOT_AS_IT_WAS, LONG_WAY]
    await check_all(region, 1)


async def test_a_refusal_is_never_told_before_its_key_is_looked_at(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A", overpayment="reject"))
    paid = await worker.intake.accept(region.payment("p", "A", 121_000))
    again = await worker.intake.accept(region.payment("p", "A", 121_000))
    assert (again.payment, again.replayed) == (paid.payment, True), "nothing is owed any more"
    with pytest.raises(Refusal, match="overpayment"):
        await worker.intake.accept(region.payment("q", "A", 1))
    await check_all(region, 1)


async def test_after_one_that_was_repeated_groups_leave_out_such_for_a_while(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "LONG_WAY_GROUPS", 3)
    await region.load(bill("A"))
    await worker.intake.accept(region.payment("p", "A", 100))
    for key in ("p", "q", "q", "r", "s", "t", "u"):
        await worker.intake.accept(region.payment(key, "A", 100))
    assert ways == [AT_ONCE, NOT_AS_IT_WAS, *[BUT_REPEATED] * 6, AT_ONCE]
    await check_all(region, 6)


async def test_after_one_that_met_others_groups_go_the_long_way_for_a_while(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "LONG_WAY_GROUPS", 3)
    await region.load(bill("A", overpayment="reject"))
    with pytest.raises(Refusal, match="overpayment"):
        await worker.intake.accept(region.payment("p", "A", 10**9))
    for key in ("q", "r", "s", "t"):
        await worker.intake.accept(region.payment(key, "A", 100))
    assert ways == [*[LONG_WAY] * 4, AT_ONCE]
    await check_all(region, 4)


@pytest.fixture
def only_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group counts as a large one."""
    monkeypatch.setattr(accept_payment, "AT_ONCE_MAX", 0)


async def test_a_large_group_of_new_keys_goes_as_new(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "AT_ONCE_MAX", 2)
    await region.load(bill("A"), bill("B"))
    for count in (2, 3):
        told = await worker.intake.submit(
            [region.payment(f"{count}-{n}", "BA"[n % 2], 100) for n in range(count)]
        )
        await told
    assert ways == [AT_ONCE, AS_NEW]
    await check_all(region, 5)


@pytest.mark.usefixtures("only_large")
async def test_what_is_stored_as_new_is_what_was_told(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    asked = [
        region.payment("p", "A", 1_000),
        region.payment("ключ", "nowhere", 70),
        replace(region.payment("q", "A", 2_000, ("heating", 5)), reference="№ 7"),
        replace(region.payment("r", "A", 5), paid_at=datetime(1999, 12, 31, 23, 59, 59, 7, UTC)),
    ]
    told = [r for r in await (await worker.intake.submit(asked)) if isinstance(r, Receipt)]
    assert ways == [AS_NEW]
    assert [one.payment.state for one in told] == ["accepted", "suspense", "accepted", "accepted"]
    for payment in (one.payment for one in told):
        found = await find(worker.context, region.callers["bank"], payment.id)
        assert as_read(found) == as_read(payment)
    await check_all(region, 4)


@pytest.mark.usefixtures("only_large")
async def test_a_large_group_with_a_key_of_before_goes_the_long_way(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    first = await worker.intake.accept(region.payment("p", "A", 1_000))
    asked = [region.payment(key, "A", 1_000) for key in ("o", "p", "q")]
    told = [r for r in await (await worker.intake.submit(asked)) if isinstance(r, Receipt)]
    assert ways == [AS_NEW, NOT_AS_IT_WAS, LONG_WAY]
    assert [one.replayed for one in told] == [False, True, False]
    assert told[1].payment == first.payment
    await check_all(region, 3)


@pytest.mark.usefixtures("only_large")
async def test_a_large_group_with_a_key_twice_goes_the_long_way(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A"))
    told = await (await worker.intake.submit([region.payment("p", "A", 1_000) for _ in range(2)]))
    assert ways == [LONG_WAY]
    assert [one.replayed for one in told if isinstance(one, Receipt)] == [False, True]
    await check_all(region, 1)


@pytest.mark.usefixtures("only_large")
async def test_a_refused_payment_of_a_large_group_leaves_its_key_free(
    region: Region, worker: Worker, ways: list[str]
) -> None:
    await region.load(bill("A", overpayment="reject"))
    asked = [region.payment("p", "A", 1_000), region.payment("q", "A", 10**12)]
    told = await (await worker.intake.submit(asked))
    assert ways == [AS_NEW]
    assert [isinstance(one, Receipt) for one in told] == [True, False]
    await check_all(region, 1)
    assert (await worker.intake.accept(region.payment("q", "A", 1_000))).replayed is False


@pytest.mark.usefixtures("only_large")
async def test_the_same_large_groups_at_once_make_each_payment_once(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "LONG_WAY_GROUPS", 0)
    await region.load(*(bill(f"A{n}") for n in range(3)))
    async with region.working() as other:
        await know_terms(other)
        for turn in range(10):
            asked = [region.payment(f"{turn}-{n}", f"A{n % 3}", 100 + n) for n in range(20)]
            both = await asyncio.gather(
                worker.intake.submit(asked),
                other.intake.submit(
                    [
                        region.payment(f"{turn}-{n}", f"A{n % 3}", 100 + n)
                        for n in reversed(range(20))
                    ]
                ),
            )
            told = [one for outcomes in both for one in await outcomes]
            assert sum(isinstance(one, Receipt) and not one.replayed for one in told) == 20
            assert all(isinstance(one, Receipt) for one in told)
    assert NOT_AS_IT_WAS in ways
    await check_all(region, 200)


async def test_workers_at_once_on_the_same_accounts_lose_and_double_nothing(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accept_payment, "LONG_WAY_GROUPS", 0)
    await region.load(*(bill(f"A{n}") for n in range(3)))
    async with region.working(group_size_max=4) as other:
        await know_terms(other)
        requests = [region.payment(f"p{n}", f"A{n % 3}", 100 + n) for n in range(300)]
        receipts = await asyncio.gather(
            *((worker, other)[n % 2].intake.accept(one) for n, one in enumerate(requests))
        )
    assert not any(receipt.replayed for receipt in receipts)
    assert {AT_ONCE, NOT_AS_IT_WAS, LONG_WAY} <= set(ways)
    assert await find_bill(region.worker.context, "A0")
    await check_all(region, 300)


async def test_a_connection_that_cannot_be_made_ready_is_given_back(
    region: Region, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 2 * worker.context.settings.pool_max
    ready = db_transaction.plan_by_index

    async def lost(conn: Any) -> None:
        nonlocal tries
        tries -= 1
        if tries >= 0:
            raise ConnectionResetError
        await ready(conn)

    monkeypatch.setattr(accept_payment, "plan_by_index", lost)
    monkeypatch.setattr(patience, "PAUSE_S", 0)
    await region.load(bill("A"))
    assert (await worker.intake.accept(region.payment("p", "A", 1_000))).payment.amount == 1_000
    assert tries == -1
    await check_all(region, 1)


async def test_answers_are_written_before_the_commit_is_done_and_kept_only_where_it_was_done(
    region: Region, worker: Worker, ways: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be written sinks neither its payment nor its neighbours."""
    await region.load(bill("A"), bill("B"), bill("C"))
    order: list[str] = []
    commit = journal_store.commit_at_once

    async def committing(*args: Any) -> None:
        await commit(*args)
        order.append("committed")

    def write(payment: Payment) -> bytes:
        order.append(payment.subscriber_account)
        if payment.subscriber_account == "B":
            raise ValueError("Expected something that can be written")
        return payment.id.bytes

    monkeypatch.setattr(journal_store, "commit_at_once", committing)
    intake = accept_payment.Intake(worker.context, Nobody(), write)
    await intake.start()
    try:
        requests = [region.payment(f"w{account}", account, 1_000) for account in "ABC"]
        receipts = await asyncio.gather(*map(intake.accept, requests))
        assert order == [*"ABC", "committed"]
        assert ways == [AT_ONCE]
        told = [receipt.written for receipt in receipts]
        assert told == [requests[0].id.bytes, b"", requests[2].id.bytes]
        # The same key again is answered from its row, and has nothing written beforehand.
        again = await intake.accept(replace(requests[0], id=region.payment("x", "A", 1).id))
        assert again.replayed
        assert again.written == b""
    finally:
        await intake.drain()
    for request in requests:
        assert await find(worker.context, region.callers["bank"], request.id) is not None
