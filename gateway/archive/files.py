"""Parquet files: rows in, rows out, a row group at a time.

Columns keep the number of their PostgreSQL type beside them, for a row to be hashed as it was.
"""

import os
from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

from gateway.archive import fields
from gateway.archive.fields import Value
from gateway.config import StartRefused

try:
    import pyarrow as pa
    from pyarrow import parquet
except ImportError:
    raise StartRefused(
        "Expected pyarrow for archives, was not installed: pip install 'kopeck[archive]'"
    ) from None

# Rows held in memory: of payments, some 50 MB.
_GROUP_ROWS: Final = 50_000
_OID: Final = b"postgresql_type"
_TYPES: Final = {
    fields.BOOL: pa.bool_(),
    fields.BYTEA: pa.binary(),
    fields.BIGINT: pa.int64(),
    fields.SMALLINT: pa.int16(),
    fields.INTEGER: pa.int32(),
    fields.TEXT: pa.string(),
    fields.JSON: pa.string(),
    fields.TEXTS: pa.list_(pa.string()),
    fields.DATE: pa.date32(),
    fields.MOMENT: pa.timestamp("us", tz="UTC"),
    fields.UUID_: pa.uuid(),
}
# Types whose values are integers here, and moments to whoever reads the file.
_COUNTED: Final = {fields.DATE: pa.int32(), fields.MOMENT: pa.int64()}


class TableFile:
    """A file being written; `columns` are names and types, the latter by PostgreSQL's numbers."""

    def __init__(self, path: Path, columns: Sequence[tuple[str, int]]) -> None:
        for name, oid in columns:
            if oid not in _TYPES:
                raise ValueError(f"Expected a known type of {name}, was {oid}")
        self.path = path
        self.rows = 0
        self._oids = [oid for _, oid in columns]
        self._schema = pa.schema(
            [pa.field(name, _TYPES[oid], metadata={_OID: str(oid)}) for name, oid in columns]
        )
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Sequence[Value]] = []

    def add(self, row: Sequence[Value]) -> None:
        """One row more."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == _GROUP_ROWS:
            self._write()

    def close(self) -> None:
        """All rows are written, and durable."""
        self._write()
        self._writer.close()
        with self.path.open("rb") as written:
            os.fsync(written.fileno())

    def _write(self) -> None:
        if self._waiting:
            by_column = zip(self._oids, zip(*self._waiting, strict=True), strict=True)
            columns = [_column(oid, column) for oid, column in by_column]
            self._writer.write_table(pa.Table.from_arrays(columns, schema=self._schema))
        self._waiting = []


def _column(oid: int, column: Sequence[Value]) -> Any:
    if oid in _COUNTED:
        return pa.array(column, _COUNTED[oid]).cast(_TYPES[oid])
    return pa.array(column, _TYPES[oid])


class TableReader:
    """A file being read; ValueError wherever it is not as this program writes it."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = parquet.ParquetFile(path)
        except (OSError, pa.ArrowException) as failure:
            raise ValueError(f"{path.name} cannot be read: {failure}") from None
        self._name = path.name
        self.oids = {field.name: self._oid(field) for field in self._file.schema_arrow}

    def rows(self, columns: Sequence[str]) -> Iterator[tuple[Value, ...]]:
        """The values of these columns, a row at a time."""
        if missing := [name for name in columns if name not in self.oids]:
            raise ValueError(f"{self._name} has no column {missing[0]}")
        try:
            for batch in self._file.iter_batches(columns=list(columns)):
                read = (_values(batch.column(name), self.oids[name]) for name in columns)
                yield from zip(*read, strict=True)
        except (OSError, pa.ArrowException) as failure:
            raise ValueError(f"{self._name} cannot be read: {failure}") from None

    def _oid(self, field: Any) -> int:
        oid = int((field.metadata or {}).get(_OID, b"0"))
        if _TYPES.get(oid) != field.type:
            raise ValueError(f"{self._name} has a column {field.name} of another type")
        return oid


def _values(column: Any, oid: int) -> Any:
    if oid in _COUNTED:
        return column.cast(_COUNTED[oid]).to_pylist()
    if isinstance(column, pa.ExtensionArray):
        return column.storage.to_pylist()
    return column.to_pylist()


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()
