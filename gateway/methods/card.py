"""Cards and MIR, by reference only: the bank has taken the money and tells what it may tell.

No full card number, expiry or security code is ever accepted here.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from gateway.domain.refusals import Refusal
from gateway.methods.facts import PRINTABLE, MethodFacts, Text, texts_of
from gateway.methods.pan import DIGITS_MAX, DIGITS_MIN, network_of

TERMINAL_LENGTH_MAX: Final = 64

FIELDS: Final = {
    # Any word: a payment already taken is not refused for a network that is new to us.
    "network": Text(32, re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)),
    "masked_pan": Text(40, PRINTABLE),
    "rrn": Text(40),
    "authorization_code": Text(12),
    "terminal": Text(TERMINAL_LENGTH_MAX, PRINTABLE),
}
_MIR_FIELDS: Final = {
    **FIELDS,
    # Mir Pay is a session of the payer's phone with the acquirer: what it leaves is a card payment
    # that says so. Unlike other wallets it gives nobody a token.
    "instrument": Text(16, re.compile("mir_pay")),
}

# What nearly every bank tells, one field a line: no such text is anything but good, holds a full
# card number or would be stored otherwise than it came.
USUAL: Final = {
    "type": "card",
    "network": "[a-z]{1,32}",
    "masked_pan": r"[0-9]{6}\*{4,9}[0-9]{4}",
    "rrn": "[0-9A-Za-z]{1,40}",
    "authorization_code": "[0-9A-Za-z]{1,12}",
    "terminal": "[0-9A-Za-z]{1,64}",
}

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
    is_mir = method["type"] == "mir"
    if is_mir and "token" in method:
        raise Refusal("method_invalid", "Expected no token in a mir payment: Mir Pay gives none")
    facts = texts_of(method, _MIR_FIELDS if is_mir else FIELDS)
    seen = None
    if "masked_pan" in facts:
        facts["masked_pan"] = masked_pan = _masked_pan(facts["masked_pan"])
        seen = network_of(masked_pan)
    told = facts.pop("network", None)
    network = None if told is None else told.lower()
    if is_mir and network not in (None, "mir"):
        raise Refusal("method_invalid", f"Expected network mir in a mir payment, was {network}")
    network = "mir" if is_mir else network or seen
    return MethodFacts(
        type="mir" if is_mir else "card",
        network=network,
        facts=facts if network is None else {"network": network, **facts},
        warnings=("network_differs",) if seen and seen != network else (),
    )


def as_usual(method: Mapping[str, object]) -> MethodFacts | None:
    """What `normalise` gives, at a third of its cost, for a card told of in the usual way."""
    usual = _usual_with(tuple(method))
    if usual is None:
        return None
    try:
        match = usual.fullmatch("\n".join(method.values()))  # type: ignore[arg-type]
    except TypeError:
        return None
    if match is None:
        return None
    # The match says that all are texts.
    facts: dict[str, Any] = {name: method[name] for name in FIELDS if name in method}
    network = facts["network"]
    seen = network_of(facts["masked_pan"])
    warnings = ("network_differs",) if seen and seen != network else ()
    return MethodFacts("card", network, facts, None, warnings)


@lru_cache(256)
def _usual_with(fields: tuple[str, ...]) -> re.Pattern[str] | None:
    """The shape of the values of these fields, a line each; None where they are not the usual."""
    if not {"type", "network", "masked_pan"} <= set(fields) <= set(USUAL):
        return None
    return re.compile("\n".join(USUAL[name] for name in fields), re.ASCII)


def _masked_pan(told: str) -> str:
    """The masked number with `*` for what is hidden, without the spaces it was printed with."""
    match = _MASK.fullmatch(told) or _MASK.fullmatch(told.translate(_PARTING))
    if match is None and _is_full(told.translate(_PARTING)):
        raise Refusal("pan_not_allowed", "Expected masked_pan masked, was a full card number")
    if match is None or match.end() > DIGITS_MAX:
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


def _is_full(text: str) -> bool:
    return text.isascii() and text.isdigit() and DIGITS_MIN <= len(text) <= DIGITS_MAX
