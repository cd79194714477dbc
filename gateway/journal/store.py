"""SQL of the journal: keys, payments, refunds, suspense. Rows are only ever added."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

import asyncpg

from gateway.domain.bill import OpenBill
from gateway.domain.payment import Claim, PaymentRequest
from gateway.journal import copied, sent
from gateway.journal.db_transaction import CUT_LOCK
from gateway.journal.idempotency import StoredClaim, route_number
from gateway.journal.rows import (
    AcceptedRow,
    Cut,
    NewRefund,
    PaidBill,
    PaymentRow,
    RefundRow,
    payment_row,
    refund_row,
)
from gateway.storage.binary_copy import copy
from splitcore import GroupAllocation

_ORDER_OF_KEYS = attrgetter("claim.caller", "claim.key")
_CLAIM = """
    INSERT INTO idempotency_keys (caller, key, route, fingerprint, subscriber_account, resource)
    SELECT * FROM unnest
        ($1::int[], $2::text[], $3::smallint[], $4::bytea[], $5::text[], $6::uuid[])
    ON CONFLICT (caller, key) DO NOTHING RETURNING caller, key
"""
_BEGIN_GROUP = "SELECT * FROM begin_group($1, $2, $3, $4, $5, $6, $7)"
_BILL = slice(3, None)
_CUT = "SELECT settlement_batch, terms_version FROM cut"
_COMMIT_AT_ONCE = "SELECT commit_group($1, $2, $3, $4, $5)"
_COMMIT_ONE = "SELECT commit_one($1, $2, $3, $4, $5)"
_COMMIT_BUT_REPEATED = "SELECT commit_but_repeated($1, $2, $3, $4, $5)"
# What commits small groups, for whoever keeps statements prepared.
COMMITTING = frozenset({_COMMIT_AT_ONCE, _COMMIT_ONE, _COMMIT_BUT_REPEATED})
_NOT_AS_IT_WAS = "KP001"
_CLAIMS = """
    SELECT k.caller, k.key, k.route, k.fingerprint, k.resource, k.answer
    FROM unnest($1::int[], $2::text[]) AS u (caller, key)
    JOIN idempotency_keys AS k ON k.caller = u.caller AND k.key = u.key
"""
_CLAIMS_BEFORE = "SELECT * FROM claims_before($1, $2)"
# A record in the log, where commits wait for a standby: so this transaction's waits as well.
_HELD_BY_STANDBY = """
    SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''
                THEN pg_logical_emit_message(true, 'kopeck', ''::text) END
"""
_UNCLAIM = """
    DELETE FROM idempotency_keys AS k USING unnest($1::int[], $2::text[]) AS u (caller, key)
    WHERE k.caller = u.caller AND k.key = u.key
"""
_SPEND = """
    INSERT INTO wallet_tokens (digest, payment, subscriber_account)
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::text[])
    ON CONFLICT (digest) DO NOTHING RETURNING payment
"""
_UNSPEND = """
    DELETE FROM wallet_tokens AS t USING unnest($1::bytea[], $2::uuid[]) AS u (digest, payment)
    WHERE t.digest = u.digest AND t.payment = u.payment
