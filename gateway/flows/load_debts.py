"""Loading debts from a file: a good line is kept though another is bad, a part at a time.

A document of the same two is taken once, so a file that was cut off, or one that was mended, is
sent again whole. Parts are small: a close waits for the one that is being written, and payers wait
for the close.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.domain.ids import new_id
from gateway.domain.party import Caller
from gateway.domain.refusals import Refusal
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import moving_money
from gateway.obligations import store
from gateway.obligations.store import NewObligation
from gateway.parties import store as party_store

PART_MAX: Final = 250

Told = tuple[int, NewObligation | Refusal]
"""The number of a line, and its debt or why it has none."""

_Part = Sequence[tuple[int, UUID, NewObligation]]


class _Verdicts(Struct):
    """What became of lines: counts, the kopecks of what is new, and refusals by line."""

    accepted: int = 0
    amount: int = 0
    known: int = 0
    refused: list[tuple[int, Refusal]] = []

    def add(self, more: "_Verdicts") -> None:
        self.accepted += more.accepted
        self.amount += more.amount
        self.known += more.known
        self.refused += more.refused


async def load(
    context: Context, caller: Caller, bunches: AsyncIterator[Sequence[Told]]
) -> dict[str, object]:
    """`{"accepted", "amount", "known", "refused": [{"line", "code", "detail"}]}`.

    `known` are debts that were loaded before, the same in everything. A document that was loaded
    with another sum or other services is refused `state_conflict`.
    """
    with context.steps.step("obligations", "file") as step:
        all_told, lines = _Verdicts(), 0
        part: list[tuple[int, UUID, NewObligation]] = []
        async for bunch in bunches:
            lines += len(bunch)
            for number, told in bunch:
                if isinstance(told, Refusal):
                    all_told.refused.append((number, told))
                    continue
                part.append((number, new_id(), told))
                if len(part) == PART_MAX:
                    all_told.add(await _load_part(context, caller, part))
                    part = []
        if part:
            all_told.add(await _load_part(context, caller, part))
        step.rows(lines)
    return {
        "accepted": all_told.accepted,
        "amount": all_told.amount,
        "known": all_told.known,
        "refused": [
            {"line": line, "code": refusal.code, "detail": refusal.detail}
            for line, refusal in sorted(all_told.refused, key=lambda entry: entry[0])
        ],
    }


async def _load_part(context: Context, caller: Caller, part: _Part) -> _Verdicts:
    async def attempt() -> _Verdicts:
        async with context.connection() as conn, moving_money(conn):
            return await _keep(context, conn, caller, part)

    return await patiently(context, attempt)


async def _keep(context: Context, conn: Any, caller: Caller, part: _Part) -> _Verdicts:
    found = _Verdicts()
    named = {name for _, _, one in part for name in (one.debtor, one.creditor)}
    recipients = await party_store.numbers(conn, named)
    unknown = Refusal("recipient_unknown", "Expected recipients that are registered")
    good = []
    for line in part:
        if {line[2].debtor, line[2].creditor} <= recipients.keys():
            good.append(line)
        else:
            found.refused.append((line[0], unknown))
    cut, _ = await journal_store.claim(conn, [])
    batch, now = cut.settlement_batch, context.clock.now()
    told, ids = [one for _, _, one in good], [id_ for _, id_, _ in good]
    await store.add(conn, told, recipients, ids, batch, now, caller.number)
    # As they stand now, whoever was first: by an id of ours an earlier try of this very part is
    # told from somebody else's load.
    there = await store.documents(conn, told, recipients)
    for number, id_, one in good:
        before = there[store.document_of(one)]
        if before.id == id_:
            found.accepted += 1
            found.amount += one.amount
        elif (before.amount, before.services) == (one.amount, one.services):
            found.known += 1
        else:
            refusal = Refusal(
                "state_conflict",
                "Expected the sum and the services that this document of the two was loaded with",
            )
            found.refused.append((number, refusal))
    return found
