"""The transfers on obligations decided again, from the views and by arithmetic of its own.

What a batch should have transferred is computed from what was stored before it, so that one wrong
batch does not accuse all that follow.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from fractions import Fraction
from math import floor
from typing import Any

from gateway.audit import store_obligations as store

Problem = tuple[str, str, str]
# (obligation, service) and its kopecks.
Moved = dict[tuple[int, str], int]


async def broken(conn: Any) -> AsyncIterator[Problem]:
    """What is not as the rules give: obligations, transfers, withdrawals, positions."""
    for check in store.CHECKS:
        for row, detail in await store.broken_rows(conn, check):
            yield check, row, detail
    obligations = await store.obligations(conn)
    if not obligations:
        return
    by_debtor: dict[int, list[Any]] = defaultdict(list)
    remains: dict[int, int] = {}
    for one in obligations:
        by_debtor[one["debtor"]].append(one)
        remains[one["number"]] = one["amount"]
    less: dict[int, list[Any]] = defaultdict(list)
    for one in await store.reductions(conn):
        less[one["settlement_batch"]].append(one)
    moved: dict[int, Moved] = defaultdict(dict)
    for one in await store.transfers(conn):
        moved[one["settlement_batch"]][one["obligation"], one["service"]] = one["amount"]
    names = {one["number"]: f"obl_{one['id'].hex}" for one in obligations}
    reduced_to = 0
    expected: Moved = {}
    batch = 0
    async for row in store.earned(conn):
        if row["batch"] != batch:
            for problem in _compared(batch, expected, moved, names, remains):
                yield problem
            batch, expected = row["batch"], {}
            for since in sorted(at for at in less if reduced_to < at <= batch):
                for one in less[since]:
                    number = one["obligation"]
                    remains[number] = remains.get(number, 0) - one["amount"]
            reduced_to = batch
        owing = [one for one in by_debtor[row["debtor"]] if one["settlement_batch"] <= batch]
        expected |= _due(owing, remains, row)
    for problem in _compared(batch, expected, moved, names, remains):
        yield problem


def _compared(
    batch: int,
    expected: Moved,
    moved: dict[int, Moved],
    names: dict[int, str],
    remains: dict[int, int],
) -> list[Problem]:
    """What a batch transferred against what it should have; the rest is taken off what it did."""
    found = []
    stored = moved[batch]
    wrong = {
        key[0] for key in expected.keys() | stored.keys() if expected.get(key) != stored.get(key)
    }
    for number in sorted(wrong):
        detail = f"was not paid by settlement batch {batch} what the shares give"
        found.append(("transfer_wrong", names.get(number, "?"), detail))
    for (number, _), amount in stored.items():
        remains[number] = remains.get(number, 0) - amount
    return found


def _due(owing: list[Any], remains: dict[int, int], row: Any) -> Moved:
    """What one debtor's earnings in one batch pay on its debts."""
    pool = _pool(row)
    payable = max(0, row["before"] + sum(pool.values()))
    due: Moved = {}
    for one in owing:
        chosen = [name for name in pool if name in one["services"] or not one["services"]]
        room = max(0, min(remains[one["number"]], payable, sum(pool[name] for name in chosen)))
        payable -= room
        # Each service stands on the ones before it and is taken as far as the room reaches.
        floor_level = 0
        for name in chosen:
            has = max(0, pool[name])
            part = min(has, max(0, room - floor_level))
            floor_level += has
            if part:
                due[one["number"], name] = part
                pool[name] -= part
    return due


def _pool(row: Any) -> dict[str, int]:
    """Each service's shares less refunds and its part of the commission, by largest remainder."""
    brought = sorted(zip(row["services"], row["shared"], row["refunded"], strict=True))
    # Corrections may give back more commission than is withheld, and of what is only taken back.
    sign = -1 if row["commission"] < 0 else 1
    weighed = [shared for _, shared, _ in brought]
    if not any(weighed):
        weighed = [refunded for _, _, refunded in brought]
    exact = [Fraction(abs(row["commission"]) * one, sum(weighed) or 1) for one in weighed]
    kept = [floor(part) for part in exact]
    for _ in range(abs(row["commission"]) - sum(kept) if kept else 0):
        # The part that is furthest below what is exact; the first of several.
        at = max(range(len(kept)), key=lambda place: (exact[place] - kept[place], -place))
        kept[at] += 1
    return {
        name: shared - refunded - sign * withheld
        for (name, shared, refunded), withheld in zip(brought, kept, strict=True)
    }
