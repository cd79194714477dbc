"""Two lives of one database: whatever is done after a restore, nobody is paid twice.

The first life goes on after a backup; the second begins at it, and knows of the first what the
bank's statements tell.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from gateway.audit import report as audit_report
from gateway.domain.clock import SystemClock
from gateway.domain.ids import LIFT, RESTORE, STATEMENT, read_id
from gateway.domain.refusals import Refusal
from gateway.flows import after_restore, batch_life
from gateway.settlement import store_restores
from gateway.storage.backup import backup
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrate import migrate
from tests.cli.test_commands import kopeck
from tests.flows.copies import dump, living, put_back
from tests.flows.region import Region, batch_id, bill, region_in
from tests.flows.test_statements import back, check, shown, take
from tests.payouts.statement_files import Told, camt053, one_c

HELD = r"state_conflict: .*was restored"


@asynccontextmanager
async def second_life(file: Path, url: str, *, noticed: bool = True) -> AsyncIterator[Region]:
    await put_back(file, url)
    async with living(url) as region:
        if noticed:
            async with region.conn.transaction():
                now = SystemClock().now()
                await after_restore.begin(region.conn, "restore", "out of a backup", now, None)
        yield region


async def orders(region: Region, batch: UUID) -> list[Told]:
    """The batch's orders as the bank tells of them, with the purposes that we wrote."""
    rows = await region.conn.fetch(
        "SELECT p.order_number, p.amount, p.account, p.purpose, p.inn, p.bic, p.order_date"
        " FROM payouts AS p JOIN settlement_batches AS b ON b.number = p.settlement_batch"
        " WHERE b.id = $1 ORDER BY p.order_number",
        batch,
    )
    return [
        Told(str(number), amount, account, purpose, inn=inn, bic=bic, drawn=day, booked=day)
        for number, amount, account, purpose, inn, bic, day in rows
    ]


async def paid(region: Region) -> Counter[str]:
    """What went out to each recipient and stayed there, as this database has it."""
    rows = await region.conn.fetch(
        "SELECT r.id, sum(p.amount)::bigint FROM payouts AS p JOIN recipients AS r"
        " ON r.number = p.recipient WHERE p.state IN ('sent', 'executed') GROUP BY r.id"
    )
    return Counter(dict(rows))


async def earned(region: Region) -> Counter[str]:
    """What all batches owe for payments alone."""
    rows = await region.conn.fetch(
        "SELECT r.id, sum(p.net)::bigint FROM positions AS p JOIN recipients AS r"
        " ON r.number = p.recipient GROUP BY r.id"
    )
    return Counter(dict(rows))


async def send(region: Region, key: str, batch: UUID, override: str | None = None) -> None:
    claim = region.claim("op", key, "payout_claims", batch)
    context = region.worker.context
    await batch_life.send(context, claim, region.callers["op"], batch, override)


async def cancel(region: Region, key: str, batch: UUID) -> None:
    claim = region.claim("boss", key, "cancellations", batch)
    await batch_life.cancel(
        region.worker.context, claim, region.callers["boss"], batch, "paid before the restore"
    )


async def pay_out(region: Region, key: str, override: str | None = None) -> UUID:
    """A batch closed, approved and claimed."""
    batch = batch_id((await region.close(f"close {key}"))["id"])
    await region.approve(f"approve {key}", batch, override=override)
    await send(region, f"send {key}", batch, override)
    return batch


async def standing(region: Region) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(
        orjson.dumps(await after_restore.show(region.worker.context))
    )
    return found


async def ask(region: Region, key: str, caller: str = "op") -> UUID:
    restore = read_id(RESTORE, (await standing(region))["restores"][0]["id"])
    assert restore is not None
    answer = await after_restore.ask(
        region.worker.context,
        region.claim(caller, key, "restore_lifts", restore),
        region.callers[caller],
        restore,
        "the bank's statements of these days are taken",
        "statements 11 and 12",
    )
    lift = read_id(LIFT, orjson.loads(answer.content)["id"])
    assert lift is not None
    return lift


async def approve_lift(region: Region, key: str, lift: UUID, caller: str = "boss") -> None:
    claim = region.claim(caller, key, "lifted_restores", lift)
    await after_restore.approve(region.worker.context, claim, region.callers[caller], lift)


async def decide(region: Region, key: str, line: dict[str, Any], recipient: str | None) -> None:
    statement = read_id(STATEMENT, line["statement"])
    assert statement is not None
    claim = region.claim("op", key, "restored_lines", statement, line["line"])
    context, by = region.worker.context, region.callers["op"]
    await after_restore.decide(
        context, claim, by, statement, line["line"], recipient, "by the bank's letter"
    )


