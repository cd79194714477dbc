"""One worker: settings to pool to flows to door, in the order of starting; stopping is the reverse.

The only file that knows everyone; it takes no decision of its own about money.
"""

import asyncio
import gc
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import uvloop
from aiohttp import http_parser, web

from gateway import __version__, logs, tracing
from gateway.acquirer_reports import layouts
from gateway.acquirers.connected import Acquirers, connect
from gateway.api import encode, openapi, table
from gateway.api.call import House
from gateway.api.door import Door
from gateway.api.hot import HotRoad
from gateway.api.rate_limit import RateLimit
from gateway.api.request_log import RequestLog
from gateway.api.routes import RouteTable
from gateway.api.server import Server
from gateway.api.traced_door import TracedDoor
from gateway.audit import gauges
from gateway.config import Settings, StartRefused
from gateway.domain.clock import Clock, SystemClock
from gateway.flows import agreed_days, deliver_webhooks, notice_restore, reconcile
from gateway.flows.accept_payment import Intake
from gateway.flows.authorise_payment import Asking
from gateway.flows.close_at_cut_off import CutOffs
from gateway.flows.coming import Coming
from gateway.flows.context import Context
from gateway.flows.deliver_webhooks import Deliverer
from gateway.flows.hear_acquirer import Hearing
from gateway.flows.poll_acquirers import Poller, waiting_tries
from gateway.flows.pulse import Pulse
from gateway.flows.refund_by_acquirer import Refunding
from gateway.flows.seal_batches import History, seal_all
from gateway.flows.traced_intake import TracedIntake
from gateway.flows.wallets import wallets_of
from gateway.flows.webhooks import Webhooks
from gateway.room_telemetry import RoomTelemetry
from gateway.scans import templates
from gateway.scans.darkroom import Darkroom
from gateway.settlement.press import Press
from gateway.splitting.plans import PlanShelf
from gateway.splitting.terms import TermsShelf
from gateway.storage import log_ahead, months, postgres
from gateway.storage.embedded import url_of
from gateway.telemetry import Telemetry, use_slot
from gateway.watch import Watch
from gateway.webhooks import addresses
from gateway.webhooks.secrets import Seal
from gateway.webhooks.sending import Sender
from splitcore import BACKEND

BACKLOG = 1024
LINGER_S = 2.0
# For answers that are written but not taken yet, at the very end.
CLOSE_S = 1.0
# How often a worker that was replaced looks whether its callers have gone.
LOOK_S = 0.05
HEAD_LINE_BYTES_MAX = 8_190
HEAD_LINES_MAX = 64
GAUGES_EVERY_S = 5.0
GAUGES_SHARE = 50
GAUGES_SLOT = 0
SEAL_EVERY_S = 1.0
NOTICE_EVERY_S = 10.0
# How long after its moment a cut-off may be made, and how soon one that failed is tried again.
CUT_OFF_EVERY_S = 0.5
CUT_OFF_AGAIN_S = 5.0
WATCH_EVERY_S = 15.0
# What is missed has a month's time; what somebody's long look kept from being made comes soon.
MONTHS_EVERY_S = 3_600.0
MONTHS_AGAIN_S = 60.0
# As long as one takes to make: whoever pays meanwhile has half of the disk.
LOG_FILES_EVERY_S = 0.05
# Of the disk that is free they may have this part.
LOG_FILES_SHARE = 8
RECONCILE_EVERY_S = 60.0
# A payment makes no cycles; the collector's usual pace would only stop everyone for nothing.
GC_THRESHOLDS = (100_000, 50, 50)


def run_worker(settings: Settings, slot: int, listening: int, ready: int) -> int:
    """Serves until SIGTERM or SIGINT, then finishes what was begun; the exit code.

    `listening` is the descriptor of a socket that listens, `ready` of a pipe that is told once this
    worker accepts. SIGHUP says that another accepts in its place: it lets its callers go, each
    after an answer that says so, and ends. Raises StartRefused where this cannot start.
    """
    refuse_unsafe_interpreter()
    use_slot(slot)
    with logs.Lines() as lines:
        logs.install(settings.log_level, lines.write)
        with traced(settings, slot):
            return uvloop.run(_serve(settings, slot, lines, _own(listening), ready))


def _own(descriptor: int) -> socket.socket:
    """The listening socket, which no process that this one starts shall keep."""
    listening = socket.socket(fileno=descriptor)
    listening.set_inheritable(False)
    return listening


