"""RED of every room: each of its steps is counted and timed, as done and as refused or failed.

One region's day over HTTP, with one wrong request for each right one; the counts are then known.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.acquirers.exchange import Exchange
from gateway.acquirers.kinds import KINDS
from gateway.acquirers.words import NoAnswer
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.payouts.centre import TRIAL_CENTRE
from gateway.steps import DONE, FAILED, REFUSED, STEPS, UNAVAILABLE, Steps
from tests.acquirer_reports.files import sber12
from tests.api import test_acquirer_reports as reports
from tests.api import test_agreements as agreements
from tests.api import test_obligations as obligations
from tests.api import test_scans as scans
from tests.api.conftest import RECIPIENTS, Answer, Gateway, bill, payment, recipient, served
from tests.api.test_billers import Agent
from tests.api.test_metrics import samples
from tests.api.test_wallets import Wallets
from tests.payouts.statement_files import Told, one_c
from tests.rules.sources import ROOT
from tests.webhooks.receiving import receiving

# Rooms whose requests, errors and durations are told by metrics of their own.
ELSEWHERE = {
    "journal": ("kopeck_payments_total", "kopeck_commit_seconds", "kopeck_commit_group_size"),
    # Computes in memory, within the steps of settlement.
    "calendar": ("kopeck_step_seconds",),
}
# No worker does it, so no metric of a worker could tell of it; the command prints what it did.
OF_A_COMMAND = {"archive"}
LAYER = re.compile(r'"""(methods .*?)""",', re.DOTALL)


def rooms() -> set[str]:
    """Rooms as the table of layers has them."""
    found = LAYER.search((ROOT / "pyproject.toml").read_text())
    assert found is not None
    return set(re.findall(r"\w+", found[1])) - OF_A_COMMAND


def test_every_room_has_steps_or_metrics_of_its_own() -> None:
    assert rooms() == STEPS.keys() | ELSEWHERE.keys()


def test_every_kind_of_acquirer_is_a_step() -> None:
    assert set(STEPS["acquirers"]) == set(KINDS)


def test_a_step_that_is_not_in_the_list_is_a_bug() -> None:
    for room, step in (("bills", "loaded"), ("bill", "load")):
        with pytest.raises(InvariantBroken):
            Steps().step(room, step)


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (Refusal("malformed", "x"), REFUSED),
        (Unavailable("unavailable", "x"), UNAVAILABLE),
        (TimeoutError(), UNAVAILABLE),
        (ConnectionResetError(), UNAVAILABLE),
        (asyncio.CancelledError(), UNAVAILABLE),
        (InvariantBroken("x"), FAILED),
        (ValueError("x"), FAILED),
    ],
    ids=lambda given: given if isinstance(given, str) else type(given).__name__,
)
def test_what_leaves_a_step_says_how_it_ended(failure: BaseException, outcome: str) -> None:
    steps = Steps()

    def failing() -> None:
        with steps.step("bills", "load"):
            assert steps.busy["bills"] == 1
            raise failure

    with pytest.raises(type(failure)):
        failing()
    assert steps.ended == {("bills", "load", outcome): 1}
    assert sum(steps.seconds["bills", "load"].counts) == 1
    assert steps.busy["bills"] == 0


async def test_what_acquirers_answer_is_counted_by_their_kind() -> None:
    steps = Steps()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=int(request.path.strip("/")))

    app = web.Application()
    app.router.add_route("*", "/{status}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Exchange(url, 5.0, kind="sber", steps=steps) as exchange:
        for path in ("/200", "/404"):
            await exchange.ask("GET", path, {})
        with pytest.raises(NoAnswer):
            await exchange.ask("GET", "/503", {})
        await runner.cleanup()
        with pytest.raises(NoAnswer):
            await exchange.ask("GET", "/200", {})
    assert steps.ended == {("acquirers", "sber", DONE): 2, ("acquirers", "sber", UNAVAILABLE): 2}
    assert sum(steps.seconds["acquirers", "sber"].counts) == 4


@asynccontextmanager
async def day(database_url: str, wallets: Wallets) -> AsyncIterator[Gateway]:
    """A worker that does what one does for all, trusts wallets, and tells webhooks."""
    more = wallets.settings
    async with served(database_url, slot=0, webhook_loopback="allow", **more) as gateway:
        for id_ in RECIPIENTS:
            await put(gateway, f"/v1/recipients/{id_}", recipient(id_))
        yield gateway


async def put(gateway: Gateway, path: str, body: Any, role: str = "operator") -> Answer:
    return await gateway.send("PUT", path, body, role=role)


async def post(gateway: Gateway, path: str, body: Any, role: str = "operator") -> Answer:
    return await gateway.send("POST", path, body, role=role, key=gateway.key())


async def terms(gateway: Gateway) -> None:
    """Parties, splitting, agreements, obligations, bills: each asked once well and once badly."""
    await put(gateway, "/v1/recipients/heat", recipient("heat", inn="2224123451"))
    await put(gateway, "/v1/surcharges/card", {"ppm": 0})
    await put(gateway, "/v1/surcharges/card", {"min": 5, "max": 3})
    for version in (1, 2):
        await post(gateway, f"/v1/recipients/heat/versions/{version}/confirm", {}, "approver")
    one = (await agreements.propose(gateway, agreements.agreement())).json["id"]
    await agreements.propose(gateway, agreements.agreement(recipient="nobody"))
    for _ in range(2):
        await agreements.decide(gateway, one, "reject", {"reason": "no"})
    (owed,) = (await obligations.load(gateway, obligations.debt())).json["obligations"]
    await obligations.load(gateway, obligations.debt())
    for file in (b"{}", b""):
        await post(gateway, "/v1/obligation-files", file, "operator")
    path = f"/v1/obligations/{owed['id']}/withdraw"
    asked = (await post(gateway, path, {"amount": 1, "reason": "so"})).json["id"]
    await post(gateway, path, {"amount": 10**9, "reason": "so"})
    for _ in range(2):
        await post(gateway, f"/v1/obligation-withdrawals/{asked}/approve", {}, "approver")
    await post(gateway, "/v1/bills", {"bills": [bill()]})


async def payments(gateway: Gateway, wallets: Wallets) -> None:
    """Methods, billers, corrections, acquirers' reports and scans."""
    await gateway.pay(wallets.pay("google_pay"))
    await gateway.pay(wallets.pay("google_pay", {"signature": "x"}))
    agent = Agent(gateway)
    await agent.osmp(command="check", account="220012345")
    await agent.osmp(command="check", account="nobody")
    paying = {"command": "pay", "account": "220012345", "txn_date": "20261112093107"}
    await agent.osmp(**paying, txn_id="1", sum="100.00")
    await agent.osmp(**paying, txn_id="2", sum="100000000.00")
    for cancelled in ("404", "1"):
        await agent.osmp(command="cancel", txn_id=f"9{cancelled}", cancel_txn_id=cancelled)
    one = str((await gateway.pay(payment())).json["id"])
    held = str((await gateway.pay(payment(subscriber_account="strange"))).json["id"])
    for amount in (1, 10**9):
        await post(gateway, f"/v1/payments/{one}/refunds", {"amount": amount}, "acquirer")
        why = {"reason": "so", "document": "7", "period": "2026-09", "amount": amount}
        await post(gateway, f"/v1/payments/{one}/corrections", why)
        case = {"amount": amount, "case": f"CB-{amount}", "reason_code": "10.4"}
        await post(gateway, f"/v1/payments/{one}/chargebacks", case, "acquirer")
    for account in ("nobody", "220012345"):
        await post(gateway, f"/v1/payments/{held}/resolve", {"subscriber_account": account})
    await reports.sent(gateway, sber12([reports.row("op-1"), reports.row("op-2")]))
    await reports.sent(gateway, "no report")
    await scans.scan(gateway, scans.BILL)
    await scans.scan(gateway, "ST00012|nonsense")
    await scans.scan_picture(gateway, scans.drawn(scans.BILL))
    await scans.scan_picture(gateway, b"\x89PNG\r\n\x1a\n no picture")
    await gateway.send("GET", "/v1/bills/220012345/qr?format=svg", role="operator")


