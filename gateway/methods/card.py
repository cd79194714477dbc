"""Cards and MIR, by reference only: the bank has taken the money and tells what it may tell.

No full card number, expiry or security code is ever accepted here.
"""

import re
from collections.abc import Mapping
from typing import Final

from gateway.domain.refusals import Refusal
from gateway.methods.facts import PRINTABLE, MethodFacts, only_keys, text_of
from gateway.methods.pan import DIGITS_MAX, DIGITS_MIN, NETWORKS, network_of

KEYS: Final = frozenset({"type", "network", "masked_pan", "rrn", "authorization_code", "terminal"})

TERMINAL_LENGTH_MAX: Final = 64
_RRN_LENGTH_MAX: Final = 40
_AUTHORIZATION_CODE_LENGTH_MAX: Final = 12
_MASKED_PAN_LENGTH_MAX: Final = 40

_NETWORK: Final = re.compile(r"[A-Za-z]+")
_MASK: Final = re.compile(r"([0-9]*)([*xX•#]+)([0-9]*)")
_PARTING: Final = str.maketrans("", "", " -\u00a0")

# PCI DSS 3.4: at most the issuer's number and the last four. An issuer's number of 8 digits is
# shown only where enough stays hidden that Luhn does not give the rest away.
_FIRST_DIGITS_MAX: Final = 6
_FIRST_DIGITS_LONG_MAX: Final = 8
_HIDDEN_WITH_LONG_MIN: Final = 4
_LAST_DIGITS_MAX: Final = 4


def normalise(method: Mapping[str, object]) -> MethodFacts:
    """Facts of a `card` or `mir` payment; Refusal method_invalid, pan_not_allowed.

    A network that the masked number contradicts is a warning: co-badged cards exist, and the
    bank that took the money knows better.
    """
    only_keys(method, KEYS)
    is_mir = method["type"] == "mir"
    masked_pan = _masked_pan(text_of(method, "masked_pan", _MASKED_PAN_LENGTH_MAX, PRINTABLE))
    told = _network(text_of(method, "network", 16, _NETWORK))
    if is_mir and told not in (None, "mir"):
        raise Refusal("method_invalid", f"Expected network mir in a mir payment, was {told}")
    seen = network_of(masked_pan) if masked_pan else None
    network = "mir" if is_mir else told or seen
    facts = {
        "network": network,
        "masked_pan": masked_pan,
        "rrn": text_of(method, "rrn", _RRN_LENGTH_MAX),
        "authorization_code": text_of(method, "authorization_code", _AUTHORIZATION_CODE_LENGTH_MAX),
        "terminal": text_of(method, "terminal", TERMINAL_LENGTH_MAX, PRINTABLE),
    }
    return MethodFacts(
        type="mir" if is_mir else "card",
        network=network,
        facts={name: value for name, value in facts.items() if value is not None},
        warnings=("network_differs",) if seen and network and seen != network else (),
    )


def _network(told: str | None) -> str | None:
    if told is None:
        return None
    network = told.lower()
    if network not in NETWORKS:
        raise Refusal("method_invalid", f"Expected network one of {', '.join(NETWORKS)}")
    return network


def _masked_pan(told: str | None) -> str | None:
    """The masked number with `*` for what is hidden, without the spaces it was printed with."""
    if told is None:
        return None
    compact = told.translate(_PARTING)
    if compact.isascii() and compact.isdigit() and DIGITS_MIN <= len(compact) <= DIGITS_MAX:
        raise Refusal("pan_not_allowed", "Expected masked_pan masked, was a full card number")
    match = _MASK.fullmatch(compact)
    if match is None or len(compact) > DIGITS_MAX:
        raise Refusal("method_invalid", "Expected masked_pan like 427644******1234")
    first, hidden, last = match.groups()
    many_hidden = len(hidden) >= _HIDDEN_WITH_LONG_MIN
    first_max = _FIRST_DIGITS_LONG_MAX if many_hidden else _FIRST_DIGITS_MAX
    if len(first) > first_max or len(last) > _LAST_DIGITS_MAX:
        raise Refusal(
            "method_invalid",
            f"Expected masked_pan with at most {first_max} first and {_LAST_DIGITS_MAX} last "
            f"digits, was {len(first)} and {len(last)}",
        )
    return f"{first}{'*' * len(hidden)}{last}"
