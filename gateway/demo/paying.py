"""The day itself: thousands of payments over HTTP, one by one and in bulk, and some sent again."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from msgspec import Struct

from gateway.demo.books import require, require_equal
from gateway.demo.calls import CONNECTIONS, Caller, Reply
from gateway.demo.payers import Planned
from gateway.demo.roubles import roubles
from gateway.demo.stage import Stage

_NDJSON = "application/x-ndjson"


class Taken(Struct, frozen=True):
    """A payment that was answered 201, with who sent it and when the answer came."""

    planned: Planned
    caller: Caller
    reply: Reply

    @property
    def answer(self) -> dict[str, Any]:
        """The payment's object."""
        found: dict[str, Any] = self.reply.json
        return found


async def pay(stage: Stage) -> list[Taken]:
    """The payments sent one by one, entered in the books as those of the bulk request are."""
    stage.show.chapter("The day's payments, every method, over HTTP")
    planned = stage.payers.ordinary(stage.size.payments)
    planned[10:10] = stage.payers.with_public_codes()
    started = time.perf_counter()
    with stage.show.counting("payments", len(planned)) as count:
        taken = await _one_by_one(stage.banks, planned, count)
    seconds = time.perf_counter() - started
    for one in taken:
        stage.books.take(one.answer)
    _show_pace(stage, taken, seconds)
    await _bulk(stage, taken)
    await _again(stage, taken)
    _show_methods(stage, [one.planned for one in taken])
    return taken


async def _one_by_one(
    banks: tuple[Caller, Caller], planned: list[Planned], count: Callable[[int], None]
) -> list[Taken]:
    """Every connection takes the next payment as soon as it has its answer."""
    taken: list[Taken] = []
    waiting = iter(enumerate(planned))

    async def connection(jobs: Iterator[tuple[int, Planned]]) -> None:
        for number, one in jobs:
            caller = banks[number % len(banks)]
            reply = await caller.post("/v1/payments", one.body, one.key)
            taken.append(Taken(one, caller, reply))
            count(1)

    try:
        async with asyncio.TaskGroup() as connections:
            for _ in range(CONNECTIONS):
                connections.create_task(connection(waiting))
    except ExceptionGroup as failures:
        # The first failure is the story's; the others only follow it.
        raise failures.exceptions[0] from None
    return taken


def _show_pace(stage: Stage, taken: list[Taken], seconds: float) -> None:
    waits = sorted(one.reply.seconds for one in taken)
    half, most = (1_000 * waits[len(waits) * percent // 100] for percent in (50, 99))
    stage.show.holds(
        f"{len(taken)} payments, a request each, over {CONNECTIONS} connections in {seconds:.2f} s:"
        f" {len(taken) / seconds:.0f} a second; half answered within {half:.0f} ms, 99 of 100"
        f" within {most:.0f} ms. Every answer came after its commit, and adds up."
    )
    cores = len(os.sched_getaffinity(0))
    stage.show.say(
        f"Seen by this caller, which shares {cores} core{'s' * (cores > 1)} with the gateway and"
        " PostgreSQL; a load test with the caller elsewhere shows more."
    )


async def _bulk(stage: Stage, taken: list[Taken]) -> None:
    """One NDJSON request; a payment taken before and two bad lines are among its lines."""
    bank = stage.banks[1]
    before = next(one for one in taken if one.caller is bank)
    planned = stage.payers.ordinary(stage.size.bulk)
    lines = [{**one.body, "idempotency_key": one.key} for one in planned]
    repeated = {**before.planned.body, "idempotency_key": before.planned.key}
    text = {**lines[0], "amount": "100", "idempotency_key": f"{stage.run}-text"}
    lines += [repeated, text, {**repeated, "reference": f"{stage.run}-another"}]
    content = b"\n".join(map(orjson.dumps, lines))
    reply = await bank.post("/v1/payments/bulk", content, expect=200, kind=_NDJSON)
    outcomes = [orjson.loads(line) for line in reply.content.splitlines()]
    require_equal(
        "outcomes in the order of lines",
        [outcome["index"] for outcome in outcomes],
        list(range(len(lines))),
    )
    *good, again, malformed, reused = outcomes
    for outcome in good:
        require_equal(f"the outcome of line {outcome['index']}", outcome["status"], 201)
        stage.books.take(outcome)
    require(again.get("replayed") is True, "Expected the repeated line to be replayed")
    require_equal("the repeated line's payment", again["id"], before.answer["id"])
    require_equal("the code of a bad line", malformed["code"], "malformed")
    require_equal("the code of a reused key", reused["code"], "idempotency_key_reused")
    stage.show.holds(
        f"{len(lines)} lines in one bulk request in {reply.seconds:.2f} s:"
        f" {len(lines) / reply.seconds:.0f} a second; {len(good)} taken, 1 replayed, 2 bad lines"
        " named and the rest kept."
    )


async def _again(stage: Stage, taken: list[Taken]) -> None:
    """As after a timeout: the same requests once more, which must change nothing."""
    step = max(1, len(taken) // stage.size.repeats)
    chosen = taken[::step][: stage.size.repeats]
    for one in chosen:
        reply = await one.caller.post("/v1/payments", one.planned.body, one.planned.key)
        require(
            reply.replayed and reply.content == one.reply.content,
            f"Expected the first answer to {one.planned.key} again, was another",
        )
    stage.show.holds(
        f"{len(chosen)} of them sent again, as after a timeout: the same answers to the byte, each"
        " Idempotency-Replayed."
    )


def _show_methods(stage: Stage, planned: list[Planned]) -> None:
    books = stage.books
    rows: list[list[str | int]] = [
        [method, str(count), amount, surcharge]
        for method, (count, amount, surcharge) in sorted(books.by_method.items())
    ]
    columns = ["method", "payments>", "amount>", "surcharge>"]
    total: list[str | int] = ["together", str(books.payments), books.amount, books.surcharge]
    stage.show.table(columns, rows, total)
    habits = [one.habit for one in planned]
    stage.show.say(
        f"Of those sent one by one: {habits.count('whole')} paid what was owed,"
        f" {habits.count('part')} a part, {habits.count('more')} more than owed,"
        f" {habits.count('named')} named a service; {habits.count('code')} by bill codes"
        " that others published, in three encodings."
    )
    require(
        set(books.by_method) == set(stage.region.surcharges),
        "Expected payments by every method, was fewer",
    )
    stage.show.say(f"Taken from payers: {roubles(books.amount + books.surcharge)}.")
