"""`kopeck demo` from an empty directory to its last line, a twentieth of its size."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import Settings, StartRefused
from gateway.demo import story
from gateway.demo.wallets import CARD_NUMBERS
from gateway.storage import postmaster

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"KOPECK_TEST_DEMO_SIZE": "5"}
# In a pipe a sentence is one line, whatever its length.
KEY_LINES = (
    r"13 recipients registered: 6 suppliers, 4 management companies, 2 regional operators",
    r"100 bills of \d+ to \d+ charges .* Two bad lines named and left out",
    r"A registry of debts, CSV in windows-1251: 2 of .* the same file again owes nothing twice",
    r"uk-zarechye has paid heat its 5.000\.00 out of housing and keeps the rest; uk-bor earned",
    r"Charges and shares add up to the amount",
    r"the same bytes, Idempotency-Replayed: true",
    r"a full card number in masked_pan +422 pan_not_allowed",
    r"Drawn, scanned as a picture and read back: account \d+",
    r"its sum changed +qr_crc_mismatch",
    r"A token of apple_pay again: .* 409 token_replayed",
    r"A token of google_pay again: .* 409 token_replayed",
    r"422 token_amount_mismatch; then the right total",
    r"4 tokens, from keys this demo made itself",
    r"165 payments, a request each, over 32 connections",
    r"100 taken, 1 replayed, 2 bad lines named",
    r"8\d rows in .* recognised as sber12: \d+ match payments taken online, 4 are new",
    r"kassa-plus by OSMP: check, pay .* the same prv_txn \d+",
    r"sibir-bank by Sberbank's protocol: .* with code 8",
    r"The payer pays it, the bank calls back signed: accepted",
    r"A card without money: declined, insufficient_funds; nothing is booked",
    r"no second charge \(409 state_conflict\); asked again, it says that it took the money",
    r"The bank gives 250\.00 of it back, then the books do",
    r"The operator finds that \d+ was meant",
    r"acquirer owes = recipients \+ commission \+ surcharge \+ suspense",
    r"The operator who closed the day cannot approve it: 403 forbidden",
    r"centre-accountant approves: state approved",
    r"СекцияДокумент=Платежное поручение",
    r"НазначениеПлатежа=.*НДС не облагается",
    r"The rows of each report add up to its position",
    r"\d+ orders executed; .* came back, and is owed to it again",
    r"A balance a kopeck off is refused whole: control_total_mismatch",
    r"The next batch pays it by order \d+ instead of \d+; .* one is refused, 409",
    r'"unbalanced": 0, "duplicate_payouts": 0',
    r"SIGTERM: the gateway finished what it had begun and exited 0",
)


def demo(data: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: text for name, text in os.environ.items() if not name.startswith("KOPECK_")}
    return subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--data", str(data)],
        cwd=ROOT,
        env={**clean, **SMALL, **environ},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_story_holds_and_holds_again_in_the_same_directory(tmp_path: Path) -> None:
    # The database that the environment names is somebody's: the demo must not touch it.
    done = demo(tmp_path, KOPECK_DATABASE_URL="postgresql://nobody@127.0.0.1:1/books")
    assert (done.returncode, done.stderr) == (0, "")
    missing = [line for line in KEY_LINES if not re.search(line, done.stdout)]
    assert missing == []
    last = done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"Everything holds: 283 payments, [\d\u202f]+\.\d\d, to the kopeck, in \d+ s\.", last
    )
    assert "kp_…" in done.stdout
    assert re.search(r"kp_[A-Za-z0-9]", done.stdout) is None, "a secret was printed"
    assert not any(number in done.stdout for number in CARD_NUMBERS.values())
    out = tmp_path / "out"
    assert (out / "payouts-demo-1.1c.txt").read_bytes().startswith(b"1CClientBankExchange\r\n")
    text = (out / "report-demo-1-heat.csv").read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines(), delimiter=";"))
    assert {row["kind"] for row in rows} == {"payment", "refund", "correction", "obligation"}
    assert not postmaster.processes_in(tmp_path / "postgres")

    again = demo(tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "Run 2 in this directory" in again.stdout
    assert (out / "payouts-demo-2.1c.txt").exists()


def test_the_story_holds_at_its_full_size(tmp_path: Path) -> None:
    """As `make demo` tells it: payers of every habit are many only there."""
    done = demo(tmp_path, KOPECK_TEST_DEMO_SIZE="100")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\nEverything holds: 5261 payments", done.stdout)


def test_a_directory_with_other_books_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    with pytest.raises(StartRefused, match="with other books"):
        story.run(Settings(data=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["postgres"]


def test_a_gateway_that_cannot_start_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    done = demo(tmp_path)
    assert done.returncode == 1
    assert re.fullmatch(
        r"kopeck demo: Expected the gateway to start, it said: kopeck: Expected .*\n", done.stderr
    )
