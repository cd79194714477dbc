"""The biller protocols over HTTP: every code, one payment an operation, and the money right.

A table of requests and the codes they are answered with stands first; a bank's programmer should
be able to read it.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import asyncpg
import pytest

from gateway.billers import osmp, sber
from gateway.domain import biller as words
from gateway.domain.refusals import InvariantBroken, Unavailable
from gateway.flows.accept_payment import Intake
from tests.api.conftest import Gateway, bill, served
from tests.api.test_metrics import samples

ACCOUNT = "220012345"
PAYER = {"name": "Иванов Иван <Иванович>", "address": "г. Барнаул, ул. Ленина, д. 10а, кв. 15"}


class Agent:
    """A bank or an agent that speaks to one worker."""

    def __init__(self, gateway: Gateway, caller: str = "acquirer") -> None:
        self.gateway = gateway
        self.caller = caller

    async def ask(self, protocol: str, told: Any, method: str = "GET") -> dict[str, str]:
        """The elements of the answer, those of `fields` by their names."""
        query = told if isinstance(told, str) else urlencode(told)
        path = f"/{protocol}/{self.gateway.secrets[self.caller]}"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        if method == "GET":
            answer = await self.gateway.send("GET", f"{path}?{query}")
        else:
            answer = await self.gateway.send("POST", path, query.encode(), headers=form)
        assert answer.status == 200, answer.content
        assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
        return elements(answer.content)

    async def osmp(self, **told: str) -> dict[str, str]:
        return await self.ask("osmp", told)

    async def sber(self, **told: str) -> dict[str, str]:
        return await self.ask("sber", told)

    async def pay(self, number: str = "1234567", **told: str) -> dict[str, str]:
        return await self.osmp(**{**PAY, "txn_id": number, **told})

    async def payments(self, account: str = ACCOUNT) -> list[Any]:
        found = await self.gateway.send(
            "GET", f"/v1/payments?subscriber_account={account}", role=self.caller
        )
        listed: list[Any] = found.json["payments"]
        return listed


PAY = {
    "command": "pay",
    "txn_id": "1234567",
    "txn_date": "20261112093107",
    "account": ACCOUNT,
    "sum": "200.00",
}
PAYMENT = {
    "ACTION": "payment",
    "ACCOUNT": ACCOUNT,
    "AMOUNT": "100.00",
    "PAY_ID": "654321",
    "PAY_DATE": "12.11.2026_12:31:00",
}

# A file of a desk that counts its operations anew every day.
DESK = """
format = "desk"
operation_unique = "file"

