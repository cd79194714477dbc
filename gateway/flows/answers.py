"""Answers that are kept: what a key was answered is answered again, for ever."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import orjson

from gateway.domain.payment import Claim
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.context import Answer, Context
from gateway.flows.patience import patiently
from gateway.journal import store as journal_store
from gateway.journal.db_transaction import moving_money
from gateway.journal.idempotency import check_same
from gateway.journal.rows import Cut

Act = Callable[[Any, Cut], Awaitable[dict[str, object]]]


async def seen(context: Context, caller: int, key: str) -> bool:
    """Whether the key was used at all."""
    async with context.connection() as conn:
        return bool(await journal_store.find_claims(conn, [(caller, key)]))


async def stored(context: Context, claim: Claim) -> Answer | None:
    """The answer kept for this key; refuses `idempotency_key_reused` for another request."""
    async with context.connection() as conn:
        claims = await journal_store.find_claims(conn, [(claim.caller, claim.key)])
    before = claims.get((claim.caller, claim.key))
    if before is None:
        return None
    check_same(claim, before)
    if before.answer is None:
        raise Refusal("idempotency_key_in_progress", "The first request is still being worked on")
    return Answer(before.answer, replayed=True)


async def keep(context: Context, claim: Claim, content: bytes) -> Answer:
    """Keep an answer; where another request with the key was quicker, its answer is the one."""
    async with context.connection() as conn:
        await journal_store.keep_answer(conn, claim, content)
    kept = await stored(context, claim)
    if kept is None:
        raise InvariantBroken("Expected the answer that was just kept")
    return Answer(kept.content, replayed=kept.content != content)


async def once(context: Context, claim: Claim, resource: UUID, act: Act) -> Answer:
    """Do `act` once for a key, in one transaction with its answer.

    `resource` is the id of what is made; it tells a repeat of ours from somebody else's.
    """

    async def attempt() -> Answer:
        async with (
            context.connection() as conn,
            moving_money(conn),
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