async def lift(region: Region, key: str = "lift") -> None:
    await approve_lift(region, f"{key} approved", await ask(region, key))


async def first_life(
    region: Region, file: Path, stage: str = "open"
) -> tuple[list[Told], Counter[str]]:
    """A backup at a stage of the first batch, and all that was paid out; the orders' lines."""
    await region.load(bill("A"), bill("B"))
    await region.pay("p1", "A", 90_000)
    batch = None
    if stage != "open":
        batch = batch_id((await region.close("c1"))["id"])
    if stage == "approved":
        assert batch is not None
        await region.approve("a1", batch)
    await dump(region.url, file)
    await region.pay("p2", "B", 30_000)
    told = []
    if batch is not None:
        if stage == "closed":
            await region.approve("a1", batch)
        await send(region, "s1", batch)
        told += await orders(region, batch)
    told += await orders(region, await pay_out(region, "1"))
    return told, await paid(region)


@pytest.mark.parametrize("write", [one_c, camt053])
@pytest.mark.parametrize("stage", ["open", "closed", "approved"])
async def test_what_was_paid_after_the_backup_is_netted_and_not_paid_again(
    region: Region, empty_database_url: str, tmp_path: Path, stage: str, write: Any
) -> None:
    told, before = await first_life(region, tmp_path / "dump", stage)
    async with second_life(tmp_path / "dump", empty_database_url) as again:
        # The same payment sent again after the restore is a new one: the database has lost it.
        await again.pay("p2", "B", 30_000)
        with pytest.raises(Refusal, match=HELD):
            await pay_out(again, "held")
        answer = await take(again, "statement", write(told))
        found = await standing(again)
        assert {one["state"] for one in found["lines"]} == {"ready"}
        # What was approved in the backup is executed as ever; all else was lost.
        kinds = Counter(one["kind"] for one in answer["discrepancies"])
        assert kinds == {"paid-before-restore": len(told) - len(answer["executed"])}
        assert bool(answer["executed"]) == (stage == "approved")
        await lift(again)
        # Whatever was cut before that owes what was paid: it can only be owed again.
        rows = await again.conn.fetch(
            "SELECT id FROM settlement_batches WHERE state IN ('closed', 'approved')"
        )
        for n, row in enumerate(rows):
            with pytest.raises(Refusal, match=r"state_conflict: .*cancel this batch"):
                await again.approve(f"no {n}", row["id"], override="I know better")
            await cancel(again, f"x {n}", row["id"])
        await again.pay("p3", "A", 20_000)
        batch = await pay_out(again, "2", override="the lines of the bank are booked")
        paid_again = await paid(again)
        lost = before - Counter({one["recipient"]: one["amount"] for one in answer["executed"]})
        assert paid_again + lost == await earned(again)
        assert sum(paid_again.values()) < sum(before.values())
        await check(again)
        # The second life's orders have numbers of their own.
        fresh = {one.number for one in await orders(again, batch)}
        assert not fresh & {one.number for one in told}
        # The same days once more, in the other form: nothing is booked twice.
        more = await take(again, "again", (camt053 if write is one_c else one_c)(told))
        assert (more["known"], more["discrepancies"]) == (len(told), [])
        await check(again)


async def test_a_backup_that_was_restored_pays_to_the_kopeck_what_was_owed(
    tmp_path: Path,
) -> None:
    """By `kopeck backup`, taken while payments come in, and `kopeck restore`."""
    data, copy, restored = (tmp_path / name for name in ("data", "copy", "restored"))
    first = EmbeddedPostgres(data)
    await asyncio.to_thread(first.start)
    try:
        conn = await asyncpg.connect(first.url)
        await migrate(conn)
        await conn.close()
        async with region_in(first.url) as region:
            await region.load(bill("A"), bill("B"))
            await region.pay("p1", "A", 90_000)
            await asyncio.gather(
                asyncio.to_thread(backup, first.url, copy), region.pay("between", "B", 7_000)
            )
            await region.pay("p2", "B", 30_000)
            told = await orders(region, await pay_out(region, "1"))
            before = await paid(region)
    finally:
        await asyncio.to_thread(first.stop)
    done = await asyncio.to_thread(kopeck, "restore", str(copy), "--data", str(restored))
    assert done.returncode == 0, done.stderr
    second = EmbeddedPostgres(restored)
    await asyncio.to_thread(second.start)
    try:
        async with living(second.url) as again:
            assert [one["found"] for one in (await standing(again))["restores"]] == ["restore"]
            # The same keys: what the copy has is answered, what it has lost is taken anew.
            await again.pay("between", "B", 7_000)
            await again.pay("p2", "B", 30_000)
            await take(again, "s", one_c(told))
            await lift(again)
            await again.pay("p3", "A", 20_000)
            await pay_out(again, "2")
            assert await paid(again) + before == await earned(again)
            await check(again)
    finally:
        await asyncio.to_thread(second.stop)


