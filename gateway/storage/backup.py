"""Physical backups: the whole cluster, consistent, taken while payments come in.

A backup is a directory as pg_basebackup writes it, with the log it needs and a manifest of
checksums. It is verified before it is called one, and again before it is restored.
"""

import os
import shutil
import subprocess
from pathlib import Path

from gateway.config import StartRefused
from gateway.storage import data_directory, primary
from gateway.storage.embedded import EmbeddedPostgres, binary, pgdata_of
from gateway.storage.server_user import server_user


def backup(url: str, directory: Path) -> None:
    """Copies the cluster behind `url` into `directory`, which must be new or empty.

    A directory that is not a whole, verified backup is not left behind.
    """
    directory = directory.absolute()
    if directory.exists() and any(directory.iterdir()):
        raise StartRefused(f"Expected {directory} to be new or empty, was not")
    unfinished = directory.with_name(directory.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        words = [str(binary("pg_basebackup")), "--pgdata", str(unfinished)]
        words += ["--dbname", primary.for_libpq(url)]
        # The log is streamed beside the files, so the copy is whole by itself; a checkpoint at once
        # costs a little more disk than one spread over minutes, during which somebody waits.
        words += ["--format=plain", "--wal-method=stream", "--checkpoint=fast", "--no-password"]
        _run(words, "a backup")
        verify(unfinished)
        if directory.exists():
            directory.rmdir()
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def verify(directory: Path) -> None:
    """Every file against the manifest, and the log against itself; StartRefused at the first.

    The log of a server of another major version cannot be read by our tools; its files can.
    """
    words = [str(binary("pg_verifybackup")), "--exit-on-error", "--quiet"]
    if _major(directory) != _our_major():
        words.append("--no-parse-wal")
    _run([*words, str(directory)], "a backup")


def _major(directory: Path) -> str:
    try:
        return (directory / "PG_VERSION").read_text().strip()
    except OSError:
        return ""


def _our_major() -> str:
    words = [str(binary("postgres")), "--version"]
    said = subprocess.run(words, cwd="/", capture_output=True, text=True, check=True).stdout
    return said.split()[2].partition(".")[0]


def restore(directory: Path, data: Path) -> None:
    """Makes the cluster of `data` out of a backup, starts it once and stops it again.

    Refuses to touch a data directory that holds a database already.
    """
    with data_directory.held(data, "restore"):
        pgdata = pgdata_of(data)
        if pgdata.exists():
            raise StartRefused(f"Expected no database in {data} yet, was {pgdata}")
        verify(directory)
        if _major(directory) != _our_major():
            raise StartRefused(
                f"Expected a backup of PostgreSQL {_our_major()}, was {_major(directory)}:"
                " restore it with that version's server"
            )
        fresh = pgdata.with_name("postgres.restored")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(directory, fresh, symlinks=True)
        fresh.chmod(0o700)
        server_user().own_tree(fresh)
        # Recovery takes what it finds in the files for written.
        os.sync()
        fresh.rename(pgdata)
        server = EmbeddedPostgres(data)
        try:
            server.start()
        except StartRefused:
            shutil.rmtree(pgdata)
            raise
        server.stop()


def _run(words: list[str], wanted: str) -> None:
    done = subprocess.run(
        words, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing said"]
        raise StartRefused(f"Expected {wanted}, was: {said[-1]}")
