"""Each bank's protocol through the whole gateway: pay, hear of it however it comes, the books."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.audit import report
from tests.acquirers import raiffeisen_bank, sber_bank, talk, tbank_bank, yookassa_shop
from tests.acquirers.raiffeisen_bank import RaiffeisenBank
from tests.acquirers.sber_bank import SberBank
from tests.acquirers.tbank_bank import TBankBank
from tests.acquirers.yookassa_shop import YooKassaShop
from tests.api.conftest import RECIPIENTS, Answer, Gateway, bill, recipient, served, until

PAGE = 'return_url = "https://centre.example/paid"'
BANKS = ("sber", "tbank", "yookassa", "raiffeisen")


@dataclass
class House:
    """A worker, and the four banks that it asks."""

    gateway: Gateway
    sber: SberBank
    tbank: TBankBank
    yookassa: YooKassaShop
    raiffeisen: RaiffeisenBank

    async def pay(self, bank: str, method: dict[str, str]) -> dict[str, Any]:
        body = {
            "subscriber_account": "220012345",
            "amount": 100000,
            "method": method,
            "reference": f"site-order-{bank}",
            "acquirer": bank,
        }
        answer = await self.gateway.pay(body)
        assert answer.status == 201, answer.content
        return dict(answer.json)

    async def show(self, id_: str) -> dict[str, Any]:
        answer = await self.gateway.send("GET", f"/v1/payments/{id_}", role="acquirer")
        return dict(answer.json)

    async def call_back(self, bank: str, number: str) -> Answer:
        """What the bank sends of itself once the order was paid."""
        path = f"/v1/acquirers/{bank}/callbacks"
        if bank == "sber":
            query = self.sber.callback(number).decode()
            return await self.gateway.send("GET", f"{path}?{query}")
        headers: dict[str, str] = {}
        if bank == "tbank":
            payment = next(one for one in self.tbank.payments.values() if one.order == number)
            body = self.tbank.notification(payment.id)
        elif bank == "yookassa":
            body = self.yookassa.callback(self._shops(number))
        else:
            headers, body = self.raiffeisen.callback(self._code(number))
        return await self.gateway.send("POST", path, body, headers=headers)

    def take(self, bank: str, number: str) -> None:
        """The payer pays what the bank shows."""
        if bank == "sber":
            self.sber.pay(number)
        elif bank == "tbank":
            self.tbank.pay(next(p.id for p in self.tbank.payments.values() if p.order == number))
        elif bank == "yookassa":
            self.yookassa.settle(self._shops(number), "succeeded")
        else:
            self.raiffeisen.pay(self._code(number))

    def returned(self, bank: str, number: str) -> int:
        """Kopecks that the bank gave back of an order."""
        if bank == "sber":
            return self.sber.orders[number].refunded
        if bank == "tbank":
            found = next(one for one in self.tbank.payments.values() if one.order == number)
            return found.amount - found.left
        if bank == "yookassa":
            return self.yookassa.returned(self._shops(number))
        return int(self.raiffeisen.returned(number) * 100)

    def _shops(self, number: str) -> str:
        payments = self.yookassa.payments.items()
        return next(id_ for id_, one in payments if one["metadata"] == {"order": number})

    def _code(self, number: str) -> str:
        return next(one.id for one in self.raiffeisen.codes.values() if one.order == number)


@asynccontextmanager
async def housed(database_url: str, folder: Path) -> AsyncIterator[House]:
    banks = SberBank(), TBankBank(), YooKassaShop(), RaiffeisenBank()
    async with AsyncExitStack() as opened:
        urls = [await opened.enter_async_context(talk.served(bank.app)) for bank in banks]
        for name, content in (
            ("sber.password", sber_bank.PASSWORD),
            ("sber.key", sber_bank.KEY),
            ("tbank.password", tbank_bank.PASSWORD),
            ("yookassa.key", yookassa_shop.KEY),
            ("raiffeisen.key", raiffeisen_bank.KEY),
        ):
            (folder / name).write_text(content + "\n")
        path = folder / "acquirers.toml"
        path.write_text(_settings(*urls))
        gateway = await opened.enter_async_context(served(database_url, acquirers=path))
        await _registered(gateway)
        yield House(gateway, *banks)


def _settings(sber: str, tbank: str, yookassa: str, raiffeisen: str) -> str:
    return f"""
