"""What is coming to a recipient: what it earned that no batch has closed yet, what waits or came
back, what is on its way, and when it is to go out.

Adding up what is open costs as much as counting a batch. It is done for all recipients at once and
kept for twenty times as long as it took, so asking often costs payers a twentieth of a core at
most; each recipient is told of its own.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.agreements import store as agreement_store
from gateway.domain.agreement import Agreement
from gateway.domain.business_days import cut_off_at
from gateway.domain.ids import SETTLEMENT_BATCH, shown
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Context
from gateway.journal.db_transaction import reading
from gateway.parties import store as party_store
from gateway.settlement import store_counting, store_own
from gateway.settlement.store_counting import EarnedRow
from gateway.settlement.store_own import Balance, OnTheWay

FRESH_MIN: Final = timedelta(seconds=2)
FRESH_TIMES: Final = 20
LISTED_MAX: Final = 100
_ATTEMPTS: Final = 3


class _Open(Struct, frozen=True):
    """What each recipient (its number) earned in the batches that have no positions yet."""

    batches: Sequence[int]
    as_of: datetime
    until: datetime
    earned: dict[int, EarnedRow]


class Coming:
    """One for each worker."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = asyncio.Lock()
        self._open: _Open | None = None

    async def show(self, recipient: str) -> dict[str, object]:
        """What is coming to one; refuses `not_found` where it is not registered."""
        context = self._context
        for _ in range(_ATTEMPTS):
            opened = await self._added_up()
            async with context.connection() as conn, reading(conn):
                now = context.clock.now()
                batches = await store_own.uncounted(conn)
                if batches != opened.batches:
                    # A batch was cut or counted between the two looks.
                    self._open = None
                    continue
                found = await party_store.find(conn, recipient)
                if found is None:
                    raise Refusal("not_found", "Expected a recipient that is registered")
                number = found[0]
                balance = await store_own.balance(conn, number, batches[0])
                orders = await store_own.on_the_way(conn, number, LISTED_MAX)
                agreed = (await agreement_store.recipients_in_force(conn, now)).get(recipient)
            earned = opened.earned.get(number, EarnedRow({}, {}, 0, 0))
            return {
                "recipient": recipient,
                "as_of": opened.as_of,
                **self._told(earned, balance, None if agreed is None else agreed.content, now),
                **_on_the_way(*orders),
            }
        raise Refusal("state_conflict", "Expected no batch that is being closed; ask again")

    async def _added_up(self) -> _Open:
        async with self._turn:
            now = self._context.clock.now()
            if self._open is None or not self._open.as_of <= now < self._open.until:
                self._open = await self._add_up(now)
            return self._open

    async def _add_up(self, now: datetime) -> _Open:
        earned: dict[int, EarnedRow] = {}
        async with self._context.connection() as conn, reading(conn):
            batches = await store_own.uncounted(conn)
            numbers = await store_own.recipients(conn)
            for batch in batches:
                netting = await store_counting.net(conn, batch)
                found = await store_counting.earned(conn, batch, netting, numbers)
                for number, one in found.items():
                    earned[number] = _together(earned.get(number), one)
        took = self._context.clock.now() - now
        return _Open(batches, now, now + max(FRESH_MIN, FRESH_TIMES * took), earned)

    def _told(
        self, earned: EarnedRow, balance: Balance, agreed: Agreement | None, now: datetime
    ) -> dict[str, object]:
        gross, refunds = sum(earned.shared.values()), sum(earned.refunded.values())
        net = gross - earned.commission - refunds
        amount = balance.carried_in + balance.returned + net
        waits = None if agreed is None else _waits_until(agreed, balance.since, amount, now)
        return {
            "gross": gross,
            "commission": earned.commission,
            "refunds": refunds,
            "net": net,
            "services": [
                {
                    "service": name,
                    "gross": earned.shared.get(name, 0),
                    "refunds": earned.refunded.get(name, 0),
                }
                for name in sorted(earned.shared.keys() | earned.refunded.keys())
            ],
            "carried_in": balance.carried_in,
            "returned": balance.returned,
            "amount": amount,
            "obligations": {"owed": balance.owed, "due": balance.due},
            "minimum_payout": 0 if agreed is None else agreed.minimum_payout,
            "waits_until": waits,
            "expected_on": self._expected_on(amount, waits, agreed, now),
        }

    def _expected_on(
        self, amount: int, waits: date | None, agreed: Agreement | None, now: datetime
    ) -> date | None:
        if amount <= 0:
            return None
        days = self._context.days
        if agreed is not None and agreed.cut_off is not None:
            at = agreed.cut_off
            days = days.by(cut_off_at(at.hour, at.minute, agreed.time_zone))
        day = days.day(now)
        return days.goes_out(day if waits is None else max(day, waits))


def _together(one: EarnedRow | None, other: EarnedRow) -> EarnedRow:
    if one is None:
        return other
    return EarnedRow(
        _summed(one.shared, other.shared),
        _summed(one.refunded, other.refunded),
        one.commission + other.commission,
        0,
    )


def _summed(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one | other}


def _waits_until(agreed: Agreement, since: date | None, amount: int, now: datetime) -> date | None:
    """The day until which so little waits by an agreement, as a batch closed now would say."""
    on_day = now.astimezone(ZoneInfo(agreed.time_zone)).date()
    until = (since or on_day) + timedelta(days=agreed.carry_days)
    return until if 0 < amount < agreed.minimum_payout and on_day < until else None


def _on_the_way(orders: int, together: int, found: Sequence[OnTheWay]) -> dict[str, Any]:
    if len(found) != min(orders, LISTED_MAX):
        raise InvariantBroken("Expected the newest of the orders on their way")
    return {
        "on_the_way": {
            "orders": orders,
            "amount": together,
            "newest": [
                {
                    "settlement_batch": shown(SETTLEMENT_BATCH, one.batch),
                    "amount": one.amount,
                    "state": one.state,
                    "settlement_date": one.settlement_date,
                    "order_number": one.order_number,
                    "order_date": one.order_date,
                }
                for one in found
            ],
        }
    }
