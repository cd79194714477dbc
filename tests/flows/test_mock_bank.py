"""Our pain.001 to a bank that is not ours, and its statements back: balances agree to the kopeck.

The bank is `mock-bank`, a program of its own; it gets the very bytes of our file. It knows accounts
by IBAN, and those that are none by a number of its own books, which is ours.
"""

import json
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gateway.domain.refusals import Refusal
from gateway.flows import batch_life
from gateway.flows.payout_files import payout_file
from tests.flows.region import Region, batch_id, bill
from tests.flows.test_statements import balance, check, settled, shown, take
from tests.payouts.statement_files import OWN

BIC = "044525225"
OPENING = 100_000_000
READY_S = 20.0


class MockBank:
    """One bank in a process; amounts in kopecks."""

    def __init__(self, port: int, books: Path) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._books = books
        self._box: list[dict[str, Any]] = []

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kind = "application/xml" if isinstance(body, bytes) else "application/json"
        request = urllib.request.Request(
            self._url + path, raw, {"Content-Type": kind}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as refused:
            return refused.code, json.loads(refused.read())

    def open_account(self, behaviour: str, own: str = OWN, **parameters: object) -> None:
        account = {
            "id": "own",
            "iban": iban(own),
            "bic": "SABRRUMM",
            "currency": "RUB",
            "balance": OPENING,
            "behaviour": behaviour,
            "parameters": parameters,
        }
        status, told = self.ask("POST", "/_mock/accounts", account)
        assert status == 201, told
        # Over HTTP it takes numbers of 17 digits, as another country has them; its books any.
        with closing(sqlite3.connect(self._books, timeout=10)) as books, books:
            books.execute("UPDATE account SET account_number = ? WHERE id = 'own'", (own,))

    def pay(self, content: bytes) -> dict[str, Any]:
        """Takes our message; what it says of each payment."""
        _, told = self.ask("POST", "/payments", content)
        assert isinstance(told, dict)
        return told

    def later(self, days: int) -> None:
        status, told = self.ask("POST", f"/_mock/advance?days={days}", b"")
        assert status == 200, told

    def said(self, kind: str) -> list[bytes]:
        """Messages of a kind about our account that nobody asked for yet, oldest first."""
        # The bank hands each over once.
        self._box += self.ask("GET", "/_mock/mailbox")[1]
        wanted = [
            one for one in self._box if one["account"] == "own" and one["type"].startswith(kind)
        ]
        self._box = [one for one in self._box if one not in wanted]
        return [one["body"].encode() for one in sorted(wanted, key=lambda one: int(one["id"]))]

    @property
    def balance(self) -> int:
        return int(self.ask("GET", "/_mock/accounts/own")[1]["balance"])


def iban(own: str = OWN) -> str:
    """The IBAN of an account of ours, its check digits by ISO 7064."""
    body = BIC + own
    digits = "".join(str(int(char, 36)) for char in f"{body}RU00")
    return f"RU{98 - int(digits) % 97:02d}{body}"


@contextmanager
def mock_bank(folder: Path) -> Iterator[MockBank]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    clock = f"{datetime.now(UTC) + timedelta(hours=7):%Y-%m-%d}T09:00"
    books = folder / "bank.sqlite"
    words = [sys.executable, "-m", "mockbank", "--port", str(port), "--clock", clock, "-q"]
    words += ["--db", str(books)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        bank = MockBank(port, books)
        deadline = time.monotonic() + READY_S
        while True:
            try:
                bank.ask("GET", "/_mock/health")
                break
            except OSError:
                assert process.poll() is None, "the bank has stopped"
                assert time.monotonic() < deadline, "the bank does not answer"
                time.sleep(0.05)
        yield bank
    finally:
        process.terminate()
        process.wait(timeout=10)


async def send(region: Region, key: str, batch: UUID) -> None:
    """Claim the batch, as whoever brings its file to the bank does."""
    claim = region.claim("op", key, "payout_claims", batch)
    await batch_life.send(region.worker.context, claim, region.callers["op"], batch)


async def test_what_the_bank_paid_and_gave_back_is_in_our_books(
    region: Region, tmp_path: Path
) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")
    await send(region, "send 1", batch)
    content = await payout_file(region.worker.context, batch, "pain001")
    payouts = (await shown(region, batch))["payouts"]
    back = next(one for one in payouts if one["recipient"] == "heat")
    with mock_bank(tmp_path) as bank:
        bank.open_account("return-later", days=3, end_to_end_id=str(back["order_number"]))
        told = bank.pay(content)
        assert (told["status"], told["accepted"], told["rejected"]) == ("ACCP", 3, 0)
        assert [one for one in told["findings"] if one["level"] == "error"] == []
        # The same message again, as after a restart or a restore: the bank pays nothing twice.
        assert bank.pay(content)["status"] == "RJCT"
        bank.later(12)
        days = bank.said("camt.053")
        taken = [await take(region, f"day {n}", content) for n, content in enumerate(days)]
        assert sum(len(one["executed"]) for one in taken) == 3
        (returned,) = [one for day in taken for one in day["returned"]]
        assert returned["payout"] == back["id"]
        assert [one for day in taken for one in day["discrepancies"]] == []
        # Notifications tell of the same lines once more.
        notes = [await take(region, f"note {n}", c) for n, c in enumerate(bank.said("camt.054"))]
        assert sum(one["known"] for one in notes) == 4
        assert [one["executed"] + one["returned"] for one in notes] == [[]] * len(notes)
        assert (await shown(region, batch))["state"] == "partially_executed"
        assert bank.balance == OPENING - await balance(region, "bank")

        # What came back goes out again in the next batch, and stays.
        again = batch_id((await region.close("again"))["id"])
        await region.approve("approve again", again)
        await send(region, "send again", again)
        bank.ask("PATCH", "/_mock/accounts/own", {"behaviour": "accept", "parameters": {}})
        assert bank.pay(await payout_file(region.worker.context, again, "pain001"))["accepted"] == 1
        bank.later(5)
        for n, content in enumerate(bank.said("camt.053")):
            await take(region, f"again {n}", content)
        assert (await shown(region, again))["state"] == "executed"
        assert bank.balance == OPENING - await balance(region, "bank")
        assert await balance(region, "recipients") == await balance(region, "in_transit") == 0
    await check(region)


async def test_a_statement_with_a_gap_is_refused_whole(region: Region, tmp_path: Path) -> None:
    await region.load(bill("A"))
    batch = await settled(region, "1")
    await send(region, "send", batch)
    with mock_bank(tmp_path) as bank:
        bank.open_account("statement-gap")
        bank.pay(await payout_file(region.worker.context, batch, "pain001"))
        bank.later(12)
        refused = 0
        for n, content in enumerate(bank.said("camt.053")):
            try:
                await take(region, f"day {n}", content)
            except Refusal as refusal:
                refused += refusal.code == "control_total_mismatch"
        assert refused == 1
    assert (await shown(region, batch))["state"] == "sent"


@pytest.mark.parametrize("text", ["RU5304452522540702810138250123017"])
def test_the_iban_is_the_one_the_bank_takes(text: str) -> None:
    assert iban() == text
