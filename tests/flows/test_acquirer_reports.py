"""An acquirer's file on real PostgreSQL: each row once, whatever is lost, cut off or sent again."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from gateway.acquirer_reports.rows import Row
from gateway.domain.ids import new_id
from gateway.domain.payment import Claim, PaymentRequest, Receipt
from gateway.domain.refusals import Refusal, Unavailable
from gateway.flows import answers
from gateway.flows.commit_group import Outcome
from gateway.flows.take_acquirer_report import Taking
from tests.acquirer_reports import files
from tests.acquirer_reports.files import Told, read, sber12
from tests.flows.losing_wire import LOST_AFTER, LOST_BEFORE, LosingWire
from tests.flows.oracle import check_books, check_splits
from tests.flows.region import CARD, Region, Worker, bill, fingerprint

# Not a day that any file here is about.
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class CutOff(Exception):
    """The worker died here, as far as this file is concerned."""


class Bank:
    """An acquirer that sends files to a worker, a few rows a part."""

    def __init__(self, region: Region, worker: Worker | None = None, part: int = 3) -> None:
        self._region = region
        self.worker = worker or region.worker
        self._part = part
        self.caller = region.callers["bank"].number
        self.observed: list[Outcome] = []

    async def send(
        self, text: str, key: str, cut_after: int | None = None, format_name: str = "auto"
    ) -> dict[str, Any]:
        rows, file = read(text.encode(), format_name)
        claim = Claim(self.caller, key, "acquirer_reports", fingerprint(text))

        async def parts() -> AsyncIterator[Sequence[Row]]:
            for at in range(0, len(rows), self._part):
                if cut_after is not None and at // self._part >= cut_after:
                    raise CutOff
                yield rows[at : at + self._part]

        async def act(report: UUID) -> bytes:
            context = self.worker.context
            taking = Taking(context, self.worker.intake, self.caller, report, file)
            return orjson.dumps(await taking.take(parts(), self.observed.extend))

        answer = await answers.once_in_parts(self.worker.context, claim, act)
        told: dict[str, Any] = orjson.loads(answer.content)
        return told

    async def pay(
        self, operation: str | None, account: str, amount: int, paid_at: datetime = LONG_AGO
    ) -> Receipt:
        """A payment taken online."""
        key = f"online-{new_id().hex}"
        claim = Claim(self.caller, key, "payments", fingerprint(account, amount))
        return await self.worker.intake.accept(
            PaymentRequest(
                claim, new_id(), account, amount, True, CARD, b"{}", (), operation, paid_at
            )
        )


async def patient(bank: Bank, text: str, key: str) -> dict[str, Any]:
    """As an acquirer does it: after any failure the same file with the same key again."""
    for _ in range(50):
        try:
            return await bank.send(text, key)
        except (Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue
        except Refusal as refusal:
            # The server has not noticed yet that the connection which held the key is gone.
            if refusal.code != "idempotency_key_in_progress":
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("Expected an answer after fifty tries")


async def check(region: Region) -> None:
    await check_splits(region.conn, region.loaded)
    await check_books(region.conn)


async def test_commits_that_are_lost_make_nothing_twice(region: Region, tmp_path: Path) -> None:
    await region.load(bill("A"), bill("B"))
    online = Bank(region)
    for n in range(0, 20, 4):
        await online.pay(f"op-{n}", "A", 1_000 + n)
    told = [Told(f"op-{n}", "AB"[n % 4 == 1], 1_000 + n) for n in range(20)]
    told.append(Told("op-0", "A", 1_000))
    for seed in range(4):
        dice = random.Random(seed)
        async with (
            LosingWire(region.url, tmp_path).open() as wire,
            region.working(
                url=wire.url, group_size_max=4, statement_timeout_ms=500, lock_timeout_ms=400
            ) as worker,
        ):
            wire.fates = iter(dice.choices([None, LOST_AFTER, LOST_BEFORE], k=60))
            answer = await patient(Bank(region, worker), sber12(told), f"file-{seed}")
        assert answer["rows"] == 21
        assert (answer["matched"], answer["created"]) == ((5, 15) if seed == 0 else (20, 0))
        assert [(one["kind"], one["row"]) for one in answer["discrepancies"]] == [
            ("duplicate-in-registry", 21)
        ]
        assert await region.number("SELECT count(*) FROM payments") == 20
    await check(region)


@pytest.mark.parametrize("writer", [sber12, files.post])
async def test_a_file_that_was_cut_off_goes_on_where_it_was(region: Region, writer: Any) -> None:
    """The same key is the same report: what its first half made, it made."""
    await region.load(bill("A"))
    bank = Bank(region)
    await bank.pay("op-1", "A", 101)
    told = [Told(f"op-{n}", "A", 100 + n) for n in range(10)]
    for cut_after in (0, 1, 2, 3):
        with pytest.raises(CutOff):
            await bank.send(writer(told), "k", cut_after)
    # What was submitted before a cut becomes durable all the same, in its own time.
    found = await region.number("SELECT count(*) FROM payments")
    assert found < (10 if writer is sber12 else 11), "the last row was not sent yet"
    answer = await bank.send(writer(told), "k")
    assert (answer["matched"], answer["created"]) == ((1, 9) if writer is sber12 else (0, 10)), (
        "an online payment of one day is not that of another"
    )
    assert answer["discrepancies"] == []
    assert await bank.send(writer(told), "k") == answer
    assert await region.number("SELECT count(*) FROM acquirer_reports") == 1
    await check(region)


async def test_a_worker_without_a_database_says_so_and_the_file_can_be_sent_again(
    region: Region, tmp_path: Path
) -> None:
    await region.load(bill("A"))
    told = [Told(f"op-{n}", "A", 100 + n) for n in range(10)]
    async with (
        LosingWire(region.url, tmp_path).open() as wire,
        region.working(url=wire.url, commit_deadline_ms=300, statement_timeout_ms=200,
                       lock_timeout_ms=100, group_size_max=2) as worker,
    ):  # fmt: skip
        wire.fates = iter([None, None, *[LOST_AFTER] * 5, *[LOST_BEFORE] * 500])
        with pytest.raises((Unavailable, OSError)):
            await Bank(region, worker).send(sber12(told), "k")
    answer = await Bank(region).send(sber12(told), "k")
    assert (answer["created"], answer["discrepancies"]) == (10, [])
    assert await region.number("SELECT count(*) FROM payments") == 10
    await check(region)


async def send_numbered_by_itself(bank: Bank, text: str) -> dict[str, Any]:
    """A file of a bank whose numbers begin anew in every file."""
    rows, file = read(text.encode())
    per_file = type(file)(
        **{**{n: getattr(file, n) for n in file.__struct_fields__}, "per_file": True}
    )

    async def parts() -> AsyncIterator[Sequence[Row]]:
        yield rows

    taking = Taking(bank.worker.context, bank.worker.intake, bank.caller, new_id(), per_file)
    return await taking.take(parts(), bank.observed.extend)


async def test_numbers_of_one_file_alone(region: Region) -> None:
    """Where a bank's numbers begin anew every day, the same number is another operation."""
    await region.load(bill("A"))
    bank = Bank(region)
    first = sber12([Told("1", "A", 100), Told("2", "A", 200), Told("2", "A", 200)])
    second = sber12([Told("1", "A", 100), Told("2", "A", 201)])
    assert (await send_numbered_by_itself(bank, first))["created"] == 2
    assert (await send_numbered_by_itself(bank, first))["matched"] == 2
    answer = await send_numbered_by_itself(bank, second)
    assert (answer["created"], answer["discrepancies"]) == (2, [])
    assert await region.number("SELECT count(*) FROM payments") == 4
    await check(region)


