"""The audit as a whole: one snapshot of the database, every check, one report."""

import re
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import asyncpg

from gateway.audit import (
    arrivals,
    obligations,
    seals,
    store,
    store_history,
    store_obligations,
    store_parties,
)
from gateway.audit.history import plan_of
from gateway.audit.replay import AuditPlan, Replay
from gateway.audit.terms import Terms
from gateway.storage.migrate import assert_current
from gateway.storage.postgres import connect
from splitcore import FeeRule, amount_for_total, fee

# Of each check: a thousand rows that one names hide none of another.
PROBLEMS_MAX = 1000
# The sum of an order in each form of a payout file; with or without a point, in kopecks at last.
_SUMS = {
    "1c": re.compile("(?m)^Сумма=([0-9]+[.][0-9]{2})\r?$".encode("cp1251")),
    "ed101": re.compile(rb'<ED101 [^>]*Sum="([0-9]+)"'),
    "pain001": re.compile(rb"<InstdAmt [^>]*>([0-9]+[.][0-9]{2})</InstdAmt>"),
}
Problem = tuple[str, str, str]


async def run(url: str) -> dict[str, object]:
    """Audit a database: counts, sums in kopecks, and `problems`, empty where everything holds."""
    conn = await connect(url, "audit")
    try:
        await assert_current(conn)
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            return await audit(conn)
    finally:
        await conn.close()


async def audit(conn: asyncpg.Connection) -> dict[str, object]:
    """The report on what this transaction sees."""
    counts: dict[str, int] = {}
    problems: list[dict[str, str]] = []

    def complain(problem: Problem) -> None:
        check, row, detail = problem
        counts[check] = counts.get(check, 0) + 1
        if counts[check] <= PROBLEMS_MAX:
            problems.append({"check": check, "row": row, "detail": detail})

    totals = await store.totals(conn)
    for check in store.CHECKS:
        for row, detail in await store.broken_rows(conn, check):
            complain((check, row, detail))
    terms = Terms(*await store.terms(conn))
    plans = await _plans(conn, complain)
    async for problem in _replayed(conn, plans, terms):
        complain(problem)
    async for problem in _surcharges(conn, plans, terms):
        complain(problem)
    async for problem in _payout_files(conn):
        complain(problem)
    async for problem in obligations.broken(conn):
        complain(problem)
    async for problem in arrivals.wrong(conn):
        complain(problem)
    async for problem in store_parties.broken(conn):
        complain(problem)
    unsealed = await store.unsealed(conn)
    for problem in seals.missing(unsealed):
        complain(problem)
    async for problem in seals.broken(conn):
        complain(problem)
    async for problem in store_history.broken(conn):
        complain(problem)
    unbalanced = sum(
        counts.get(check, 0) for check in store.CHECKS if check.endswith("_unbalanced")
    )
    return {
        **totals,
        **await store_obligations.totals(conn),
        "unsealed_batches": len(unsealed),
        "unbalanced": unbalanced,
        "duplicate_payouts": counts.get("duplicate_payouts", 0),
        "found": counts,
        "problems": problems,
    }


async def _plans(conn: Any, complain: Any) -> dict[int, AuditPlan]:
    rows, described = await store.plans(conn)
    plans = {}
    for row in rows:
        place = f"split plan {row['number']}"
        names = "\x00".join(row["services"]) + "\x01" + ",".join(map(str, row["recipients"]))
        if row["payer_category"] is not None:
            names += "\x01" + row["payer_category"]
        if sha256(row["plan"] + names.encode()).digest() != row["digest"]:
            complain(("plan_wrong", place, "its content is not what its digest says"))
        try:
            plan = plans[row["number"]] = plan_of(row)
        except ValueError:
            complain(("plan_wrong", place, "cannot be read"))
            continue
        reference = plan.reference
        parts = described.get(row["number"])
        shown = parts and (parts["charges"], parts["services"], parts["recipients"])
        meant = (
            list(reference.part_charge),
            [row["services"][charge] for charge in reference.part_charge],
            [row["recipients"][at] for at in reference.part_recipient],
        )
        if shown != meant:
            complain(("plan_wrong", place, "its parts are not those of the plan"))
    return plans


async def _replayed(conn: Any, plans: dict[int, AuditPlan], terms: Terms) -> AsyncIterator[Problem]:
    bills = _Accounts(store.bills(conn))
    events = _Accounts(store.events(conn))
    open_bills = _Accounts(store.open_bills(conn))
    streams = (bills, events, open_bills)
    for stream in streams:
        await stream.advance()
    while accounts := [stream.account for stream in streams if stream.account is not None]:
        account = min(accounts)
        loaded, happened, opened = [await stream.take(account) for stream in streams]
        replay = Replay(plans, terms)
        try:
            for problem in replay.play(loaded, happened, opened[0] if opened else None):
                yield problem
        except (KeyError, ValueError) as error:
            yield "bill_wrong", _named(loaded), f"cannot be played again: {type(error).__name__}"


def _named(bills: list[Any]) -> str:
    return f"bill {bills[-1]['number']}" if bills else "an account without bills"


class _Accounts:
    """A stream of rows ordered by account, taken an account at a time."""

    def __init__(self, rows: AsyncIterator[Any]) -> None:
        self._rows = rows
        self._next: Any = None

    @property
    def account(self) -> str | None:
        """The account of the next row, None at the end."""
        return None if self._next is None else self._next["subscriber_account"]

    async def advance(self) -> None:
        self._next = await anext(self._rows, None)

    async def take(self, account: str) -> list[Any]:
        """All rows of this account, if it is the next one."""
        taken = []
        while self.account == account:
            taken.append(self._next)
            await self.advance()
        return taken


async def _surcharges(
    conn: Any, plans: dict[int, AuditPlan], terms: Terms
) -> AsyncIterator[Problem]:
    async for row in store.surcharges(conn):
        plan = plans.get(row["plan"])
        moment = (row["terms_version"], row["at"])
        if (
            terms.has_agreements
            and plan
            and terms.tariff(plan, row["method"], *moment).above is not None
        ):
            # By what each recipient got: the account's history shows it, or the try that told it.
            if row["told"] is not None and row["told"] != row["surcharge"]:
                yield "surcharge_wrong", "pay_" + row["id"].hex, "is not what its payer was told"
            continue
        rule = terms.at("surcharge", row["method"], row["terms_version"]) or FeeRule()
        amount, surcharge = row["amount"], row["surcharge"]
        if fee(amount, rule) == surcharge:
            continue
        # Where the payer handed over a total, what a rounding step leaves joins the surcharge.
        if amount_for_total(row["total"], rule) != (amount, surcharge):
            yield "surcharge_wrong", "pay_" + row["id"].hex, "is not what the rules give"


async def _payout_files(conn: Any) -> AsyncIterator[Problem]:
    for row in await store.payout_files(conn):
        place = f"payout file of settlement batch {row['number']}"
        # Batches approved before other forms were made have only the first.
        if (row["content"] is None) == row["approved"] and row["format"] == "1c":
            yield "payout_file_wrong", place, "is missing, or its batch is not approved"
        elif row["content"] is not None:
            sums = [_kopecks(found) for found in _SUMS[row["format"]].findall(row["content"])]
            if sum(sums) != row["amount"] or len(sums) != row["payouts"]:
                yield "payout_file_wrong", place, "its orders are not the batch's payouts"


def _kopecks(text: bytes) -> int:
    return int(text.replace(b".", b""))
