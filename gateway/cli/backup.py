"""`kopeck backup`: a copy of the whole database, also while payments come in."""

from pathlib import Path

import click

from gateway.cli import options
from gateway.storage import backup as copy
from gateway.storage import data_directory


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@options.database
def backup(directory: Path, **given: str | None) -> None:
    """Copy the database into the new directory DIR and verify the copy."""
    settings = options.settings(**given)
    with data_directory.database(settings, "backup", made=True) as url:
        copy.backup(url, directory)
    click.echo(f"backup verified: {directory}")
