"""What gateways remember of settlement outside the database: batches that were approved and sent.

A database that was put back has lost the newest of them; a file beside the gateway has not. It is a
directory of small files, one for each installation, rewritten whole and made durable before a
payout file is given out.
"""

import fcntl
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from gateway.config import Settings
from gateway.domain.refusals import Unavailable

APPROVED: Final = "approved"
SENT: Final = "sent"
# Of months: whoever restores an older backup says so.
KEPT_MAX: Final = 500


class Mark(msgspec.Struct, frozen=True):
    """That a batch was approved or sent, and when."""

    batch: UUID
    state: str
    at: datetime


_marks: Final = msgspec.json.Decoder(list[Mark])


def directory_of(settings: Settings) -> Path | None:
    """Where marks are kept: as it is set, or beside a database of our own; None for nowhere."""
    if settings.witness is not None:
        return settings.witness
    return settings.data / "witness" if settings.database_url is None else None


def read(directory: Path, installation: UUID) -> list[Mark]:
    """What is remembered of an installation; nothing where there is no file.

    Raises Unavailable where there is one that cannot be read: it may remember what was lost.
    """
    try:
        content = _file(directory, installation).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as failure:
        raise _unavailable(f"{failure.strerror} in {directory}") from None
    try:
        return _marks.decode(content)
    except msgspec.MsgspecError:
        raise _unavailable(f"no list of marks in {directory}") from None


def remember(directory: Path, installation: UUID, mark: Mark) -> None:
    """Keep a mark, durably; Unavailable where that cannot be."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Workers of one machine write one file; the kernel lets go whatever becomes of them.
            fcntl.flock(folder, fcntl.LOCK_EX)
            marks = read(directory, installation)
            if (mark.batch, mark.state) not in {(one.batch, one.state) for one in marks}:
                _write(directory, installation, [*marks, mark][-KEPT_MAX:])
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as failure:
        raise _unavailable(f"{failure.strerror} in {directory}") from None


def _write(directory: Path, installation: UUID, marks: Sequence[Mark]) -> None:
    file = _file(directory, installation)
    part = file.with_suffix(".part")
    with part.open("wb") as opened:
        opened.write(msgspec.json.encode(marks))
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)


def _file(directory: Path, installation: UUID) -> Path:
    return directory / f"{installation.hex}.json"


def _unavailable(was: str) -> Unavailable:
    return Unavailable("unavailable", f"Expected a witness of settlement to write to, was {was}")
