"""`kopeck demo`: the whole job on a sample region."""

import click

from gateway.cli import options


@click.command()
@options.data
def demo(**given: str | None) -> int:
    """Take a sample region from its first bill to its payout file."""
    settings = options.settings(**given)
    from gateway.demo import story

    return story.run(settings)
