"""The command line: one file a command, imported when it is used.

Whatever goes wrong for the person at the terminal is one line on stderr and exit code 2; a
traceback is a bug. What a command prints for programs is alone on stdout.
"""

import importlib
import sys
from typing import NoReturn

import click

import gateway
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal

EXIT_REFUSED = 2

# Command → its file; a command is the object of the same name in it. The order is the help's.
_COMMANDS = (
    "serve",
    "demo",
    "sandbox",
    "split",
    "keys",
    "report",
    "settle",
    "audit",
    "archive",
    "doctor",
    "psql",
    "migrate",
    "backup",
    "restore",
    "worker",
)


class _Commands(click.Group):
    """Imports a command's file only when the command is used: `kopeck split` starts at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"gateway.cli.{cmd_name}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"Expected a command in gateway.cli.{cmd_name}, was {command!r}")
        return command


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gateway.__version__, message="kopeck %(version)s")
def kopeck() -> None:
    """A payment gateway that splits every household payment to the kopeck."""


def main() -> None:
    """Runs one command and exits with its code."""
    try:
        code = kopeck.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as help_wanted:
        help_wanted.show()
        sys.exit(EXIT_REFUSED)
    except click.ClickException as wrong:
        _refuse(wrong.format_message())
    except (StartRefused, Refusal) as refused:
        _refuse(getattr(refused, "detail", str(refused)))
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does; what it did not read is nobody's.
        sys.stderr.close()
        sys.exit(1)
    sys.exit(code if type(code) is int else 0)


def _refuse(line: str) -> NoReturn:
    print(f"kopeck: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(EXIT_REFUSED)
