"""One thing that was looked at: how it is, and what to do where it is not well."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

# From well to ill; `ill` makes the command fail.
STATES: Final = ("well", "look", "ill")


class Finding(Struct, frozen=True):
    """`found` is told to people and holds no secret; `advice` is empty where all is well."""

    what: str
    state: str
    found: str
    advice: str = ""


def well(what: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(what, "well", found)


def look(what: str, found: str, advice: str) -> Finding:
    """To be looked at before it hurts."""
    return Finding(what, "look", found, advice)


def ill(what: str, found: str, advice: str) -> Finding:
    """It hurts, or will for certain."""
    return Finding(what, "ill", found, advice)


def worst(findings: Iterable[Finding]) -> str:
    """The worst state of them."""
    return max((one.state for one in findings), key=STATES.index, default="well")
