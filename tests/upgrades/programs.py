"""Programs as they were when main had an older schema, taken from the repository's history.

`RELEASED` names one for each schema that a region may still be on; the newest of those before
today's schema is found by itself. They run from their own tree, with the reference split: their
kernel would have to be compiled.
"""

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway.storage.migrate import MIGRATIONS, migrations
from tests.faults.processes import ROOT

# The last commit of main on each schema that stayed for a while.
RELEASED = {
    2: "f151d238",
    7: "c6c7f227",
    9: "140a43f3",
    12: "069b8f92",
    15: "b87836b7",
    18: "d03bf2c9",
    24: "0ca8e70b",
}
_FOLDER = MIGRATIONS.relative_to(ROOT).as_posix()
# Makes recipients, fee rules and bills by its own code, and prints the secrets of three callers.
_FILL = """
import asyncio, sys
import asyncpg
from gateway.storage import keys
from tests.faults.conftest import region_for_payers
async def fill(url):
    print(await region_for_payers(url))
    conn = await asyncpg.connect(url)
    for name, role in (("clerk", "operator"), ("head", "approver")):
        print(await keys.add(conn, name, keys.parse_role(role)))
    await conn.close()
asyncio.run(fill(sys.argv[1]))
"""


@dataclass(frozen=True)
class Secrets:
    """Keys of a bank, of who closes batches and of who approves them."""

    acquirer: str
    operator: str
    approver: str


class Program:
    """One older program, unpacked into a folder of its own."""

    def __init__(self, commit: str, folder: Path) -> None:
        self.root = folder / "old"
        archive = _git("archive", "--format=tar", commit)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(self.root, filter="data")
        self.schema = len(list((self.root / _FOLDER).glob("*.sql")))
        self.environ = {"SPLITCORE_PURE": "1", "PYTHONPATH": str(self.root)}

    def fill(self, url: str) -> Secrets:
        """A region in an empty database, on this program's schema."""
        done = subprocess.run(
            [sys.executable, "-c", _FILL, url],
            cwd=self.root,
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Secrets(*done.stdout.split())


@cache
def history() -> bool:
    """Whether the commits are there: a copy of the files alone, or of the last commit, has none."""
    try:
        for commit in RELEASED.values():
            _git("cat-file", "-e", f"{commit}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@cache
def program_before() -> str:
    """The newest commit whose schema is older than this tree's, and whole: a file may have been
    given another number on its way, and no program starts on two of one.
    """
    for commit in _git("log", "--format=%H").decode().split():
        files = _git("ls-tree", "--name-only", f"{commit}:{_FOLDER}").decode().split()
        numbers = sorted(int(name[:4]) for name in files if name.endswith(".sql"))
        if len(numbers) < known_now() and numbers == list(range(1, len(numbers) + 1)):
            return commit
    raise AssertionError("Expected a commit with an older schema")


def known_now() -> int:
    return len(migrations())


def _git(*words: str) -> bytes:
    return subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, timeout=60
    ).stdout
