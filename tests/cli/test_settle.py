"""`kopeck settle`: a batch from a shell to its end, each command an answer alone on stdout."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import asyncpg

from gateway.payouts.centre import TRIAL_CENTRE
from tests.acquirer_reports.files import Told, sber12
from tests.cli.test_commands import kopeck, value
from tests.payouts.statement_files import one_c

NAMES = (("sber", "acquirer"), ("olga", "operator"), ("pavel", "approver"), ("olga", "approver"))


async def set_surcharge(database_url: str) -> None:
    """Olga's, as PUT /v1/surcharges/card stores it."""
    conn = await asyncpg.connect(database_url)
    await conn.execute("""
        INSERT INTO surcharge_terms (method, version, ppm, fixed, min, set_at, set_by)
        SELECT 0, 1, 10000, 0, 0, now(), number FROM callers
        WHERE name = 'olga' AND role = 'operator';
        UPDATE cut SET terms_version = 1
    """)
    await conn.close()


def test_a_batch_from_a_shell(database_url: str, tmp_path: Path) -> None:
    at = ("--database", database_url)
    for name, role in NAMES:
        kopeck("keys", "add", name, "--role", role, *at)
    day = tmp_path / "day.txt"
    day.write_bytes(sber12([Told("op-1", "22-1", 100)]).encode("cp1251"))
    kopeck("report", "import", str(day), "--acquirer", "sber", *at)
    asyncio.run(set_surcharge(database_url))
    done = kopeck("settle", "close", "--by", "olga", *at)
    assert done.returncode == 0, done.stderr
    closed = json.loads(done.stdout)
    batch = closed["id"]
    assert (closed["state"], closed["events"]) == ("closed", [])

    out = tmp_path / "payouts.txt"
    early = kopeck("settle", "export", batch, str(out), "--by", "olga", *at)
    assert (early.returncode, early.stdout) == (2, "")
    assert early.stderr == "kopeck: Expected an approved batch, was closed\n"
    # A key of the other role does not make her another person.
    alone = kopeck("settle", "approve", batch, "--by", "olga", *at)
    assert "another person" in alone.stderr
    nobody = kopeck("settle", "approve", batch, "--by", "sber", *at)
    assert nobody.stderr == (
        "kopeck: Expected the name of a key in the role approver, was sber;"
        " kopeck keys add sber --role approver makes one\n"
    )
    shown = kopeck("settle", "changes", batch, *at)
    assert shown.returncode == 0, shown.stderr
    (change,) = map(json.loads, shown.stdout.splitlines())
    assert (change["what"], change["method"], change["set_by"]) == ("surcharge", "card", "olga")
    approved = kopeck("settle", "approve", batch, "--by", "pavel", *at)
    assert json.loads(approved.stdout)["state"] == "approved"
    unclaimed = kopeck("settle", "export", batch, "-", "--again", "--by", "olga", *at)
    assert (unclaimed.returncode, "has claimed" in unclaimed.stderr) == (2, True)

    sent = kopeck("settle", "export", batch, str(out), "--by", "olga", *at)
    assert (sent.returncode, sent.stdout) == (0, ""), sent.stderr
    content = out.read_bytes()
    assert content.startswith(b"1CClientBankExchange\r\n")
    # What is refused leaves the file of before as it is, and makes none.
    for path in (out, tmp_path / "no.txt"):
        twice = kopeck("settle", "export", batch, str(path), "--by", "olga", *at)
        assert (twice.returncode, "was sent" in twice.stderr) == (2, True)
    assert out.read_bytes() == content
    assert {path.name for path in tmp_path.glob("*.txt*")} == {day.name, out.name}
    nowhere = kopeck("settle", "export", batch, str(tmp_path / "no" / "x"), "--by", "olga", *at)
    assert nowhere.stderr == "kopeck: Expected a file to write to, was: No such file or directory\n"
    bare = ("settle", "export", batch, "-", "--again", "--format", "pain001", "--by", "olga")
    assert kopeck(*bare, *at).stdout.startswith("<?xml")
    assert kopeck("settle", "export", batch, str(out), "--again", "--by", "olga", *at).stdout == ""
    assert out.read_bytes() == content

    statement = tmp_path / "statement.txt"
    statement.write_bytes(one_c([], own=TRIAL_CENTRE.account))
    words = ("settle", "import-statement", str(statement), "--by", "olga", *at)
    taken = kopeck(*words)
    assert json.loads(taken.stdout)["executed"] == []
    assert kopeck(*words).stdout == taken.stdout
    statement.write_bytes(one_c([], own=TRIAL_CENTRE.account, closing=1))
    wrong = kopeck(*words)
    assert (wrong.returncode, "nothing of it was taken" in wrong.stderr) == (2, True)
    assert value(database_url, "SELECT count(*) FROM bank_statements") == 1

    listed = [json.loads(line) for line in kopeck("settle", "status", *at).stdout.splitlines()]
    assert [(one["id"], one["state"]) for one in listed] == [(batch, "sent")]
    shown = json.loads(kopeck("settle", "status", batch, *at).stdout)
    steps = [(one["event"], one["by"]) for one in shown["events"]]
    assert steps == [("approve", "pavel"), ("send", "olga")]
    assert "sb_" in kopeck("settle", "status", "sb_1", *at).stderr