"""
_ANSWER = "UPDATE idempotency_keys SET answer = $3 WHERE caller = $1 AND key = $2"
_HOLD_KEY = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_LET_GO_OF_KEY = "SELECT pg_advisory_unlock(hashtextextended($1, 0))"
_PAYMENTS_BY_ID = """
    SELECT p.id, p.caller, p.subscriber_account, p.amount, p.surcharge, p.method, p.facts,
           p.accepted_at, p.paid_at, p.designation, p.reference, p.settlement_batch,
           p.bill, p.plan, p.sequence, p.shares, p.commissions, b.period,
           r.subscriber_account AS resolved_account, r.bill AS resolved_bill,
           r.sequence AS resolved_sequence, r.plan AS resolved_plan, r.shares AS resolved_shares,
           r.commissions AS resolved_commissions,
           coalesce((SELECT sum(f.amount) FROM refunds AS f WHERE f.payment = p.id), 0)::bigint
               AS refunded,
           (coalesce((SELECT sum(c.amount) FROM chargebacks AS c WHERE c.payment = p.id), 0)
            - coalesce((SELECT sum(v.amount) FROM chargeback_reversals AS v
                        WHERE v.payment = p.id), 0))::bigint AS charged_back
    FROM payments AS p
    LEFT JOIN bills AS b ON b.subscriber_account = p.subscriber_account AND b.number = p.bill
    LEFT JOIN resolutions AS r ON r.payment = p.id
    WHERE p.id = ANY ($1::uuid[])
"""
# Few payments were placed later, on bills that may be another account's.
_PERIODS = """
    SELECT number, period FROM bills
    WHERE subscriber_account = ANY ($1::text[]) AND number = ANY ($2::bigint[])
