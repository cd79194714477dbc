"""A worker for tests of the supervisor: answers every GET with its slot and its pid.

/slow takes a second, so that there is something to drain. KOPECK_TEST_DEAF=1 makes it ignore
SIGTERM, and KOPECK_TEST_REFUSE=1 makes it end at once with exit code 2.
"""

import asyncio
import os
import signal
import socket
import sys

from aiohttp import web

from gateway import config


async def _answer(request: web.Request) -> web.Response:
    if request.path == "/slow":
        await asyncio.sleep(1)
    return web.Response(text=f"{sys.argv[2]} {os.getpid()}")


async def _run(settings: config.Settings) -> None:
    app = web.Application()
    app.router.add_get("/{path}", _answer)
    runner = web.AppRunner(app, shutdown_timeout=settings.drain_s)
    await runner.setup()
    given = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    await web.SockSite(runner, socket.socket(fileno=int(given["--listen"]))).start()
    os.write(int(given["--ready"]), b"1")
    os.close(int(given["--ready"]))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if os.environ.get("KOPECK_TEST_DEAF") == "1":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_signal_handler(signal.SIGHUP, stop.set)
    await stop.wait()
    await runner.cleanup()


if os.environ.get("KOPECK_TEST_REFUSE") == "1":
    sys.exit(2)
asyncio.run(_run(config.read()))
