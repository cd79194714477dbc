"""Rows as the bytes that a binary COPY takes, for who puts them together: a field is its length and
its content.

Handing asyncpg a tuple a row costs three times as much.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from struct import Struct as Layout
from typing import Any, Final

from gateway import tracing

NULL: Final = b"\xff\xff\xff\xff"
LENGTH: Final = Layout(">i").pack
"""The length of a field that follows."""

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_MOMENT: Final = Layout(">iq").pack
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


def field(content: bytes) -> bytes:
    """A field of bytes or text."""
    return LENGTH(len(content)) + content


def microseconds(at: datetime) -> int:
    """Microseconds since 2000, which is how a timestamptz is kept."""
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def moment(at: datetime) -> bytes:
    """A field of a timestamptz."""
    return _MOMENT(8, microseconds(at))


def joined(pieces: Sequence[bytes]) -> bytes:
    """The rows as COPY takes them; each begins with the number of its fields (16 bits)."""
    return b"".join((_SIGNATURE, *pieces, _END))


async def copy(conn: Any, table: str, columns: Sequence[str], content: bytes) -> None:
    """Add joined rows to a table; errors are asyncpg's."""
    # asyncpg takes bare bytes for the path of a file.
    source = memoryview(content)
    with tracing.outward(f"COPY {table}", db__system__name="postgresql"):
        await conn.copy_to_table(table, columns=columns, source=source, format="binary")
