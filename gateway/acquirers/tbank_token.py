"""The token that signs every request to T-Bank and every notification of it (pure).

SHA-256 of the values of the fields of the root, the password among them, in the order of their
names. Objects and lists (DATA, Receipt) are not signed, nor is the token itself.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

FIELD: Final = "Token"


def token(fields: Mapping[str, object], password: str) -> str:
    """64 hexadecimal digits, lower case; numbers and texts count as they are written."""
    signed = {name: _written(value) for name, value in fields.items() if name != FIELD}
    signed["Password"] = password
    values = (signed[name] for name in sorted(signed))
    content = "".join(value for value in values if value is not None)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def holds(fields: Mapping[str, object], password: str) -> bool:
    """Whether the token among the fields is theirs."""
    told = fields.get(FIELD)
    if not isinstance(told, str):
        return False
    expected = token(fields, password)
    return hmac.compare_digest(told.encode("utf-8", "surrogatepass"), expected.encode())


def _written(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    return None
