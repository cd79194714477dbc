"""Private keys of wallets out of PEM text. Pure.

What cannot be used is a ValueError that says what was expected, for whoever set it.
"""

import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

# Each key is tried on each token: the bound is on the time that a bad one takes.
KEYS_MAX: Final = 8

_BLOCK: Final = re.compile(
    rb"-----BEGIN ((?:[A-Z]+ )?PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL
)


def private_keys(content: bytes) -> tuple[ec.EllipticCurvePrivateKey, ...]:
    """The keys of a PEM file, 1..KEYS_MAX of the curve P-256, none behind a password."""
    blocks = [match[0] for match in _BLOCK.finditer(content)]
    if not 1 <= len(blocks) <= KEYS_MAX:
        raise ValueError(f"Expected 1..{KEYS_MAX} private keys in PEM, was {len(blocks)}")
    return tuple(map(_private_key, blocks))


def _private_key(block: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(block, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own words might quote what it could not read.
        raise ValueError("Expected private keys in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != ec.SECP256R1.name:
        raise ValueError("Expected private keys of the curve P-256")
    return key
