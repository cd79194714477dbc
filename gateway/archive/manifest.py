"""What stands beside the files of a month: its batches, their seals, and the files' digests."""

from datetime import date
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

NAME: Final = "manifest.json"
FORMAT: Final = 1


class ArchivedSeal(Struct, frozen=True):
    """A seal with the chain's value before it; hashes in hexadecimal."""

    number: int
    stage: str
    version: int
    leaves: int
    before: str
    root: str
    chain: str


class ArchivedBatch(Struct, frozen=True):
    """A settlement batch and its seals in their order."""

    number: int
    id: str
    business_date: date
    seals: list[ArchivedSeal]


class ArchivedFile(Struct, frozen=True):
    """A file of the month; `kind` is its rows' kind of leaf, None where they are not sealed."""

    name: str
    kind: int | None
    rows: int
    bytes: int
    sha256: str


class Manifest(Struct, frozen=True):
    """A month (YYYY-MM) and all that is in its directory."""

    month: str
    format: int
    batches: list[ArchivedBatch]
    files: list[ArchivedFile]


def read(directory: Path) -> Manifest:
    """The manifest of a directory; ValueError where there is none of this format."""
    try:
        found = msgspec.json.decode((directory / NAME).read_bytes(), type=Manifest)
    except OSError as failure:
        raise ValueError(f"{NAME} cannot be read: {failure.strerror}") from None
    except msgspec.DecodeError as failure:
        raise ValueError(f"{NAME} is not a manifest: {failure}") from None
    if found.format != FORMAT:
        raise ValueError(f"{NAME} is of format {found.format}, this program reads {FORMAT}")
    return found


def written(manifest: Manifest) -> bytes:
    """The bytes of a manifest, for people to read as well."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
