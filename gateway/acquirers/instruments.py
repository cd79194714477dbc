"""The method of a payment that an acquirer is to take: what it is taken by (pure).

The references and tokens themselves are told to the acquirer and kept nowhere; errors name fields.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from gateway.acquirers.words import Instrument, MirPay, SavedCard, SbpQr, WalletToken
from gateway.domain.refusals import Refusal

WALLETS: Final = ("apple_pay", "google_pay")
TOKEN_BYTES_MAX: Final = 16_384

_REFERENCE: Final = re.compile(r"[!-~]{1,128}", re.ASCII)
_MIR_PAY: Final = b'{"instrument":"mir_pay"}'


class Told(Struct, frozen=True):
    """The method's type, what is kept of it (a JSON object) and the instrument itself."""

    type: str
    facts: bytes
    instrument: Instrument


def read(method: Mapping[str, object]) -> Told:
    """The method as an instrument; Refusal method_invalid for anything else."""
    told = method.get("type")
    reader = _READERS.get(told) if isinstance(told, str) else None
    if reader is None or not isinstance(told, str):
        raise Refusal("method_invalid", f"Expected method.type one of {', '.join(_READERS)}")
    return reader(told, method)


def again(method: str, facts: bytes) -> Instrument:
    """The instrument of an order that was asked for before, without what was not kept."""
    if method == "sbp":
        return SbpQr()
    if method in WALLETS:
        return WalletToken(method, b"")
    return MirPay() if facts == _MIR_PAY else SavedCard("")


def _card(told: str, method: Mapping[str, object]) -> Told:
    reference = method.get("reference")
    if told == "mir" and len(method) == 1:
        return Told(told, _MIR_PAY, MirPay())
    _only(method, "reference")
    if not isinstance(reference, str) or _REFERENCE.fullmatch(reference) is None:
        raise Refusal("method_invalid", "Expected method.reference of 1..128 visible characters")
    return Told(told, b"{}", SavedCard(reference))


def _sbp(told: str, method: Mapping[str, object]) -> Told:
    _only(method)
    return Told(told, b"{}", SbpQr())


def _wallet(told: str, method: Mapping[str, object]) -> Told:
    _only(method, "token")
    token = method.get("token")
    if not isinstance(token, str | dict) or not token:
        raise Refusal("method_invalid", "Expected method.token as the wallet gave it")
    content = token.encode() if isinstance(token, str) else msgspec.json.encode(token)
    if len(content) > TOKEN_BYTES_MAX:
        raise Refusal("method_invalid", f"Expected a token of at most {TOKEN_BYTES_MAX} bytes")
    return Told(told, b"{}", WalletToken(told, content))


def _only(method: Mapping[str, object], *names: str) -> None:
    if set(method) != {"type", *names}:
        expected = " and ".join(("type", *names))
        raise Refusal("method_invalid", f"Expected {expected} in this method, was another")


_READERS: Final[dict[str, Callable[[str, Mapping[str, object]], Told]]] = {
    "card": _card,
    "mir": _card,
    "sbp": _sbp,
    "apple_pay": _wallet,
    "google_pay": _wallet,
}
