"""SQL of the audit: what to recompute from, and the checks that SQL alone can do."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from gateway.audit.correction_checks import CORRECTION_CHECKS
from gateway.audit.payout_checks import PAYOUT_CHECKS
from gateway.audit.store_restores import RESTORE_CHECKS
from gateway.audit.store_statements import STATEMENT_CHECKS
from gateway.storage import leaves

# A kind of recipient or None, kopecks credited less those debited, and kopecks withheld.
Moved = tuple[str | None, int, int]

PAGE_ROWS = 2000
SEAL_PAGES_AT_ONCE = 32
TIMEOUT_S = 3600.0
GAUGES_TIMEOUT_S = 120.0
ARRIVALS_WRONG = "SELECT rule, row, detail FROM arrivals_wrong"

TOTALS = """
    SELECT (SELECT count(*) FROM payments) AS payments,
           (SELECT count(*) FROM refunds) AS refunds,
           (SELECT coalesce(sum(amount), 0)::bigint FROM payments) AS amount,
           (SELECT coalesce(sum(amount), 0)::bigint FROM refunds) AS refunded,
           (SELECT coalesce(sum(amount_kopecks) FILTER (WHERE refund IS NULL AND entry IS NULL), 0)
                   ::bigint FROM shares) AS shares,
           (SELECT coalesce(sum(balance_kopecks) FILTER (WHERE ledger_account = 'suspense'), 0)
                   ::bigint FROM trial_balance) AS suspense,
           (SELECT coalesce(sum(balance_kopecks), 0)::bigint FROM trial_balance) AS imbalance,
           (SELECT count(*) FROM settlement_batches) AS settlement_batches,
           (SELECT count(*) FROM seals) AS seals,
           (SELECT coalesce(sum(leaves), 0)::bigint FROM seals) AS sealed_rows,
           (SELECT count(*) FROM payouts) AS payouts,
           (SELECT coalesce(sum(amount), 0)::bigint FROM payouts) AS paid_out,
           (SELECT coalesce(sum(amount) FILTER (WHERE state IN ('approved', 'sent')), 0)::bigint
            FROM payouts) AS in_flight,
           (SELECT coalesce(sum(amount) FILTER (WHERE state = 'executed'), 0)::bigint
            FROM payouts) AS executed,
           (SELECT coalesce(sum(amount) FILTER (WHERE state IN ('returned', 'cancelled')), 0)
                   ::bigint FROM payouts) AS returned