async def test_numbers_of_one_file_alone_find_what_was_paid_online(region: Region) -> None:
    await region.load(bill("A"))
    bank = Bank(region)
    assert (await send_numbered_by_itself(bank, sber12([Told("1", "A", 100)])))["created"] == 1
    told = Told("1", "A", 300, "2026-11-13 09:00:00")
    await bank.pay("rrn-9", "A", 300, told.moment)
    assert (await send_numbered_by_itself(bank, sber12([told])))["matched"] == 1
    assert await region.number("SELECT count(*) FROM payments") == 2


async def test_a_late_online_payment_of_a_number_never_passes_for_the_row(region: Region) -> None:
    await region.load(bill("A"))
    bank = Bank(region)
    told = Told("x", "A", 300)
    assert (await bank.send(sber12([told]), "k"))["created"] == 1
    late = await bank.pay("x", "A", 300, told.moment)
    answer = await bank.send(sber12([told, Told("y", "A", 5)]), "l")
    kinds = {one["kind"]: one.get("payment") for one in answer["discrepancies"]}
    assert answer["matched"] == 0
    assert kinds["online-only"] == f"pay_{late.payment.id.hex}"
    assert "duplicate-in-registry" in kinds


async def test_the_same_sum_on_the_next_day_is_another_payment(region: Region) -> None:
    await region.load(bill("A"))
    bank = Bank(region)
    days = [Told("", "A", 500, f"2026-11-{day} 00:00:00") for day in (12, 13)]
    for told in days:
        answer = await bank.send(files.post([told]), told.at, format_name="post")
        assert (answer["created"], answer["discrepancies"]) == (1, [])
    corrected = files.post([days[1], Told("", "A", 7, "2026-11-13 00:00:00")])
    answer = await bank.send(corrected, "m", format_name="post")
    assert answer["created"] == 1
    assert [one["kind"] for one in answer["discrepancies"]] == ["duplicate-in-registry"]


