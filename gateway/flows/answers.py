"""Answers that are kept: what a key was answered is answered again, for ever."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.ids import new_id
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.context import Answer, Context
from gateway.flows.patience import patiently
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import cutting, moving_money, writing
from gateway.journal.idempotency import check_same
from gateway.journal.rows import Cut

Act = Callable[[Any, Cut], Awaitable[dict[str, object]]]


async def once_in_parts(
    context: Context, claim: Claim, act: Callable[[UUID], Awaitable[bytes]]
) -> Answer:
    """Do `act`, whose parts commit by themselves, once for a key, and keep its answer.

    The key is claimed before the first part, with the id that `act` is given. Where an earlier
    request with it was cut off by a crash, the work is done again with the same id, which its
    parts must allow. Refuses `idempotency_key_reused`,
    and `idempotency_key_in_progress` while the first request is being worked on.
    """
    async with context.connection() as conn:
        if not await journal_store.hold_key(conn, claim):
            raise Refusal(
                "idempotency_key_in_progress", "The first request is still being worked on"
            )
        try:
            resource = new_id()
            async with writing(conn):
                _, before = await journal_store.claim(conn, [(claim, None, resource)])
            first = before.get((claim.caller, claim.key))
            if first is not None:
                check_same(claim, first)
                if first.answer is not None:
                    return Answer(first.answer, replayed=True)
                resource = first.resource or resource
            try:
                content = await act(resource)
            except Refusal:
                await journal_store.unclaim(conn, [claim])
                raise
            await journal_store.answer(conn, claim, content)
            return Answer(content, replayed=False)
        finally:
            await journal_store.let_go_of_key(conn, claim)


async def once(
    context: Context,
    claim: Claim,
    resource: UUID,
    act: Act,
    *,
    alone: bool = False,
    stamps: bool = True,
) -> Answer:
    """Do `act` once for a key, in one transaction with its answer.

    `resource` is the id of what is made; it tells a repeat of ours from somebody else's. `alone`:
    no row of money is in flight beside it. Without `stamps` it adds no row to the open batch, and
    a close, and payers behind it, need not wait for it.
    """
    db_transaction = cutting if alone else moving_money if stamps else writing

    async def attempt() -> Answer:
        async with (
            context.connection() as conn,
            db_transaction(conn),
        ):
            cut, before = await journal_store.claim(conn, [(claim, None, resource)])
            first = before.get((claim.caller, claim.key))
            if first is not None:
                check_same(claim, first)
                return Answer(first.answer or b"{}", replayed=first.resource != resource)
            content = orjson.dumps(await act(conn, cut))
            await journal_store.answer(conn, claim, content)
            return Answer(content, replayed=False)

    return await patiently(context, attempt)
