"""The story from an empty directory to the audit, in its order; every step checks what it sees.

Exits 0 only when everything holds. What it made stays in the directory: the database, and in
`out` the payout file, the reports and what the gateway said.
"""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import orjson
import uvloop

from gateway.config import Settings, StartRefused
from gateway.demo import (
    afterwards,
    agents,
    loading,
    paying,
    processes,
    region,
    reporting,
    scanning,
    settling,
    showcase,
    starting,
    wallets,
)
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


@dataclass(frozen=True)
class _Run:
    """One telling of the story: how large, in which directory, and the how-manieth there."""

    size: Size
    data: Path
    number: int
    paid_at: str

    @property
    def name(self) -> str:
        """Part of every idempotency key, so that a later run's payments are new ones."""
        return f"demo-{self.number}"

    @property
    def out(self) -> Path:
        """Where files for people go."""
        return self.data / "out"

    @property
    def log(self) -> Path:
        """What this run's gateway says."""
        return self.out / f"gateway-{self.number}.log"


def run(settings: Settings) -> int:
    """Plays the story in `settings.data`; 0 when everything holds, else 1.

    StartRefused for a directory with a database that is no demo's: those books are somebody's.
    """
    data = settings.data.absolute()
    now = SystemClock().now().astimezone(ZoneInfo(settings.timezone))
    story = _Run(_size(), data, _next_run(data), now.isoformat("T", "seconds"))
    try:
        story.out.mkdir(parents=True, exist_ok=True)
        (data / _MARK).write_text(f"{story.number}\n", encoding="utf-8")
    except OSError as failure:
        raise StartRefused(
            f"Expected a directory to write to, was {data}: {failure.strerror}"
        ) from None
    try:
        _play(story)
    except DemoFailed as failure:
        return _failed(story, str(failure))
    except KeyError as missing:
        return _failed(story, f"Expected {missing} in an answer, was absent")
    except BrokenPipeError:
        raise
    except (aiohttp.ClientError, OSError, subprocess.SubprocessError) as failure:
        return _failed(story, f"Expected an answer, was {type(failure).__name__}: {failure}")
    return 0


def _failed(story: _Run, sentence: str) -> int:
    print(f"kopeck demo: {sentence} (what the gateway said: {story.log})", file=sys.stderr)
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


def _play(story: _Run) -> None:
    began = time.monotonic()
    show, data = Show(), story.data
    show.chapter("A gateway on its own PostgreSQL")
    phones = wallets.make(data / "wallets")
    with (
        processes.sandbox(starting.make_key(data), story.out / "sandbox.log") as bank,
        processes.started(
            data, story.log, {**phones.environ, **starting.acquirers(data, bank.url)}
        ) as gateway,
    ):
        show.holds(
            f"kopeck serve --data {data} --workers {processes.WORKERS}: process {gateway.pid},"
            f" {gateway.url}, ready in {time.monotonic() - began:.1f} s; beside it kopeck sandbox,"
            f" a bank that takes no money, {bank.url}"
        )
        secrets = {name: processes.add_key(data, name, role) for name, role in _KEYS.items()}
        told = ", ".join(f"{name} ({role})" for name, role in _KEYS.items())
        show.holds(f"kopeck keys add: {told}")
        before = {} if story.number == 1 else orjson.loads(processes.audit(data))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(starting.introduce(data, bank.url, gateway.url))
            books = runner.run(_day(story, show, gateway.url, secrets, phones))
        show.chapter("The audit: every invariant again, from the stored rows")
        _audit(show, books, data, before)
        gateway.stop()
        bank.stop()
        show.holds("SIGTERM: the gateway finished what it had begun and exited 0.")
    show.ending(
        f"Everything holds: {books.payments} payments, {roubles(books.amount)}, to the kopeck,"
        f" in {time.monotonic() - began:.0f} s."
    )


async def _day(
    story: _Run, show: Show, url: str, secrets: dict[str, str], phones: wallets.Wallets
) -> Books:
    """The part of the story that is spoken over HTTP; the day's books."""
    period = region.later_period(FIRST_PERIOD, story.number - 1)
    made = region.generate(SEED, story.size.households, period)
    async with session() as connections:
        callers = {name: Caller(connections, url, name, secret) for name, secret in secrets.items()}
        stage = Stage(
            run=story.name,
            size=story.size,
            show=show,
            out=story.out,
            region=made,
            payers=Payers(made, SEED, story.name, story.paid_at),
            books=Books(),
            banks=(callers["sibir-bank"], callers["kassa-plus"]),
            operator=callers["centre-operator"],
            approver=callers["centre-accountant"],
            heat_office=callers["heat-office"],
        )
        if story.number > 1:
            await stage.operator.post("/v1/settlement-batches", {}, f"{story.name}-open")
            show.holds(f"Run {story.number} in this directory: what was left open is closed first.")
        await loading.load(stage)
        await showcase.show_one_payment(stage)
        await showcase.show_refusals(stage)
        await scanning.scan(stage)
        await wallets.pay_by_phone(stage, phones)
        taken = await paying.pay(stage)
        await reporting.report(stage, taken)
        await agents.pay(stage)
        await starting.start(stage)
        await afterwards.place_suspense(stage, taken)
        await afterwards.refund(stage, taken)
        await afterwards.correct(stage, taken)
        await settling.settle(stage)
    return stage.books


def _audit(show: Show, books: Books, data: Path, before: dict[str, Any]) -> None:
    """Runs `kopeck audit` while the gateway serves; its figures must be ours."""
    line = processes.audit(data)
    show.verbatim([f"$ kopeck audit --data {data}", line])
    found = orjson.loads(line)
    expected = {
        "payments": books.payments,
        "refunds": books.refunds,
        "amount": books.amount,
        "refunded": books.refunded,
        "suspense": books.suspense,
    }
    for name, ours in expected.items():
        require_equal(f"{name} of the audit", found[name] - before.get(name, 0), ours)
    require_equal("the ledger's imbalance", found["imbalance"], 0)
    require_equal("paid out", found["paid_out"], found["executed"] + found["returned"])
    require_equal("payouts in flight", found["in_flight"], 0)
    require_equal("unbalanced payments", found["unbalanced"], 0)
    require_equal("duplicate payouts", found["duplicate_payouts"], 0)
    show.holds("Exit code 0, and its counts and sums are those of our own books.")


def _size() -> Size:
    text = os.environ.get(_SIZE_VARIABLE, "100")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 100:
        raise StartRefused(f"Expected {_SIZE_VARIABLE} a percentage 1..100, was {text!r}")
    return Size().scaled(int(text))
