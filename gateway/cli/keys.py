"""`kopeck keys`: who may call the gateway, as what."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import click

from gateway.cli import options
from gateway.storage import data_directory, migrate, postgres
from gateway.storage import keys as store


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.argument("name")
@click.option("--role", required=True, help="acquirer, operator, approver, auditor, recipient:ID")
@options.database
def add(name: str, role: str, **given: str | None) -> None:
    """Print a new secret for NAME; nobody can print it again."""
    parsed = store.parse_role(role)
    store.check_name(name)
    click.echo(_on_database(given, lambda conn: store.add(conn, name, parsed)))


@keys.command(name="list")
@options.database
def listed(**given: str | None) -> None:
    """List all keys, without their secrets."""
    for key in _on_database(given, store.listed, made=True):
        ended = "" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d %H:%M}Z"
        click.echo(f"{key.digest}\t{key.name}\t{key.role}\t{key.added_at:%Y-%m-%d}\t{ended}")


@keys.command()
@click.argument("key")
@options.database
def revoke(key: str, **given: str | None) -> None:
    """End the KEY that `keys list` shows so; others of the same name go on."""
    if not _on_database(given, lambda conn: store.revoke(conn, key), made=True):
        raise click.ClickException(f"Expected a key that begins with {key} and is not revoked")


def _on_database(
    given: dict[str, str | None], work: Callable[[Any], Awaitable[Any]], *, made: bool = False
) -> Any:
    """Runs `work` on the migrated database that the options name."""

    async def run(url: str) -> Any:
        conn = await postgres.connect(url, "keys")
        try:
            await migrate.migrate(conn)
            return await work(conn)
        finally:
            await conn.close()

    with data_directory.database(options.settings(**given), "keys", made=made) as url:
        return asyncio.run(run(url))
