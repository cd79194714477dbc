"""`kopeck migrate`: the schema."""

import asyncio

import click

from gateway.cli import options
from gateway.storage import data_directory, postgres
from gateway.storage import migrate as schema


@click.command()
@options.database
def migrate(**given: str | None) -> None:
    """Bring the database's schema up to this program; says what it applied."""

    async def run(url: str) -> list[str]:
        conn = await postgres.connect(url, "migrate")
        try:
            return await schema.migrate(conn)
        finally:
            await conn.close()

    with data_directory.database(options.settings(**given), "migrate") as url:
        for name in asyncio.run(run(url)):
            click.echo(name)
