"""`kopeck audit`: are the books right?"""

import asyncio
import json

import click

from gateway.cli import options
from gateway.storage import data_directory


@click.command()
@options.database
def audit(**given: str | None) -> int:
    """Recompute every invariant from the stored rows; exit 0 only when all hold."""
    settings = options.settings(**given)
    from gateway.audit import report

    with data_directory.database(settings, "audit", made=True) as url:
        found = asyncio.run(report.run(url))
    click.echo(json.dumps(found, ensure_ascii=False, default=str))
    return 1 if found["problems"] else 0