async def settlement(gateway: Gateway) -> None:
    """Settlement, payouts, seals and webhooks."""
    base = "/v1/settlement-batches"
    async with receiving() as receiver:
        hook = {"url": receiver.url}
        await put(gateway, "/v1/webhooks/books", hook, "recipient:heat")
        batch = f"{base}/{(await post(gateway, base, {})).json['id']}"
        await receiver.until_heard(1)
        await gateway.send("GET", f"{batch}/reports/heat?format=csv", role="operator")
        await gateway.send("GET", f"{batch}/payout-file?format=1c", role="operator")
        for _ in range(2):
            await post(gateway, f"{batch}/approve", {}, "approver")
        for _ in range(2):
            await post(gateway, f"{batch}/send", {})
        await gateway.send("GET", f"{batch}/payout-file?format=1c", role="operator")
        await post(gateway, f"{batch}/cancel", {"reason": "so"}, "approver")
        await receiver.until_heard(3)
    kind = {"Content-Type": "text/plain"}
    for content in (one_c([Told("1", 1, "40702810002000001234")], own=TRIAL_CENTRE.account), b"?"):
        await gateway.send(
            "POST", "/v1/bank-statements?format=1c", content,
            role="operator", key=gateway.key(), headers=kind,
        )  # fmt: skip


