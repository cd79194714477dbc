"""`kopeck report import`: a file from the shell, its answer alone on stdout."""

import json
from pathlib import Path

from tests.acquirer_reports.files import Told, sber12
from tests.cli.test_commands import kopeck, value

TOLD = [Told("op-1", "22-1", 100), Told("op-2", "22-2", 200), Told("op-2", "22-2", 200)]


def test_a_file_is_taken_once(database_url: str, tmp_path: Path) -> None:
    kopeck("keys", "add", "sber", "--role", "acquirer", "--database", database_url)
    file = tmp_path / "day.txt"
    file.write_bytes(sber12(TOLD).encode("cp1251"))
    words = ("report", "import", str(file), "--acquirer", "sber", "--database", database_url)
    done = kopeck(*words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rows"], told["matched"], told["created"]) == (3, 0, 2)
    assert [(one["kind"], one["row"]) for one in told["discrepancies"]] == [
        ("duplicate-in-registry", 3)
    ]
    assert kopeck(*words).stdout == done.stdout
    assert value(database_url, "SELECT count(*) FROM payments") == 2


def test_what_is_refused_is_one_line(database_url: str, tmp_path: Path) -> None:
    kopeck("keys", "add", "sber", "--role", "acquirer", "--database", database_url)
    file = tmp_path / "day.txt"
    file.write_bytes(sber12(TOLD).replace("=3", "=4").encode("cp1251"))
    words = ("report", "import", str(file), "--database", database_url)
    for more, said in (
        (("--acquirer", "sber"), "footer whose count is that of the rows"),
        (("--acquirer", "nobody", "--format", "sber12"), "footer"),
        (("--acquirer", "sber", "--format", "sber99"), "format"),
    ):
        done = kopeck(*words, *more)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr.splitlines()[-1]
    file.write_bytes(sber12(TOLD).encode("cp1251"))
    done = kopeck(*words, "--acquirer", "nobody")
    assert (done.returncode, done.stderr) == (2, "kopeck: Expected the name of an acquirer\n")
    assert value(database_url, "SELECT count(*) FROM payments") == 0
