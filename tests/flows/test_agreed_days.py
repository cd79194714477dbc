"""What recipients with cut-offs of their own are told: reports that add up, money that is late."""

import asyncio
import sys
from contextlib import nullcontext
from datetime import time, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import orjson

from gateway.flows import agreed_days
from gateway.flows.close_at_cut_off import CutOffs
from gateway.watch import Watch
from tests.flows.region import Region, Worker
from tests.flows.test_agreed_cut_offs import (
    KALININGRAD,
    KAMCHATKA,
    NET,
    At,
    centre,
    check,
    own,
    pay,
    three,
)
from tests.flows.test_reports import report_of
from tests.rules.sources import ROOT


async def late_from(region: Region, worker: Worker) -> str:
    """From when the first money is late that nobody has approved, as the gauge tells."""
    later = At("2026-12-10 00:00")
    late = partial(agreed_days.late_from, worker.context.days)
    found = await Watch(lambda: nullcontext(region.conn), later, None, late).look()
    return f"{later.now() - timedelta(seconds=found.settlement_late):%d %H:%M}"


async def test_money_is_late_by_the_days_of_whom_it_is_for(region: Region) -> None:
    clock = At("2026-11-24 07:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KAMCHATKA)
        cut_offs = CutOffs(worker.context)

        async def close(at: str) -> UUID:
            clock.set(f"2026-11-{at}")
            assert await cut_offs.close_due()
            id_: UUID = await region.conn.fetchval(
                "SELECT id FROM settlement_batches ORDER BY number DESC LIMIT 1"
            )
            return id_

        await pay(region, worker, "p1")
        # Nobody knows yet whose it is: it goes out on Wednesday, which ends first in Kamchatka.
        assert await late_from(region, worker) == "25 08:00"
        first = await close("24 08:00")
        assert await late_from(region, worker) == "25 08:00"
        await region.approve("a1", first, on=worker)
        # What is left is held: for waste, which goes by the centre's days, and for heat.
        assert await late_from(region, worker) == "25 13:00"
        clock.set("2026-11-24 09:00")
        await pay(region, worker, "p2")
        assert await late_from(region, worker) == "25 13:00"
        await region.approve("a2", await close("24 13:00"), on=worker)
        assert await late_from(region, worker) == "25 18:00"
        await region.approve("a3", await close("24 18:00"), on=worker)
        # Only what uk earned after its Tuesday is left, until its Wednesday.
        assert await late_from(region, worker) == "26 08:00"
        await region.approve("a4", await close("25 08:00"), on=worker)
        assert await late_from(region, worker) == "10 00:00"


async def reports_add_up(region: Region, worker: Worker, folder: Path) -> None:
    """Each report's rows are what is paid and carried on, and what is carried to it are the rows of
    the reports it names; the public script agrees.
    """
    batches = await region.conn.fetch("SELECT id FROM settlement_batches ORDER BY number")
    for recipient in NET:
        own: dict[str, int] = {}
        for (id_,) in batches:
            told = orjson.loads(await report_of(worker, id_, recipient, "json"))
            rows, totals = told["rows"], told["totals"]
            stood_over = [row for row in rows if row["kind"] == "carried"]
            for row in stood_over:
                assert row["net_kopecks"] == own[row["document"]]
            own[told["settlement_batch"]] = sum(
                row["net_kopecks"] for row in rows if row["kind"] != "carried"
            )
            whole = sum(row["net_kopecks"] for row in rows)
            assert whole == totals["payable"] + totals["carried_out"]
            assert bool(stood_over) == bool(totals["carried_in"])
            for name in ("json", "csv"):
                file = folder / f"report.{name}"
                file.write_bytes(await report_of(worker, id_, recipient, name))
                script = [
                    sys.executable,
                    str(ROOT / "docs" / "recompute.py"),
                    "--report",
                    str(file),
                ]
                done = await asyncio.create_subprocess_exec(*script)
                assert await done.wait() == 0, recipient


async def test_a_report_of_what_was_held_adds_up_by_the_reports_it_names(
    region: Region, tmp_path: Path
) -> None:
    """Heat in Kaliningrad, uk in Kamchatka, ten hours apart; waste goes by the centre's."""
    clock = At("2026-11-24 07:00")
    async with centre(region, clock) as worker:
        await three(region)
        await own(region, worker, "heat", time(20), KALININGRAD)
        await own(region, worker, "uk", time(20), KAMCHATKA)
        cut_offs = CutOffs(worker.context)
        for at in ("24 07:30", "24 08:00", "24 13:00", "24 18:00", "25 08:00", "25 13:00"):
            clock.set(f"2026-11-{at}")
            await cut_offs.close_due()
            await pay(region, worker, at)
        await reports_add_up(region, worker, tmp_path)
    await check(region)