@contextmanager
def traced(settings: Settings, slot: int) -> Iterator[None]:
    """Spans go where the settings say while this is open; StartRefused without their extra."""
    try:
        with tracing.exporting(settings.traces_url, settings.traces_share, __version__, slot):
            yield
    except tracing.NotInstalled:
        raise StartRefused("Expected kopeck[otel] to be installed for KOPECK_TRACES_URL") from None


def refuse_unsafe_interpreter() -> None:
    """Raises StartRefused where checks are compiled away or HTTP would be parsed by the slow twin.

    Without its asserts aiohttp has looped for ever, and its Python parser has let requests be
    smuggled in, both published faults.
    """
    if sys.flags.optimize:
        raise StartRefused("Expected Python without -O and PYTHONOPTIMIZE, was optimised")
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        raise StartRefused("Expected AIOHTTP_NO_EXTENSIONS not set, was set")
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartRefused("Expected aiohttp's compiled HTTP parser, was the one in Python")


async def _serve(
    settings: Settings,
    slot: int,
    lines: logs.Lines,
    listening: socket.socket,
    ready: int,
) -> int:
    os.set_inheritable(ready, False)
    loop = asyncio.get_running_loop()
    stop, replaced = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, replaced.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    telemetry = Telemetry(__version__, BACKEND, slot)
    async with (
        open_context(settings) as context,
        running(
            context,
            telemetry,
            slot % settings.workers,
            lines.write,
            replaced,
            lambda: lines.dropped_in_all,
        ) as server,
    ):
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await web.SockSite(server, listening, backlog=BACKLOG).start()
        os.write(ready, b"1")
        os.close(ready)
        await _first(stop, replaced)
        if not stop.is_set():
            await _let_go(server, stop, settings)
    return 0


async def _first(*events: asyncio.Event) -> None:
    """Returns once one of them is set."""
    waiting = [asyncio.create_task(event.wait(), name="a signal") for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _let_go(runner: web.ServerRunner, stop: asyncio.Event, settings: Settings) -> None:
    """Accepts no more and waits until every connection has ended, as it would have anyway.

    One that is used ends after its next answer, which says so; one that is not, when it has been
    idle for `keepalive_s`. Nothing is closed on a caller who could not know.
    """
    for site in list(runner.sites):
        await site.stop()
    server = runner.server
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.keepalive_s + settings.body_timeout_s):
            while not stop.is_set():
                if not isinstance(server, Server) or server.empty:
                    return
                await asyncio.sleep(LOOK_S)


@asynccontextmanager
async def open_context(
    settings: Settings, url: str | None = None, clock: Clock | None = None
) -> AsyncIterator[Context]:
    """The flows' context on a pool of its own; without a URL on the database of the settings."""
    wallets = wallets_of(settings)
    pool = await postgres.open_pool(settings, url)
    try:
        context = Context(
            pool, clock or SystemClock(), settings, PlanShelf(), TermsShelf(), wallets=wallets
        )
        # A calendar that cannot be read refuses the start, and payers wait for no library later.
        context.days.learn(context.clock.now())
        yield context
    finally:
        try:
            async with asyncio.timeout(settings.drain_s):
                await pool.close()
        except TimeoutError:
            pool.terminate()


@asynccontextmanager
async def running(
    context: Context,
    telemetry: Telemetry,
    slot: int,
    write: Callable[[bytes], None] | None = None,
    leaving: asyncio.Event | None = None,
    dropped: Callable[[], int] = int,
) -> AsyncIterator[web.ServerRunner]:
    """A door with all behind it; on leaving: accept no more, finish what is in flight, close.

    `write` takes the line of each request, `dropped` tells how many were lost. Once `leaving` is
    set each answer is the last of its connection.
    """
    log = RequestLog(context.settings.log_level, slot, write)
    leaving = leaving or asyncio.Event()
    async with (
        connect(context.settings.acquirers, context.steps) as acquirers,
        _telling(context, telemetry) as webhooks,
        _running(context, telemetry, slot, acquirers, webhooks, log, leaving, dropped) as runner,
    ):
        yield runner


@asynccontextmanager
async def _telling(context: Context, telemetry: Telemetry) -> AsyncIterator[Webhooks]:
    """Recipients are told of their money while this is open; what is under way then is sent
    again later, under the same id.
    """
    settings = context.settings
    rules, seal = addresses.rules_of(settings), Seal(settings.webhook_key)
    async with Sender(rules, settings.webhook_timeout_s) as sender:
        deliverer = Deliverer(context, sender, seal, telemetry)
        telling = asyncio.create_task(deliverer.run(), name="webhooks")
        try:
            yield Webhooks(context, rules, seal)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)


