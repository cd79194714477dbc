"""How what was taken of a payment's shares later, or given back to them, was shared (pure).

The entries happen to the payment's lots once more, one after another; what each share gives is
worked out by what was left of it then, and has to be what is stored.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.corrections.store import Entry
from gateway.domain.lots import Lot, Move, added, apply, commission_back
from gateway.domain.refusals import InvariantBroken
from gateway.flows.correct_payment import Asked
from gateway.journal.rows import RefundRow
from gateway.splitting.explain import Working, shared
from splitcore import unpack

LEFT = "left"
HELD = "held"
Place = tuple[Lot, int]
Names = Callable[[Lot], Sequence[tuple[int, str, str, int]]]
"""Of each part of a lot's plan its charge, service, recipient and the recipient's index."""


class CommissionBack(Struct, frozen=True):
    """What of a recipient's commission goes with what a correction takes, in kopecks.

    amount = half-up(withheld * moved_after / gross) - half-up(withheld * moved_before / gross).
    """

    recipient: str
    withheld: int
    gross: int
    moved_before: int
    moved_after: int
    amount: int


class Taking(Struct, frozen=True):
    """One entry: what it took (`sign` -1) of shares of lots, or gave them back (1)."""

    entry: UUID
    kind: str
    at: datetime
    sign: int
    amount: int
    shares: list[tuple[Lot, int, Working]]
    commissions: list[CommissionBack]


def takings(
    lots: dict[UUID, Lot],
    refunds: Iterable[RefundRow],
    moves: Sequence[Move],
    entries: Mapping[UUID, Entry],
    asked: Mapping[UUID, str],
    names: Names,
) -> Iterator[Taking]:
    """What refunds, corrections, chargebacks and reversals took and gave, oldest first.

    `lots` has the payment's own split before anything was taken, and all later ones are put there.
    """
    for refund in refunds:
        if refund.shares is not None:
            (lot,) = lots.values()
            parts = unpack(refund.shares)
            found = _by_left(_places([lot]), refund.amount, LEFT)
            _check(found, {lot.id: parts})
            lot.take(parts, corrects=False)
            at = entries[refund.id].at
            yield Taking(refund.id, "refund", at, -1, refund.amount, found, [])
    for entry, group in groupby(moves, key=lambda move: move.entry):
        together = list(group)
        yield from _taking(lots, together, moves, entries, asked.get(entry), names)
        for move in together:
            apply(lots, move)


def _taking(
    lots: Mapping[UUID, Lot],
    together: Sequence[Move],
    moves: Sequence[Move],
    entries: Mapping[UUID, Entry],
    asked: str | None,
    names: Names,
) -> Iterator[Taking]:
    entry = entries[together[0].entry]
    touched = [move for move in together if move.lot in lots]
    if not touched:
        # What was nobody's was given to an account: a split, and nothing taken.
        return
    stored: dict[UUID, list[int]] = {}
    for move in touched:
        parts = unpack(move.shares)
        stored[move.lot] = added(stored.get(move.lot, [0] * len(parts)), parts)
    amount = sum(move.amount for move in touched)
    sign = touched[0].sign
    if entry.kind == "reversal":
        before = moves[: moves.index(together[0])]
        found = _shared(*_held(lots, before, entry.chargeback, entries), amount, HELD)
    elif entry.kind == "correction" and asked is not None:
        found = _corrected(lots, amount, msgspec.json.decode(asked, type=Asked), names)
    else:
        found = _by_left(_places(lots.values()), amount, LEFT)
    _check(found, stored)
    commissions = []
    if entry.kind == "correction":
        for move in touched:
            commissions += _commissions(lots[move.lot], move, names)
    yield Taking(entry.id, entry.kind, entry.at, sign, amount, found, commissions)


def _corrected(
    lots: Mapping[UUID, Lot], amount: int, asked: Asked, names: Names
) -> list[tuple[Lot, int, Working]]:
    source = [lot for lot in lots.values() if asked.from_account in (None, lot.account)]
    places = _places(source)
    if not asked.services:
        return _by_left(places, amount, LEFT)
    found = []
    for service, kopecks in dict(asked.services).items():
        named = [(lot, at) for lot, at in places if names(lot)[at][1] == service]
        found += _by_left(named, kopecks, LEFT)
    return found


def _places(lots: Iterable[Lot]) -> list[Place]:
    return [(lot, at) for lot in lots for at, kopecks in enumerate(lot.left) if kopecks]


def _by_left(places: list[Place], amount: int, step: str) -> list[tuple[Lot, int, Working]]:
    return _shared(places, [lot.left[at] for lot, at in places], amount, step)


def _shared(
    places: list[Place], weights: list[int], amount: int, step: str
) -> list[tuple[Lot, int, Working]]:
    if not sum(weights):
        raise InvariantBroken("Expected shares of which anything could be taken")
    workings = shared(amount, weights, step)
    return [(lot, at, one) for (lot, at), one in zip(places, workings, strict=True)]


def _held(
    lots: Mapping[UUID, Lot],
    before: Sequence[Move],
    chargeback: UUID | None,
    entries: Mapping[UUID, Entry],
) -> tuple[list[Place], list[int]]:
    """What a chargeback took of each share and reversals have not given back yet."""
    places: list[Place] = []
    weights: list[int] = []
    for move in before:
        if move.entry == chargeback:
            left = unpack(move.shares)
            for later in before:
                if entries[later.entry].chargeback == chargeback and later.lot == move.lot:
                    left = added(left, [-kopecks for kopecks in unpack(later.shares)])
            held = [(at, kopecks) for at, kopecks in enumerate(left) if kopecks]
            places += [(lots[move.lot], at) for at, _ in held]
            weights += [kopecks for _, kopecks in held]
    return places, weights


def _commissions(lot: Lot, move: Move, names: Names) -> list[CommissionBack]:
    parts = unpack(move.shares)
    whose = [recipient for *_, recipient in names(lot)]
    back = commission_back(lot, whose, parts)
    if back != (unpack(move.commissions) if move.commissions else [0] * len(back)):
        raise InvariantBroken("Expected the commission that goes with what a correction takes")
    found = []
    for index, amount in enumerate(back):
        mine = [at for at, one in enumerate(whose) if one == index]
        before = sum(lot.moved[at] for at in mine)
        after = before + sum(parts[at] for at in mine)
        if after > before and lot.commissions[index]:
            gross = sum(lot.shares[at] for at in mine)
            name = names(lot)[mine[0]][2]
            found.append(CommissionBack(name, lot.commissions[index], gross, before, after, amount))
    return found


def _check(found: list[tuple[Lot, int, Working]], stored: Mapping[UUID, list[int]]) -> None:
    """What was worked out is what was stored; InvariantBroken where it is not."""
    worked: dict[UUID, dict[int, int]] = {}
    for lot, at, working in found:
        if working.amount:
            worked.setdefault(lot.id, {})[at] = working.amount
    kept = {
        lot: {at: kopecks for at, kopecks in enumerate(parts) if kopecks}
        for lot, parts in stored.items()
    }
    if worked != kept:
        raise InvariantBroken("Expected what is stored to be what its rule gives")
