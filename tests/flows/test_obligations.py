"""A company's debts paid out of its share: exact, once a batch, whatever happens beside.

The judge adds up the views for SQL users and pays by the kopeck; the audit is a second one.
"""

import asyncio
import csv
import io
import os
import random
import signal
import sys
from collections import Counter
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest
from python_calamine import CalamineWorkbook

from gateway.audit import report as audit
from gateway.domain.bill import Charge, SecondLevel
from gateway.domain.ids import OBLIGATION, WITHDRAWAL, read_id
from gateway.domain.party import BankAccount, Recipient
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import batch_life, obligations, prove_row, reports, set_terms
from gateway.flows.seal_batches import seal_all
from gateway.obligations.covering import Debt, Earned
from gateway.obligations.store import NewObligation
from gateway.storage import keys
from splitcore import FeeRule
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books
from tests.flows.region import Region, Worker, batch_id, bill
from tests.obligations.test_covering import by_the_kopeck

CHARGES = (
    Charge("heating", "heat", 80_000, 0, None, (SecondLevel("uk", 300_000),)),
    Charge("lift", "uk", 20_000),
    Charge("upkeep", "uk", 40_000),
)
DAY = date(2026, 9, 30)


def debt(
    amount: int, *services: str, creditor: str = "heat", document: str = "7", day: date = DAY
) -> NewObligation:
    return NewObligation("uk", creditor, services, amount, document, day)


async def owe(
    region: Region, key: str, *told: NewObligation, on: Worker | None = None, by: str = "op"
) -> list[UUID]:
    claim = region.claim(by, key, "obligations", told)
    context = (on or region.worker).context
    answer = await obligations.load(context, claim, region.callers[by], told)
    found = [read_id(OBLIGATION, one["id"]) for one in orjson.loads(answer.content)["obligations"]]
    return [one for one in found if one is not None]


async def shown(region: Region, one: UUID) -> dict[str, Any]:
    found: dict[str, Any] = await obligations.show(region.worker.context, one, None)
    return found


async def ask(
    region: Region, key: str, one: UUID, amount: int | None = None, by: str = "op"
) -> UUID:
    claim = region.claim(by, key, "obligation_withdrawals", one, amount)
    answer = await obligations.ask_withdrawal(
        region.worker.context, claim, region.callers[by], one, amount, "paid by order 17"
    )
    asked = read_id(WITHDRAWAL, orjson.loads(answer.content)["id"])
    assert asked is not None
    return asked


async def allow(
    region: Region, key: str, withdrawal: UUID, by: str = "boss", on: Worker | None = None
) -> dict[str, Any]:
    claim = region.claim(by, key, "withdrawal_approvals", withdrawal)
    context = (on or region.worker).context
    answer = await obligations.approve_withdrawal(context, claim, region.callers[by], withdrawal)
    found: dict[str, Any] = orjson.loads(answer.content)
    return found


def of(closed: dict[str, Any], recipient: str) -> dict[str, int]:
    """A recipient's position."""
    found: dict[str, int] = next(p for p in closed["positions"] if p["recipient"] == recipient)
    return found


def moved(closed: dict[str, Any]) -> list[tuple[str, str, str, int]]:
    return [
        (one["document_number"], one["creditor"], one["service"], one["amount"])
        for one in closed["transfers"]
    ]


async def audited(region: Region) -> dict[str, Any]:
    """The audit's report, without a problem."""
    async with region.conn.transaction(isolation="repeatable_read", readonly=True):
        found: dict[str, Any] = await audit.audit(region.conn)
    assert found["problems"] == []
    return found


async def report_of(region: Region, batch: UUID, recipient: str, name: str) -> bytes:
    chunks = await reports.report(region.worker.context, batch, recipient, name)
    return b"".join([chunk async for chunk in chunks])