"""

# Each finds rows that break one rule: (row, detail). An empty result is the proof.
CHECKS: dict[str, str] = {
    "payment_unbalanced": """
        SELECT 'pay_' || replace(id::text, '-', '') AS row,
               'amount, surcharge, total, shares and commissions do not add up' AS detail
        FROM payments
        WHERE total <> amount + surcharge
           OR coalesce(packed_sum(shares), amount) <> amount
           OR coalesce(packed_sum(commissions), 0) <> commission
    """,
    "resolution_unbalanced": """
        SELECT 'pay_' || replace(r.payment::text, '-', ''),
               'the placed amount is not what was left in suspense, or does not add up'
        FROM resolutions AS r
        LEFT JOIN payments AS p ON p.id = r.payment
        WHERE p.id IS NULL OR p.bill IS NOT NULL OR packed_sum(r.shares) <> r.amount
           OR coalesce(packed_sum(r.commissions), 0) <> r.commission
           OR r.amount <> p.amount - (SELECT coalesce(sum(s.kopecks), 0) FROM from_suspense AS s
                                      WHERE s.payment = p.id)
    """,
    "refund_unbalanced": """
        SELECT 'pay_' || replace(f.payment::text, '-', ''),
               'refunds exceed the payment, or a refund has no payment'
        FROM refunds AS f LEFT JOIN payments AS p ON p.id = f.payment
        GROUP BY f.payment, p.amount
        HAVING p.amount IS NULL OR sum(f.amount) > p.amount
            OR bool_or(coalesce(packed_sum(f.shares), f.amount) <> f.amount)
    """,
    "batch_days_wrong": "SELECT row, detail FROM wrong_batch_days",
    "position_days_wrong": "SELECT row, detail FROM wrong_position_days",
    "ledger_unbalanced": """
        SELECT 'settlement batch ' || settlement_batch,
               sum(credit_kopecks - debit_kopecks) || ' kopecks out of balance'
        FROM ledger GROUP BY settlement_batch HAVING sum(credit_kopecks - debit_kopecks) <> 0
    """,
    "sequence_broken": """
        SELECT 'account with sequence ' || coalesce(o.sequence, 0),
               count(e.sequence) || ' events, last ' || coalesce(max(e.sequence), 0)
        FROM open_bills AS o
        FULL JOIN (SELECT subscriber_account, sequence FROM allocations
                   UNION ALL
                   SELECT subscriber_account, sequence FROM refunds WHERE sequence IS NOT NULL
                   UNION ALL SELECT subscriber_account, sequence FROM moves)
            AS e USING (subscriber_account)
        GROUP BY subscriber_account, o.sequence
        HAVING count(e.sequence) <> coalesce(o.sequence, -1)
            OR count(DISTINCT e.sequence) <> count(e.sequence)
            OR coalesce(max(e.sequence), 0) <> coalesce(o.sequence, -1)
    """,
    "payment_without_key": """
        SELECT 'pay_' || replace(p.id::text, '-', ''), 'no idempotency key made this payment'
        FROM (SELECT id, caller FROM payments OFFSET 0) AS p
        LEFT JOIN (SELECT resource, caller FROM idempotency_keys WHERE route = 0 OFFSET 0) AS k
            ON k.resource = p.id AND k.caller = p.caller
        WHERE k.resource IS NULL
    """,
    "refund_without_key": """
        SELECT 'ref_' || replace(r.id::text, '-', ''), 'no idempotency key made this refund'
        FROM refunds AS r
        LEFT JOIN idempotency_keys AS k ON k.resource = r.id AND k.route = 1
        WHERE k.resource IS NULL
    """,
    "key_without_payment": """
        SELECT CASE k.route WHEN 0 THEN 'pay_' ELSE 'ref_' END
                   || replace(k.resource::text, '-', ''),
               'an idempotency key names what is not there'
        FROM (SELECT resource, caller, route FROM idempotency_keys
              WHERE route IN (0, 1) OFFSET 0) AS k
        LEFT JOIN (SELECT id, caller FROM payments OFFSET 0) AS p
            ON k.route = 0 AND p.id = k.resource AND p.caller = k.caller
        LEFT JOIN refunds AS r ON k.route = 1 AND r.id = k.resource
        WHERE p.id IS NULL AND r.id IS NULL
    """,
    "authorisation_wrong": """
        SELECT 'pay_' || replace(coalesce(a.id, p.id)::text, '-', ''),
               CASE WHEN a.id IS NULL THEN 'its acquirer was never asked for it'
                    WHEN p.id IS NULL THEN 'was taken by its acquirer, and is no payment'
                    ELSE 'is not the payment that its acquirer took' END
        FROM authorisations AS a
        FULL JOIN (SELECT q.id, q.caller, q.subscriber_account, q.amount, q.surcharge, q.method,
                          q.reference
                   FROM payments AS q
                   JOIN (SELECT resource, caller FROM idempotency_keys
                         WHERE route = 0 AND key LIKE 'authorisation %' OFFSET 0) AS k
                       ON k.resource = q.id AND k.caller = q.caller
                   OFFSET 0) AS p ON p.id = a.id
        WHERE a.id IS NULL OR (p.id IS NULL) = (a.state = 'accepted') AND a.state <> 'taken'
           OR p.id IS NOT NULL AND ROW(p.caller, p.subscriber_account, p.amount, p.surcharge,
                                       p.method, p.reference)
                  IS DISTINCT FROM ROW(a.caller, a.subscriber_account, a.amount, a.surcharge,
                                       a.method, a.reference)
    """,
    "acquirer_refund_wrong": """
        SELECT 'ref_' || replace(a.id::text, '-', ''),
               'is not the refund that its acquirer gave, or was never given'
        FROM acquirer_refunds AS a LEFT JOIN refunds AS f ON f.id = a.id
        WHERE (f.id IS NULL) = (a.state = 'refunded') AND a.state <> 'given'
           OR f.id IS NOT NULL AND (f.amount <> a.amount OR f.payment <> a.payment)
    """,
    "wallet_token_wrong": """
        SELECT 'pay_' || replace(coalesce(p.id, t.payment)::text, '-', ''),
               CASE WHEN count(p.id) = 0 THEN 'a token was spent on what is no such payment'
                    WHEN count(t.digest) = 0 THEN 'no token was spent on this wallet payment'
                    ELSE 'its token is not one, or was spent for another account' END
        FROM (SELECT q.id, q.subscriber_account
              FROM (SELECT id, subscriber_account FROM payments
                    WHERE method IN (4, 5) OFFSET 0) AS q
              WHERE NOT EXISTS (SELECT 1 FROM authorisations AS a WHERE a.id = q.id)) AS p
        FULL JOIN (SELECT digest, payment, subscriber_account FROM wallet_tokens OFFSET 0) AS t
            ON t.payment = p.id
        GROUP BY coalesce(p.id, t.payment)
        HAVING count(p.id) <> 1 OR count(t.digest) <> 1
            OR bool_or(t.subscriber_account <> p.subscriber_account)
    """,
    "report_miscounted": """
        SELECT 'rep_' || replace(a.id::text, '-', ''),
               'its rows are not as many as were matched, made payments and named together'
        FROM acquirer_reports AS a
        LEFT JOIN (SELECT facts ->> 'report' AS report, count(*) AS payments FROM payments
                   WHERE facts ->> 'report' IS NOT NULL GROUP BY 1) AS made
            ON made.report = 'rep_' || replace(a.id::text, '-', '')
        WHERE a.finished_at IS NOT NULL
          AND (a.created <> coalesce(made.payments, 0)
            OR a.row_count <> a.matched + a.created
                              + (SELECT count(*) FROM report_discrepancies AS d
                                 WHERE d.report = a.id AND d.place > 0))
    """,
    "batch_unknown": """
        SELECT 'settlement batch ' || m.settlement_batch, 'money is in a batch that is not there'
        FROM (SELECT DISTINCT settlement_batch FROM ledger) AS m
        LEFT JOIN settlement_batches AS b ON b.number = m.settlement_batch
        CROSS JOIN cut
        WHERE b.number IS NULL AND m.settlement_batch <> cut.settlement_batch
    """,
    "batch_count_wrong": """
        SELECT 'settlement batch ' || b.number, 'payments or refunds are not as many as counted'
        FROM settlement_batches AS b
        WHERE b.state <> 'cut'
          AND (b.payments <> (SELECT count(*) FROM allocations WHERE settlement_batch = b.number)
            OR b.refunds <> (SELECT count(*) FROM refunds WHERE settlement_batch = b.number))
    """,
    "position_wrong": """
        WITH moved AS (
            SELECT settlement_batch, recipient,
                   coalesce(sum(amount_kopecks) FILTER (WHERE refund IS NULL), 0) AS gross,
                   coalesce(-sum(amount_kopecks) FILTER (WHERE refund IS NOT NULL), 0) AS refunds
            FROM shares GROUP BY settlement_batch, recipient),
        withheld AS (
            SELECT settlement_batch, recipient, sum(commission_kopecks) AS commission
            FROM commissions GROUP BY settlement_batch, recipient),
        due AS (
            SELECT settlement_batch, recipient, coalesce(gross, 0) AS gross,
                   coalesce(refunds, 0) AS refunds, coalesce(commission, 0) AS commission
            FROM moved FULL JOIN withheld USING (settlement_batch, recipient)
            WHERE settlement_batch IN
                  (SELECT number FROM settlement_batches WHERE state <> 'cut'))
        SELECT 'position of ' || coalesce(r.id, '?') || ' in settlement batch '
                   || settlement_batch,
               'differs from the shares of the batch'
        FROM due FULL JOIN positions AS p USING (settlement_batch, recipient)
        LEFT JOIN recipients AS r ON r.number = recipient
        WHERE coalesce(due.gross, 0) <> coalesce(p.gross, -1)
           OR coalesce(due.commission, 0) <> coalesce(p.commission, -1)
           OR coalesce(due.refunds, 0) <> coalesce(p.refunds, -1)
           OR p.net <> p.gross - p.commission - p.refunds
           OR p.payable + p.carried_out <> p.carried_in + p.returned + p.net + p.transferred
           OR p.payable < 0 OR (p.payable > 0 AND p.carried_out <> 0)
           OR NOT carries_rightly(p.settlement_batch, p.recipient, p.carried_out)
    """,
    "carry_broken": """
        SELECT 'position of ' || r.id || ' in settlement batch ' || p.settlement_batch,
               'does not carry on what the batch before carried out'
        FROM positions AS p
        JOIN recipients AS r ON r.number = p.recipient
        LEFT JOIN positions AS b ON b.settlement_batch = p.settlement_batch - 1
                                AND b.recipient = p.recipient
        WHERE p.carried_in <> coalesce(b.carried_out, 0)
    """,
    **PAYOUT_CHECKS,
    **STATEMENT_CHECKS,
    **RESTORE_CHECKS,
    "approval_by_closer": """
        SELECT 'settlement batch ' || b.number, 'approved by whoever closed it'
        FROM settlement_batches AS b
        JOIN callers AS c ON c.number = b.closed_by JOIN callers AS a ON a.number = b.approved_by
        WHERE a.name = c.name
    """,
    "plan_wrong": """
        SELECT 'split plan ' || p.number, 'its parts or recipients are not those of the plan'
        FROM split_plans AS p
        LEFT JOIN recipients AS r ON r.number = ANY (p.recipients)
        GROUP BY p.number, p.recipients
        HAVING count(r.number) <> cardinality(p.recipients)
            OR p.recipients <> array(SELECT d.recipient FROM split_plan_recipients AS d
                                     WHERE d.plan = p.number ORDER BY d.place)
    """,
    **CORRECTION_CHECKS,
}

_PLANS = "SELECT * FROM split_plans ORDER BY number"
_AGREEMENTS = "SELECT * FROM agreement_terms"
_PARTS = """
    SELECT plan, array_agg(charge ORDER BY place) AS charges,
           array_agg(service ORDER BY place) AS services,
           array_agg(recipient ORDER BY place) AS recipients
    FROM split_plan_parts GROUP BY plan
