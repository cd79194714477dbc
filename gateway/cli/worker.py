"""`kopeck worker`: one worker of `kopeck serve`, started by it and by nobody else."""

import os
from dataclasses import replace

import click

from gateway.cli import options
from gateway.storage.embedded import url_of


@click.command(hidden=True)
@click.option("--slot", type=int, required=True)
@click.option("--parent", type=int, required=True)
def worker(slot: int, parent: int) -> int:
    """Serve the shared port until SIGTERM."""
    settings = options.settings()
    if os.getppid() != parent:
        # The supervisor died before the kernel was asked to end us with it.
        return 0
    from gateway import app

    return app.run_worker(replace(settings, database_url=url_of(settings)), slot)
