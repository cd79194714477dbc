"""The same aiohttp and uvloop as the gateway's, answering a constant to the same request.

What any HTTP service in this framework costs before it does anything: the body is read and not
looked at. Each worker is a process; all listen on one port. They end when their stdin is closed.

`constant_servers` is what other programs call; `python -m loadtests.constant_server` is a worker.
"""

import asyncio
import contextlib
import gc
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import uvloop
from aiohttp import web

ROOT = Path(__file__).resolve().parents[1]
PATH = "/v1/payments"
# As in the gateway, so that the two differ in their work alone.
GC_THRESHOLDS = (100_000, 50, 50)
BACKLOG = 1024
STOP_S = 10.0


@contextlib.contextmanager
def constant_servers(workers: int, content: bytes) -> Iterator[int]:
    """The port on which `workers` processes answer 201 with `content` to POST /v1/payments."""
    with contextlib.ExitStack() as stack:
        held = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        for _ in range(workers):
            stack.enter_context(_worker(port, content))
        yield port


@contextlib.contextmanager
def _worker(port: int, content: bytes) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "loadtests.constant_server", str(port)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    stdin, stdout = process.stdin, process.stdout
    if stdin is None or stdout is None:
        raise RuntimeError("Expected pipes to the constant server, was none")
    try:
        stdin.write(content + b"\n")
        stdin.flush()
        if stdout.readline() != b"listening\n":
            raise RuntimeError("Expected the constant server to listen, it did not")
        yield
    finally:
        stdin.close()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        stdout.close()


async def _serve(port: int, content: bytes) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=201, body=content, content_type="application/json")

    application = web.Application()
    application.router.add_post(PATH, answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=BACKLOG, reuse_port=True).start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    print("listening", flush=True)
    await ended.wait()
    await runner.cleanup()


def main() -> None:
    """One worker on the port of the command line; the constant is the first line of stdin."""
    content = sys.stdin.buffer.readline().rstrip(b"\n")
    uvloop.run(_serve(int(sys.argv[1]), content))


if __name__ == "__main__":
    main()