EXPECTED = {
    ("parties", "recipient"): {DONE: 3, REFUSED: 1},
    ("parties", "confirm"): {DONE: 1, REFUSED: 1},
    ("splitting", "surcharge"): {DONE: 1, REFUSED: 1},
    ("agreements", "propose"): {DONE: 1, REFUSED: 1},
    ("agreements", "decide"): {DONE: 1, REFUSED: 1},
    ("obligations", "load"): {DONE: 1, REFUSED: 1},
    ("obligations", "file"): {DONE: 1, REFUSED: 1},
    ("obligations", "withdraw"): {DONE: 1, REFUSED: 1},
    ("obligations", "approve"): {DONE: 1, REFUSED: 1},
    ("bills", "load"): {DONE: 1},
    ("methods", "open"): {DONE: 1, REFUSED: 1},
    ("billers", "check"): {DONE: 1, REFUSED: 1},
    ("billers", "pay"): {DONE: 1, REFUSED: 1},
    ("billers", "cancel"): {DONE: 1, REFUSED: 1},
    # One of them takes an agent's payment back.
    ("corrections", "refund"): {DONE: 2, REFUSED: 1},
    ("corrections", "correct"): {DONE: 1, REFUSED: 1},
    ("corrections", "charge_back"): {DONE: 1, REFUSED: 1},
    ("corrections", "resolve"): {DONE: 1, REFUSED: 1},
    ("acquirer_reports", "take"): {DONE: 1, REFUSED: 1},
    ("scans", "text"): {DONE: 1, REFUSED: 1},
    ("scans", "picture"): {DONE: 1, REFUSED: 1},
    ("scans", "drawing"): {DONE: 1},
    ("settlement", "close"): {DONE: 1},
    ("settlement", "count"): {DONE: 1},
    ("settlement", "report"): {DONE: 1},
    ("settlement", "approve"): {DONE: 1, REFUSED: 1},
    ("settlement", "send"): {DONE: 1, REFUSED: 1},
    ("settlement", "cancel"): {REFUSED: 1},
    ("payouts", "file"): {DONE: 1, REFUSED: 1},
    ("payouts", "statement"): {DONE: 1, REFUSED: 1},
    ("webhooks", "send"): {DONE: 3},
    ("seals", "seal"): {DONE: 2},
    # As often as the clock has it.
    ("audit", "money"): {},
    ("seals", "history"): {},
    ("reconciliation", "late"): {},
    ("reconciliation", "match"): {},
    ("watch", "look"): {},
    ("watch", "months"): {},
}


def ended(found: dict[tuple[str, str], float]) -> dict[tuple[str, str], Counter[str]]:
    """How often each step of a room ended, and how."""
    told: dict[tuple[str, str], Counter[str]] = {}
    for (name, labels), value in found.items():
        if name == "kopeck_steps_total" and value:
            words = dict(re.findall(r'(\w+)="(\w+)"', labels))
            counts = told.setdefault((words["room"], words["step"]), Counter())
            counts[words["outcome"]] += int(value)
    return told


async def shown(gateway: Gateway) -> dict[tuple[str, str], float]:
    return samples((await gateway.send("GET", "/metrics")).content.decode())


async def until_all_ended(gateway: Gateway) -> dict[tuple[str, str], float]:
    """What /metrics shows once each step has ended; what it shows then if that takes too long."""
    for _ in range(300):
        if ended(await shown(gateway)).keys() >= EXPECTED.keys():
            break
        await asyncio.sleep(0.2)
    return await shown(gateway)


async def test_every_step_of_a_day_is_counted_and_timed(database_url: str, tmp_path: Path) -> None:
    assert EXPECTED.keys() | {("acquirers", kind) for kind in STEPS["acquirers"]} == {
        (room, step) for room, steps in STEPS.items() for step in steps
    }
    wallets = Wallets(tmp_path)
    async with day(database_url, wallets) as gateway:
        await terms(gateway)
        await payments(gateway, wallets)
        await settlement(gateway)
        found = await until_all_ended(gateway)
    counts = ended(found)
    assert counts.keys() == EXPECTED.keys()
    for step, wanted in EXPECTED.items():
        assert counts[step] == wanted or not wanted, step
        assert wanted or set(counts[step]) == {DONE}, step
        labels = f'room="{step[0]}",step="{step[1]}"'
        assert found["kopeck_step_seconds_count", labels] == counts[step].total(), step
    assert found["kopeck_step_rows_total", 'room="acquirer_reports",step="take"'] == 2
    assert found["kopeck_step_rows_total", 'room="payouts",step="statement"'] == 1
    assert found["kopeck_step_rows_total", 'room="bills",step="load"'] == 1
    assert found["kopeck_step_rows_total", 'room="obligations",step="file"'] == 1