def test_a_restored_database_pays_nothing_before_two_people_have_said_so(tmp_path: Path) -> None:
    data, copy, restored = (str(tmp_path / name) for name in ("data", "copy", "restored"))
    for name, role in NAMES[1:]:
        kopeck("keys", "add", name, "--role", role, "--data", data)
    closed = kopeck("settle", "close", "--by", "olga", "--data", data)
    batch = json.loads(closed.stdout)["id"]
    assert kopeck("backup", copy, "--data", data).returncode == 0
    assert kopeck("restore", copy, "--data", restored).returncode == 0
    words = ("settle", "approve", batch, "--by", "pavel")
    why = ("--override", "the bank has no such orders")
    assert kopeck(*words, "--data", data).returncode == 0
    held = kopeck(*words, *why, "--data", restored)
    assert (held.returncode, "was restored" in held.stderr) == (2, True)

    found = json.loads(kopeck("settle", "restores", "--data", restored).stdout)
    assert (found["held"], found["restores"][0]["found"]) == (True, "restore")
    lift = ("settle", "lift", found["restores"][0]["id"], "--reason", "the bank has none")
    asked = kopeck(*lift, "--document", "letter 7", "--by", "olga", "--data", restored)
    approve = ("settle", "approve-lift", json.loads(asked.stdout)["id"], "--data", restored)
    # A key of the other role does not make her another person.
    alone = kopeck(*approve, "--by", "olga")
    assert (alone.returncode, "another person" in alone.stderr) == (2, True)
    lifted = kopeck(*approve, "--by", "pavel")
    assert json.loads(lifted.stdout)["state"] == "lifted"

    refused = kopeck(*words, "--data", restored)
    assert (refused.returncode, "out of a backup" in refused.stderr) == (2, True)
    done = kopeck(*words, *why, "--data", restored)
    assert done.returncode == 0, done.stderr
    later = json.loads(kopeck("settle", "close", "--by", "olga", "--data", restored).stdout)
    assert kopeck(*words[:2], later["id"], *words[3:], "--data", restored).returncode == 0

    told = ("settle", "restored", "--reason", "a snapshot of noon", "--data", restored)
    assert json.loads(kopeck(*told, "--by", "olga").stdout)["held"]
    bad = ("settle", "decide-line", "bst_1", "1", "--reason", "so", "--by", "olga")
    assert "Expected the id of a statement, bst_…" in kopeck(*bad, "--data", restored).stderr
    bad = ("settle", "decide-line", "bst_" + "0" * 32, "1", "--reason", "so", "--by", "olga")
    assert "Expected a line of a lost order" in kopeck(*bad, "--data", restored).stderr


def test_files_of_a_database_that_are_put_back_are_noticed(tmp_path: Path) -> None:
    """The server is stopped between commands, so a copy of its files is whole."""
    data, away = tmp_path / "data", tmp_path / "away"
    at = ("--data", str(data))
    for name, role in NAMES[1:3]:
        kopeck("keys", "add", name, "--role", role, *at)
    batch = json.loads(kopeck("settle", "close", "--by", "olga", *at).stdout)["id"]
    subprocess.run(["cp", "-a", data / "postgres", away], check=True)
    words = ("settle", "approve", batch, "--by", "pavel", *at)
    assert kopeck(*words).returncode == 0
    shutil.rmtree(data / "postgres")
    away.rename(data / "postgres")
    held = kopeck(*words, "--override", "I know better")
    assert (held.returncode, "was restored" in held.stderr) == (2, True), held.stderr
    (found,) = json.loads(kopeck("settle", "restores", *at).stdout)["restores"]
    assert (found["found"], batch in found["detail"]) == ("witness", True)