"""
_ACCOUNT = "SELECT subscriber_account FROM payments WHERE id = $1"
_LOCK_PAYMENT = "SELECT 1 FROM payments WHERE id = $1 AND subscriber_account = $2 FOR UPDATE"
_PAGE = """
      AND ($2::int IS NULL OR p.caller = $2)
      AND ($3::timestamptz IS NULL OR p.accepted_at >= $3)
      AND ($4::timestamptz IS NULL OR p.accepted_at < $4)
      AND p.id > coalesce($5::uuid, '00000000-0000-0000-0000-000000000000')
      AND p.id < coalesce($6::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    ORDER BY p.id LIMIT $7
"""
_SEARCH = "SELECT p.id FROM payments AS p WHERE $1::text IS NULL" + _PAGE
# Paid to the account, placed on it, or moved to it since.
_SEARCH_ACCOUNT = (
    """
    SELECT p.id FROM (
        SELECT id, caller, accepted_at FROM payments WHERE subscriber_account = $1
        UNION
        SELECT q.id, q.caller, q.accepted_at FROM resolutions AS r
        JOIN payments AS q ON q.id = r.payment WHERE r.subscriber_account = $1
        UNION
        SELECT q.id, q.caller, q.accepted_at FROM moves AS m
        JOIN payments AS q ON q.id = m.payment WHERE m.subscriber_account = $1) AS p
    WHERE true"""
    + _PAGE
)
_REFUNDS = """
    SELECT id, amount, shares, plan FROM refunds WHERE payment = $1 ORDER BY refunded_at, id
"""
_ADD_REFUND = """
    INSERT INTO refunds (id, payment, refunded_at, amount, caller, settlement_batch, plan,
                         subscriber_account, shares, sequence)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_ADD_RESOLUTION = """
    INSERT INTO resolutions (payment, resolved_at, amount, commission, bill, terms_version, caller,
                             settlement_batch, sequence, plan, subscriber_account, shares,
                             commissions)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


class NotAsItWas(Exception):
    """What a group was split by has changed, or one of its keys is not new; nothing was written."""


async def claim(
    conn: Any, claims: Sequence[tuple[Claim, str | None, UUID]]
) -> tuple[Cut, Mapping[tuple[int, str], StoredClaim]]:
    """Claim keys, each with its account and what it will make; one claim a key.

    Returns the open settlement batch and terms, and the claims that were made before: by others,
    or by an earlier commit of this very group whose outcome was unknown. A claim that another
    transaction is about to make is waited for. Keys are claimed in order, so
    that two groups with the same keys cannot wait for each other.
    """
    ordered = sorted(claims, key=lambda entry: (entry[0].caller, entry[0].key))
    callers = [claim.caller for claim, _, _ in ordered]
    keys = [claim.key for claim, _, _ in ordered]
    made = await conn.fetch(
        _CLAIM,
        callers,
        keys,
        [route_number(claim) for claim, _, _ in ordered],
        [claim.fingerprint for claim, _, _ in ordered],
        [account for _, account, _ in ordered],
        [resource for _, _, resource in ordered],
    )
    cut = Cut(*await conn.fetchrow(_CUT))
    if len(made) == len(ordered):
        return cut, {}
    there = await find_claims(conn, [(claim.caller, claim.key) for claim, _, _ in ordered])
    fresh = {(row["caller"], row["key"]) for row in made}
    return cut, {key: stored for key, stored in there.items() if key not in fresh}


async def begin_group(
    conn: Any, requests: Sequence[PaymentRequest]
) -> tuple[Cut, Mapping[tuple[int, str], StoredClaim], dict[str, OpenBill]]:
    """Claim the keys of payments as `claim` does, and lock the open bills of their accounts.

    Until the commit nobody else splits a payment to these accounts, and the settlement batch
    cannot be cut; both are waited for. Accounts without a bill are left out.
    """
    ordered = sorted(requests, key=_ORDER_OF_KEYS)
    claims = [request.claim for request in ordered]
    callers = [claim.caller for claim in claims]
    keys = [claim.key for claim in claims]
    rows = await conn.fetch(
        _BEGIN_GROUP,
        CUT_LOCK,
        callers,
        [route_number(claim) for claim in claims],
        keys,
        [claim.fingerprint for claim in claims],
        [request.subscriber_account for request in ordered],
        [request.id for request in ordered],
    )
    cut = Cut(rows[0]["settlement_batch"], rows[0]["terms_version"])
    bills = {row["subscriber_account"]: OpenBill(*row[_BILL]) for row in rows if row["bill"]}
    if rows[0]["claimed"] == len(ordered):
        return cut, {}, bills
    return cut, await _found(conn, _CLAIMS_BEFORE, callers, keys), bills


async def claim_new(conn: Any, requests: Sequence[PaymentRequest]) -> Cut:
    """Claim the keys of payments that nobody has claimed before, at half the cost.

    Raises NotAsItWas where a key is not new, after which it
    can only be rolled back.
    """
    ordered = sorted(requests, key=_ORDER_OF_KEYS)
    try:
        await copy(conn, "idempotency_keys", copied.KEY_COLUMNS, copied.keys(ordered))
    except asyncpg.UniqueViolationError:
        raise NotAsItWas from None
    return Cut(*await conn.fetchrow(_CUT))


async def find_claims(
    conn: Any, keys: Sequence[tuple[int, str]]
) -> dict[tuple[int, str], StoredClaim]:
    """The stored claims of (caller, key) pairs."""
    return await _found(conn, _CLAIMS, [caller for caller, _ in keys], [key for _, key in keys])


async def _found(
    conn: Any, query: str, callers: Sequence[int], keys: Sequence[str]
) -> dict[tuple[int, str], StoredClaim]:
    """What was made before, and will still be there after a failover once this is committed.

    A commit whose wait for a standby was cut short, by a deadline of ours for one, is seen by
    everybody at once; who only reads it waits for nothing and may tell what the standby lacks.
    """
    rows = await conn.fetch(query, callers, keys)
    await conn.fetchval(_HELD_BY_STANDBY)
    return {(row["caller"], row["key"]): _stored(row) for row in rows}


def _stored(row: Mapping[str, Any]) -> StoredClaim:
    return StoredClaim(
        row["caller"],
        row["key"],
        row["route"],
        row["fingerprint"],
        row["resource"],
        row["answer"],
    )


async def unclaim(conn: Any, claims: Sequence[Claim]) -> None:
    """Give back keys claimed in this transaction for requests that were refused."""
    await conn.execute(_UNCLAIM, [claim.caller for claim in claims], [c.key for c in claims])


async def spend(conn: Any, tokens: Sequence[tuple[bytes, UUID, str]]) -> set[UUID]:
    """Spend wallets' tokens: digest, payment and account of each. The payments that they now are
    spent on; the others' were spent before.

    A token that another transaction is about to spend is waited for, so tokens come in order.
    """
    rows = await conn.fetch(_SPEND, *map(list, zip(*tokens, strict=True)))
    return {row["payment"] for row in rows}


async def unspend(conn: Any, tokens: Sequence[tuple[bytes, UUID]]) -> None:
    """Give back tokens that this transaction spent: digest and payment of each."""
    await conn.execute(_UNSPEND, *map(list, zip(*tokens, strict=True)))


async def answer(conn: Any, claim: Claim, content: bytes) -> None:
    """Keep the answer beside a key that this transaction claimed."""
    await conn.execute(_ANSWER, claim.caller, claim.key, content)


async def hold_key(conn: Any, claim: Claim) -> bool:
    """Hold a key on this connection for work in many transactions; False if another does."""
    held: bool = await conn.fetchval(_HOLD_KEY, f"{claim.caller} {claim.key}")
    return held


async def let_go_of_key(conn: Any, claim: Claim) -> None:
    """Let go of a held key; a connection that cannot is closed, which lets go of it too."""
    try:
        await conn.fetchval(_LET_GO_OF_KEY, f"{claim.caller} {claim.key}")
    except Exception:
        # One that was lost is in the pool's hands already.
        with suppress(Exception):
            conn.terminate()


async def add_payments(
    conn: Any, cut: Cut, accepted_at: datetime, rows: Sequence[AcceptedRow]
) -> None:
    """Add accepted payments."""
    # COPY costs a row half of what INSERT does; the keys claimed before keep doubles away.
    rows_as_bytes = copied.payments(cut, accepted_at, rows)
    await copy(conn, "payments", copied.PAYMENT_COLUMNS, rows_as_bytes)


async def commit_at_once(
    conn: Any,
    terms_version: int,
    accepted_at: datetime,
    rows: Sequence[AcceptedRow],
    paid: Sequence[PaidBill],
) -> None:
    """Claim keys, write what is paid and add payments, all in one statement that commits itself.
    The connection is one that plans by index and takes payments as bytes.

    Raises NotAsItWas where a key is not new, the fee rules are not of `terms_version`, or a bill
    is not the one that was split by. Any other error leaves the outcome unknown.
    """
    new = sent.rows(sorted(rows, key=_key_of), paid)
    # Whoever pays alone waits for nothing but this, and it costs a tenth less.
    how = _COMMIT_AT_ONCE if len(new) > 1 else _COMMIT_ONE
    await _committed(conn, how, terms_version, accepted_at, new, len(paid))


async def commit_but_repeated(
    conn: Any,
    terms_version: int,
    accepted_at: datetime,
    rows: Sequence[AcceptedRow],
    paid: Sequence[PaidBill],
) -> Sequence[UUID]:
    """As commit_at_once, but payments whose keys are there already are left out: their ids.

    One of those that was split with another payment to its account raises NotAsItWas too.
    """
    left_out: Sequence[UUID] | None = await _committed(
        conn,
        _COMMIT_BUT_REPEATED,
        terms_version,
        accepted_at,
        [_split_payment(row) for row in sorted(rows, key=_key_of)],
        [_bill_paid(one) for one in paid],
    )
    return left_out or ()


async def _committed(
    conn: Any, statement: str, terms_version: int, accepted_at: datetime, *what: object
) -> Any:
    try:
        return await conn.fetchval(
            statement,
            CUT_LOCK,
            terms_version,
            accepted_at,
            *what,
        )
    except asyncpg.UniqueViolationError:
        raise NotAsItWas from None
    except asyncpg.PostgresError as error:
        if error.sqlstate == _NOT_AS_IT_WAS:
            raise NotAsItWas from None
        raise


def _key_of(row: AcceptedRow) -> tuple[int, str]:
    claim = row.request.claim
    return claim.caller, claim.key


def _split_payment(row: AcceptedRow) -> tuple[Any, ...]:
    """A row of the type split_payment."""
    request, split, bill = row.request, row.allocation, row.bill
    claim = request.claim
    return (
        request.id,
        claim.caller,
        route_number(claim),
        claim.key,
        claim.fingerprint,
        request.subscriber_account,
        request.paid_at,
        row.amount,
        row.surcharge,
        split.commission if split else 0,
        bill.bill if bill else None,
        row.sequence or None,
        bill.plan if bill else None,
        request.method,
        split.packed_parts if split else None,
        split.packed_commissions if split else None,
        request.facts.decode(),
        copied.designation(request).decode() if request.designation else None,
        request.reference,
    )


def _bill_paid(one: PaidBill) -> tuple[Any, ...]:
    """A row of the type bill_paid."""
    bill = one.bill
    return bill.subscriber_account, bill.bill, bill.sequence, one.paid, one.sequence


async def find_payments(conn: Any, payments: Sequence[UUID]) -> list[PaymentRow]:
    """The stored payments of these ids, in no order; unknown ids are left out."""
    rows = await conn.fetch(_PAYMENTS_BY_ID, list(payments))
    placed = [row for row in rows if row["resolved_account"] is not None]
    periods: dict[int, str] = {}
    if placed:
        accounts = [row["resolved_account"] for row in placed]
        bills = [row["resolved_bill"] for row in placed]
        periods = {
            row["number"]: row["period"] for row in await conn.fetch(_PERIODS, accounts, bills)
        }
    return [payment_row(row, periods) for row in rows]


async def search_payments(
    conn: Any,
    caller: int | None,
    account: str | None,
    moments: tuple[datetime | None, datetime | None],
    ids: tuple[UUID | None, UUID | None],
    limit: int,
) -> list[PaymentRow]:
    """Stored payments in the order of their ids, accepted between two moments (from, before) and
    with ids between two others (both exclusive, found by index); None asks for any.
    """
    query = _SEARCH if account is None else _SEARCH_ACCOUNT
    found = await conn.fetch(query, account, caller, *moments, *ids, limit)
    rows = await find_payments(conn, [row["id"] for row in found])
    return sorted(rows, key=lambda row: row.id)


async def lock_payment(conn: Any, payment: UUID) -> None:
    """Queue with whoever else refunds or resolves this payment."""
    account = await conn.fetchval(_ACCOUNT, payment)
    await conn.execute(_LOCK_PAYMENT, payment, account)


async def refunds_of(conn: Any, payment: UUID) -> list[RefundRow]:
    """Earlier refunds of a payment, oldest first."""
    return [refund_row(row) for row in await conn.fetch(_REFUNDS, payment)]


async def add_refund(
    conn: Any, cut: Cut, refund: NewRefund, payment: PaymentRow, at: datetime
) -> None:
    """Add a refund of a payment."""
    await conn.execute(
        _ADD_REFUND,
        refund.id,
        payment.id,
        at,
        refund.amount,
        refund.caller,
        cut.settlement_batch,
        None if refund.shares is None else payment.plan,
        payment.placed_on,
        refund.shares,
        refund.sequence,
    )


async def add_resolution(
    conn: Any,
    cut: Cut,
    caller: int,
    payment: PaymentRow,
    split: GroupAllocation,
    bill: OpenBill,
    at: datetime,
) -> None:
    """Add the placing of suspense onto an open bill, as the account's next payment."""
    await conn.execute(
        _ADD_RESOLUTION,
        payment.id,
        at,
        split.amount,
        split.commission,
        bill.bill,
        cut.terms_version,
        caller,
        cut.settlement_batch,
        bill.sequence + 1,
        bill.plan,
        bill.subscriber_account,
        split.packed_parts,
        split.packed_commissions,
    )
