"""A place for bytes that cannot go on yet: on disk, so that memory stays bounded."""

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Self

PIECE_BYTES = 65_536
_IN_MEMORY_BYTES = 1_048_576


class Spool:
    """First in, first out; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._written - self._read_at

    def append(self, piece: bytes) -> None:
        """Adds to the end."""
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115
        self._file.seek(self._written)
        self._file.write(piece)
        self._written += len(piece)

    def take(self) -> bytes:
        """Takes up to PIECE_BYTES from the front."""
        if self._file is None:
            return b""
        self._file.seek(self._read_at)
        piece = self._file.read(min(PIECE_BYTES, len(self)))
        self._read_at += len(piece)
        if self._read_at == self._written:
            self._file.seek(0)
            self._file.truncate()
            self._read_at = self._written = 0
        return piece

    async def pieces(self) -> AsyncIterator[bytes]:
        """Everything that is in it, from the front."""
        while len(self):
            yield self.take()
