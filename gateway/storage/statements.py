"""What traces tell of a statement: its verb, its first table or function, how long it took.

Never its parameters, and not its text: the house's statements hold no values, but a name is enough.
"""

import re
from functools import lru_cache
from typing import Final

import asyncpg

from gateway import tracing

NAMES_MAX: Final = 1_024
_VERB: Final = re.compile(r"\s*([A-Za-z]+)", re.ASCII)
_OBJECT: Final = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM|FROM|JOIN)\s+([a-z_][a-z_0-9]*)|SELECT\s+([a-z_]+)\(",
    re.ASCII,
)


def done(record: asyncpg.connection.LoggedQuery) -> None:
    """A statement has ended, well or not."""
    failure = record.exception
    tracing.done(
        name_of(record.query),
        record.elapsed,
        None if failure is None else type(failure).__name__,
    )


@lru_cache(NAMES_MAX)
def name_of(query: str) -> str:
    """Such as `SELECT open_bills`."""
    verb = _VERB.match(query)
    if verb is None:
        return "statement"
    # Of a statement with parts before its verb, what it changes tells more than what it reads.
    changed = re.search(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+([a-z_][a-z_0-9]*)", query)
    if changed is not None:
        return f"{changed[1].split()[0]} {changed[2]}"
    found = _OBJECT.search(query)
    name = verb[1].upper()
    return name if found is None else f"{name} {found[1] or found[2]}"
