"""No card number that is refused stands anywhere in what the processes wrote.

A gateway of its own is sent a different number in every field of every body, and in wallets'
tokens, good and bad; then its log, its metrics and every file of its directory, the database's
among them, are searched. A number in a
field that is exempt is found there, so the search can find.
"""

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import segno

from gateway.demo import processes, wallets
from gateway.domain.clock import SystemClock
from gateway.domain.requisites import account_with_key
from gateway.methods.bill_qr_fields import FREE_TEXT_FIELDS
from gateway.methods.pan import contains_pan, luhn_holds

REFUSED = "41117700"
EXEMPT = "42227700"
# However it is grouped.
NUMBER = re.compile(rb"4111[ -]?7700")
BILL = "ST00012|PersonalAcc=40702810268000010356|BIC=049401601|PersAcc=220012345|Sum=100"
LINK = "https://qr.nspk.ru/AS100001ORTF4GAF80KPJ53K186D9A3G?type=01&bank=100000000007"
TYPES = ("card", "mir", "cash", "qr", "apple_pay", "google_pay", "sbp", "cheque")
FIELDS = (
    *("network", "masked_pan", "authorization_code", "instrument", "token", "pan", "note"),
    *("number", "expiry", "cvv", "holder", "data"),
)
Body = dict[str, Any]


def numbers(prefix: str) -> Iterator[str]:
    """Card numbers, each another."""
    for count in itertools.count(1):
        bare = f"{prefix}{count:07d}"
        yield next(bare + digit for digit in "0123456789" if luhn_holds(bare + digit))


def spellings(number: str) -> list[str]:
    """As people, programs and shops write it."""
    groups = [number[at : at + 4] for at in range(0, 16, 4)]
    return [number, " ".join(groups), "-".join(groups), f"card {number} of a friend"]


def methods(told: Iterator[str]) -> Iterator[Body]:
    """Methods with a number in every field, known or not, in every spelling, and deeper."""
    for kind in TYPES:
        for field in FIELDS:
            for spelling in spellings(next(told)):
                yield {"type": kind, field: spelling}
            yield {"type": kind, field: {"deeper": [{"pan": next(told)}]}}
            yield {"type": kind, field: int(next(told))}
        yield {"type": kind, next(told): "x"}
    yield {"type": next(told)}
    for field in (*sorted(FREE_TEXT_FIELDS), "Note"):
        payload = f"{BILL}|{field}=карта {next(told)}"
        yield {"type": "qr", "payload": payload}
        yield {"type": "qr", "payload": payload, "operation_id": "A1"}
    yield {"type": "qr", "payload": f"{LINK}&note={next(told)}&crc=0000", "operation_id": "A1"}


def payments(told: Iterator[str]) -> Iterator[Body]:
    """Payments, none of which may be taken."""
    good: Body = {"subscriber_account": "220012345", "amount": 100, "method": {"type": "cash"}}
    for method in methods(told):
        yield {**good, "method": method}
    for number in itertools.islice(told, 4):
        for spelling in spellings(number)[:1]:
            yield {**good, "designation": {spelling: 1}}
            yield {**good, "designation": {f"heating {spelling}": 1}}
            yield {**good, "currency": spelling}
            yield {**good, spelling: 1}
            yield {**good, "paid_at": spelling}
            yield {**good, "amount": int(spelling)}


class Sender:
    """Sends bodies, and sees that no answer repeats a number."""

    def __init__(self, session: aiohttp.ClientSession, url: str, secrets: dict[str, str]) -> None:
        self._session = session
        self._url = url
        self._secrets = secrets
        self._keys = itertools.count(1)

    async def send(
        self, method: str, path: str, body: object, role: str, kind: str = "application/json"
    ) -> tuple[int, bytes]:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = {
            "Authorization": f"Bearer {self._secrets[role]}",
            "Idempotency-Key": f"key-{next(self._keys)}",
            "Content-Type": kind,
        }
        async with self._session.request(
            method, self._url + path, data=content, headers=headers
        ) as answer:
            said = await answer.read()
        assert NUMBER.search(said) is None, (path, content)
        return answer.status, said

    async def refused(self, path: str, body: object, kind: str = "application/json") -> None:
        status, said = await self.send("POST", path, body, "bank", kind)
        assert 400 <= status < 500, (path, body, said)


async def send_everything(sender: Sender) -> None:
    """A number in every field of every body that a caller can send."""
    told = numbers(REFUSED)
    lines: list[bytes] = []
    for body in payments(told):
        await sender.refused("/v1/payments", body)
        await sender.refused("/v1/quotes", {**body, "method": {"type": next(told)}})
        lines.append(orjson.dumps({**body, "idempotency_key": f"bulk-{len(lines)}"}))
    status, said = await sender.send(
        "POST", "/v1/payments/bulk", b"\n".join(lines), "bank", "application/x-ndjson"
    )
    assert status == 200
    assert all(orjson.loads(line)["status"] >= 400 for line in said.splitlines())
    for number in itertools.islice(told, 4):
        await sender.refused("/v1/scans", {"payload": number})
        await sender.refused("/v1/scans", {"payload": f"{BILL}|Purpose={number}"})
        drawn = io.BytesIO()
        segno.make_qr(f"{BILL}|Name={number}".encode()).save(drawn, kind="png", scale=4)
        await sender.refused("/v1/scans", drawn.getvalue(), "image/png")
    await send_papers(sender, told)


