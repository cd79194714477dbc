"""A bank's statement: which payouts were executed, which came back, and what agrees with none.

It was read whole before this begins, and is taken in one database transaction: the states of its
payouts, the money that is owed again, and the answer, which the same statement gets for ever.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

import orjson
from msgspec import Struct

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, STATEMENT, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.domain.states import PAYOUT as PAYOUT_TABLE
from gateway.domain.states import SETTLEMENT_BATCH as BATCH_TABLE
from gateway.domain.states import next_state, told_of_batch
from gateway.flows import after_restore, incoming_money, reconcile, tell_recipients
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.journal.rows import Cut
from gateway.payouts import store as payout_store
from gateway.payouts.matching import (
    EXECUTED,
    KNOWN,
    RETURNED,
    UNKNOWN_CREDIT,
    UNKNOWN_DEBIT,
    UNKNOWN_RETURN,
    Known,
    Verdict,
    identity_of,
    instruction_of,
    judge,
    numbers_of,
    speaks_of,
)
from gateway.payouts.statements.lines import Line, Statement
from gateway.payouts.store import Move, Returned
from gateway.reconciliation import store as arrival_store
from gateway.reconciliation.store import Incoming
from gateway.settlement import store as settlement_store
from gateway.settlement import store_restores

Judged = list[tuple[Line, Verdict]]
# Money of an acquirer's, which is brought together with its reports.
INCOMING = "incoming"
_NO_PAYOUT = (UNKNOWN_CREDIT, UNKNOWN_DEBIT, UNKNOWN_RETURN)
_EVENTS = {EXECUTED: "execute", RETURNED: "return"}


class Taken(Struct):
    """What a statement says of our payouts, and how each of them moves on."""

    judged: Judged
    moves: list[Move]

    def of(self, kind: str) -> Judged:
        """The lines of one kind."""
        return [(line, verdict) for line, verdict in self.judged if verdict.kind == kind]


async def take(
    context: Context, claim: Claim, caller: Caller, statement: Statement, digest: bytes
) -> Answer:
    """Take a statement whose balances hold; `digest` stands for its bytes."""
    resource = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await payout_store.hold_statements(conn)
        before = await payout_store.answer_to(conn, digest)
        if before is not None:
            found: dict[str, object] = orjson.loads(before)
            return found
        taken = await _judge(conn, statement.lines)
        incoming = await _incoming(conn, taken)
        taken.judged, lost = await after_restore.find_lost(context, conn, resource, taken.judged)
        names = await arrival_store.names(conn, [one.caller for one in incoming])
        answer = _answer(resource, statement, taken, incoming, names)
        now = context.clock.now()
        content = orjson.dumps(answer)
        await payout_store.add_statement(
            conn, resource, digest, statement, content, now, caller.number
        )
        await payout_store.add_lines(conn, resource, list(_lines(taken)))
        await arrival_store.add_lines(conn, resource, incoming)
        await payout_store.add_discrepancies(conn, resource, list(_discrepancies(taken)))
        await store_restores.add_lines(conn, lost.lines)
        await store_restores.book(conn, lost.book, cut.settlement_batch, now, caller.number)
        await payout_store.move(conn, taken.moves, now, caller.number, resource)
        await payout_store.add_moving(conn, taken.moves)
        returned = [
            Returned(one.settlement_batch, one.recipient, one.amount, one.id)
            for one in _payouts(taken.of(RETURNED))
        ]
        await payout_store.add_returned(conn, cut.settlement_batch, returned, now)
        for kind, event in _EVENTS.items():
            told = [
                (one.payout, line.booked_on)
                for line, one in taken.of(kind)
                if one.payout is not None
            ]
            await tell_recipients.of_statement(conn, now, event, told)
        await _move_batches(context, conn, taken, caller)
        return answer

    answer = await once(context, claim, resource, act)
    # It is durable, and payers do not wait for what it brings together.
    await reconcile.match_all(context)
    return answer


async def find(context: Context, statement: UUID) -> bytes:
    """What a statement was answered; refuses `not_found`."""
    async with context.connection() as conn:
        answer = await payout_store.find_statement(conn, statement)
    if answer is None:
        raise Refusal("not_found", "Expected the id of a bank statement")
    return answer


async def _judge(conn: Any, lines: Sequence[Line]) -> Taken:
    moved = await payout_store.moved_by(conn, [identity_of(line) for line in lines])
    numbers = sorted({number for line in lines for number in numbers_of(line)})
    ids = [id_ for line in lines if (id_ := instruction_of(line)) is not None]
    by_number: dict[int, list[Known]] = {}
    by_id: dict[UUID, Known] = {}
    ids += [one for payouts in moved.values() for one in payouts]
    for one in await payout_store.known(conn, numbers, ids):
        by_number.setdefault(one.order_number, []).append(one)
        by_id[one.id] = one
    taken = Taken([], [])
    told: set[tuple[UUID, bool]] = set()
    # Money leaves before it can come back, in whatever order a bank lists the two; and what a line
    # names by our id is that line's.
    for line in sorted(lines, key=lambda line: (not line.is_debit, instruction_of(line) is None)):
        # A line that moved a payout before moves no other, whatever its words could mean.
        before = _moved_before(line, moved.get(identity_of(line), []), by_id)
        if before is not None:
            verdict = Verdict(KNOWN, before)
        else:
            verdict = judge(line, _candidates(line, by_number, by_id), told)
        taken.judged.append((line, verdict))
        if verdict.payout is not None and verdict.kind in (EXECUTED, RETURNED, KNOWN):
            told.add((verdict.payout.id, line.is_debit))
            if verdict.kind != KNOWN:
                taken.moves.append(_moved(line, verdict.kind, verdict.payout))
    taken.judged.sort(key=lambda entry: entry[0].number)
    return taken


def _moved_before(line: Line, moved: list[UUID], by_id: dict[UUID, Known]) -> Known | None:
    """The payout that the line moved in an earlier statement, which is told of once.

    Two payouts of one sum come back in lines that differ in nothing but the id they name.
    """
    named = instruction_of(line)
    if named in by_id and named not in moved:
        return None
    if not moved:
        return None
    return by_id[moved.pop(moved.index(named) if named in moved else 0)]


async def _incoming(conn: Any, taken: Taken) -> list[Incoming]:
    """The acquirers' lines among those that are no payout's; their verdicts say so then."""
    lines = [line for line, verdict in taken.judged if verdict.kind in _NO_PAYOUT]
    incoming, seen = await incoming_money.of_acquirers(conn, lines)
    kinds = {one.number: INCOMING for one in incoming} | dict.fromkeys(seen, KNOWN)
    taken.judged = [
        (line, Verdict(kinds[line.number]) if line.number in kinds else verdict)
        for line, verdict in taken.judged
    ]
    return incoming


def _candidates(
    line: Line, by_number: dict[int, list[Known]], by_id: dict[UUID, Known]
) -> list[Known]:
    named = instruction_of(line)
    if named is not None and named in by_id:
        return [by_id[named]]
    found = {one.id: one for number in numbers_of(line) for one in by_number.get(number, ())}
    return [one for one in found.values() if speaks_of(line, one)]


def _moved(line: Line, kind: str, payout: Known) -> Move:
    """The payout's move, after which it is known as it then stands."""
    event = _EVENTS[kind]
    state, payout.state = payout.state, next_state(PAYOUT_TABLE, payout.state, event)
    if event == "execute":
        payout.executed_on = line.booked_on
    else:
        payout.returned_on = line.booked_on
    booked_on, identity = line.booked_on, identity_of(line)
    return Move(payout.id, event, state, payout.state, line.number, booked_on, identity)