async def test_without_the_hold_the_money_is_paid_twice_and_the_bank_tells(
    region: Region, empty_database_url: str, tmp_path: Path
) -> None:
    """The control; and what is noticed late comes back out of what is owed afterwards."""
    told, before = await first_life(region, tmp_path / "dump")
    async with second_life(tmp_path / "dump", empty_database_url, noticed=False) as again:
        await again.pay("p2", "B", 30_000)
        own = await orders(again, await pay_out(again, "1"))
        twice = await paid(again)
        assert twice == before == await earned(again)
        # Numbers and sums are those of the first life: by what the lines name they are told apart.
        assert [(one.number, one.amount) for one in own] == [(o.number, o.amount) for o in told]
        answer = await take(again, "statement", one_c([*own, *told]))
        assert len(answer["executed"]) == len(own)
        assert Counter(one["kind"] for one in answer["discrepancies"]) == {
            "paid-before-restore": len(told)
        }
        (found,) = (await standing(again))["restores"]
        assert (found["found"], found["said_by"]) == ("statement", None)
        batch = batch_id((await again.close("c2"))["id"])
        with pytest.raises(Refusal, match=HELD):
            await again.approve("a2", batch)
        await lift(again)
        await again.pay("p3", "A", 600_000)
        await pay_out(again, "3", override="the lines of the bank are booked")
        assert await paid(again) + before == await earned(again)
        await check(again)


async def test_what_came_back_is_owed_again_whenever_it_is_told(
    region: Region, empty_database_url: str, tmp_path: Path
) -> None:
    told, before = await first_life(region, tmp_path / "dump")
    first, second, *_others = told
    async with second_life(tmp_path / "dump", empty_database_url) as again:
        await again.pay("p2", "B", 30_000)
        answer = await take(again, "s1", one_c([*told, back(first)]))
        assert Counter(one["kind"] for one in answer["discrepancies"]) == {
            "paid-before-restore": len(told),
            "returned-before-restore": 1,
        }
        await lift(again)
        await check(again)
        # After the lift too: the bank names the order, and the sum is that order's.
        answer = await take(again, "s2", camt053([back(second, days=2)]))
        assert [one["kind"] for one in answer["discrepancies"]] == ["returned-before-restore"]
        assert (await take(again, "s3", one_c([back(second, days=2)])))["known"] == 1
        assert not (await standing(again))["held"]
        await pay_out(again, "2", override="the lines of the bank are booked")
        kept = Counter({}) + before
        recipients = dict(
            await again.conn.fetch("SELECT account, id FROM recipients WHERE kind <> 'centre'")
        )
        for one in (first, second):
            kept[recipients[one.other]] -= one.amount
        assert +(await paid(again) + kept) == await earned(again)
        await check(again)


async def test_a_line_that_nobody_is_known_for_is_decided_before_the_lift(
    region: Region, empty_database_url: str, tmp_path: Path
) -> None:
    told, _before = await first_life(region, tmp_path / "dump")
    # To a recipient's account, and it may be a bill of the centre's own.
    bill_of_ours = told[1].but(number="905", amount=77_700, purpose="Оплата по счету 12")
    strange = told[0].but(other="40702810002000001234", inn="", bic="")
    async with second_life(tmp_path / "dump", empty_database_url) as again:
        await take(again, "s", one_c([strange, bill_of_ours, *told[1:]]))
        undecided = [o for o in (await standing(again))["lines"] if o["state"] == "undecided"]
        line, own = sorted(undecided, key=lambda one: int(one["line"]))
        assert (line["suggested"], own["suggested"], own["recipient"]) == (None, "uk", None)
        with pytest.raises(Refusal, match=r"state_conflict: .*2 undecided"):
            await ask(again, "early")
        await decide(again, "own", own, None)
        with pytest.raises(Refusal, match="not_found"):
            await decide(again, "nobody", line, "no-such")
        await decide(again, "whose", line, "heat")
        asked = await ask(again, "lift")
        # What comes between is not what was asked for.
        other = (await standing(again))["lines"][0]
        await decide(again, "not ours", other, None)
        with pytest.raises(Refusal, match=r"state_conflict: .*ask again"):
            await approve_lift(again, "changed", asked)
        asked = await ask(again, "lift 2")
        # Two people: neither who asked nor, by another key, who decided.
        same = await again.conn.fetchval(
            "INSERT INTO callers (name, role) VALUES ('op', 'approver') RETURNING number"
        )
        again.callers["op boss"] = type(again.callers["boss"])(same, "op", "approver")
        with pytest.raises(Refusal, match="forbidden"):
            await approve_lift(again, "same", asked, "op boss")
        await approve_lift(again, "l", asked)
        with pytest.raises(Refusal, match="state_conflict"):
            await approve_lift(again, "twice", asked)
        states = Counter(one["state"] for one in (await standing(again))["lines"])
        assert states == {"booked": len(told) - 1, "not_ours": 2}
        with pytest.raises(Refusal, match="state_conflict"):
            await decide(again, "late", line, "uk")
        await check(again)


