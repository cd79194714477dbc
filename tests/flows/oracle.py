"""The judge of what is stored: every split done again by the reference, every total by plain SQL.

It reads rows, never asks a flow, and takes the bills from whoever loaded them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from gateway.domain.bill import BY_WEIGHTS, Bill, OverpaymentCharge
from splitcore import PPM, FeeRule, unpack
from splitcore import reference as law
from tests.flows.region import COMMISSIONS, SURCHARGES

_EVENTS = """
    SELECT 'payment' AS kind, a.payment, a.subscriber_account, a.sequence, b.payer #>> '{}' AS bill,
           b.number, a.amount, a.shares, a.commission, p.designation
    FROM allocations AS a
    JOIN payments AS p ON p.id = a.payment
    JOIN bills AS b ON b.subscriber_account = a.subscriber_account AND b.number = a.bill
    UNION ALL
    SELECT 'refund', payment, subscriber_account, sequence, NULL, NULL, amount, shares, NULL, NULL
    FROM refunds WHERE plan IS NOT NULL
    ORDER BY subscriber_account, sequence
"""
_BILLS = """
    SELECT subscriber_account, number, payer #>> '{}' AS bill, counts_from, loaded_after
    FROM bills ORDER BY subscriber_account, number
"""
_FEES = "SELECT amount, surcharge, method FROM payments"
_OPEN = "SELECT subscriber_account, bill, sequence, paid FROM open_bills"
_NONE_MAY_BE = {
    "debits and credits differ": "SELECT 1 FROM ledger HAVING"
    " sum(debit_kopecks) <> sum(credit_kopecks)",
    "a payment without exactly one key": """
        SELECT id FROM payments AS p
        WHERE (SELECT count(*) FROM idempotency_keys AS k
               WHERE k.resource = p.id AND k.route = 0 AND k.caller = p.caller) <> 1""",
    "a key of a payment that is not there": """
        SELECT key FROM idempotency_keys AS k
        WHERE route = 0 AND NOT EXISTS (SELECT FROM payments AS p WHERE p.id = k.resource)""",
    "a key of an answer that is not there": """
        SELECT key FROM idempotency_keys WHERE route IN (1, 2, 3, 5) AND answer IS NULL""",
    "more refunded than paid": """
        SELECT p.id FROM payments AS p JOIN refunds AS r ON r.payment = p.id
        GROUP BY p.id, p.amount HAVING sum(r.amount) > p.amount""",
    "shares that do not add up": """
        SELECT a.payment FROM allocations AS a
        JOIN shares AS s ON s.payment = a.payment AND s.refund IS NULL AND s.entry IS NULL
        GROUP BY a.payment, a.amount HAVING sum(s.amount_kopecks) <> a.amount""",
    "a share given back beyond what it was": """
        SELECT payment FROM shares GROUP BY payment, subscriber_account, recipient, service
        HAVING sum(amount_kopecks) < 0""",
    "a recipient of a counted batch without a position": """
        SELECT s.recipient FROM shares AS s JOIN settlement_batches AS b
            ON b.number = s.settlement_batch AND b.state <> 'cut'
        WHERE NOT EXISTS (SELECT FROM positions AS p WHERE p.recipient = s.recipient
                          AND p.settlement_batch = s.settlement_batch)""",
    "a batch counted that is not cut": """
        SELECT number FROM settlement_batches, cut WHERE number >= cut.settlement_batch""",
    "a position that its rows do not explain": """
        SELECT p.recipient FROM positions AS p
        WHERE p.net <> coalesce((SELECT sum(amount_kopecks) FROM shares AS s
                 WHERE s.settlement_batch = p.settlement_batch AND s.recipient = p.recipient), 0)
               - coalesce((SELECT sum(commission_kopecks) FROM commissions AS c
                 WHERE c.settlement_batch = p.settlement_batch
                   AND c.recipient = p.recipient), 0)""",
    "a position that does not carry on": """
        SELECT p.recipient FROM positions AS p LEFT JOIN positions AS before
            ON before.settlement_batch = p.settlement_batch - 1
           AND before.recipient = p.recipient
        WHERE p.carried_in <> coalesce(before.carried_out, 0)
           OR p.payable < 0 OR (p.payable > 0 AND p.carried_out <> 0)""",
    "a batch whose payouts are not its positions": """
        SELECT b.number FROM settlement_batches AS b WHERE b.approved_at IS NOT NULL
          AND EXISTS (SELECT recipient, payable FROM positions
                      WHERE settlement_batch = b.number AND payable > 0
                      EXCEPT SELECT recipient, amount FROM payouts
                      WHERE settlement_batch = b.number)""",
}


async def check_books(conn: asyncpg.Connection) -> None:
    """Whatever must hold at every commit, by plain SQL."""
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        for what, query in _NONE_MAY_BE.items():
            assert await conn.fetch(query) == [], what


async def check_splits(conn: asyncpg.Connection, loaded: Mapping[str, Bill]) -> int:
    """Splits every account's payments again, one after another; how many there were.

    Sequences must be without gaps, and the open bill must be paid as the reference says.
    """
    async with conn.transaction(isolation="repeatable_read", readonly=True):
        queries = (_EVENTS, _BILLS, _OPEN, _FEES)
        events, bills, still_open, fees = [await conn.fetch(query) for query in queries]
    for row in fees:
        if row["method"] in SURCHARGES:
            assert row["surcharge"] == law.fee(row["amount"], SURCHARGES[row["method"]])
    accounts = {row["subscriber_account"] for row in [*events, *bills]}
    for account in sorted(accounts):
        own = _of(bills, account)
        history = _History(loaded, own)
        for event in _of(events, account):
            history.follow(event)
        (open_bill,) = _of(still_open, account)
        history.load_up_to(history.sequence)
        assert open_bill["bill"] == own[-1]["number"]
        assert open_bill["sequence"] == history.sequence
        assert unpack(open_bill["paid"]) == history.paid, account
    return sum(event["kind"] == "payment" for event in events)


def _of(rows: Sequence[Any], account: str) -> list[Any]:
    return [row for row in rows if row["subscriber_account"] == account]


class _History:
    """One account's bills and what happened to them, followed in the order of sequences."""

    def __init__(self, loaded: Mapping[str, Bill], bills: Sequence[Any]) -> None:
        self._loaded = loaded
        self._to_come = list(bills)
        self._events: list[Any] = []
        self._current: Any = None
        self.paid: list[int] = []
        self.sequence = 0

    def follow(self, event: Any) -> None:
        assert event["sequence"] == self.sequence + 1
        self.load_up_to(self.sequence)
        self.sequence += 1
        if event["kind"] == "payment":
            self._pay(event)
        else:
            self._give_back(event)
        self._events.append(event)

    def load_up_to(self, sequence: int) -> None:
        while self._to_come and self._to_come[0]["loaded_after"] <= sequence:
            self._current = self._to_come.pop(0)
            self.paid = self._carried()

    def _bill(self) -> Bill:
        return self._loaded[self._current["bill"]]

    def _pay(self, event: Any) -> None:
        bill = self._bill()
        assert event["bill"] == self._current["bill"]
        named = _designation(event, bill)
        charges = split(bill, self.paid, event["amount"], named)
        parts, commissions = second_level(bill, charges)
        assert unpack(event["shares"]) == parts
        assert event["commission"] == sum(commissions.values())
        self.paid = [a + b for a, b in zip(self.paid, charges, strict=True)]

    def _give_back(self, event: Any) -> None:
        (payment,) = [
            e for e in self._events if e["payment"] == event["payment"] and e["kind"] == "payment"
        ]
        split_by = self._loaded[payment["bill"]]
        back = charges_of(split_by, unpack(event["shares"]))
        if payment["number"] == self._current["number"]:
            self.paid = [max(a - b, 0) for a, b in zip(self.paid, back, strict=True)]
        elif payment["sequence"] > self._current["counts_from"]:
            by_service = _by_service(split_by, back)
            charges = self._bill().charges
            tiers = [charge.tier for charge in charges]
            for at in sorted(range(len(charges)), key=lambda i: (tiers[i], i), reverse=True):
                service = charges[at].service
                take = min(self.paid[at], by_service.get(service, 0))
                self.paid[at] -= take
                by_service[service] = by_service.get(service, 0) - take

    def _carried(self) -> list[int]:
        """What the account's payments since `counts_from` paid on a bill that was just loaded."""
        bill = self._bill()
        received: dict[str, int] = {}
        counted = set()
        for event in self._events:
            if event["kind"] == "payment" and event["sequence"] > self._current["counts_from"]:
                counted.add(event["payment"])
        bills = {e["payment"]: self._loaded[e["bill"]] for e in self._events if e["bill"]}
        for event in self._events:
            if event["payment"] not in counted:
                continue
            split_by = bills[event["payment"]]
            sign = 1 if event["kind"] == "payment" else -1
            for service, kopecks in _by_service(
                split_by, charges_of(split_by, unpack(event["shares"]))
            ).items():
                received[service] = received.get(service, 0) + sign * kopecks
        return _designated(bill, [charge.due for charge in bill.charges], received)


