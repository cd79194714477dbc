"""`kopeck restore`: a data directory out of a backup.

What happened to its batches since the backup is known to the bank alone, and what was closed since
is not in it: settlement is held until two people lift it.
"""

import asyncio
from pathlib import Path

import click

from gateway.cli import options
from gateway.domain.clock import SystemClock
from gateway.storage import backup as copy
from gateway.storage import data_directory, migrate, postgres


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@options.data
def restore(directory: Path, **given: str | None) -> None:
    """Make the data directory, which must hold no database yet, out of the backup DIR."""
    settings = options.settings(**given)
    copy.restore(directory, settings.data)
    with data_directory.database(settings, "restore", made=True) as url:
        asyncio.run(_mark(url))
    click.echo(f"restored: {settings.data}")


async def _mark(url: str) -> None:
    from gateway.flows import after_restore
    from gateway.settlement import store_restores

    conn = await postgres.connect(url, "restore")
    try:
        await migrate.migrate(conn)
        async with conn.transaction():
            await store_restores.lock(conn)
            detail = "kopeck restore made this database out of a backup"
            await after_restore.begin(conn, "restore", detail, SystemClock().now(), None)
    finally:
        await conn.close()