async def test_what_differed_before_a_file_was_cut_off_is_looked_at_anew(region: Region) -> None:
    bank = Bank(region, part=1)
    text = sber12([Told("1", "A", 100), Told("2", "A", 200)])
    await region.conn.execute(
        "INSERT INTO report_policies VALUES ($1, 'take', 'question', 'question', now(), $1)",
        bank.caller,
    )
    with pytest.raises(CutOff):
        await bank.send(text, "k", cut_after=1)
    await region.load(bill("A"))
    answer = await bank.send(text, "k")
    assert (answer["created"], answer["discrepancies"]) == (2, [])


async def test_what_is_no_account_is_not_kept(region: Region) -> None:
    name = "Иванов Иван 4276440000001234"
    answer = await Bank(region).send(sber12([Told("1", name, 100)]), "k")
    assert [one["code"] for one in answer["discrepancies"]] == ["account_invalid"]
    kept = await region.conn.fetch("SELECT subscriber_account FROM report_discrepancies")
    assert [row[0] for row in kept] == [None]


async def test_one_odd_date_does_not_ask_for_a_year(region: Region) -> None:
    await region.load(bill("A"))
    bank = Bank(region)
    for month in (3, 6, 9):
        await bank.pay(f"o{month}", "A", 300, datetime(2026, month, 1, tzinfo=UTC))
    odd = [Told("1", "A", 5), Told("2", "A", 6, "2026-01-12 09:00:00")]
    answer = await bank.send(sber12(odd), "k")
    assert (answer["created"], answer["discrepancies"]) == (2, [])


async def test_a_walk_of_files_and_payments(region: Region) -> None:
    """Whatever comes in whatever order: an operation is one payment, a row has one outcome."""
    dice = random.Random(11)
    await region.load(*(bill(f"A{n}") for n in range(3)))
    bank = Bank(region)
    taken: dict[str, tuple[str, int]] = {}
    expected = 0
    for step in range(25):
        for _ in range(dice.randint(0, 3)):
            operation, account = f"op-{dice.randrange(90)}", f"A{dice.randrange(4)}"
            if operation not in taken:
                taken[operation] = (account, dice.randint(101, 103))
                await bank.pay(operation, *taken[operation])
                expected += 1
        told = [
            Told(f"op-{dice.randrange(90)}", f"A{dice.randrange(4)}", dice.randint(101, 103))
            for _ in range(dice.randint(1, 12))
        ]
        told = [
            Told(row.operation, *taken[row.operation])
            if row.operation in taken and dice.random() < 0.6
            else row
            for row in told
        ]
        answer = await bank.send(sber12(told), f"file-{step}")
        differing = {one["row"]: one for one in answer["discrepancies"] if "row" in one}
        assert answer["matched"] + answer["created"] + len(differing) == len(told)
        for number, row in enumerate(told, 1):
            first = taken.setdefault(row.operation, (row.account, row.amount))
            if number in differing:
                kind = differing[number]["kind"]
                same = first == (row.account, row.amount)
                assert (kind == "duplicate-in-registry") or not same
            else:
                assert first == (row.account, row.amount)
        expected += answer["created"]
        assert await region.number("SELECT count(*) FROM payments") == expected
    assert await region.number("SELECT count(DISTINCT reference) FROM payments") == expected
    assert expected == len(taken)
    stored = await region.conn.fetch("SELECT reference, subscriber_account, total FROM payments")
    assert {row[0]: (row[1], row[2]) for row in stored} == taken
    await check(region)
