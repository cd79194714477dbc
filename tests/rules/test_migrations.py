"""Migrations go on under traffic: squawk finds nothing in them that stops payers or old workers.

Files that are applied somewhere may not change any more, so what it finds in those is written down.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gateway.storage.migrate import MIGRATIONS, migrations

SQUAWK = Path(sys.executable).with_name("squawk")
# Rules that mean nothing here, and why.
NOT_OURS = {
    # Numbers of a batch, a part, a version and a kind are small, and a row of eight shares too.
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    # The runner's connection has a lock_timeout of ten seconds for every file; how long a file may
    # take is for whoever runs it.
    "require-lock-timeout",
    "require-statement-timeout",
}
# What was released before squawk looked. Every constraint that was dropped was made anew, wider, in
# the same file; indexes were made on tables that were new or, by what a region then had, small.
RELEASED = {
    3: {"ban-drop-constraint", "constraint-missing-not-valid"},
    4: {"require-concurrent-index-creation"},
    6: {"require-concurrent-index-creation"},
    7: {"require-concurrent-index-creation", "require-concurrent-index-deletion"},
    8: {"ban-drop-constraint", "constraint-missing-not-valid"},
    10: {
        "ban-drop-constraint",
        "constraint-missing-not-valid",
        "require-concurrent-index-creation",
    },
    18: {"ban-drop-constraint", "require-concurrent-index-creation"},
    21: {"ban-drop-constraint", "constraint-missing-not-valid"},
    23: {"ban-drop-constraint", "constraint-missing-not-valid"},
    # A bound that is let go of: what older workers write kept to it, and goes on doing so.
    36: {"ban-drop-constraint"},
}


def found(paths: Sequence[Path]) -> Counter[tuple[int, str]]:
    """How often each rule is broken, by the number of the migration."""
    done = subprocess.run(
        [
            SQUAWK,
            "--pg-version=15",
            # Each file is applied in a transaction of its own.
            "--assume-in-transaction",
            f"--exclude={','.join(sorted(NOT_OURS))}",
            "--reporter=json",
            *paths,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return Counter(
        (int(re.split(r"[/_]", row["file"].rpartition("/")[2])[0]), row["rule_name"])
        for row in json.loads(done.stdout)
    )


def test_no_migration_stops_payers() -> None:
    known = {(number, rule) for number, rules in RELEASED.items() for rule in rules}
    paths = sorted(MIGRATIONS.glob("*.sql"))
    assert len(paths) == len(migrations()) > 20
    broken = found(paths)
    assert sorted(set(broken) - known) == []
    assert sorted(known - set(broken)) == [], "Expected no exception that is not needed"


def test_the_rule_can_fail(tmp_path: Path) -> None:
    bad = tmp_path / "0099_bad.sql"
    bad.write_text(
        "CREATE INDEX toll ON payments (amount);\n"
        "ALTER TABLE payments ADD CONSTRAINT some CHECK (amount > 1);\n"
        "ALTER TABLE payments DROP COLUMN amount;\n"
        "ALTER TABLE payments RENAME COLUMN surcharge TO extra;\n"
    )
    assert set(found([bad])) == {
        (99, "require-concurrent-index-creation"),
        (99, "constraint-missing-not-valid"),
        (99, "ban-drop-column"),
        (99, "renaming-column"),
    }
