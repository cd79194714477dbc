"""Cash at a terminal or a desk: all that is known is where it was taken."""

from collections.abc import Mapping
from typing import Final

from gateway.methods.card import TERMINAL_LENGTH_MAX
from gateway.methods.facts import PRINTABLE, MethodFacts, Text, texts_of

FIELDS: Final = {"terminal": Text(TERMINAL_LENGTH_MAX, PRINTABLE)}


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """Facts of a `cash` payment; Refusal method_invalid."""
    return MethodFacts(type="cash", facts=texts_of(method, FIELDS))
