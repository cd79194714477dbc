"""Corrections, chargebacks and debts through a worker of a region, and the audit as their judge."""

from typing import Any
from uuid import UUID

import orjson

from gateway.audit import report
from gateway.domain.ids import CHARGEBACK, DEBT, read_id
from gateway.flows import charge_back, correct_payment, receivables
from gateway.flows.correct_payment import Asked
from tests.flows.region import Region, Worker


async def correct(
    region: Region, key: str, payment: UUID, on: Worker | None = None, **asked: Any
) -> dict[str, Any]:
    claim = region.claim("op", key, "corrections", payment, sorted(asked.items()))
    answer = await correct_payment.correct(
        (on or region.worker).context,
        claim,
        region.callers["op"],
        payment,
        Asked(**asked),
        "the payer erred",
        "letter 17",
    )
    return dict(orjson.loads(answer.content))


async def charge(
    region: Region,
    key: str,
    payment: UUID,
    amount: int | None = None,
    caller: str = "bank",
    case: str | None = None,
    on: Worker | None = None,
) -> dict[str, Any]:
    claim = region.claim(caller, key, "chargebacks", payment, amount)
    answer = await charge_back.charge_back(
        (on or region.worker).context,
        claim,
        region.callers[caller],
        payment,
        amount,
        case or f"case {key}",
        "10.4",
    )
    return dict(orjson.loads(answer.content))


async def win(
    region: Region, key: str, payment: UUID, chargeback: str, amount: int | None = None
) -> dict[str, Any]:
    claim = region.claim("bank", key, "chargeback_reversals", payment, chargeback, amount)
    id_ = read_id(CHARGEBACK, chargeback)
    assert id_ is not None
    answer = await charge_back.reverse(
        region.worker.context, claim, region.callers["bank"], payment, id_, amount, "verdict 3"
    )
    return dict(orjson.loads(answer.content))


async def ask_debt(
    region: Region, key: str, recipient: str, amount: int, kind: str = "written_off"
) -> dict[str, Any]:
    claim = region.claim("op", key, "debt_requests", recipient, amount, kind)
    answer = await receivables.ask(
        region.worker.context,
        claim,
        region.callers["op"],
        recipient,
        kind,
        amount,
        "closed down",
        "act 5",
    )
    return dict(orjson.loads(answer.content))


async def approve_debt(
    region: Region, key: str, request: str, caller: str = "boss", on: Worker | None = None
) -> dict[str, Any]:
    id_ = read_id(DEBT, request)
    assert id_ is not None
    claim = region.claim(caller, key, "debt_settlements", request)
    answer = await receivables.approve(
        (on or region.worker).context, claim, region.callers[caller], id_
    )
    return dict(orjson.loads(answer.content))


async def audited(region: Region) -> dict[str, Any]:
    """The audit's report, in which nothing may be amiss."""
    found = await report.run(region.url)
    assert found["problems"] == []
    return found


async def held(region: Region, payment: UUID) -> dict[tuple[str, str, str], int]:
    """What each recipient has of a payment, by account and service, in kopecks."""
    rows = await region.conn.fetch(
        "SELECT s.subscriber_account, s.service, r.id, sum(s.amount_kopecks)::bigint AS kopecks"
        " FROM shares AS s JOIN recipients AS r ON r.number = s.recipient WHERE s.payment = $1"
        " GROUP BY 1, 2, 3 HAVING sum(s.amount_kopecks) <> 0",
        payment,
    )
    return {(row[0], row[1], row[2]): row["kopecks"] for row in rows}


async def withheld(region: Region, payment: UUID) -> dict[str, int]:
    """What commission is withheld of a payment by recipient, in kopecks."""
    rows = await region.conn.fetch(
        "SELECT r.id, sum(c.commission_kopecks)::bigint AS kopecks FROM commissions AS c"
        " JOIN recipients AS r ON r.number = c.recipient WHERE c.payment = $1"
        " GROUP BY 1 HAVING sum(c.commission_kopecks) <> 0",
        payment,
    )
    return {row["id"]: row["kopecks"] for row in rows}


async def balance(region: Region, account: str) -> int:
    return await region.number(
        "SELECT balance_kopecks FROM trial_balance WHERE ledger_account = $1", account
    )