def _designation(event: Any, bill: Bill) -> dict[str, int]:
    named: dict[str, int] = orjson.loads(event["designation"] or "{}")
    known = {charge.service for charge in bill.charges}
    fits = set(named) <= known and sum(named.values()) <= event["amount"]
    return named if fits else {}


def split(bill: Bill, paid: Sequence[int], amount: int, named: Mapping[str, int]) -> list[int]:
    """What each charge receives of `amount`, by the reference."""
    dues = [charge.due for charge in bill.charges]
    owed = [max(0, due - before) for due, before in zip(dues, paid, strict=True)]
    weights = [c.due if c.weight is None else c.weight for c in bill.charges]
    policy = bill.overpayment
    where = policy.charge if isinstance(policy, OverpaymentCharge) else BY_WEIGHTS
    designated = _designated(bill, owed, named)
    tiers = [charge.tier for charge in bill.charges]
    return law.split_charges(amount, owed, tiers, weights, where, designated)


def _designated(bill: Bill, owed: Sequence[int], named: Mapping[str, int]) -> list[int]:
    services = [charge.service for charge in bill.charges]
    index = {service: at for at, service in enumerate(dict.fromkeys(services))}
    tiers = [charge.tier for charge in bill.charges]
    places = [index[service] for service in services]
    designated = [0] * len(services)
    for service, kopecks in named.items():
        if service in index and kopecks > 0:
            received = law.designate(index[service], kopecks, owed, tiers, places)
            designated = [a + b for a, b in zip(designated, received, strict=True)]
    return designated