[columns]
separator = ";"
count = 3
operation = 1
account = 2
sum = 3
"""


def elements(content: bytes) -> dict[str, str]:
    """Names and texts of an answer."""
    root = ElementTree.fromstring(content)  # noqa: S314  (our own answer)
    assert root.tag == "response"
    found = {}
    for element in root.iter():
        if element.tag not in ("response", "fields"):
            name = element.get("name", element.tag)
            assert name not in found
            found[name] = element.text or ""
    return found


@pytest.fixture
async def agent(region: Gateway) -> Agent:
    """An agent of a region whose one bill names its payer, and some odd accounts."""
    loaded = {
        "bills": [
            bill(payer=PAYER),
            bill("rejects", overpayment="reject"),
            bill("nothing", charges=[{"service": "heating", "recipient": "heat", "due": 0}]),
        ]
    }
    answer = await region.send("POST", "/v1/bills", loaded, role="operator", key=region.key())
    assert answer.json["accepted"] == 3, answer.content
    return Agent(region)


CODES = [
    # protocol, what is asked, the code
    ("osmp", {"command": "check", "txn_id": "1", "account": ACCOUNT, "sum": "1.00"}, 0),
    ("osmp", {"command": "check", "account": ACCOUNT}, 0),
    ("osmp", {**PAY}, 0),
    ("osmp", {**PAY, "unheard_of": "%", "trm_id": "1"}, 0),
    ("osmp", {**PAY, "account": "22 001"}, 4),
    ("osmp", {**PAY, "account": ""}, 4),
    ("osmp", {**PAY, "account": "1" * 31}, 4),
    ("osmp", {**PAY, "account": "лс-1"}, 4),
    ("osmp", {"command": "check", "account": "999"}, 5),
    ("osmp", {**PAY, "account": "999"}, 5),
    ("osmp", {**PAY, "account": "rejects", "sum": "1200.01"}, 7),
    ("osmp", {"command": "check", "account": "rejects", "sum": "1200.01"}, 7),
    ("osmp", {**PAY, "account": "nothing"}, 8),
    ("osmp", {**PAY, "sum": "0.00"}, 241),
    ("osmp", {**PAY, "sum": "100000000.00"}, 242),
    ("osmp", {"command": "check", "account": ACCOUNT, "sum": "0"}, 241),
    *(
        ("osmp", {**PAY, "sum": text}, 300)
        for text in ("", "200,00", "2e2", "200.001", "-1.00", "+1", " 1", "٣", "1_0", ".5", "1.")
    ),
    *(("osmp", {**PAY, "txn_id": text}, 300) for text in ("", "0x1", "1" * 21, "-1", "٣")),
    *(
        ("osmp", {**PAY, "txn_date": text}, 300)
        for text in ("", "20261312093107", "20260229093107", "2026-11-12", "19991231235959")
    ),
    ("osmp", {**PAY, "command": "getInfo"}, 300),
    ("osmp", {}, 300),
    ("osmp", {"command": "cancel", "txn_id": "2", "cancel_txn_id": "404"}, 300),
    ("osmp", {"command": "cancel", "txn_id": "2"}, 300),
    ("osmp", urlencode(PAY) + "&sum=200.00", 300),
    ("osmp", urlencode(PAY) + "&SUM=200.00", 300),
    ("sber", {"ACTION": "check", "ACCOUNT": ACCOUNT}, 0),
    ("sber", {**PAYMENT}, 0),
    ("sber", {"action": "check", "account": ACCOUNT}, 0),
    ("sber", {**PAYMENT, "ACTION": "pay"}, 2),
    ("sber", {}, 2),
    ("sber", {"ACTION": "check", "ACCOUNT": "999"}, 3),
    ("sber", {**PAYMENT, "ACCOUNT": "999"}, 3),
    ("sber", {**PAYMENT, "ACCOUNT": "22 001"}, 4),
    ("sber", {**PAYMENT, "PAY_ID": "x"}, 6),
    ("sber", {**PAYMENT, "ACCOUNT": "rejects", "AMOUNT": "1200.01"}, 7),
    ("sber", {**PAYMENT, "ACCOUNT": "nothing"}, 7),
    ("sber", {**PAYMENT, "AMOUNT": "1,00"}, 9),
    ("sber", {**PAYMENT, "AMOUNT": "0.00"}, 10),
    ("sber", {**PAYMENT, "AMOUNT": "100000000.00"}, 11),
    ("sber", {**PAYMENT, "PAY_DATE": "32.01.2026_00:00:00"}, 12),
    ("sber", {k: v for k, v in PAYMENT.items() if k != "PAY_DATE"}, 12),
    ("sber", urlencode(PAYMENT) + "&PAY_ID=1", 300),
    # №2: OSMP's names, Sberbank's codes.
    ("sber", {"command": "check", "account": ACCOUNT}, 0),
    ("sber", {**PAY}, 0),
    ("sber", {**PAY, "command": "cancel", "cancel_txn_id": "1"}, 2),
    ("sber", {**PAY, "account": "999"}, 3),
    ("sber", {**PAY, "account": "22 001"}, 4),
    ("sber", {**PAY, "txn_id": ""}, 6),
    ("sber", {**PAY, "sum": "x"}, 9),
    ("sber", {**PAY, "sum": "0"}, 10),
    ("sber", {**PAY, "sum": "100000000.00"}, 11),
    ("sber", {**PAY, "txn_date": "x"}, 12),
    ("sber", {k: v for k, v in PAY.items() if k != "txn_date"}, 12),
]


async def test_what_is_answered_with_which_code(agent: Agent) -> None:
    for number, (protocol, told, code) in enumerate(CODES):
        for method in ("GET", "POST"):
            sent: Any = told
            if isinstance(told, dict) and code == 0:
                # Each a new operation, by a number of its own.
                name = "PAY_ID" if "PAY_ID" in told else "txn_id"
                sent = {**told, name: f"{number}{len(method)}"} if name in told else told
            answer = await agent.ask(protocol, sent, method)
            found = answer.get("result", answer.get("CODE"))
            assert found == str(code), (protocol, method, told, answer)


async def test_a_check_tells_what_is_owed_and_hides_who_owes(agent: Agent) -> None:
    await agent.pay(sum="150.01")
    told = await agent.osmp(command="check", account=ACCOUNT)
    shown = {
        "fio": "И***в И. И.",
        "address": "г. Барнаул, ул. Ленина, д. *, кв. *",
        "balance": "1049.99",
        "rec_sum": "1049.99",
    }
    assert {name: told[name] for name in shown} == shown
    told = await agent.sber(ACTION="check", ACCOUNT=ACCOUNT)
    assert (told["FIO"], told["ADDRESS"]) == (shown["fio"], shown["address"])
    assert (told["BALANCE"], told["REC_SUM"]) == ("1049.99", "1049.99")
    assert "EXT_ID" not in told


async def test_a_surcharge_is_within_what_the_agent_passes_on(agent: Agent) -> None:
    fee = {"ppm": 10_000}
    answer = await agent.gateway.send("PUT", "/v1/surcharges/cash", fee, role="operator")
    assert answer.status == 200
    told = await agent.osmp(command="check", account=ACCOUNT)
    assert (told["balance"], told["rec_sum"]) == ("1200.00", "1212.00")
    await agent.pay(sum="1212.00")
    (paid,) = await agent.payments()
    assert (paid["amount"], paid["surcharge"], paid["total"]) == (120_000, 1_200, 121_200)
    assert (await agent.osmp(command="check", account=ACCOUNT))["balance"] == "0.00"


async def test_a_payment_by_osmp_is_a_payment_like_any_other(agent: Agent) -> None:
    told = await agent.pay()
    assert (told["result"], told["sum"], told["osmp_txn_id"]) == ("0", "200.00", "1234567")
    assert re.fullmatch(r"[1-9][0-9]{0,19}", told["prv_txn"])
    (paid,) = await agent.payments()
    assert (paid["amount"], paid["reference"]) == (20_000, "1234567")
    assert paid["method"] == {"type": "cash", "protocol": "osmp"}
    # 09:31:07 in Moscow.
    assert paid["paid_at"] == "2026-11-12T06:31:07Z"
    assert sum(share["amount"] for share in paid["shares"]) == 20_000


async def test_a_repeat_is_the_first_answer_from_any_worker(agent: Agent) -> None:
    first = await agent.pay()
    first_sber = await agent.ask("sber", PAYMENT)
    async with served_again(agent) as other:
        for one in (agent, other):
            again = await one.pay(txn_date="20261113000000")
            assert (again["result"], again["prv_txn"]) == ("0", first["prv_txn"])
            again = await one.ask("sber", PAYMENT, "POST")
            assert again["CODE"] == "8"
            for name in ("EXT_ID", "REG_DATE", "AMOUNT"):
                assert again[name] == first_sber[name]
    assert first_sber["EXT_ID"] != first["prv_txn"]
    assert len(await agent.payments()) == 2


@asynccontextmanager
async def served_again(agent: Agent, **changes: Any) -> AsyncIterator[Agent]:
    """A second worker on the same database, with the same callers."""
    async with served(agent.gateway.database_url, callers=False, **changes) as other:
        other.secrets |= agent.gateway.secrets
        yield Agent(other, agent.caller)


async def test_at_once_and_many_times_it_is_one_payment(agent: Agent) -> None:
    async with served_again(agent) as other:
        told = await asyncio.gather(*(one.pay() for one in (agent, other) * 16))
    assert {(one["result"], one["prv_txn"]) for one in told} == {("0", told[0]["prv_txn"])}
    assert len(await agent.payments()) == 1


@pytest.mark.parametrize(
    ("told", "differs"),
    [
        ({"sum": "200.01"}, "sum"),
        ({"account": "rejects"}, "account"),
        ({"account": "999", "sum": "1.00"}, "both"),
    ],
)
async def test_the_same_number_with_something_else_is_refused_and_alarmed(
    agent: Agent, told: dict[str, str], differs: str, caplog: pytest.LogCaptureFixture
) -> None:
    await agent.pay()
    with caplog.at_level(logging.WARNING, "kopeck.api"):
        answer = await agent.pay(**told)
    assert answer["result"] == "300"
    assert "prv_txn" not in answer
    (line,) = [record.getMessage() for record in caplog.records]
    assert differs in line
    for private in (ACCOUNT, "rejects", "999", "1234567", "200", agent.gateway.secrets["acquirer"]):
        assert private not in line
    found = samples((await agent.gateway.send("GET", "/metrics")).content.decode())
    labels = f'differs="{differs}",protocol="osmp"'
    assert found["kopeck_biller_conflicts_total", labels] == 1
    assert len(await agent.payments()) == 1
    (paid,) = await agent.payments()
    assert paid["total"] == 20_000


async def test_sber_refuses_another_sum_under_the_same_number(agent: Agent) -> None:
    await agent.ask("sber", PAYMENT)
    assert (await agent.ask("sber", {**PAYMENT, "AMOUNT": "100.01"}))["CODE"] == "300"


async def test_an_operation_is_its_callers_alone_and_no_key_of_http(agent: Agent) -> None:
    mine = await agent.pay()
    theirs = await Agent(agent.gateway, "acquirer2").pay()
    assert theirs["result"] == "0"
    assert theirs["prv_txn"] != mine["prv_txn"]
    for key in ("1234567", "osmp-1234567", "osmp%201234567"):
        answer = await agent.gateway.pay(
            {"subscriber_account": ACCOUNT, "amount": 1, "method": {"type": "cash"}}, key=key
        )
        assert answer.status == 201
        assert "Idempotency-Replayed" not in answer.headers
    spaced = await agent.gateway.pay(
        {"subscriber_account": ACCOUNT, "amount": 1, "method": {"type": "cash"}}, key="osmp 1234567"
    )
    assert spaced.code == "malformed"


async def test_a_payment_is_taken_back_whole_once_and_after_settlement(agent: Agent) -> None:
    await agent.pay()
    closed = await agent.gateway.send(
        "POST", "/v1/settlement-batches", {}, role="operator", key=agent.gateway.key()
    )
    assert closed.status == 201
    cancel = {"command": "cancel", "txn_id": "777", "cancel_txn_id": "1234567"}
    assert (await agent.osmp(**cancel, sum="199.00"))["result"] == "300"
    first = await agent.osmp(**cancel)
    assert (first["result"], first["sum"]) == ("0", "200.00")
    again = await agent.osmp(**{**cancel, "txn_id": "778"})
    assert (again["result"], again["prv_txn"]) == ("0", first["prv_txn"])
    (paid,) = await agent.payments()
    assert (paid["state"], paid["refunded"]) == ("refunded", 20_000)
    assert (await agent.osmp(command="check", account=ACCOUNT))["balance"] == "1200.00"
    # The payment was made and is told as it was made.
    assert (await agent.pay())["result"] == "0"
    assert len(await agent.payments()) == 1


async def test_a_payment_given_back_in_part_is_not_taken_back(agent: Agent) -> None:
    await agent.pay()
    (paid,) = await agent.payments()
    path = f"/v1/payments/{paid['id']}/refunds"
    await agent.gateway.send("POST", path, {"amount": 1}, role="acquirer", key="part")
    told = await agent.osmp(command="cancel", txn_id="2", cancel_txn_id="1234567")
    assert told["result"] == "7"
    assert (await agent.payments())[0]["refunded"] == 1


async def test_nobody_takes_back_what_another_paid(agent: Agent) -> None:
    await agent.pay()
    other = Agent(agent.gateway, "acquirer2")
    told = await other.osmp(command="cancel", txn_id="2", cancel_txn_id="1234567")
    assert told["result"] == "300"


async def test_what_a_file_made_is_not_made_again(agent: Agent) -> None:
    file = f"1234567\t12.11.2026\t09:31:07\t{ACCOUNT}\t200.00\nTotal: 1 200.00\n"
    answer = await agent.gateway.send(
        "POST", "/v1/acquirer-reports?format=qiwi", file.encode(), role="acquirer", key="file"
    )
    assert answer.json["created"] == 1, answer.content
    told = await agent.pay()
    assert told["result"] == "0"
    assert len(await agent.payments()) == 1
    assert (await agent.pay())["prv_txn"] == told["prv_txn"]
    assert (await agent.pay(sum="200.01"))["result"] == "300"


async def test_a_file_whose_numbers_are_its_own_makes_nobodys_operation(
    agent: Agent, tmp_path: Path
) -> None:
    (tmp_path / "desk.toml").write_text(DESK)
    file = f"1234567;{ACCOUNT};200.00\n"
    async with served_again(agent, report_layouts=tmp_path) as other:
        answer = await other.gateway.send(
            "POST", "/v1/acquirer-reports?format=desk", file.encode(), role="acquirer", key="file"
        )
        assert answer.json["created"] == 1, answer.content
    await agent.pay()
    assert len(await agent.payments()) == 2


async def test_a_file_matches_what_was_paid(agent: Agent) -> None:
    await agent.pay()
    file = f"1234567\t12.11.2026\t09:31:07\t{ACCOUNT}\t200.00\nTotal: 1 200.00\n"
    answer = await agent.gateway.send(
        "POST", "/v1/acquirer-reports?format=qiwi", file.encode(), role="acquirer", key="file"
    )
    assert (answer.json["matched"], answer.json["discrepancies"]) == (1, [])


async def test_money_for_an_unknown_account_is_held_where_that_is_agreed(
    agent: Agent,
) -> None:
    async with served_again(agent, biller_unknown_account="suspense") as holding:
        assert (await holding.osmp(command="check", account="999"))["result"] == "5"
        first = await holding.pay(account="999")
        assert first["result"] == "0"
    # However it is agreed later, the payment was made.
    assert (await agent.pay(account="999"))["prv_txn"] == first["prv_txn"]
    (paid,) = await agent.payments("999")
    assert paid["state"] == "suspense"


async def test_limits_and_old_bills_are_settings(agent: Agent) -> None:
    settings = {"biller_amount_min": 1_000, "biller_amount_max": 20_000}
    async with served_again(agent, biller_inactive_months=1, **settings) as strict:
        assert (await strict.pay(sum="9.99"))["result"] == "241"
        assert (await strict.pay(sum="200.01"))["result"] == "242"
        old = bill("old", period="2020-01")
        await strict.gateway.send("POST", "/v1/bills", {"bills": [old]}, role="operator", key="old")
        assert (await strict.osmp(command="check", account="old"))["result"] == "79"
        assert (await strict.pay(account="old"))["result"] == "79"
        assert (await strict.sber(ACTION="check", ACCOUNT="old"))["CODE"] == "5"


FAILURES = [
    # what fails, OSMP's result, Sberbank's code
    (Unavailable("overloaded", "full"), "1", "1"),
    (Unavailable("unavailable", "unknown outcome"), "90", "1"),
    (TimeoutError(), "90", "1"),
    (ConnectionResetError(), "90", "1"),
    (RuntimeError("a bug"), "90", "1"),
    (InvariantBroken("sums differ"), "300", "300"),
]


@pytest.mark.parametrize(("failure", "result", "code"), FAILURES)
async def test_an_unknown_outcome_is_never_fatal(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, failure: Exception, result: str, code: str
) -> None:
    async def fail(*told: Any) -> None:
        raise failure

    monkeypatch.setattr(Intake, "accept", fail)
    told = await agent.pay()
    assert (told["result"], told["osmp_txn_id"]) == (result, "1234567")
    assert (await agent.ask("sber", PAYMENT))["CODE"] == code


async def test_an_account_that_cannot_be_looked_up_is_unchecked(agent: Agent) -> None:
    conn = await asyncpg.connect(agent.gateway.database_url)
    try:
        await conn.execute("ALTER TABLE open_bills RENAME TO away")
        # The key is known for a second, so that only the account is looked up in vain.
        told = await agent.osmp(command="check", account=ACCOUNT)
        assert told["result"] == "243"
        assert (await agent.sber(ACTION="check", ACCOUNT=ACCOUNT))["CODE"] == "1"
        assert (await agent.pay())["result"] == "90"
    finally:
        await conn.execute("ALTER TABLE away RENAME TO open_bills")
        await conn.close()
    assert (await agent.pay())["result"] == "0"


async def test_the_door_speaks_the_protocol_once_the_key_is_good(region: Gateway) -> None:
    agent = Agent(region)
    door = region.door
    for _ in range(door._in_flight_max):
        door.enter()
    assert (await agent.pay())["result"] == "1"
    assert (await agent.ask("sber", PAYMENT))["CODE"] == "1"
    assert (await agent.ask("sber", PAY))["result"] == "1"
    for _ in range(door._in_flight_max):
        door.leave()
    assert (await agent.osmp(**PAY, x="1" * 4096))["result"] == "300"
    secret = region.secrets["acquirer"]
    for headers, body in (
        ({"Content-Encoding": "gzip"}, b"x"),
        ({"Content-Type": "multipart/form-data; boundary=x"}, b"x"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"x" * 70_000),
    ):
        answer = await region.send("POST", f"/osmp/{secret}", body, headers=headers)
        assert (answer.status, elements(answer.content)["result"]) == (200, "8")
    async with served_again(agent, rate_limit_per_s=1) as limited:
        answers = await asyncio.gather(*(limited.pay() for _ in range(8)))
        assert {one["result"] for one in answers} == {"0", "1"}


@pytest.mark.parametrize("protocol", ["osmp", "sber"])
async def test_a_key_that_is_not_good_is_told_before_any_xml(
    region: Gateway, protocol: str
) -> None:
    query = urlencode(PAY)
    for secret in ("nobody-has-this-key", "short", "%00" * 9, "a b c d e f"):
        answer = await region.send("GET", f"/{protocol}/{secret.replace(' ', '%20')}?{query}")
        assert answer.code in ("unauthenticated", "not_found")
        assert secret.encode() not in answer.content
    answer = await region.send("GET", f"/{protocol}/{region.secrets['operator']}?{query}")
    assert (answer.status, answer.code) == (403, "forbidden")
    answer = await region.send("GET", f"/{protocol}?{query}")
    assert (answer.status, answer.code) == (401, "unauthenticated")
    # A good key in a header does not help a bad one in the path.
    answer = await region.send("GET", f"/{protocol}/nobody-has-this-key?{query}", role="acquirer")
    assert answer.status == 401


async def test_a_proxy_may_add_the_key_in_a_header(agent: Agent) -> None:
    query = urlencode({"command": "check", "account": ACCOUNT})
    answer = await agent.gateway.send("GET", f"/osmp?{query}", role="acquirer")
    assert elements(answer.content)["result"] == "0"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode(PAYMENT).encode()
    answer = await agent.gateway.send("POST", "/sber", body, role="acquirer", headers=form)
    assert elements(answer.content)["CODE"] == "0"


async def test_payments_and_answers_are_counted(agent: Agent) -> None:
    await agent.pay()
    await agent.pay()
    await agent.pay(number="2", account="999")
    await agent.osmp(command="check", account=ACCOUNT)
    text = (await agent.gateway.send("GET", "/metrics")).content.decode()
    found = samples(text)
    for outcome in ("accepted", "replayed", "refused"):
        labels = f'method="cash",outcome="{outcome}"'
        assert found["kopeck_payments_total", labels] == 1
    for command, verdict in (
        ("pay", "done"),
        ("pay", "repeated"),
        ("pay", "unknown_account"),
        ("check", "done"),
    ):
        labels = f'command="{command}",protocol="osmp",verdict="{verdict}"'
        assert found["kopeck_biller_answers_total", labels] == 1
    assert 'route="osmp_get"' in text
    assert agent.gateway.secrets["acquirer"] not in text


def test_every_verdict_has_its_code_and_every_code_of_the_protocols_is_had() -> None:
    for codes in (osmp.RESULTS, sber.CODES):
        assert set(codes) == set(words.VERDICTS) == set(osmp.COMMENTS)
    assert set(osmp.RESULTS.values()) == {0, 1, 4, 5, 7, 8, 79, 90, 241, 242, 243, 300}
    assert set(sber.CODES.values()) == {*range(13), 300}
