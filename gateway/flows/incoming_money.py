"""Lines of a statement that are no payout's: those of acquirers, as what they name is kept."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from hashlib import blake2b
from typing import Any, Final

from gateway.payouts.statements.lines import Line
from gateway.reconciliation import store
from gateway.reconciliation.store import Incoming
from gateway.reconciliation.terms import ArrivalTerms, days_of, is_fee, operations_of

_NUMBER_LENGTH_MAX: Final = 20


async def of_acquirers(conn: Any, lines: Sequence[Line]) -> tuple[list[Incoming], set[int]]:
    """The lines that are an acquirer's and new, and the numbers of those told of before.

    A line that two acquirers' terms fit is nobody's: people have to tell them apart.
    """
    terms = await store.all_terms(conn)
    found: list[Incoming] = []
    counted: Counter[bytes] = Counter()
    for line in lines:
        callers = [caller for caller, one in terms.items() if _fits(line, one)]
        if len(callers) == 1:
            found.append(_kept(line, callers[0], counted))
    seen = await store.seen(conn, [one.identity for one in found])
    return (
        [one for one in found if one.identity not in seen],
        {one.number for one in found if one.identity in seen},
    )


def _fits(line: Line, terms: ArrivalTerms) -> bool:
    if line.is_debit and not (terms.fee == "apart" and is_fee(line.purpose)):
        return False
    return terms.pays(line.other_account, line.other_inn, line.purpose)


def _kept(line: Line, caller: int, counted: Counter[bytes]) -> Incoming:
    """What is kept of a line; its identity is of what every form of statement tells alike."""
    number = line.order_number
    if not (number.isascii() and number.isdigit() and len(number) <= _NUMBER_LENGTH_MAX):
        number = ""
    operations, days = operations_of(line.purpose), days_of(line.purpose)
    same = _identity(line, number.lstrip("0"), operations, days, 0)
    counted[same] += 1
    return Incoming(
        line.number,
        caller,
        line.is_debit,
        line.amount,
        line.booked_on,
        number.lstrip("0") or None,
        line.order_date,
        operations,
        days,
        _identity(line, number.lstrip("0"), operations, days, counted[same]),
    )


def _identity(
    line: Line, number: str, operations: Sequence[str], days: Sequence[date], ordinal: int
) -> bytes:
    told = (
        line.account,
        line.booked_on.isoformat(),
        line.is_debit,
        line.amount,
        number,
        tuple(operations),
        tuple(day.isoformat() for day in days),
        ordinal,
    )
    return blake2b(repr(told).encode(), digest_size=16).digest()