def second_level(bill: Bill, charges: Sequence[int]) -> tuple[list[int], dict[str, int]]:
    """The parts of every charge, and each recipient's commission."""
    parts: list[int] = []
    gross: dict[str, int] = {}
    for charge, received in zip(bill.charges, charges, strict=True):
        recipients, ppm = _level(charge)
        level = law.hamilton(received, ppm)
        parts += level
        for recipient, kopecks in zip(recipients, level, strict=True):
            gross[recipient] = gross.get(recipient, 0) + kopecks
    return parts, {
        recipient: min(kopecks, law.fee(kopecks, COMMISSIONS.get(recipient, FeeRule())))
        for recipient, kopecks in gross.items()
        if kopecks
    }


def charges_of(bill: Bill, parts: Sequence[int]) -> list[int]:
    """Parts added up by charge."""
    left = list(parts)
    received = []
    for charge in bill.charges:
        size = len(charge.second_level) + 1
        received.append(sum(left[:size]))
        del left[:size]
    assert left == []
    return received


def _by_service(bill: Bill, charges: Sequence[int]) -> dict[str, int]:
    by_service: dict[str, int] = {}
    for charge, kopecks in zip(bill.charges, charges, strict=True):
        by_service[charge.service] = by_service.get(charge.service, 0) + kopecks
    return by_service


def _level(charge: Any) -> tuple[list[str], list[int]]:
    recipients = [entry.recipient for entry in charge.second_level] + [charge.recipient]
    ppm = [entry.ppm for entry in charge.second_level]
    return recipients, [*ppm, PPM - sum(ppm)]