async def test_the_share_goes_to_the_supplier_until_the_debt_is_covered(region: Region) -> None:
    """14 000.00 paid in three days: the company's upkeep of 1 600.00 pays a debt of 1 300.00."""
    await region.load(*(bill(f"A{n}", *CHARGES) for n in range(4)))
    (one,) = await owe(region, "o", debt(130_000, "upkeep"))
    taken = []
    for day, account in enumerate(("A0", "A1", "A2", "A3")):
        await region.pay(f"p{day}", account, 140_000)
        closed = await region.close(f"c{day}")
        position = of(closed, "uk")
        taken.append(-position["transferred"])
        assert position["net"] == position["gross"] == 24_000 + 20_000 + 40_000
        assert position["payable"] == position["net"] + position["transferred"]
        heat = of(closed, "heat")
        assert heat["payable"] == heat["net"] + taken[-1]
        assert heat["net"] == heat["gross"] - heat["commission"]
    assert taken == [40_000, 40_000, 40_000, 10_000]
    found = await shown(region, one)
    assert (found["state"], found["transferred"], found["remaining"]) == ("covered", 130_000, 0)
    assert [paid["amount"] for paid in found["transfers"]] == taken[::-1]
    assert await region.number("SELECT count(*) FROM open_obligations") == 0
    told = await audited(region)
    assert (told["obligations"], told["transferred"]) == (1, 130_000)
    assert told["obligations_remaining"] == 0
    await check_books(region.conn)


async def test_both_reports_have_the_rows_and_add_up_to_what_is_paid(region: Region) -> None:
    await region.load(bill("A", *CHARGES))
    await owe(
        region,
        "o",
        debt(25_000, document="=№ 1;", day=date(2026, 8, 31)),
        debt(99_000, "upkeep", creditor="waste", document="2"),
    )
    payment = await region.pay("p", "A", 140_000)
    await region.refund("r", payment.id, 14_000)
    closed = await region.close("c")
    # Of the company's 75 600: heating 21 600, lift 18 000, upkeep 36 000.
    assert moved(closed) == [
        ("=№ 1;", "heat", "heating", 21_600),
        ("=№ 1;", "heat", "lift", 3_400),
        ("2", "waste", "upkeep", 36_000),
    ]
    batch = batch_id(closed["id"])
    payable = {}
    for position in closed["positions"]:
        name = position["recipient"]
        told = orjson.loads(await report_of(region, batch, name, "json"))
        payable[name] = position["payable"]
        assert sum(row["net_kopecks"] for row in told["rows"]) == position["payable"]
        assert told["totals"]["payable"] == position["payable"]
        assert told["totals"]["transferred"] == position["transferred"]
        assert told["totals"]["rows"] == len(told["rows"])
        kinds = Counter(row["kind"] for row in told["rows"])
        assert kinds["obligation"] == {"uk": 3, "heat": 2, "waste": 1}[name]
        text = (await report_of(region, batch, name, "csv")).decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
        assert sum(int(row["net_kopecks"]) for row in rows) == position["payable"]
        own = [row for row in rows if row["kind"] == "obligation"]
        assert {row["counterpart"] for row in own} == (
            {"heat", "waste"} if name == "uk" else {"uk"}
        )
        assert {row["document"] for row in own} <= {"'=№ 1;", "2"}
        book = CalamineWorkbook.from_filelike(
            io.BytesIO(await report_of(region, batch, name, "xlsx"))
        )
        _, *cells = book.get_sheet_by_index(0).to_python()
        assert [
            [str(int(cell)) if isinstance(cell, float) else cell for cell in row] for row in cells
        ] == [[cell.lstrip("'") for cell in row.values()] for row in rows]
    assert sum(payable.values()) == 126_000 - of(closed, "heat")["commission"]
    approved = await region.approve("a", batch)
    assert {one["recipient"]: one["amount"] for one in approved["payouts"]} == payable
    await audited(region)