@asynccontextmanager
async def _running(
    context: Context,
    telemetry: Telemetry,
    slot: int,
    acquirers: Acquirers,
    webhooks: Webhooks,
    log: RequestLog,
    leaving: asyncio.Event,
    dropped: Callable[[], int],
) -> AsyncIterator[web.ServerRunner]:
    settings = context.settings
    intake = (TracedIntake if tracing.on() else Intake)(context, telemetry, encode.payment)
    hearing = Hearing(context, intake, telemetry)
    asking = Asking(context, acquirers, hearing, encode.started)
    refunding = Refunding(context, acquirers, telemetry)
    limit = RateLimit(
        settings.rate_limit_per_s, settings.workers, context.clock, settings.redis_url
    )
    routes = RouteTable(table.routes())
    document = openapi.document(routes.routes, __version__)
    darkroom = Darkroom(settings.image_pixels_max, context.steps)
    house = House(
        context,
        intake,
        telemetry,
        document,
        layouts.load(settings.report_layouts),
        templates.load(settings.barcode_templates),
        darkroom,
        acquirers,
        asking,
        hearing,
        refunding,
        webhooks,
        Coming(context),
        Press(),
        leaving=leaving,
        stopping=asyncio.Event(),
        loop=asyncio.get_running_loop(),
    )
    door, server = _door_of(house, routes, limit, log)
    runner = web.ServerRunner(server, shutdown_timeout=CLOSE_S)
    await intake.start()
    await runner.setup()
    watching = [
        asyncio.create_task(
            Poller(context, one, hearing, refunding).run(), name=f"poller of {name}"
        )
        for name, one in acquirers.items()
    ]
    watching.append(asyncio.create_task(context.wallets.keep_fresh(), name="Google's root keys"))
    pulse = Pulse(context, RoomTelemetry(telemetry.registry), intake, door, dropped)
    watching.append(asyncio.create_task(pulse.run(), name="pulse"))
    if slot == GAUGES_SLOT:
        watching += _once_a_gateway(context, telemetry)
    try:
        yield runner
    finally:
        leaving.set()
        house.stopping.set()
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
        await _finish(runner, server, door, settings.drain_s)
        await asking.drain(settings.drain_s)
        await intake.drain()
        await darkroom.close()
        pulse.show()
        telemetry.flush()
        await limit.close()


def _once_a_gateway(context: Context, telemetry: Telemetry) -> list["asyncio.Task[None]"]:
    """What one worker of a gateway does for all of them."""
    watching: list[asyncio.Task[None]] = []
    watching.append(asyncio.create_task(_count_money(context, telemetry), name="money gauges"))
    watching.append(asyncio.create_task(_notice(context), name="restores"))
    watching.append(asyncio.create_task(_seal(context), name="seals"))
    if context.settings.close_at_cut_off == "yes":
        watching.append(asyncio.create_task(_close(context), name="cut-offs"))
    watching.append(asyncio.create_task(_reconcile(context, telemetry), name="reconciliation"))
    watching.append(asyncio.create_task(_look(context, telemetry), name="standing gauges"))
    watching.append(asyncio.create_task(_make_months(context), name="months of payments"))
    watching.append(asyncio.create_task(_lay_out_log(context.settings), name="log files"))
    return watching


def _door_of(
    house: House, routes: RouteTable, limit: RateLimit, log: RequestLog
) -> tuple[Door, Server]:
    """The door and the server before it; with traces on every request goes by aiohttp."""
    settings = house.context.settings
    if tracing.on():
        traced_door = TracedDoor(house, routes, limit, log)
        return traced_door, make_server(traced_door, settings, None)
    door = Door(house, routes, limit, log)
    return door, make_server(door, settings, HotRoad(house, door, routes.hot()))


async def _finish(runner: web.ServerRunner, server: Server, door: Door, drain_s: float) -> None:
    """Accepts no more, lets what was begun end, then closes.

    aiohttp's own cleanup drops what still comes of a body, so it may only begin afterwards.
    """
    for site in runner.sites:
        await site.stop()
    await server.close_idle()
    with suppress(TimeoutError):
        async with asyncio.timeout(max(1.0, drain_s - 2 * CLOSE_S)):
            await door.idle()
    await runner.cleanup()


