"""What a load leaves in the tables: every row that of its bill, each part whole or not at all, and
no look at accounts that are not in it.
"""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from gateway.api.bill_lines import BillLines
from gateway.bills import store as bill_store
from gateway.domain.packed_bill import PackedBill
from gateway.domain.refusals import Refusal
from gateway.flows import load_bills
from gateway.flows.bill_forms import BillForms
from gateway.flows.carry_over import Refused
from splitcore import AMOUNT_MAX
from splitcore.reference_plans import pack
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import Region, bill

SEED = 20_261_101
RECIPIENTS = ("heat", "uk", "waste")
SERVICES = ("heating", "ХВС: холодная вода", "tko'2\"", "x" * 64, "электро\tдень")
POLICIES = {"weights": -1, "reject": -2}
LOADED = datetime(2026, 11, 2, 9, 30, 0, 123_456, tzinfo=UTC)


class StoppedClock:
    def now(self) -> datetime:
        return LOADED


async def load(region: Region, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Loads bills as NDJSON lines, a few at a time; what was refused."""
    lines = BillLines(BillForms())

    async def bunches() -> AsyncIterator[list[PackedBill | Refusal]]:
        for at in range(0, len(told), 5):
            yield lines.read([orjson.dumps(one) for one in told[at : at + 5]])

    async with region.working(StoppedClock()) as worker:
        answer: Any = await load_bills.load(worker.context, region.callers["op"], bunches())
    assert answer["accepted"] == len(told) - len(answer["refused"])
    refused: list[dict[str, Any]] = answer["refused"]
    return refused


def drawn_charge(dice: random.Random) -> dict[str, Any]:
    charge: dict[str, Any] = {
        "service": dice.choice(SERVICES),
        "recipient": dice.choice(RECIPIENTS),
        "due": dice.choice((0, 1, dice.randrange(10**6), 2**31, AMOUNT_MAX)),
    }
    if dice.random() < 0.3:
        charge["tier"] = dice.randrange(3)
    if dice.random() < 0.3:
        charge["weight"] = dice.choice((None, 0, charge["due"], dice.randrange(AMOUNT_MAX)))
    if dice.random() < 0.3:
        charge["second_level"] = [
            {"recipient": dice.choice(RECIPIENTS), "ppm": dice.randrange(300_000)}
            for _ in range(dice.randrange(4))
        ]
    return charge


def drawn_bill(dice: random.Random, account: str, period: str) -> dict[str, Any]:
    count = dice.choice((1, 3, 8, 8, 8, 17, 256))
    told: dict[str, Any] = {
        "subscriber_account": account,
        "period": period,
        "charges": [drawn_charge(dice) for _ in range(count)],
    }
    if dice.random() < 0.4:
        told["overpayment"] = dice.choice(("weights", "reject", {"charge": count - 1}))
    if dice.random() < 0.3:
        told["payer"] = dice.choice(("Иванова Ю.", {"name": "Ю. «Ж»", "rooms": [1, 2.5, None]}))
    if dice.random() < 0.3:
        told["as_of"] = (LOADED - timedelta(seconds=dice.randrange(10**6))).isoformat()
    return told


def shares_of(told: dict[str, Any]) -> list[tuple[int, str, str]]:
    """Charge, service and recipient of each part, the charge's own recipient last."""
    return [
        (at, charge["service"], recipient)
        for at, charge in enumerate(told["charges"])
        for recipient in (
            *(entry["recipient"] for entry in charge.get("second_level", ())),
            charge["recipient"],
        )
    ]


def expected(told: dict[str, Any], caller: int) -> dict[str, Any]:
    """The columns of `bills` by the reference, where no payment came before."""
    dues = [charge["due"] for charge in told["charges"]]
    weights = [charge.get("weight") for charge in told["charges"]]
    weights = [due if weight is None else weight for due, weight in zip(dues, weights, strict=True)]
    policy = told.get("overpayment", "weights")
    as_of = told.get("as_of")
    return {
        "subscriber_account": told["subscriber_account"],
        "period": told["period"],
        "overpayment": policy["charge"] if isinstance(policy, dict) else POLICIES[policy],
        "counts_from": 0,
        "loaded_after": 0,
        "loaded_by": caller,
        "loaded_at": LOADED,
        "as_of": None if as_of is None else datetime.fromisoformat(as_of),
        "due": pack(dues),
        "weight": None if weights == dues else pack(weights),
        "payer": told.get("payer"),
    }


async def check_stored(region: Region, told: Sequence[dict[str, Any]]) -> None:
    """Every bill of one load, the newest of its account, as it stands in all tables."""
    conn = region.conn
    for one in told:
        account = one["subscriber_account"]
        row = dict(
            await conn.fetchrow(
                "SELECT * FROM bills WHERE subscriber_account = $1 ORDER BY number DESC LIMIT 1",
                account,
            )
        )
        number, plan = row.pop("number"), row.pop("plan")
        row["payer"] = None if row["payer"] is None else orjson.loads(row["payer"])
        assert row == expected(one, region.callers["op"].number)
        opened = dict(
            await conn.fetchrow("SELECT * FROM open_bills WHERE subscriber_account = $1", account)
        )
        shared = ("subscriber_account", "period", "overpayment", "counts_from", "due", "weight")
        assert opened == {name: row[name] for name in shared} | {
            "bill": number,
            "plan": plan,
            "sequence": 0,
            "paid": pack([0] * len(one["charges"])),
        }
        parts = await conn.fetch(
            "SELECT p.charge, p.service, r.id FROM split_plan_parts AS p"
            " JOIN recipients AS r ON r.number = p.recipient WHERE p.plan = $1 ORDER BY p.place",
            plan,
        )
        assert [tuple(part) for part in parts] == shares_of(one)


async def test_every_row_is_that_of_its_bill(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_bills, "PART_MAX", 30)
    dice = random.Random(SEED)
    forms = [drawn_bill(dice, "", "2026-10") for _ in range(40)]

    def like(account: str) -> dict[str, Any]:
        form = dice.choice(forms)
        charges = [charge | {"due": dice.randrange(AMOUNT_MAX)} for charge in form["charges"]]
        return form | {"subscriber_account": account, "charges": charges}

    first = [like(f"a{n}") for n in range(150)]
    assert await load(region, first) == []
    await check_stored(region, first)
    # The next month: half of the accounts have an open bill, and its row is written over.
    following = [like(f"a{n}") | {"period": "2026-11"} for n in range(75, 225)]
    assert await load(region, following) == []
    await check_stored(region, following)
    assert await region.number("SELECT count(*) FROM bills") == 300
    assert await region.number("SELECT count(*) FROM open_bills") == 225


async def test_bills_of_one_account_keep_their_order_over_the_parts(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_bills, "PART_MAX", 4)
    dice = random.Random(SEED)
    told: list[dict[str, Any]] = [
        {
            "subscriber_account": f"a{dice.randrange(12)}",
            "period": "2026-10",
            "charges": [{"service": "waste", "recipient": "waste", "due": due}],
        }
        for due in range(200)
    ]
    assert await load(region, told) == []
    for account in {one["subscriber_account"] for one in told}:
        dues = [
            pack([one["charges"][0]["due"]]) for one in told if one["subscriber_account"] == account
        ]
        stored = await region.conn.fetch(
            "SELECT due FROM bills WHERE subscriber_account = $1 ORDER BY number", account
        )
        assert [row["due"] for row in stored] == dues
        opened = "SELECT due FROM open_bills WHERE subscriber_account = $1"
        assert await region.conn.fetchval(opened, account) == dues[-1]


async def test_a_part_is_no_larger_than_its_payers_allow(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    write = load_bills._write_part

    async def counted(context: Any, caller: Any, part: load_bills.Part) -> Refused:
        sizes.append(len(part))
        return await write(context, caller, part)

    monkeypatch.setattr(load_bills, "_write_part", counted)
    monkeypatch.setattr(load_bills, "PART_PAYERS_LENGTH_MAX", 30)
    waste = [{"service": "waste", "recipient": "waste", "due": 1}]
    told = [
        {"subscriber_account": f"a{n}", "period": "2026-10", "charges": waste, "payer": "x" * 10}
        for n in range(8)
    ]
    assert await load(region, told) == []
    assert sizes == [3, 3, 2], "12 characters a payer, with its quotes"


async def test_a_part_that_fails_leaves_nothing_and_can_be_sent_again(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_bills, "PART_MAX", 10)
    await region.conn.execute(
        "ALTER TABLE open_bills ADD CONSTRAINT unlucky CHECK (subscriber_account <> 'a25')"
    )
    waste = [{"service": "waste", "recipient": "waste", "due": 100}]
    told = [
        {"subscriber_account": f"a{n}", "period": "2026-10", "charges": waste} for n in range(60)
    ]
    with pytest.raises(asyncpg.CheckViolationError):
        await load(region, told)
    kept = [row[0] for row in await region.conn.fetch("SELECT subscriber_account FROM bills")]
    opened = [
        row[0] for row in await region.conn.fetch("SELECT subscriber_account FROM open_bills")
    ]
    assert sorted(kept) == sorted(opened)
    parts = {int(account[1:]) // 10 for account in kept}
    assert sorted(kept) == sorted(
        f"a{n}" for part in parts for n in range(part * 10, part * 10 + 10)
    )
    assert 2 not in parts
    await region.conn.execute("ALTER TABLE open_bills DROP CONSTRAINT unlucky")
    assert await load(region, told) == []
    assert await region.number("SELECT count(*) FROM open_bills") == 60


async def test_recipients_that_are_unknown_are_refused_line_by_line(region: Region) -> None:
    def told(n: int) -> dict[str, Any]:
        charge = {"service": "waste", "recipient": "nobody" if n % 3 == 0 else "waste", "due": n}
        return {"subscriber_account": f"a{n}", "period": "2026-10", "charges": [charge]}

    refused = await load(region, [told(n) for n in range(20)])
    assert [(one["index"], one["code"]) for one in refused] == [
        (n, "recipient_unknown") for n in range(0, 20, 3)
    ]
    assert await region.number("SELECT count(*) FROM open_bills") == 13


async def test_payments_and_loads_of_many_parts_lose_no_kopeck(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paid is carried over whatever part, or writer, an account comes to be in."""
    monkeypatch.setattr(load_bills, "PART_MAX", 3)
    accounts = [f"a{n}" for n in range(10)]
    await region.load(*(bill(account) for account in accounts))
    for n, account in enumerate(accounts):
        await region.pay(f"p{n}", account, 1_000 + n)
    await region.load(*(bill(account) for account in accounts))
    for n, account in enumerate(accounts):
        await region.pay(f"q{n}", account, 2_000 + n)
    await region.load(*(bill(account, period="2026-11") for account in accounts))
    for n, account in enumerate(accounts):
        await region.pay(f"r{n}", account, 3_000 + n)
    assert await check_splits(region.conn, region.loaded) == 30
    await check_books(region.conn)


_SCANS = """
    SELECT seq_scan AS whole, idx_scan AS by_index FROM pg_stat_xact_user_tables
    WHERE relname = 'open_bills'
"""


async def plans_of_a_load(conn: Any, by_index: bool) -> str:
    """How the accounts of a load would be looked up, as the server's planner says."""
    async with conn.transaction():
        if by_index:
            await bill_store.by_index(conn)
        await conn.execute(bill_store._MAKE_NEXT)
        await conn.execute("INSERT INTO next_bills SELECT * FROM open_bills LIMIT 500")
        told = await conn.fetch("EXPLAIN " + bill_store._OPEN_NEXT)
        return "\n".join(row[0] for row in told)


async def scans_of_a_lock(conn: Any, accounts: list[str]) -> tuple[int, int]:
    """How often open bills were read whole, and by an index, to lock those of some accounts."""
    async with conn.transaction():
        before = await conn.fetchrow(_SCANS)
        assert len(await bill_store.lock(conn, accounts)) == len(accounts)
        after = await conn.fetchrow(_SCANS)
    return after["whole"] - before["whole"], after["by_index"] - before["by_index"]


async def test_a_load_looks_up_its_own_accounts_alone(region: Region) -> None:
    waste = [{"service": "waste", "recipient": "waste", "due": 100}]
    told = [
        {"subscriber_account": f"a{n}", "period": "2026-10", "charges": waste} for n in range(600)
    ]
    assert await load(region, told) == []
    await region.conn.execute("ANALYZE open_bills")
    # Reading a small table whole is cheap, and the planner would; a large one it must not.
    assert "Seq Scan on open_bills" in await plans_of_a_load(region.conn, by_index=False)
    chosen = await plans_of_a_load(region.conn, by_index=True)
    assert "Seq Scan on open_bills" not in chosen
    assert chosen.count("open_bills_pkey") == 1, chosen
    whole, by_index = await scans_of_a_lock(region.conn, [f"a{n}" for n in range(500)])
    assert whole == 0
    assert by_index > 0