"""
_TERMS = """
    SELECT 'commission' AS kind, recipient AS subject, version, ppm, fixed, min, max
    FROM commission_terms
    UNION ALL
    SELECT 'surcharge', method, version, ppm, fixed, min, max FROM surcharge_terms
    ORDER BY kind, subject, version
"""
BILLS = """
    SELECT subscriber_account, number, plan, overpayment, counts_from, loaded_after, due, weight
    FROM bills
"""
_BILLS = BILLS + ' ORDER BY subscriber_account COLLATE "C", number'
_OPEN_BILLS = """
    SELECT subscriber_account, bill, plan, overpayment, counts_from, sequence, due, weight, paid
    FROM open_bills ORDER BY subscriber_account COLLATE "C"
"""
EVENTS = """
    SELECT * FROM (
        SELECT a.subscriber_account, a.sequence, false AS is_refund, a.payment, a.bill, a.plan,
               a.terms_version, a.at, a.amount, a.shares, a.commissions, p.designation,
               p.bill IS NULL AS placed, a.payment AS lot, NULL::uuid AS move, NULL AS kind,
               1 AS sign, a.sequence AS counts_as, NULL::uuid AS entry, p.method, p.surcharge,
               p.total, t.id IS NOT NULL AS told
        FROM allocations AS a LEFT JOIN payments AS p ON p.id = a.payment
        LEFT JOIN authorisations AS t ON t.id = a.payment
        UNION ALL
        SELECT subscriber_account, sequence, true, payment, NULL, plan, NULL, NULL, amount, shares,
               NULL, NULL, false, payment, NULL, NULL, -1, NULL, NULL, NULL, NULL, NULL, false
        FROM refunds WHERE sequence IS NOT NULL
        UNION ALL
        SELECT m.subscriber_account, m.sequence, false, m.payment, m.bill, m.plan, m.terms_version,
               m.at, m.amount, m.shares, m.commissions, m.designation, false, m.lot, m.id, m.kind,
               m.sign, m.counts_as, m.entry, p.method, NULL, NULL, true
        FROM moves AS m LEFT JOIN payments AS p ON p.id = m.payment) AS e