async def _move_batches(context: Context, conn: Any, taken: Taken, caller: Caller) -> None:
    told = [*_payouts(taken.of(EXECUTED)), *_payouts(taken.of(RETURNED))]
    numbers = sorted({one.settlement_batch for one in told})
    before = await settlement_store.lock_states(conn, numbers)
    for number, states in (await payout_store.states(conn, numbers)).items():
        event = told_of_batch(states)
        state = next_state(BATCH_TABLE, before[number], event)
        now = context.clock.now()
        await settlement_store.move(conn, number, before[number], state)
        await settlement_store.add_event(conn, number, event, state, now, caller.number, None)


def _payouts(judged: Judged) -> Iterable[Known]:
    return (verdict.payout for _, verdict in judged if verdict.payout is not None)


def _lines(taken: Taken) -> Iterable[tuple[int, bool, int, str]]:
    for line, verdict in taken.judged:
        yield line.number, line.is_debit, line.amount, verdict.kind


def _discrepancies(taken: Taken) -> Iterable[tuple[int, str, UUID | None, int]]:
    for line, verdict in taken.judged:
        if verdict.kind not in (EXECUTED, RETURNED, KNOWN, INCOMING):
            payout = None if verdict.payout is None else verdict.payout.id
            yield line.number, verdict.kind, payout, line.amount


def _answer(
    resource: UUID,
    statement: Statement,
    taken: Taken,
    incoming: Sequence[Incoming],
    names: dict[int, str],
) -> dict[str, object]:
    discrepancies: list[dict[str, object]] = []
    for number, kind, payout, amount in _discrepancies(taken):
        one: dict[str, object] = {"kind": kind, "line": number, "amount": amount}
        if payout is not None:
            one["payout"] = shown(PAYOUT, payout)
        discrepancies.append(one)
    return {
        "id": shown(STATEMENT, resource),
        "format": statement.format,
        "lines": len(statement.lines),
        "executed": [_told(line, one) for line, one in taken.of(EXECUTED)],
        "returned": [_told(line, one) for line, one in taken.of(RETURNED)],
        "known": len(taken.of(KNOWN)),
        "incoming": [
            {
                "line": one.number,
                "amount": one.amount,
                "acquirer": names[one.caller],
                "is_fee": one.is_fee,
            }
            for one in incoming
        ],
        "discrepancies": discrepancies,
    }


def _told(line: Line, verdict: Verdict) -> dict[str, object]:
    one = verdict.payout
    if one is None:
        return {}
    return {
        "payout": shown(PAYOUT, one.id),
        "settlement_batch": shown(SETTLEMENT_BATCH, one.batch_id),
        "recipient": one.recipient_id,
        "amount": one.amount,
        "order_number": one.order_number,
        "booked_on": line.booked_on.isoformat(),
        "line": line.number,
    }
