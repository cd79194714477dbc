"""Cash at a terminal or a desk: all that is known is where it was taken."""

from collections.abc import Mapping
from typing import Final

from gateway.methods.card import TERMINAL_LENGTH_MAX
from gateway.methods.facts import PRINTABLE, MethodFacts, only_keys, text_of

KEYS: Final = frozenset({"type", "terminal"})


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """Facts of a `cash` payment; Refusal method_invalid."""
    only_keys(method, KEYS)
    terminal = text_of(method, "terminal", TERMINAL_LENGTH_MAX, PRINTABLE)
    return MethodFacts(type="cash", facts={} if terminal is None else {"terminal": terminal})
