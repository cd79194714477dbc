"""`kopeck worker`: one worker of `kopeck serve`, started by it and by nobody else."""

import os

import click

from gateway.cli import options


@click.command(hidden=True)
@click.option("--slot", type=int, required=True)
@click.option("--parent", type=int, required=True)
@click.option("--listen", type=int, required=True)
@click.option("--ready", type=int, required=True)
def worker(slot: int, parent: int, listen: int, ready: int) -> int:
    """Serve the listening socket that was handed over as a descriptor, until SIGTERM.

    Closes the descriptor `ready` after writing a byte to it, once it accepts.
    """
    settings = options.settings()
    if os.getppid() != parent:
        # The supervisor died before the kernel was asked to end us with it.
        return 0
    from gateway import app

    return app.run_worker(settings, slot, listen, ready)
