"""`kopeck worker`: one worker of `kopeck serve`, started by it and by nobody else."""

import os

import click

from gateway.cli import options


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

    return app.run_worker(settings, slot)