"""
_EVENTS = EVENTS + ' ORDER BY subscriber_account COLLATE "C", sequence'
# A payer who paid by an acquirer paid the surcharge of the moment when that was begun.
_SURCHARGES = """
    SELECT p.id, p.method, coalesce(a.terms_version, p.terms_version) AS terms_version,
           coalesce(a.created_at, p.accepted_at) AS at, p.plan, p.amount, p.surcharge, p.total,
           a.surcharge AS told
    FROM payments AS p LEFT JOIN authorisations AS a ON a.id = p.id
"""
_FILES = """
    SELECT b.number, k.format, f.content, b.approved_at IS NOT NULL AS approved,
           (SELECT coalesce(sum(amount), 0)::bigint FROM payouts AS p
            WHERE p.settlement_batch = b.number) AS amount,
           (SELECT count(*) FROM payouts AS p WHERE p.settlement_batch = b.number) AS payouts
    FROM settlement_batches AS b
    CROSS JOIN (VALUES ('1c'), ('ed101'), ('pain001')) AS k (format)
    LEFT JOIN payout_files AS f ON f.settlement_batch = b.number AND f.format = k.format
    ORDER BY b.number, k.format
"""
_SEALS = """
    SELECT number, settlement_batch, stage, version, leaves, root, chain FROM seals ORDER BY number
