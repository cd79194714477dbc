"""`kopeck serve`: the gateway."""

import click

from gateway.cli import options


@click.command()
@click.option("--host", metavar="HOST", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", metavar="PORT", help="0 takes any free one. [default: 8080]")
@click.option("--workers", metavar="N", help="Worker processes. [default: one a core, at most 8]")
@options.database
@click.option(
    "--redis",
    "redis_url",
    metavar="URL",
    help="A Redis to share limits; `embedded`: one of our own.",
)
def serve(**given: str | None) -> int:
    """Run the gateway; SIGTERM drains it."""
    settings = options.settings(**given)
    from gateway import supervisor

    return supervisor.serve(settings)