async def test_a_debt_counts_for_batches_cut_after_it_was_loaded(
    region: Region, tmp_path: Path
) -> None:
    """Also where the batch before it is counted later; withdrawals wait for that count."""
    await region.load(bill("A", *CHARGES))
    (old,) = await owe(region, "o1", debt(1_000, document="old"))
    await region.pay("p", "A", 70_000)
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(url=wire.url, commit_deadline_ms=100) as worker,
    ):
        wire.fates = iter([None, *[LOST_BEFORE] * 100])
        with pytest.raises(Unavailable):
            await region.close("c1", on=worker)
    await owe(region, "o2", debt(2_000, document="new"))
    asked = await ask(region, "w", old)
    with pytest.raises(Refusal, match=r"state_conflict.*counted"):
        await allow(region, "y", asked)
    first = await region.close("c1")
    assert moved(first) == [("old", "heat", "heating", 1_000)]
    with pytest.raises(Refusal, match="remains"):
        await allow(region, "y", asked)
    await region.pay("q", "A", 20_000)
    assert [(name, amount) for name, _, _, amount in moved(await region.close("c2"))] == [
        ("new", 2_000)
    ]
    await audited(region)


@pytest.mark.parametrize("fate", [LOST_BEFORE, LOST_AFTER])
async def test_a_count_whose_commit_is_lost_pays_once(
    region: Region, tmp_path: Path, fate: str
) -> None:
    await region.load(bill("A", *CHARGES))
    (one,) = await owe(region, "o", debt(30_000))
    await region.pay("p", "A", 140_000)
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(url=wire.url) as worker,
    ):
        wire.fates = iter([None, fate, fate])
        closed = await region.close("c", on=worker)
    again = await asyncio.gather(*(region.close("c") for _ in range(4)))
    assert again == [closed] * 4
    assert sum(amount for *_, amount in moved(closed)) == 30_000
    assert (await shown(region, one))["state"] == "covered"
    await audited(region)


async def test_a_count_that_is_killed_is_done_again_whole(region: Region) -> None:
    """kill -9 while the transfers are being decided; the next close finishes that batch first."""
    await region.load(bill("A", *CHARGES))
    (one,) = await owe(region, "o", debt(50_000))
    await region.pay("p", "A", 140_000)
    holder = await asyncpg.connect(region.url)
    environment = {**os.environ, "KOPECK_DATABASE_URL": region.url}
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM open_obligations FOR UPDATE")
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "settle", "close", "--by", "op"),
                env=environment,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            for _ in range(2_000):
                if await region.number(waits):
                    break
                await asyncio.sleep(0.01)
            else:
                pytest.fail("Expected the count to wait for the debt")
            process.send_signal(signal.SIGKILL)
            await process.wait()
    finally:
        await holder.close()
    assert await region.conn.fetchval("SELECT state FROM settlement_batches") == "cut"
    assert await region.number("SELECT count(*) FROM obligation_transfers") == 0
    await region.pay("q", "A", 10_000)
    await region.close("next")
    found = await shown(region, one)
    assert (found["state"], found["transferred"]) == ("covered", 50_000)
    assert await region.number("SELECT count(DISTINCT settlement_batch) FROM obligation_transfers")
    assert (await audited(region))["settlement_batches"] == 2


async def test_what_a_refund_takes_back_later_is_the_companys_own(region: Region) -> None:
    """A transfer stays: the supplier was owed it. The company's position goes below zero."""
    await region.load(bill("A", *CHARGES))
    await owe(region, "o", debt(84_000))
    payment = await region.pay("p", "A", 140_000)
    assert of(await region.close("c1"), "uk")["payable"] == 0
    await region.refund("r", payment.id, 140_000)
    second = await region.close("c2")
    assert (of(second, "uk")["transferred"], of(second, "uk")["carried_out"]) == (0, -84_000)
    await owe(region, "o2", debt(10_000, document="8"))
    await region.pay("q", "A", 140_000)
    third = await region.close("c3")
    # What it earned makes good what it owed; nothing is left for the debt.
    assert (of(third, "uk")["carried_in"], moved(third)) == (-84_000, [])
    assert of(third, "uk")["payable"] == 0
    await audited(region)