"""
_SEAL_PAGES = "SELECT root, entries FROM seal_pages WHERE seal = $1 ORDER BY page"
# What is to be sealed and is not: counted, or counted and approved since seals are made.
_UNSEALED = """
    SELECT b.number, b.approved_at IS NOT NULL AND b.approved_at > m.applied_at
                     OR b.number < (SELECT max(settlement_batch) FROM seals) AS must
    FROM settlement_batches AS b, schema_migrations AS m
    WHERE b.state <> 'cut' AND m.name = 'batch_seals'
      AND NOT EXISTS (SELECT FROM seals AS s
                      WHERE s.settlement_batch = b.number AND s.stage = 'counted')
    ORDER BY b.number
"""
_RECIPIENTS = "SELECT number, id FROM recipients"

# The numbers are asked for first: known, they let the planner read these batches alone.
_OPEN_BATCH = "SELECT settlement_batch FROM cut"
_CUT_BATCHES = "SELECT number FROM settlement_batches WHERE state = 'cut'"
# Not by the key, which would be walked from the first payment ever.
_FIRST = """
    SELECT id FROM (SELECT id FROM payments WHERE settlement_batch = ANY ($1::int[]) OFFSET 0) AS p
    ORDER BY id LIMIT 1
"""
_LAST_OF_STEP = """
    SELECT id FROM (SELECT id FROM payments WHERE id >= $1 ORDER BY id LIMIT $2) AS p
    ORDER BY id DESC LIMIT 1
"""
# What rows credit less what they debit: shares by the kind of their recipient, all else without a
# kind. What is withheld of a recipient is credited to the centre, so it adds nothing.
_MOVED = """
    SELECT NULL AS kind, coalesce(sum(beside), 0)::bigint AS credit, 0::bigint AS withheld
    FROM moved
    UNION ALL
    SELECT r.kind, sum(m.kopecks)::bigint, 0
    FROM (SELECT p.recipient, sum(sign * packed_at(shares, p.place)) AS kopecks
          FROM moved JOIN split_plan_parts AS p USING (plan) GROUP BY p.recipient) AS m
    JOIN recipients AS r ON r.number = m.recipient GROUP BY r.kind
    UNION ALL
    SELECT r.kind, 0, sum(m.kopecks)::bigint
    FROM (SELECT p.recipient, sum(sign * packed_at(commissions, p.place)) AS kopecks
          FROM moved JOIN split_plan_recipients AS p USING (plan)
          WHERE commissions IS NOT NULL GROUP BY p.recipient) AS m
    JOIN recipients AS r ON r.number = m.recipient GROUP BY r.kind
"""
_MOVED_BY_PAYMENTS = f"""
    WITH moved AS MATERIALIZED (
        SELECT 1 AS sign, plan, shares, commissions,
               surcharge - total + CASE WHEN bill IS NULL THEN amount ELSE 0 END AS beside
        FROM payments
        WHERE id BETWEEN $1 AND $2 AND settlement_batch = ANY ($3::int[])) {_MOVED}
