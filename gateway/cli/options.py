"""The options that commands share, and the settings made of them.

Options are taken as text and read by `gateway.config`, so that an option and its variable obey the
same rules and all complaints come in one line.
"""

from collections.abc import Callable
from typing import Any

import click

from gateway import config

_Command = Callable[..., Any]


def data(command: _Command) -> _Command:
    """`--data`, for commands that need no database of somebody else's."""
    return click.option("--data", metavar="DIR", help="Data directory. [default: ./var]")(command)


def database(command: _Command) -> _Command:
    """`--data` and `--database`: where the rows are."""
    add = click.option(
        "--database",
        "database_url",
        metavar="URL",
        help="A PostgreSQL of yours, instead of the one under the data directory.",
    )
    return data(add(command))


def settings(**given: str | None) -> config.Settings:
    """Settings of the environment and of the options used; StartRefused with all problems."""
    return config.read(given=given)