async def test_a_cancelled_batch_owes_again_what_it_moved(region: Region) -> None:
    await region.load(bill("A", *CHARGES))
    (one,) = await owe(region, "o", debt(50_000))
    await region.pay("p", "A", 140_000)
    first = await region.close("c1")
    context, boss = region.worker.context, region.callers["boss"]
    claim = region.claim("boss", "x", "cancellations")
    await batch_life.cancel(context, claim, boss, batch_id(first["id"]), "wrong day")
    second = await region.close("c2")
    assert moved(second) == []
    assert {p["recipient"]: p["payable"] for p in second["positions"]} == {
        p["recipient"]: p["payable"] for p in first["positions"]
    }
    assert (await shown(region, one))["state"] == "covered"
    await audited(region)


async def test_who_loaded_a_debt_does_not_approve_what_it_is_paid_by(region: Region) -> None:
    """Nor after the batch was cancelled, and its money is owed in the next."""
    await keys.add(region.conn, "op", keys.parse_role("approver"))
    await keys.add(region.conn, "loader", keys.parse_role("operator"))
    await keys.add(region.conn, "loader", keys.parse_role("approver"))
    for row in await region.conn.fetch("SELECT number, name, role FROM callers"):
        name = f"{row['name']} {row['role']}"
        region.callers[name] = type(region.callers["op"])(*row.values())
    await region.load(bill("A", *CHARGES))
    await owe(region, "o", debt(50_000), by="loader operator")
    await region.pay("p", "A", 140_000)
    first = batch_id((await region.close("c1"))["id"])
    with pytest.raises(Refusal, match=r"forbidden.*loaded"):
        await region.approve("a1", first, caller="loader approver")
    claim = region.claim("loader approver", "x", "cancellations")
    by = region.callers["loader approver"]
    await batch_life.cancel(region.worker.context, claim, by, first, "wrong day")
    second = batch_id((await region.close("c2"))["id"])
    with pytest.raises(Refusal, match=r"forbidden.*loaded"):
        await region.approve("a2", second, caller="loader approver")
    assert (await region.approve("a3", second))["state"] == "approved"
    await audited(region)


async def test_a_withdrawal_takes_two_people_and_reduces_once(region: Region) -> None:
    await keys.add(region.conn, "op", keys.parse_role("approver"))
    row = await region.conn.fetchrow(
        "SELECT number, name, role FROM callers WHERE name = 'op' AND role = 'approver'"
    )
    region.callers["op as approver"] = type(region.callers["op"])(*row.values())
    await region.load(bill("A", *CHARGES))
    (one,) = await owe(region, "o", debt(50_000))
    with pytest.raises(Refusal, match=r"state_conflict.*remains"):
        await ask(region, "w0", one, 50_001)
    part, rest = await ask(region, "w1", one, 20_000), await ask(region, "w2", one)
    assert (await shown(region, one))["remaining"] == 50_000
    with pytest.raises(Refusal, match=r"forbidden.*asked"):
        await allow(region, "y0", part, by="op as approver")
    outcomes = await asyncio.gather(
        *(allow(region, f"y{n}", part) for n in range(1, 5)), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, Refusal)]
    assert [one.code for one in refused] == ["state_conflict"] * 3
    found = await shown(region, one)
    assert (found["withdrawn"], found["remaining"], found["state"]) == (20_000, 30_000, "open")
    await region.pay("p", "A", 20_000)
    closed = await region.close("c")
    assert sum(amount for *_, amount in moved(closed)) == of(closed, "uk")["net"] < 30_000
    told = await allow(region, "y9", rest)
    assert told["amount"] == 30_000 - of(closed, "uk")["net"]
    assert told["obligation"]["state"] == "withdrawn"
    assert (told["asked_by"], told["approved_by"]) == ("op", "boss")
    await region.pay("q", "A", 100_000)
    assert moved(await region.close("c2")) == []
    with pytest.raises(Refusal, match=r"state_conflict.*remains"):
        await ask(region, "w3", one)
    # Sealed with the batch that it came before, and proved by its own id.
    await seal_all(region.worker.context)
    proof = await prove_row.prove(region.worker.context, f"obw_{part.hex}")
    assert proof["columns"][0] == "id"  # type: ignore[index]
    await audited(region)