"""
_MOVED_AFTERWARDS = f"""
    WITH moved AS MATERIALIZED (
        SELECT 1 AS sign, plan, shares, commissions, -amount AS beside
        FROM resolutions WHERE settlement_batch = ANY ($1::int[])
        UNION ALL
        SELECT -1, plan, shares, NULL, CASE WHEN shares IS NULL THEN 0 ELSE amount END
        FROM refunds WHERE settlement_batch = ANY ($1::int[])
        UNION ALL
        SELECT sign, plan, shares, commissions, -sign * amount
        FROM moves WHERE settlement_batch = ANY ($1::int[])) {_MOVED}
"""
_SUSPENSE = """
    SELECT (SELECT coalesce(sum(amount), 0) FROM payments WHERE bill IS NULL)
         - (SELECT coalesce(sum(amount), 0) FROM resolutions)
         - (SELECT coalesce(sum(kopecks), 0) FROM from_suspense) AS suspense
"""
# Debts are not in it, so what was settled of them is not either: it lessens what is owed to us.
_PAYABLE = """
    SELECT r.kind, sum(o.amount)::bigint
    FROM (SELECT p.recipient, p.payable AS amount FROM positions AS p
          JOIN settlement_batches AS b ON b.number = p.settlement_batch
          WHERE b.state = 'closed'
          UNION ALL SELECT recipient, amount FROM waiting_money UNION ALL
          SELECT m.recipient, m.amount
          FROM (SELECT recipient, amount, settlement_batch FROM returned_money
                UNION ALL SELECT recipient, amount, settlement_batch FROM paid_before) AS m
          LEFT JOIN settlement_batches AS b ON b.number = m.settlement_batch
          WHERE coalesce(b.state, 'cut') = 'cut') AS o
    JOIN recipients AS r ON r.number = o.recipient GROUP BY r.kind
"""
# Each state counts whatever was ever in it: counters never go back.
_PAYOUTS = """
    SELECT 'approved' AS state, count(*) AS payouts FROM payouts HAVING count(*) > 0
    UNION ALL
    SELECT CASE event WHEN 'send' THEN 'sent' WHEN 'execute' THEN 'executed'
                      WHEN 'return' THEN 'returned' ELSE 'cancelled' END, count(*)
    FROM payout_events GROUP BY event
"""


async def take_time(conn: Any) -> None:
    """Until the end of the transaction no statement is cut off for its length."""
    await conn.execute("SET LOCAL statement_timeout = 0")


async def uncounted(conn: Any) -> list[int]:
    """Batches without positions: the open one, and after it those that were cut."""
    cut = [row[0] for row in await conn.fetch(_CUT_BATCHES)]
    return [await conn.fetchval(_OPEN_BATCH), *cut]


async def suspense(conn: Any) -> int:
    """Kopecks held in suspense."""
    return int(await conn.fetchval(_SUSPENSE, timeout=GAUGES_TIMEOUT_S))


async def first_payment(conn: Any, batches: Sequence[int]) -> UUID | None:
    """The id of the oldest payment in these batches."""
    found: UUID | None = await conn.fetchval(_FIRST, batches, timeout=GAUGES_TIMEOUT_S)
    return found


async def last_of_step(conn: Any, first: UUID, count: int) -> UUID | None:
    """The last of `count` payments from `first` on; None where there is none."""
    found: UUID | None = await conn.fetchval(_LAST_OF_STEP, first, count)
    return found


async def moved_by_payments(
    conn: Any, first: UUID, last: UUID, batches: Sequence[int]
) -> list[Moved]:
    """What the payments from `first` to `last` that are in these batches moved."""
    return _moved(await conn.fetch(_MOVED_BY_PAYMENTS, first, last, batches))


async def moved_afterwards(conn: Any, batches: Sequence[int]) -> list[Moved]:
    """What refunds and placed suspense in these batches moved."""
    return _moved(await conn.fetch(_MOVED_AFTERWARDS, batches, timeout=GAUGES_TIMEOUT_S))


def _moved(rows: Sequence[Any]) -> list[Moved]:
    return [(row["kind"], row["credit"], row["withheld"]) for row in rows]


async def payable(conn: Any) -> dict[str, int]:
    """Kopecks owed to recipients of closed batches, and again where they came back, by kind."""
    return dict(map(tuple, await conn.fetch(_PAYABLE, timeout=GAUGES_TIMEOUT_S)))


async def payouts_by_state(conn: Any) -> dict[str, int]:
    """How many payouts have ever been in each state."""
    return {row["state"]: row["payouts"] for row in await conn.fetch(_PAYOUTS)}


async def seals(conn: Any) -> list[Any]:
    """Every seal in the order of the chain."""
    found: list[Any] = await conn.fetch(_SEALS)
    return found


async def seal_pages(conn: Any, seal: int) -> AsyncIterator[tuple[bytes, bytes]]:
    """The pages of a seal: the root of each and its entries."""
    async for row in conn.cursor(_SEAL_PAGES, seal, prefetch=SEAL_PAGES_AT_ONCE, timeout=TIMEOUT_S):
        yield row["root"], row["entries"]


async def entries(conn: Any, version: int, stage: str, batch: int) -> AsyncIterator[bytes]:
    """The leaves of a batch's rows as they are now, a key and a hash each, in their order."""
    query = leaves.ENTRIES[version, stage]
    async for row in conn.cursor(query, batch, prefetch=PAGE_ROWS, timeout=TIMEOUT_S):
        yield row[0]