def make_server(door: Door, settings: Settings, road: HotRoad | None) -> Server:
    """The HTTP server of one worker, not listening yet; without a road all goes by aiohttp."""
    return Server(
        door.answer,
        settings.connections_max,
        road,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=float(settings.keepalive_s),
        lingering_time=LINGER_S,
        max_line_size=HEAD_LINE_BYTES_MAX,
        max_field_size=HEAD_LINE_BYTES_MAX,
        max_headers=HEAD_LINES_MAX,
    )


async def _count_money(context: Context, telemetry: Telemetry) -> None:
    """Keeps the money gauges fresh; a database that is away leaves them as they were.

    Each step is paused after by many times what it took, so that watching stays cheap.
    """

    async def pause(seconds: float) -> None:
        await asyncio.sleep(GAUGES_SHARE * seconds)

    start = gauges.Start()
    while True:
        try:
            with context.steps.step("audit", "money"):
                counted = await gauges.money(context.connection, pause, start)
            telemetry.money(counted)
            if counted.imbalance == 0:
                telemetry.standing.proved(context.clock.now().timestamp())
            async with context.connection() as conn:
                telemetry.waiting(await waiting_tries(context, conn))
        except Exception as failure:
            logs.bug(failure, "the money gauges")
        await asyncio.sleep(GAUGES_EVERY_S)


async def _lay_out_log(settings: Settings) -> None:
    """Makes the rest of the files for the log of a PostgreSQL of our own, while nobody pays."""
    if settings.database_url is not None or not settings.log_ahead_mb:
        return
    try:
        free = shutil.disk_usage(settings.data).free
        conn = await postgres.connect(url_of(settings), "log files")
        try:
            pause = partial(asyncio.sleep, LOG_FILES_EVERY_S)
            size = min(settings.log_ahead_mb * log_ahead.MIB, free // LOG_FILES_SHARE)
            await log_ahead.make(conn, size, pause, while_idle=True)
        finally:
            await conn.close(timeout=CLOSE_S)
    except Exception as failure:
        logs.bug(failure, "the log's files")


async def _look(context: Context, telemetry: Telemetry) -> None:
    """Keeps the standing gauges fresh; a database that is away leaves them as they were."""
    ours = context.settings.database_url is None
    data = context.settings.data if ours else None
    watch = Watch(
        context.connection, context.clock, data, partial(agreed_days.late_from, context.days)
    )
    while True:
        try:
            with context.steps.step("watch", "look"):
                telemetry.standing.show(await watch.look())
            async with context.connection() as conn:
                telemetry.webhooks(*await deliver_webhooks.waiting(context, conn))
        except Exception as failure:
            logs.bug(failure, "the standing gauges")
        await asyncio.sleep(WATCH_EVERY_S)


async def _notice(context: Context) -> None:
    """Notices a database that was put back, also where another gateway would pay from it."""
    while True:
        try:
            await notice_restore.notice(context)
        except Exception as failure:
            logs.bug(failure, "looking for a restore")
        await asyncio.sleep(NOTICE_EVERY_S)


async def _make_months(context: Context) -> None:
    """Makes the months that payments are partitioned by, long before they begin."""
    while True:
        pause = MONTHS_EVERY_S
        try:
            with context.steps.step("watch", "months"):
                async with context.connection() as conn:
                    if not await months.make(conn):
                        pause = MONTHS_AGAIN_S
        except Exception as failure:
            logs.bug(failure, "the months of payments")
            pause = MONTHS_AGAIN_S
        await asyncio.sleep(pause)


async def _seal(context: Context) -> None:
    """Seals batches soon after they are counted or approved, and what stands beside them."""
    history = History(context)
    while True:
        try:
            await seal_all(context)
            await history.seal()
        except Exception as failure:
            logs.bug(failure, "the seals")
        await asyncio.sleep(SEAL_EVERY_S)


async def _close(context: Context) -> None:
    """Closes at each cut-off; one that was missed is made up for at once."""
    cut_offs = CutOffs(context)
    while True:
        try:
            await cut_offs.close_due()
        except Exception as failure:
            logs.bug(failure, "closing at the cut-off")
            await asyncio.sleep(CUT_OFF_AGAIN_S)
        await asyncio.sleep(CUT_OFF_EVERY_S)


async def _reconcile(context: Context, telemetry: Telemetry) -> None:
    """Brings together what came, notes what is late, and keeps the gauges of it fresh."""
    while True:
        try:
            await reconcile.match_all(context)
            await reconcile.note_late(context)
            standing = await reconcile.standing(context)
            telemetry.reconciliation(standing.counts, standing.ages, standing.not_arrived)
        except Exception as failure:
            logs.bug(failure, "the reconciliation")
        await asyncio.sleep(RECONCILE_EVERY_S)