async def test_a_document_is_loaded_once_and_a_load_is_whole(region: Region) -> None:
    first = await owe(region, "o", debt(1_000), debt(2_000, document="8"))
    assert await owe(region, "o", debt(1_000), debt(2_000, document="8")) == first
    with pytest.raises(Refusal, match="idempotency_key_reused"):
        await owe(region, "o", debt(1_001), debt(2_000, document="8"))
    with pytest.raises(Refusal, match=r"state_conflict.*obligation 1"):
        await owe(region, "p", debt(3_000, document="9"), debt(1_000))
    with pytest.raises(Refusal, match=r"state_conflict.*obligation 1"):
        await owe(region, "q", debt(3_000, document="9"), debt(3_000, document="9"))
    with pytest.raises(Refusal, match=r"recipient_unknown.*obligation 1"):
        await owe(region, "r", debt(1, document="a"), debt(1, document="b", creditor="nobody"))
    assert await region.number("SELECT count(*) FROM obligations") == 2
    outcomes = await asyncio.gather(
        *(owe(region, f"s{n}", debt(5_000, document="race")) for n in range(6)),
        return_exceptions=True,
    )
    assert sum(isinstance(one, list) for one in outcomes) == 1
    assert await region.number("SELECT sum(remaining) FROM open_obligations") == 8_000


async def expected(region: Region, owed: list[Debt], number: int) -> dict[tuple[int, str], int]:
    """What a batch pays by the views for SQL users, and a kopeck at a time."""
    rows = await region.conn.fetch(
        "SELECT s.service, s.amount_kopecks AS amount, s.refund FROM shares AS s"
        " JOIN recipients AS r ON r.number = s.recipient"
        " WHERE r.id = 'uk' AND s.settlement_batch = $1",
        number,
    )
    shared: Counter[str] = Counter()
    refunded: Counter[str] = Counter()
    for row in rows:
        if row["refund"] is None:
            shared[row["service"]] += row["amount"]
        else:
            refunded[row["service"]] -= row["amount"]
    withheld = await region.number(
        "SELECT sum(commission_kopecks) FROM commissions AS c"
        " JOIN recipients AS r ON r.number = c.recipient"
        " WHERE r.id = 'uk' AND c.settlement_batch = $1",
        number,
    )
    before = await region.number(
        "SELECT carried_in FROM positions AS p JOIN recipients AS r ON r.number = p.recipient"
        " WHERE r.id = 'uk' AND p.settlement_batch = $1",
        number,
    )
    return by_the_kopeck(owed, Earned(dict(shared), dict(refunded), withheld, before))