async def unsealed(conn: Any) -> list[tuple[int, bool]]:
    """Counted batches without a seal, and whether they must have one."""
    return [tuple(row) for row in await conn.fetch(_UNSEALED)]


async def recipient_ids(conn: Any) -> dict[int, str]:
    """Recipients' ids by number."""
    return dict(map(tuple, await conn.fetch(_RECIPIENTS)))


async def batch_now(conn: Any, kind: int, id_: UUID) -> int | None:
    """The settlement batch that a row of a kind is in now; None where there is none."""
    if kind not in leaves.BATCH_NOW:
        return None
    found: int | None = await conn.fetchval(leaves.BATCH_NOW[kind], id_)
    return found


async def totals(conn: Any) -> dict[str, int]:
    """Counts and sums (kopecks) of everything stored."""
    return dict(await conn.fetchrow(TOTALS, timeout=TIMEOUT_S))


async def broken_rows(conn: Any, check: str) -> list[tuple[str, str]]:
    """Rows that break the rule named `check`: (row, detail)."""
    rows = await conn.fetch(CHECKS[check], timeout=TIMEOUT_S)
    return [(row[0] or "?", row[1] or "") for row in rows]


async def plans(conn: Any) -> tuple[list[Any], dict[int, Any]]:
    """Every split plan, and the parts that SQL users see of each."""
    rows = await conn.fetch(_PLANS)
    return rows, {row["plan"]: row for row in await conn.fetch(_PARTS)}


async def terms(conn: Any) -> tuple[list[Any], list[Any]]:
    """Every fee rule that was ever in force, and every cell of an approved agreement."""
    return await conn.fetch(_TERMS), await conn.fetch(_AGREEMENTS)


async def payout_files(conn: Any) -> list[Any]:
    """Each batch with its payout file (None where there is none) and what its payouts add up to."""
    found: list[Any] = await conn.fetch(_FILES)
    return found


def bills(conn: Any) -> AsyncIterator[Any]:
    """Every bill, by account and number."""
    return _stream(conn, _BILLS)


def open_bills(conn: Any) -> AsyncIterator[Any]:
    """Every open bill, by account."""
    return _stream(conn, _OPEN_BILLS)


def events(conn: Any) -> AsyncIterator[Any]:
    """Every split and refund, by account and sequence."""
    return _stream(conn, _EVENTS)


def surcharges(conn: Any) -> AsyncIterator[Any]:
    """Every payment's surcharge with what it was computed from."""
    return _stream(conn, _SURCHARGES)


async def _stream(conn: Any, query: str) -> AsyncIterator[Any]:
    async for row in conn.cursor(query, prefetch=PAGE_ROWS, timeout=TIMEOUT_S):
        yield row