async def test_nothing_that_was_approved_leaves_or_is_cancelled_while_it_is_held(
    region: Region, empty_database_url: str, tmp_path: Path
) -> None:
    told, _ = await first_life(region, tmp_path / "dump", "approved")
    async with second_life(tmp_path / "dump", empty_database_url) as again:
        (row,) = await again.conn.fetch("SELECT id FROM settlement_batches")
        context, op = again.worker.context, again.callers["op"]
        for forbidden in (
            lambda: send(again, "s", row["id"], "the bank has it not"),
            lambda: batch_life.fetch(context, op, row["id"], "1c"),
            lambda: cancel(again, "x", row["id"]),
        ):
            with pytest.raises(Refusal, match=HELD):
                await forbidden()
        # Without a line on it, two people may say that the bank has it not.
        await lift(again)
        with pytest.raises(Refusal, match=r"state_conflict: .*backup"):
            await send(again, "s2", row["id"])
        await cancel(again, "x2", row["id"])
        # They were wrong: what was cancelled here was paid, and is netted all the same.
        answer = await take(again, "late", one_c(told[:1]))
        assert [one["kind"] for one in answer["discrepancies"]] == ["paid-before-restore"]
        assert (await standing(again))["held"]
        await lift(again, "once more")
        await check(again)
        assert (await shown(again, row["id"]))["state"] == "cancelled"


async def test_orders_are_numbered_past_all_that_the_lost_life_had(region: Region) -> None:
    context = region.worker.context
    before = await region.number("SELECT last_value FROM payment_order_numbers")
    claim = region.claim("op", "said", "restores")
    answer = await after_restore.say(context, claim, region.callers["op"], "a snapshot put back")
    assert orjson.loads(answer.content)["held"]
    after = await region.number("SELECT last_value FROM payment_order_numbers")
    assert after - before >= 99_900
    async with region.conn.transaction():
        assert len(await store_restores.unlifted(region.conn)) == 1


@pytest.mark.parametrize(
    ("check_name", "damage"),
    [
        ("paid_before_wrong", "UPDATE paid_before SET amount = amount - 1"),
        ("paid_before_wrong", "UPDATE paid_before SET amount = -amount"),
        ("paid_before_wrong", "UPDATE paid_before SET settlement_batch = settlement_batch + 1"),
        (
            "paid_before_wrong",
            "UPDATE paid_before SET recipient ="
            " (SELECT number FROM recipients WHERE id = 'centre')",
        ),
        ("paid_before_wrong", "DELETE FROM lifted_restores"),
        ("restored_line_wrong", "DELETE FROM paid_before"),
        ("restored_line_wrong", "UPDATE restored_lines SET amount = amount + 1"),
        ("restored_line_wrong", "UPDATE restored_lines SET came = true"),
        (
            "lift_by_one_person",
            "UPDATE lifted_restores SET approved_by ="
            " (SELECT number FROM callers WHERE name = 'op')",
        ),
        ("lift_by_one_person", "DELETE FROM restore_lifts"),
        ("returned_not_counted", "DELETE FROM paid_before"),
    ],
)
async def test_the_audit_names_what_was_changed_of_it(
    region: Region, check_name: str, damage: str
) -> None:
    """A statement that names a batch nobody here has: the sign of a restore, and enough for one."""
    await region.load(bill("A"))
    await region.pay("p", "A", 90_000)
    lost = "Перечисление платежей, реестр 7 от 12.11.2026 (sb_" + "0" * 32 + ")"
    account = await region.conn.fetchval("SELECT account FROM recipients WHERE id = 'heat'")
    await take(region, "s", one_c([Told("41", 5_000, account, lost)]))
    await lift(region)
    await region.close("c")
    assert (await check(region))["problems"] == []
    async with region.conn.transaction():
        await region.conn.execute("SET LOCAL session_replication_role = replica")
        await region.conn.execute(damage)
    async with region.conn.transaction(isolation="repeatable_read", readonly=True):
        found: Any = await audit_report.audit(region.conn)
    assert check_name in {one["check"] for one in found["problems"]}
