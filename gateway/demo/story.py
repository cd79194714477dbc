"""The story from an empty directory to the audit, in its order; every step checks what it sees.

Exits 0 only when everything holds. What it made stays in the directory: the database, and in
`out` the payout file, the reports and what the gateway said.
"""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson
import uvloop

from gateway.config import Settings, StartRefused
from gateway.demo import afterwards, loading, paying, processes, region, settling, showcase
from gateway.demo.books import Books, DemoFailed, require_equal
from gateway.demo.calls import Caller, session
from gateway.demo.payers import Payers
from gateway.demo.roubles import roubles
from gateway.demo.show import Show
from gateway.demo.stage import Size, Stage
from gateway.domain.clock import SystemClock

SEED = 2002
FIRST_PERIOD = "2026-10"
# Percent of the full day, for tests of this file.
_SIZE_VARIABLE = "KOPECK_TEST_DEMO_SIZE"
_MARK = "demo-runs"

# Who calls in this story, in which role.
_KEYS = {
    "sibir-bank": "acquirer",
    "kassa-plus": "acquirer",
    "centre-operator": "operator",
    "centre-accountant": "approver",
    "heat-office": "recipient:heat",
}


def run(settings: Settings) -> int:
    """Plays the story in `settings.data`; 0 when everything holds, else 1.

    StartRefused for a directory with a database that is no demo's: those books are somebody's.
    """
    data = settings.data.absolute()
    number = _next_run(data)
    out = data / "out"
    log = out / f"gateway-{number}.log"
    try:
        out.mkdir(parents=True, exist_ok=True)
        (data / _MARK).write_text(f"{number}\n", encoding="utf-8")
    except OSError as failure:
        raise StartRefused(f"Expected a directory to write to, was {data}: {failure}") from None
    try:
        _play(settings, data, log, number)
    except DemoFailed as failure:
        return _failed(str(failure), log)
    except (aiohttp.ClientError, TimeoutError) as failure:
        return _failed(f"Expected an answer, was {type(failure).__name__}: {failure}", log)
    except KeyError as missing:
        return _failed(f"Expected {missing} in an answer, was absent", log)
    return 0


def _failed(sentence: str, log: Path) -> int:
    print(f"kopeck demo: {sentence} (what the gateway said: {log})", file=sys.stderr)
    return 1


def _next_run(data: Path) -> int:
    """1 in a new directory, and one more each time it is used again."""
    mark = data / _MARK
    if mark.exists():
        return int(mark.read_text(encoding="utf-8")) + 1
    if (data / "postgres").exists():
        raise StartRefused(
            f"Expected a new directory or one of an earlier demo, was {data} with other books;"
            " name another with --data"
        )
    return 1


def _play(settings: Settings, data: Path, log: Path, number: int) -> None:
    began = time.monotonic()
    show = Show()
    show.chapter("A gateway on its own PostgreSQL")
    with processes.started(data, log) as gateway:
        show.holds(
            f"kopeck serve --data {data} --workers {processes.WORKERS}: process {gateway.pid},"
            f" {gateway.url}, ready in {time.monotonic() - began:.1f} s"
        )
        secrets = {name: processes.add_key(data, name, role) for name, role in _KEYS.items()}
        told = ", ".join(f"{name} ({role})" for name, role in _KEYS.items())
        show.holds(f"kopeck keys add: {told}")
        before = {} if number == 1 else orjson.loads(processes.audit(data))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            stage = runner.run(_day(settings, data, gateway.url, show, secrets, number))
        show.chapter("The audit: every invariant again, from the stored rows")
        _audit(stage, data, before)
        gateway.stop()
        show.holds("SIGTERM: the gateway finished what it had begun and exited 0.")
    books = stage.books
    show.ending(
        f"Everything holds: {books.payments} payments, {roubles(books.amount)}, to the kopeck,"
        f" in {time.monotonic() - began:.0f} s."
    )


async def _day(
    settings: Settings, data: Path, url: str, show: Show, secrets: dict[str, str], number: int
) -> Stage:
    """The part of the story that is spoken over HTTP."""
    size = _size()
    period = region.later_period(FIRST_PERIOD, number - 1)
    made = region.generate(SEED, size.households, period)
    paid_at = SystemClock().now().astimezone(ZoneInfo(settings.timezone)).isoformat("T", "seconds")
    run_name = f"demo-{number}"
    async with session() as connections:
        callers = {name: Caller(connections, url, name, secret) for name, secret in secrets.items()}
        stage = Stage(
            run=run_name,
            size=size,
            show=show,
            out=data / "out",
            region=made,
            payers=Payers(made, SEED, run_name, paid_at),
            books=Books(),
            banks=(callers["sibir-bank"], callers["kassa-plus"]),
            operator=callers["centre-operator"],
            approver=callers["centre-accountant"],
            heat_office=callers["heat-office"],
        )
        if number > 1:
            await stage.operator.post("/v1/settlement-batches", {}, f"{run_name}-open")
            show.holds(f"Run {number} in this directory: what was left open is closed first.")
        await loading.load(stage)
        await showcase.show_one_payment(stage)
        await showcase.show_refusals(stage)
        taken = await paying.pay(stage)
        await afterwards.place_suspense(stage, taken)
        await afterwards.refund(stage, taken)
        await settling.settle(stage)
    return stage


def _audit(stage: Stage, data: Path, before: dict[str, Any]) -> None:
    """Runs `kopeck audit` while the gateway serves; its figures must be ours."""
    line = processes.audit(data)
    stage.show.verbatim([f"$ kopeck audit --data {data}", line])
    found, books = orjson.loads(line), stage.books
    expected = {
        "payments": books.payments,
        "refunds": books.refunds,
        "amount": books.amount,
        "refunded": books.refunded,
        "suspense": books.suspense,
    }
    for name, ours in expected.items():
        require_equal(f"{name} of the audit", found[name] - before.get(name, 0), ours)
    require_equal("unbalanced payments", found["unbalanced"], 0)
    require_equal("duplicate payouts", found["duplicate_payouts"], 0)
    stage.show.holds("Exit code 0, and its counts and sums are those of our own books.")


def _size() -> Size:
    text = os.environ.get(_SIZE_VARIABLE, "100")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise DemoFailed(f"Expected {_SIZE_VARIABLE} a percentage 1..100, was {text!r}")
    return Size().scaled(int(text))
