"""Backups: whole, verified, and restored only where nothing can be lost."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest

from gateway.config import Settings, StartRefused
from gateway.storage.backup import backup, restore, verify
from gateway.storage.data_directory import database
from gateway.storage.embedded import pgdata_of


def _ask(url: str, sql: str) -> object:
    async def ask() -> object:
        conn = await asyncpg.connect(url)
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()

    return asyncio.run(ask())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a database with one row, taken while its server runs."""
    folder = tmp_path_factory.mktemp("backup")
    with database(Settings(data=folder / "data"), "test") as url:
        _ask(url, "CREATE TABLE toll AS SELECT 42 AS kopecks")
        backup(url, folder / "copy")
        _ask(url, "UPDATE toll SET kopecks = 43")
    return folder / "copy"


def test_a_restored_database_has_what_was_there_when_the_backup_was_taken(
    copy: Path, tmp_path: Path
) -> None:
    restore(copy, tmp_path / "data")
    with database(Settings(data=tmp_path / "data"), "test") as url:
        assert _ask(url, "SELECT kopecks FROM toll") == 42
        assert _ask(url, "SHOW data_checksums") == "on"
    verify(copy)


def test_a_backup_is_for_its_owner_alone(copy: Path) -> None:
    assert copy.stat().st_mode & 0o077 == 0


def test_a_restore_never_overwrites_a_database(copy: Path, tmp_path: Path) -> None:
    restore(copy, tmp_path / "data")
    with pytest.raises(StartRefused, match="Expected no database"):
        restore(copy, tmp_path / "data")


def test_a_backup_with_one_flipped_bit_is_not_restored(copy: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(copy, damaged)
    victim = next(file for file in sorted((damaged / "base").rglob("*")) if file.is_file())
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    with pytest.raises(StartRefused, match="checksum mismatch"):
        restore(damaged, tmp_path / "data")
    assert not pgdata_of(tmp_path / "data").exists()


def test_what_is_no_backup_is_not_restored(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="Expected a backup"):
        restore(tmp_path / "nothing", tmp_path / "data")


def test_a_backup_does_not_overwrite(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    with pytest.raises(StartRefused, match=r"Expected .* to be new or empty"):
        backup("postgresql://nowhere/kopeck", tmp_path)


def test_a_backup_that_failed_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(StartRefused) as refused:
        backup("postgresql://kopeck@/kopeck?host=/no/such/directory", tmp_path / "copy")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []
