"""The commands as they are typed: what goes to stdout, what is one line on stderr, exit codes."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

ROOT = Path(__file__).resolve().parents[2]


def kopeck(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def value(url: str, sql: str) -> object:
    async def ask() -> object:
        conn = await asyncpg.connect(url)
        try:
            return await conn.fetchval(sql)
        finally:
            await conn.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "words",
    [
        ("serve", "--port", "http"),
        ("serve", "--workers", "0"),
        ("serve", "--database", "mysql://kopeck/x"),
        ("serve", "--prot", "8080"),
        ("serve", "--host", "not.a.host.invalid", "--port", "0"),
        ("keys", "add", "sber"),
        ("keys", "add", "sber", "--role", "boss"),
        ("keys", "add", "two words", "--role", "operator"),
        ("keys", "revoke", "x"),
        ("migrate", "--database", "postgresql://kopeck@127.0.0.1:1/kopeck"),
        ("backup",),
        ("restore", "/no/such/backup"),
        ("explode",),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_exit_code_2(words: tuple[str, ...], tmp_path: Path) -> None:
    done = kopeck(*words, KOPECK_DATA=str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kopeck: ")
    assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("command", ["serve", "demo", "audit", "migrate"])
def test_an_unknown_variable_is_refused_by_every_command(command: str) -> None:
    done = kopeck(command, KOPECK_PROT="8080")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "kopeck: KOPECK_PROT is not a setting\n"


def test_no_command_shows_the_help() -> None:
    done = kopeck()
    assert (done.returncode, done.stdout) == (2, "")
    for command in ("serve", "demo", "split", "keys", "audit", "migrate", "backup", "restore"):
        assert f"\n  {command} " in done.stderr
    assert "worker" not in done.stderr.split("Commands:")[1]


def test_help_and_version_are_answers() -> None:
    assert kopeck("--help").returncode == 0
    assert kopeck("serve", "-h").returncode == 0
    assert kopeck("--version").stdout.startswith("kopeck 0.")


def test_a_key_is_alone_on_stdout_and_only_its_digest_is_stored(database_url: str) -> None:
    done = kopeck("keys", "add", "sber", "--role", "acquirer", "--database", database_url)
    assert (done.returncode, done.stderr) == (0, "")
    secret = done.stdout.removesuffix("\n")
    assert secret.startswith("kp_")
    stored = value(database_url, "SELECT secret_sha256 FROM api_keys")
    assert stored == hashlib.sha256(secret.encode()).digest()


def test_a_listed_key_can_be_revoked_once(database_url: str) -> None:
    database = ("--database", database_url)
    kopeck("keys", "add", "heat", "--role", "recipient:heat", *database)
    listed = kopeck("keys", "list", *database).stdout
    key, name, role = listed.split("\t")[:3]
    assert (name, role) == ("heat", "recipient:heat")
    assert kopeck("keys", "revoke", key, *database).returncode == 0
    assert "revoked" in kopeck("keys", "list", *database).stdout
    again = kopeck("keys", "revoke", key, *database)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


def test_migrate_says_what_it_applied(empty_database_url: str) -> None:
    database = ("--database", empty_database_url)
    first = kopeck("migrate", *database)
    assert first.stdout.splitlines()[0].startswith("0001_")
    second = kopeck("migrate", *database)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")


def test_a_newer_schema_is_refused(database_url: str) -> None:
    newer = (
        "INSERT INTO schema_migrations (number, name, sha256) VALUES (9999, 'x', '') RETURNING 1"
    )
    value(database_url, newer)
    done = kopeck("migrate", "--database", database_url)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "belongs to a newer kopeck" in done.stderr


def test_keys_of_a_backup_are_in_the_restored_directory(tmp_path: Path) -> None:
    data, copy, restored = (str(tmp_path / name) for name in ("data", "copy", "restored"))
    made = kopeck("keys", "add", "sber", "--role", "auditor", "--data", data)
    assert (made.returncode, made.stderr) == (0, "")
    assert kopeck("backup", copy, "--data", data).returncode == 0
    assert kopeck("restore", copy, "--data", restored).returncode == 0
    listed = [kopeck("keys", "list", "--data", where).stdout for where in (data, restored)]
    assert listed[0] == listed[1] != ""
    again = kopeck("restore", copy, "--data", restored)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)


def test_the_doctor_exits_1_where_something_is_ill(tmp_path: Path) -> None:
    done = kopeck("doctor", "--json", "--database", f"postgresql://k@/k?host={tmp_path}")
    assert (done.returncode, done.stderr) == (1, "")
    told = json.loads(done.stdout)
    assert told["state"] == "ill"
    assert {"what", "state", "found", "advice"} <= set(told["findings"][0])
    assert "ill   database" in kopeck("doctor", "--database", f"postgresql://k@/{tmp_path}").stdout


def test_psql_only_reads_unless_it_is_told_to_write(database_url: str) -> None:
    words = ("psql", "--database", database_url)
    assert kopeck(*words, "-At", "-c", "SELECT settlement_batch FROM cut").stdout == "1\n"
    change = "UPDATE cut SET terms_version = 7"
    refused = kopeck(*words, "-c", change)
    assert refused.returncode == 1
    assert "read-only" in refused.stderr
    assert kopeck(*words, "--write", "-c", change).returncode == 0
    assert value(database_url, "SELECT terms_version FROM cut") == 7
