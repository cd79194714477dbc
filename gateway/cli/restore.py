"""`kopeck restore`: a data directory out of a backup."""

from pathlib import Path

import click

from gateway.cli import options
from gateway.storage import backup as copy


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@options.data
def restore(directory: Path, **given: str | None) -> None:
    """Make the data directory, which must hold no database yet, out of the backup DIR."""
    settings = options.settings(**given)
    copy.restore(directory, settings.data)
    click.echo(f"restored: {settings.data}")