[sber]
kind = "sber"
url = "{sber}/payment"
secrets = {{ password = "sber.password", callback_key = "sber.key" }}
options = {{ user = "{sber_bank.USER}", {PAGE} }}
[tbank]
kind = "tbank"
url = "{tbank}/v2"
secrets = {{ password = "tbank.password" }}
options = {{ terminal = "{tbank_bank.TERMINAL}" }}
[yookassa]
kind = "yookassa"
url = "{yookassa}/v3"
secrets = {{ key = "yookassa.key" }}
options = {{ shop = "{yookassa_shop.SHOP}", bank_name = "Банк", networks = "127.0.0.1", {PAGE} }}
[raiffeisen]
kind = "raiffeisen"
url = "{raiffeisen}/api"
secrets = {{ key = "raiffeisen.key" }}
options = {{ merchant = "{raiffeisen_bank.MERCHANT}" }}
"""


async def _registered(gateway: Gateway) -> None:
    centre = {
        "name": talk.CENTRE.name,
        "kind": "centre",
        "inn": talk.CENTRE.inn,
        "kpp": talk.CENTRE.kpp,
        "bank_account": {
            "bic": talk.CENTRE.bank_account.bic,
            "number": talk.CENTRE.bank_account.number,
            "correspondent": talk.CENTRE.bank_account.correspondent,
        },
    }
    bodies = {id_: recipient(id_) for id_ in RECIPIENTS} | {"centre": centre}
    for id_, body in bodies.items():
        answer = await gateway.send("PUT", f"/v1/recipients/{id_}", body, role="operator")
        assert answer.status == 200, answer.content
    answer = await gateway.send(
        "POST", "/v1/bills", {"bills": [bill()]}, role="operator", key=gateway.key()
    )
    assert answer.json["accepted"] == 1


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with housed(database_url, tmp_path) as made:
        yield made


async def _settled(house: House, id_: str) -> dict[str, Any]:
    return await _settled_at(house, f"/v1/payments/{id_}")


async def _settled_at(house: House, path: str) -> dict[str, Any]:
    """The payment or refund once it is not pending; TimeoutError where it stays so."""
    for _ in range(600):
        shown = dict((await house.gateway.send("GET", path, role="acquirer")).json)
        if shown["state"] != "pending":
            return shown
        await _moment()
    raise TimeoutError(f"Expected {path} to be settled")


async def _moment() -> None:
    ticks = 0

    def tick() -> bool:
        nonlocal ticks
        ticks += 1
        return ticks > 5

    await until(tick)


@pytest.mark.parametrize("bank", BANKS)
async def test_a_code_is_paid_and_its_callback_believed(house: House, bank: str) -> None:
    pending = await house.pay(bank, {"type": "sbp"})
    assert (pending["state"], pending["next"]["type"]) == ("pending", "qr")
    assert pending["next"]["payload"].startswith("https://qr.nspk.ru/")
    number = pending["id"].removeprefix("pay_")
    house.take(bank, number)
    for _ in range(2):
        answer = await house.call_back(bank, number)
        assert answer.status == 200, answer.content
        assert answer.content == (b"OK" if bank == "tbank" else b"")
    accepted = await _settled(house, pending["id"])
    assert (accepted["state"], accepted["amount"]) == ("accepted", 100000)
    assert sum(share["amount"] for share in accepted["shares"]) == 100000
    assert accepted["method"]["acquirer"] == bank
    found = await report.run(house.gateway.database_url)
    assert (found["problems"], found["payments"]) == ([], 1)


@pytest.mark.parametrize("bank", BANKS)
async def test_a_lost_callback_is_made_up_for_by_asking(house: House, bank: str) -> None:
    pending = await house.pay(bank, {"type": "sbp"})
    house.take(bank, pending["id"].removeprefix("pay_"))
    assert (await _settled(house, pending["id"]))["state"] == "accepted"


@pytest.mark.parametrize("bank", BANKS)
async def test_money_is_given_back_in_part_and_whole(house: House, bank: str) -> None:
    pending = await house.pay(bank, {"type": "sbp"})
    number = pending["id"].removeprefix("pay_")
    house.take(bank, number)
    await house.call_back(bank, number)
    await _settled(house, pending["id"])
    for amount, state in ((30_000, "partially_refunded"), (70_000, "refunded")):
        path = f"/v1/payments/{pending['id']}/refunds"
        answer = await house.gateway.send(
            "POST", path, {"amount": amount}, role="acquirer", key=house.gateway.key()
        )
        assert answer.status == 201, answer.content
        made = f"{path}/{answer.json['id']}"
        given = await _settled_at(house, made)
        assert given["state"] == "refunded"
        assert sum(share["amount"] for share in given["shares"]) == amount
        assert (await house.show(pending["id"]))["state"] == state
    assert house.returned(bank, number) == 100_000
    assert (await report.run(house.gateway.database_url))["problems"] == []


@pytest.mark.parametrize(
    ("bank", "reference", "path"),
    [
        ("sber", "b-good", "paymentOrderBinding.do"),
        ("tbank", "145919", "Charge"),
        ("yookassa", "pm-good", "payments"),
    ],
)
async def test_a_card_whose_answer_is_lost_is_charged_once(
    house: House, bank: str, reference: str, path: str
) -> None:
    line: talk.Line = getattr(house, bank).line
    line.lost[path] = 1
    pending = await house.pay(bank, {"type": "card", "reference": reference})
    accepted = await _settled(house, pending["id"])
    assert accepted["state"] == "accepted"
    found = await report.run(house.gateway.database_url)
    assert (found["problems"], found["payments"], found["amount"]) == ([], 1, 100000)
    assert sum(one.status == "2" for one in house.sber.orders.values()) == (bank == "sber")
    assert house.tbank.charges == (bank == "tbank")
    assert len(house.yookassa.payments) == (bank == "yookassa")


@pytest.mark.parametrize("bank", BANKS)
async def test_a_callback_that_anybody_could_send_is_refused(house: House, bank: str) -> None:
    path = f"/v1/acquirers/{bank}/callbacks"
    number = "0a" * 16
    bodies = {
        "sber": f"orderNumber={number}&operation=deposited&status=1&checksum={'0A' * 32}",
        "tbank": f'{{"OrderId": "{number}", "Status": "CONFIRMED", "Success": true}}',
        "raiffeisen": f'{{"order": "{number}", "paymentStatus": "SUCCESS", "amount": 1000}}',
    }
    if bank == "yookassa":
        # From a known address, but of an order that nobody asked for.
        found = await house.gateway.send("POST", path, b'{"object": {"id": "1"}}')
        assert found.status == 200
    else:
        types = {"Content-Type": "application/x-www-form-urlencoded"} if bank == "sber" else {}
        found = await house.gateway.send("POST", path, bodies[bank].encode(), headers=types)
        assert (found.status, found.code) == (403, "signature_invalid")
    connection = await asyncpg.connect(house.gateway.database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM payments") == 0
    finally:
        await connection.close()
