"""A centre's own descriptors: a directory of TOML files, read when a process starts.

A bad one is told to whoever starts it, by the name of its file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from gateway.config import StartRefused

BYTES_MAX: Final = 65_536
FILES_MAX: Final = 200

Described = TypeVar("Described")


def read_own(
    directory: Path, what: str, read: Callable[[bytes], Described], misfit: type[Exception]
) -> list[Described]:
    """What `read` makes of each file, in the order of their names.

    `what` is a word for one of them. Raises StartRefused, also for what `read` raises as `misfit`.
    """
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix == ".toml")
        if len(paths) > FILES_MAX:
            raise StartRefused(f"Expected at most {FILES_MAX} {what}s, was {len(paths)}")
        return [_read(path, what, read, misfit) for path in paths]
    except OSError as failure:
        raise StartRefused(f"Expected a directory of {what}s, was: {failure}") from None


def _read(
    path: Path, what: str, read: Callable[[bytes], Described], misfit: type[Exception]
) -> Described:
    if path.stat().st_size > BYTES_MAX:
        raise StartRefused(f"Expected a {what} in {path.name}: Expected at most {BYTES_MAX} bytes")
    try:
        return read(path.read_bytes())
    except misfit as fault:
        raise StartRefused(f"Expected a {what} in {path.name}: {fault}") from None