@pytest.mark.parametrize("seed", range(6))
async def test_random_days_pay_what_the_views_give(region: Region, seed: int) -> None:
    dice = random.Random(seed)
    await region.load(*(bill(f"A{n}", *CHARGES) for n in range(5)))
    if seed % 2:
        bank = BankAccount("046015602", "40702810952090030727")
        rule = FeeRule(ppm=12_345, fixed=1)
        company = Recipient("uk", "ООО uk", "management_company", "7707083893", None, bank, rule)
        await set_terms.set_recipient(region.worker.context, region.callers["op"], company, False)
    owed: list[tuple[date, int, Debt]] = []
    payments = []
    for day in range(1, 6):
        for n in range(dice.randrange(3)):
            services = tuple(sorted(dice.sample(["heating", "lift", "upkeep", "gas"], n)))
            amount, creditor = dice.randint(1, 9_000), dice.choice(["heat", "waste"])
            at = date(2026, dice.randint(1, 9), 1)
            told = debt(amount, *services, creditor=creditor, document=f"{day}/{n}", day=at)
            (one,) = await owe(region, f"o{day}/{n}", told)
            number = (await shown(region, one))["number"]
            owed.append((at, number, Debt(number, 0, frozenset(services), amount)))
        for n in range(dice.randrange(6)):
            account, amount = f"A{dice.randrange(5)}", dice.randint(1, 9_000)
            payments.append(await region.pay(f"p{day}/{n}", account, amount))
        if payments and dice.random() < 0.6:
            back = payments.pop(dice.randrange(len(payments)))
            await region.refund(f"r{day}", back.id, back.amount)
        await region.close(f"c{day}")
        owed.sort(key=lambda one: one[:2])
        due = await expected(region, [one for *_, one in owed], day)
        rows = await region.conn.fetch(
            "SELECT obligation, service, amount FROM obligation_transfers"
            " WHERE settlement_batch = $1",
            day,
        )
        assert {(row[0], row[1]): row[2] for row in rows} == due
        owed = [
            (at, number, Debt(number, 0, one.services, left))
            for at, number, one in owed
            if (left := one.remaining - sum(v for (to, _), v in due.items() if to == number))
        ]
    assert await region.number("SELECT sum(remaining) FROM open_obligations") == sum(
        one.remaining for *_, one in owed
    )
    withheld = "SELECT sum(commission) FROM positions AS p JOIN recipients AS r"
    withheld += " ON r.number = p.recipient WHERE r.id = 'uk'"
    assert (await region.number(withheld) > 0) == bool(seed % 2)
    await audited(region)
    await check_books(region.conn)


async def test_debts_are_exact_while_everybody_pays_closes_loads_and_withdraws(
    region: Region,
) -> None:
    await region.load(*(bill(f"A{n}", *CHARGES) for n in range(6)))
    dice = random.Random(8)
    async with region.working(group_size_max=5) as one, region.working(group_size_max=3) as other:
        workers = (one, other)

        async def pay(n: int) -> None:
            worker = workers[n % 2]
            request = region.payment(f"p{n}", f"A{dice.randrange(6)}", dice.randint(10, 2_000))
            payment = (await worker.intake.accept(request)).payment
            if n % 4 == 0:
                await region.refund(f"r{n}", payment.id, payment.amount // 2, on=worker)

        async def load(n: int) -> None:
            chosen = ((), ("upkeep",), ("heating", "lift"))[n % 3]
            told = debt(dice.randint(500, 9_000), *chosen, document=str(n))
            (loaded,) = await owe(region, f"o{n}", told, on=workers[n % 2])
            if n % 3 == 0:
                # Unless it was paid meanwhile, or a batch was being counted.
                with suppress(Refusal):
                    asked = await ask(region, f"w{n}", loaded, 300)
                    await allow(region, f"y{n}", asked, on=workers[n % 2])

        async def close(n: int) -> None:
            await region.pay(f"before {n}", "A0", 1)
            await region.close(f"c{n}", on=workers[n % 2])

        tasks = [*map(pay, range(200)), *map(load, range(18)), *map(close, range(8))]
        dice.shuffle(tasks)
        await asyncio.gather(*tasks)
    await region.close("last")
    assert await region.number("SELECT count(*) FROM obligation_transfers") > 5
    told = await audited(region)
    whole = await region.number("SELECT sum(amount) FROM obligations")
    withdrawn = await region.number("SELECT sum(amount) FROM obligation_reductions")
    assert told["transferred"] + withdrawn + told["obligations_remaining"] == whole
    assert await region.number("SELECT sum(transferred) FROM positions") == 0
    await check_books(region.conn)
