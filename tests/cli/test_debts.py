"""`kopeck settle load-obligations`: a file's verdict alone on stdout, and what it exits with."""

import json
from pathlib import Path

from tests.cli.test_commands import kopeck, value


def test_debts_from_a_file(database_url: str, tmp_path: Path) -> None:
    at = ("--database", database_url)
    kopeck("keys", "add", "olga", "--role", "operator", *at)
    for name in ("uk", "heat"):
        value(
            database_url,
            "INSERT INTO recipients (id, name, kind, inn, bic, account, set_at, set_by)"
            f" SELECT '{name}', '{name}', 'supplier', '7707083893', '044525225',"
            " '40702810938000060473', now(), number FROM callers RETURNING number",
        )
    file = tmp_path / "debts.csv"
    words = ("settle", "load-obligations", str(file), "--by", "olga", *at)
    head = "debtor,creditor,amount_roubles,document_number,document_date"
    file.write_text(f"{head}\nuk,heat,12.5,7,2026-09-30\n")
    done = kopeck(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"accepted": 1, "amount": 1_250, "known": 0, "refused": []}
    file.write_text(f"{head}\nuk,heat,12.5,7,2026-09-30\nuk,nobody,1,8,2026-09-30\n")
    done = kopeck(*words)
    assert (done.returncode, json.loads(done.stdout)["known"]) == (1, 1)
    assert [one["line"] for one in json.loads(done.stdout)["refused"]] == [3]
    file.write_text("uk,heat,12.5,7,2026-09-30\n")
    done = kopeck(*words)
    assert (done.returncode, done.stdout, "Expected a head of debtor" in done.stderr) == (
        2,
        "",
        True,
    )
    assert value(database_url, "SELECT sum(remaining) FROM open_obligations") == 1_250