async def send_papers(sender: Sender, told: Iterator[str]) -> None:
    """What operators and banks send of bills, recipients and days."""
    charge = {"service": "heating", "recipient": "heat", "due": 1}
    bill: Body = {"subscriber_account": "7", "period": "2026-10", "charges": [charge]}
    for changed in (
        {"payer": next(told)},
        {"payer": {"name": f"Иванов {next(told)}"}},
        {"payer": {"phones": [{"of": next(told)}]}},
        {"payer": {next(told): 1}},
        {"payer": {"card": int(next(told))}},
        {"charges": [charge | {"service": f"heating {next(told)}"}]},
        {"charges": [charge | {"recipient": next(told)}]},
        {"period": next(told)},
        {next(told): 1},
    ):
        status, said = await sender.send("POST", "/v1/bills", {"bills": [bill | changed]}, "centre")
        assert status >= 400 or orjson.loads(said)["accepted"] == 0, (changed, said)
    account = {"bic": "049401601", "number": account_with_key("4" * 8 + "0" * 12, "049401601")}
    good = {"name": "ООО", "kind": "supplier", "inn": "7707083893", "bank_account": account}
    for recipient in (
        good | {"name": f"ООО {next(told)}"},
        good | {"kpp": next(told)},
        good | {"bank_account": account | {"bank_name": f"Банк {next(told)}"}},
        good | {"inn": next(told)},
        good | {"kind": next(told)},
        good | {"bank_account": {"bic": next(told), "number": next(told)}},
        good | {next(told): 1},
    ):
        status, said = await sender.send("PUT", "/v1/recipients/x", recipient, "centre")
        assert 400 <= status < 500, (recipient, said)
    # Names and addresses of a file are not kept; a card's number among them is nobody's to refuse.
    row = f"12-11-2026;09-31-07;8644;{next(told)};7012;220012345;{next(told)};{next(told)};1026"
    report = f"{row};1,00;1,00;0,00\n=1;1,00;1,00;0,00;778;13-11-2026\n".encode("cp1251")
    status, said = await sender.send("POST", "/v1/acquirer-reports", report, "bank", "text/plain")
    assert (status, orjson.loads(said)["created"]) == (200, 1)
    for path in (f"/v1/payments/{next(told)}", f"/v1/payments?cursor={next(told)}"):
        status, _ = await sender.send("GET", path, b"", "bank")
        assert 400 <= status < 500


async def send_tokens(sender: Sender, phones: wallets.Wallets) -> None:
    """Card numbers where they may be: in tokens, of payments that are taken and that are not."""
    told = numbers(REFUSED)
    now = SystemClock().now()
    statuses = []
    for total in (100, 101):
        contents: tuple[Body | bytes, ...] = (
            *(phones.apple.content(next(told), 100) for _ in range(4)),
            {**phones.apple.content(next(told), 100), "currencyCode": "840"},
            {"applicationPrimaryAccountNumber": next(told)},
            next(told).encode(),
        )
        for one in contents:
            token = phones.apple.token(one, now)
            statuses.append(await send_token(sender, "apple_pay", token, total))
        for version in ("ECv1", "ECv2"):
            for name, value in (("x", "1"), ("messageExpiration", "1"), ("messageId", next(told))):
                content = phones.google.content(next(told), now) | {name: value}
                token = phones.google.token(content, now, version)
                statuses.append(await send_token(sender, "google_pay", token, total))
            token = phones.google.token(next(told).encode(), now, version)
            statuses.append(await send_token(sender, "google_pay", token, total))
    assert 0 < statuses.count(201) < len(statuses)


async def send_token(sender: Sender, method: str, token: object, total: int) -> int:
    """Sends a payment twice, alone and as a line; the status of the first."""
    body: Body = {
        "subscriber_account": "1",
        "total": total,
        "method": {"type": method, "token": token},
    }
    status, _ = await sender.send("POST", "/v1/payments", body, "bank")
    line = orjson.dumps({**body, "idempotency_key": "line"})
    again, said = await sender.send(
        "POST", "/v1/payments/bulk", line, "bank", "application/x-ndjson"
    )
    assert (again, orjson.loads(said)["status"] >= 400) == (200, True), said
    return status


def found_in(folder: Path, sought: re.Pattern[bytes]) -> list[str]:
    """Every file below a folder that holds it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 500, "a whole database was searched"
    return [str(path) for path in files if sought.search(path.read_bytes())]


async def test_no_file_holds_a_number_that_was_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    data, log = tmp_path / "data", tmp_path / "gateway.log"
    phones = wallets.make(tmp_path / "wallets")
    with processes.started(data, log, phones.environ) as gateway:
        secrets = {
            name: processes.add_key(data, name, role)
            for name, role in (("bank", "acquirer"), ("centre", "operator"))
        }
        async with aiohttp.ClientSession() as session:
            sender = Sender(session, gateway.url, secrets)
            await send_everything(sender)
            await send_tokens(sender, phones)
            exempt = next(numbers(EXEMPT))
            paid = {
                "subscriber_account": "1",
                "amount": 100,
                "method": {"type": "card", "rrn": exempt},
            }
            status, _ = await sender.send("POST", "/v1/payments", paid, "bank")
            assert status == 201
            async with session.get(gateway.url + "/metrics") as answer:
                assert NUMBER.search(await answer.read()) is None
        gateway.stop()
    assert found_in(tmp_path, NUMBER) == []
    assert found_in(tmp_path, re.compile(exempt.encode())) != []


def test_numbers_here_are_card_numbers() -> None:
    for prefix in (REFUSED, EXEMPT):
        for number in itertools.islice(numbers(prefix), 50):
            assert all(map(contains_pan, spellings(number)))
