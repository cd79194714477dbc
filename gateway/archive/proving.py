"""A month's files proved: each row hashed as the database hashed it, up to the roots of the seals.

No database is needed for that. Whoever has one, or the reports that name the roots, sees as well
that the seals are the ones that were made then, and not others made later over other rows.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from gateway.archive import fields, files, manifest
from gateway.archive.fields import Value
from gateway.archive.manifest import ArchivedBatch, ArchivedSeal, Manifest
from gateway.domain import merkle
from gateway.storage import leaves

SHARES: Final = "shares.parquet"
_OF_THEMSELVES: Final = (leaves.BATCH, leaves.APPROVAL)
# What adds to a batch's shares, and what takes of them.
_SPLIT: Final = {leaves.PAYMENT: 1, leaves.RESOLUTION: 1, leaves.REFUND: -1}


def problems(directory: Path, seals: Sequence[ArchivedSeal] | None = None) -> Iterator[str]:
    """What is wrong with a month's directory, in words; nothing where all of it holds.

    `seals` are those of the database, to be found there as they are here.
    """
    try:
        told = manifest.read(directory)
        yield from _changed(directory, told)
        rows = _Sealed(directory, told)
        for batch in told.batches:
            for seal in batch.seals:
                yield from rows.broken(batch, seal)
        yield from rows.beyond()
        yield from _unlike(told, seals)
    except ValueError as failure:
        yield str(failure)


def _changed(directory: Path, told: Manifest) -> Iterator[str]:
    known = {file.name for file in told.files} | {manifest.NAME}
    for path in sorted(directory.iterdir()):
        if path.name not in known:
            yield f"{path.name} is not in the manifest"
    for file in told.files:
        path = directory / file.name
        if not path.is_file():
            raise ValueError(f"{file.name} is not there")
        if (path.stat().st_size, files.digest(path)) != (file.bytes, file.sha256):
            yield f"{file.name} is not the file that was written"


class _Sealed:
    """The files of sealed rows, each read once from its beginning to its end."""

    def __init__(self, directory: Path, told: Manifest) -> None:
        self._tables = {
            file.kind: _Table(directory / file.name, file.kind)
            for file in told.files
            if file.kind is not None
        }
        self._shares = _Table(directory / SHARES, None)

    def broken(self, batch: ArchivedBatch, seal: ArchivedSeal) -> Iterator[str]:
        """What is wrong with the rows that a seal is of."""
        of = f"settlement batch {batch.number}, {seal.stage}"
        versions = {version for version, _ in leaves.COLUMNS}
        if seal.version not in versions:
            raise ValueError(f"{of}: is of a version of seals that is not known")
        hashes: list[bytes] = []
        split = 0
        for kind in sorted(kind for version, kind in leaves.COLUMNS if version == seal.version):
            if (kind in leaves.OF_APPROVED) == (seal.stage == "approved") and kind in self._tables:
                for row in self._tables[kind].rows_of(batch.number):
                    hashes.append(_leaf(self._tables[kind], seal.version, kind, row))
                    split += _split(self._tables[kind], kind, row)
        if (len(hashes), _root(hashes)) != (seal.leaves, bytes.fromhex(seal.root)):
            yield f"{of}: its rows are not those that were sealed"
        before, root = bytes.fromhex(seal.before), bytes.fromhex(seal.root)
        link = merkle.link(before, batch.number, seal.stage, seal.leaves, root)
        if link != bytes.fromhex(seal.chain):
            yield f"{of}: its seal does not follow from the one before it"
        if seal.stage == "counted":
            shares = self._shares.rows_of(batch.number)
            if split != sum(self._shares.integer(row, "amount_kopecks") for row in shares):
                yield f"settlement batch {batch.number}: {SHARES} does not add up to what was split"

    def beyond(self) -> Iterator[str]:
        """Files with rows of no batch of the month, or out of their order."""
        for table in (*self._tables.values(), self._shares):
            if not table.at_end():
                yield f"{table.name} has rows beyond those of its batches"


class _Table:
    """A file whose rows stand batch by batch."""

    def __init__(self, path: Path, kind: int | None) -> None:
        reader = files.TableReader(path)
        self.name = path.name
        self.oids = reader.oids
        self._places = {name: place for place, name in enumerate(reader.oids)}
        self._batch = self.place("number" if kind in _OF_THEMSELVES else "settlement_batch")
        self._rows = reader.rows(list(reader.oids))
        self._next = next(self._rows, None)

    def place(self, column: str) -> int:
        """Where a column stands in a row."""
        if column not in self._places:
            raise ValueError(f"{self.name} has no column {column}")
        return self._places[column]

    def integer(self, row: Sequence[Value], column: str) -> int:
        """The value of a column that is a number in every row."""
        value = row[self.place(column)]
        if type(value) is not int:
            raise ValueError(f"{self.name} has no number in {column}")
        return value

    def rows_of(self, batch: int) -> Iterator[tuple[Value, ...]]:
        """The rows of a batch, which come next."""
        while self._next is not None and self._next[self._batch] == batch:
            yield self._next
            self._next = next(self._rows, None)

    def at_end(self) -> bool:
        """Whether all rows were read."""
        return self._next is None


def _leaf(table: _Table, version: int, kind: int, row: Sequence[Value]) -> bytes:
    columns = leaves.COLUMNS[version, kind]
    content = fields.record(
        [table.oids[name] for name in columns], [row[table.place(name)] for name in columns]
    )
    return sha256(bytes([0, kind]) + content).digest()


def _split(table: _Table, kind: int, row: Sequence[Value]) -> int:
    """What a row adds to its batch's shares."""
    if kind == leaves.MOVE:
        return table.integer(row, "sign") * table.integer(row, "amount")
    if kind in _SPLIT and row[table.place("shares")] is not None:
        return _SPLIT[kind] * table.integer(row, "amount")
    return 0


def _root(hashes: Sequence[bytes]) -> bytes:
    size = merkle.PAGE_LEAVES
    pages = [merkle.root(hashes[at : at + size]) for at in range(0, len(hashes), size)]
    return merkle.root(pages) if pages else b""


def _unlike(told: Manifest, seals: Sequence[ArchivedSeal] | None) -> Iterator[str]:
    if seals is None:
        return
    known = {seal.number: seal for seal in seals}
    for batch in told.batches:
        for seal in batch.seals:
            if known.get(seal.number) != seal:
                of = f"settlement batch {batch.number}, {seal.stage}"
                yield f"{of}: the database has another seal"
