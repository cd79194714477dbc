"""`kopeck archive`: months of sealed batches as files, and the proof that they are whole."""

import asyncio
import json
from pathlib import Path

import click

from gateway.cli import options
from gateway.config import StartRefused
from gateway.storage import data_directory


@click.group()
def archive() -> None:
    """Keep months in Parquet files, and prove them."""


@archive.command()
@click.argument("month", metavar="YYYY-MM")
@click.option(
    "--to",
    "archives",
    metavar="DIR",
    type=click.Path(path_type=Path),
    required=True,
    help="Where the archives of months are.",
)
@options.database
def write(month: str, archives: Path, **given: str | None) -> int:
    """Copy a month into DIR/YYYY-MM, proved against its seals before it is there.

    Nothing of the database is changed. Every settlement batch of the month has to be sealed.
    """
    settings = options.settings(**given)
    from gateway.archive import writing

    with data_directory.database(settings, "archive", made=True) as url:
        found = asyncio.run(writing.write(url, month, archives))
    return _told(found)


@archive.command()
@click.argument("directory", metavar="DIR/YYYY-MM", type=click.Path(path_type=Path))
@options.database
def prove(directory: Path, **given: str | None) -> int:
    """Hash each row of a month's files up to the roots of its seals; exit 0 only when all hold.

    With --data or --database the seals are held against that database's. Without either, compare
    the roots that are printed with those that recipients' reports name.
    """
    if not directory.is_dir():
        raise StartRefused(f"Expected the directory of a month, was {directory}")
    from gateway.archive import manifest, proving, writing

    seals = None
    if any(given.values()):
        with data_directory.database(options.settings(**given), "archive", made=True) as url:
            seals = asyncio.run(writing.known_seals(url))
    problems = list(proving.problems(directory, seals))
    try:
        told = manifest.read(directory)
    except ValueError:
        return _told({"problems": problems})
    return _told(writing.summary(told, problems))


def _told(found: dict[str, object]) -> int:
    click.echo(json.dumps(found, ensure_ascii=False))
    return 1 if found["problems"] else 0
