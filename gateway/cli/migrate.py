"""`kopeck migrate`: the schema."""

import asyncio

import click

from gateway.cli import options
from gateway.storage import data_directory, postgres
from gateway.storage import migrate as schema


@click.command()
@click.option(
    "--distributed",
    is_flag=True,
    help="Spread the schema over the nodes of Citus; no gateway may run meanwhile.",
)
@options.database
def migrate(distributed: bool, **given: str | None) -> None:
    """Bring the database's schema up to this program; says what it applied."""

    async def run(url: str) -> list[str]:
        conn = await postgres.connect(url, "migrate")
        try:
            if distributed:
                return await schema.migrate_distributed(conn)
            return await schema.migrate(conn)
        finally:
            await conn.close()

    with data_directory.database(options.settings(**given), "migrate") as url:
        for name in asyncio.run(run(url)):
            click.echo(name)
