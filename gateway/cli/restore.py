"""`kopeck restore`: a data directory out of a backup.

What happened to its batches since the backup is known to the bank alone, so they are marked: paying
them again takes a person who says why.
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
    from gateway.settlement import store

    conn = await postgres.connect(url, "restore")
    try:
        await migrate.migrate(conn)
        await store.mark_restored(conn, SystemClock().now())
    finally:
        await conn.close()
