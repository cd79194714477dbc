"""What both wallets' tokens are written in: base64, hexadecimal and JSON, read strictly. Pure.

Whatever does not fit is a `token_invalid` that names the field and never its value.
"""

import base64
import binascii
import json
import re
from typing import Final, TypeVar

import msgspec

from gateway.domain.payment import OpenedToken
from gateway.domain.refusals import Refusal
from gateway.methods.pan import network_of

PAN_DIGITS_MIN: Final = 12
PAN_DIGITS_MAX: Final = 19
# What a receipt may show of a card number (PCI DSS 3.4).
FIRST_DIGITS: Final = 6
LAST_DIGITS: Final = 4

_PAN: Final = re.compile(rf"[0-9]{{{PAN_DIGITS_MIN},{PAN_DIGITS_MAX}}}", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)

Shape = TypeVar("Shape")


class OpenedCard(msgspec.Struct, frozen=True):
    """What is kept of an opened token: facts without the card number, and the token's own mark."""

    facts: dict[str, str]
    token: OpenedToken


def invalid(expected: str) -> Refusal:
    """The refusal of a token that is not what was expected."""
    return Refusal("token_invalid", f"Expected {expected}")


def unbase64(text: str, name: str, bytes_max: int) -> bytes:
    """The bytes behind a field in base64; 1..`bytes_max` of them."""
    if len(text) > bytes_max * 4 // 3 + 4:
        raise invalid(f"{name} of at most {bytes_max} bytes")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(f"{name} in base64") from None
    if not 1 <= len(content) <= bytes_max:
        raise invalid(f"{name} of 1..{bytes_max} bytes")
    return content


def unhexadecimal(text: str, name: str, bytes_max: int) -> bytes:
    """The bytes behind a field in hexadecimal digits; 1..`bytes_max` of them."""
    if len(text) > 2 * bytes_max or _HEXADECIMAL.fullmatch(text) is None:
        raise invalid(f"{name} in hexadecimal, 1..{bytes_max} bytes")
    return bytes.fromhex(text)


def converted(value: object, shape: type[Shape], name: str) -> Shape:
    """A parsed JSON value as its shape; a number is no text and a text no number."""
    try:
        return msgspec.convert(value, shape)
    except (msgspec.ValidationError, RecursionError):
        raise invalid(f"{name} of its documented fields alone") from None


def parsed(content: str | bytes, shape: type[Shape], name: str) -> Shape:
    """JSON text as its shape; what stands twice in an object could be read in two ways."""
    try:
        found = msgspec.json.decode(content, type=shape)
        text = content if isinstance(content, str) else content.decode()
        json.loads(text, object_pairs_hook=_once)
        return found
    except (ValueError, RecursionError):
        # What msgspec raises descends from ValueError, and so does text that UTF-8 cannot hold.
        raise invalid(f"{name} as JSON of its documented fields") from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("Expected every field once")
    return found


def facts_of(pan: str, authentication: str) -> dict[str, str]:
    """What is kept of a card: its network and what a receipt shows of its number.

    `authentication` is the wallet's own word for how the payer was known.
    """
    if _PAN.fullmatch(pan) is None:
        raise invalid(f"a card number of {PAN_DIGITS_MIN}..{PAN_DIGITS_MAX} digits in the token")
    network = network_of(pan)
    hidden = "*" * (len(pan) - FIRST_DIGITS - LAST_DIGITS)
    kept = {
        "network": network,
        "masked_pan": f"{pan[:FIRST_DIGITS]}{hidden}{pan[-LAST_DIGITS:]}",
        "authentication": authentication,
    }
    return {name: value for name, value in kept.items() if value is not None}
