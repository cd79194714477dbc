"""`kopeck sandbox`: a bank that takes no money, for trying the gateway out."""

import asyncio
import signal
from pathlib import Path

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9090, show_default=True, help="0 takes any free one.")
@click.option(
    "--key",
    required=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The key that it and the gateway sign with.",
)
@click.option("--callbacks", metavar="URL", help="Where the gateway takes its callbacks.")
@click.option("--delay-ms", default=1_000, show_default=True, help="How late it calls back.")
def sandbox(host: str, port: int, key: Path, callbacks: str | None, delay_ms: int) -> int:
    """Run a bank that plays every outcome a test card names; SIGTERM ends it."""
    from gateway.acquirers.settings import secret
    from gateway.sandbox.server import Sandbox, running

    made = Sandbox(secret(key.parent, "key", key.name), callbacks, delay_ms / 1000)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with running(made, host, port) as url:
            print(f"kopeck sandbox listening on {url}", flush=True)
            await stop.wait()

    asyncio.run(serve())
    return 0
