"""Values of rows as files keep them, and PostgreSQL's binary form made of them again; pure.

Every value goes back into exactly the bytes that it came from, so that a row in a file can be
hashed as the row in the database was (`storage/leaves.py`). Moments are microseconds and dates are
days, both since 1970; a type that is not listed is refused, not guessed.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from struct import Struct as Layout
from typing import Any, Final
from uuid import UUID

Value = bool | int | str | bytes | list[str] | None

BOOL: Final = 16
BYTEA: Final = 17
BIGINT: Final = 20
SMALLINT: Final = 21
INTEGER: Final = 23
TEXT: Final = 25
JSON: Final = 114
TEXTS: Final = 1009
DATE: Final = 1082
MOMENT: Final = 1184
UUID_: Final = 2950
"""The numbers that PostgreSQL gives these types everywhere (pg_type.dat)."""

_LENGTH: Final = Layout(">i")
_OID_AND_LENGTH: Final = Layout(">Ii")
_TEXTS_HEAD: Final = Layout(">iiI")
_TEXTS_SIZE: Final = Layout(">ii")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
# To 2000, where PostgreSQL counts from.
_DAYS: Final = 10_957
_MICROSECONDS: Final = _DAYS * 86_400_000_000


def kept(value: Any) -> Value:
    """A value of a column as a file keeps it."""
    match value:
        case datetime():
            return (value - _EPOCH) // _MICROSECOND
        case date():
            return value.toordinal() - _EPOCH.toordinal()
        case UUID():
            return value.bytes
        case None | bool() | int() | str() | bytes() | list():
            return value
        case _:
            raise TypeError(f"Expected a value of a known type, was a {type(value).__name__}")


def record(oids: Sequence[int], row: Sequence[Value]) -> bytes:
    """What `record_send` makes of a row of these values, which are not of NULL alone."""
    parts = [_LENGTH.pack(len(oids))]
    for oid, value in zip(oids, row, strict=True):
        if value is None:
            parts.append(_OID_AND_LENGTH.pack(oid, -1))
        else:
            content = _WRITTEN[oid](value)
            parts += (_OID_AND_LENGTH.pack(oid, len(content)), content)
    return b"".join(parts)


def _integer(size: int, since: int = 0) -> Callable[[int], bytes]:
    return lambda value: (value - since).to_bytes(size, "big", signed=True)


def _texts(texts: Sequence[str]) -> bytes:
    if not texts:
        return _TEXTS_HEAD.pack(0, 0, TEXT)
    parts = [_TEXTS_HEAD.pack(1, 0, TEXT), _TEXTS_SIZE.pack(len(texts), 1)]
    for text in texts:
        content = text.encode()
        parts += (_LENGTH.pack(len(content)), content)
    return b"".join(parts)


# A type's binary form (`<type>send`); json is sent as the text that was given, to the last space.
_WRITTEN: Final[dict[int, Callable[..., bytes]]] = {
    BOOL: lambda value: b"\x01" if value else b"\x00",
    BYTEA: bytes,
    BIGINT: _integer(8),
    SMALLINT: _integer(2),
    INTEGER: _integer(4),
    TEXT: str.encode,
    JSON: str.encode,
    TEXTS: _texts,
    DATE: _integer(4, _DAYS),
    MOMENT: _integer(8, _MICROSECONDS),
    UUID_: bytes,
}
