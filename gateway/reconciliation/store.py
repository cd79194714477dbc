"""SQL of reconciliation: terms, lines that came, what they bring, and the worklist."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import Struct

from gateway.reconciliation.matching import Expected, Line, Match, Paid, of_order
from gateway.reconciliation.terms import ArrivalTerms

RECONCILIATION_LOCK: Final = 7305
# What is looked at in one go: an acquirer has a few lines and a few reports a day.
LINES_AT_ONCE: Final = 2_000
REPORTS_AT_ONCE: Final = 2_000
PAYMENTS_AT_ONCE: Final = 20_000
TIMEOUT_S: Final = 300.0

_TERMS_COLUMNS = (
    "comes, payer_account, payer_inn, contract, fee, fee_ppm, report_days, arrival_days"
)
_TERMS = f"""
    SELECT {_TERMS_COLUMNS} FROM arrival_terms WHERE caller = $1 ORDER BY number DESC LIMIT 1
"""
_ALL_TERMS = f"""
    SELECT DISTINCT ON (caller) caller, {_TERMS_COLUMNS} FROM arrival_terms
    ORDER BY caller, number DESC
"""
_ADD_TERMS = f"""
    INSERT INTO arrival_terms (caller, {_TERMS_COLUMNS}, set_at, set_by)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_ACQUIRER = "SELECT number FROM callers WHERE name = $1 AND role = 'acquirer'"
_ACQUIRERS = "SELECT number, name FROM callers WHERE number = ANY ($1::int[])"
_BY_PAYMENT = """
    SELECT EXISTS (SELECT FROM arrivals AS a JOIN arrived_payments AS p ON p.arrival = a.id
                   WHERE a.caller = $1)
"""
_SEEN = "SELECT identity FROM incoming_money WHERE identity = ANY ($1::bytea[])"
_ADD_LINES = """
    INSERT INTO incoming_money (statement, line, caller, is_fee, amount, booked_on, order_number,
                                order_date, operations, days, identity)
    SELECT $1, u.line, u.caller, u.is_fee, u.amount, u.booked_on, u.order_number, u.order_date,
           string_to_array(u.operations, ' '), string_to_array(u.days, ' ')::date[], u.identity
    FROM unnest($2::int[], $3::int[], $4::bool[], $5::bigint[], $6::date[], $7::text[],
                $8::date[], $9::text[], $10::text[], $11::bytea[])
         AS u (line, caller, is_fee, amount, booked_on, order_number, order_date, operations, days,
               identity)
"""
_HOLD = "SELECT pg_advisory_xact_lock($1)"
_OPEN_LINES = """
    SELECT m.statement, m.line, m.amount, m.booked_on, m.order_number, m.order_date, m.operations,
           m.days
    FROM incoming_money AS m
    WHERE m.caller = $1 AND m.is_fee = $2
      AND NOT EXISTS (SELECT FROM arrival_lines AS l
                      WHERE l.statement = m.statement AND l.line = m.line)
    ORDER BY m.booked_on DESC, m.statement, m.line LIMIT $3
"""
# A file that was sent again is the same money.
_OPEN_REPORTS = """
    SELECT r.id, r.amount::bigint AS amount, r.fee::bigint AS fee,
           money_due(r.amount, r.transfer, $3)::bigint AS due, r.row_count, r.order_number,
           r.order_date, r.first_day, r.last_day, (r.received_at AT TIME ZONE $5)::date AS received
    FROM acquirer_reports AS r
    WHERE r.caller = $1 AND r.finished_at IS NOT NULL AND r.amount > 0
      AND ($2 = false OR r.fee > 0)
      AND NOT EXISTS (SELECT FROM arrived_reports AS a WHERE a.report = r.id AND a.is_fee = $2)
      AND NOT EXISTS (SELECT FROM acquirer_reports AS e
                      WHERE e.caller = r.caller AND e.digest = r.digest AND e.id < r.id
                        AND e.finished_at IS NOT NULL)
    ORDER BY r.id DESC LIMIT $4
"""
_PAID = """
    SELECT p.id, p.subscriber_account, p.total, f.operation
    FROM (SELECT u.operation, q.id FROM unnest($2::text[]) AS u (operation)
          JOIN payments AS q ON q.reference COLLATE "C" = u.operation AND q.caller = $1
          UNION
          SELECT u.operation, a.id FROM unnest($2::text[]) AS u (operation)
          JOIN authorisations AS a ON a.operation = u.operation AND a.caller = $1) AS f
    JOIN payments AS p ON p.id = f.id
    LEFT JOIN reported_payments AS s
        ON s.payment = p.id AND s.subscriber_account = p.subscriber_account
    WHERE NOT EXISTS (SELECT FROM arrived_payments AS a WHERE a.payment = p.id)
      AND NOT EXISTS (SELECT FROM arrived_reports AS a
                      WHERE a.report = coalesce(s.report, substr(p.facts ->> 'report', 5)::uuid)
                        AND NOT a.is_fee)
"""
_ADD_ARRIVAL = "INSERT INTO arrivals (id, caller, is_fee, rule, at) VALUES ($1, $2, $3, $4, $5)"
_ADD_ARRIVAL_LINES = """
    INSERT INTO arrival_lines (statement, line, arrival, amount)
    SELECT u.statement, u.line, $1, u.amount
    FROM unnest($2::uuid[], $3::int[], $4::bigint[]) AS u (statement, line, amount)
"""
_ADD_ARRIVED_REPORTS = """
    INSERT INTO arrived_reports (report, is_fee, arrival, amount, withheld)
    SELECT u.report, $2, $1, u.amount, u.withheld
    FROM unnest($3::uuid[], $4::bigint[], $5::bigint[]) AS u (report, amount, withheld)
"""
_ADD_ARRIVED_PAYMENTS = """
    INSERT INTO arrived_payments (payment, subscriber_account, arrival, amount, withheld)
    SELECT u.payment, u.account, $1, u.amount, u.withheld
    FROM unnest($2::uuid[], $3::text[], $4::bigint[], $5::bigint[])
         AS u (payment, account, amount, withheld)
"""
_MARK = "SELECT reported_until, arrived_until FROM arrival_marks WHERE caller = $1"
_SET_MARK = """
    INSERT INTO arrival_marks (caller, reported_until, arrived_until) VALUES ($1, $2, $3)
    ON CONFLICT (caller) DO UPDATE SET reported_until = excluded.reported_until,
                                       arrived_until = excluded.arrived_until
"""
# The next of an acquirer's payments that are so old; the planner is kept to the order of ids.
_NEXT_AGED = """
    SELECT max(n.id::text)::uuid AS until, count(*) AS seen FROM (
        SELECT id FROM payments WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS n
"""
_NOT_REPORTED = """
    INSERT INTO arrival_discrepancies
        (subject, place, caller, subscriber_account, amount, since, found_at)
    SELECT p.id, 1, p.caller, p.subscriber_account, p.total, p.accepted_at, $4
    FROM payments AS p
    WHERE p.id > $2 AND p.id <= $3 AND p.caller = $1
      AND p.facts ->> 'report' IS NULL
      AND NOT EXISTS (SELECT FROM reported_payments AS r
                      WHERE r.payment = p.id AND r.subscriber_account = p.subscriber_account)
      AND p.amount > (SELECT coalesce(sum(f.amount), 0) FROM refunds AS f WHERE f.payment = p.id)
          + (SELECT coalesce(sum(c.amount), 0) FROM chargebacks AS c WHERE c.payment = p.id)
          - (SELECT coalesce(sum(v.amount), 0) FROM chargeback_reversals AS v
             WHERE v.payment = p.id)
      AND NOT EXISTS (SELECT FROM report_discrepancies AS d WHERE d.payment = p.id)
    ON CONFLICT DO NOTHING
"""
_PAYMENTS_NOT_ARRIVED = """
    INSERT INTO arrival_discrepancies
        (subject, place, caller, subscriber_account, amount, since, found_at)
    SELECT p.id, 2, p.caller, p.subscriber_account, p.total, p.accepted_at, $4
    FROM payments AS p JOIN payment_arrivals AS a ON a.payment = p.id
    WHERE p.id > $2 AND p.id <= $3 AND p.caller = $1 AND NOT a.arrived AND NOT a.given_back
    ON CONFLICT DO NOTHING
"""
_REPORTS_NOT_ARRIVED = """
    INSERT INTO arrival_discrepancies
        (subject, place, caller, subscriber_account, amount, since, found_at)
    SELECT r.id, 2, r.caller, NULL, coalesce(money_due(r.amount, r.transfer, $2), r.amount),
           r.received_at, $4
    FROM acquirer_reports AS r
    WHERE r.caller = $1 AND r.finished_at IS NOT NULL AND r.received_at < $3
      AND coalesce(money_due(r.amount, r.transfer, $2), r.amount) > 0
      AND NOT EXISTS (SELECT FROM arrived_reports AS a WHERE a.report = r.id AND NOT a.is_fee)
      AND NOT EXISTS (SELECT FROM acquirer_reports AS e
                      WHERE e.caller = r.caller AND e.digest = r.digest AND e.id < r.id
                        AND e.finished_at IS NOT NULL)
    ON CONFLICT DO NOTHING
"""
# The fee that was agreed when the report came; off by what rounding every row may make is right.
_FEES_DIFFER = """
    INSERT INTO arrival_discrepancies
        (subject, place, caller, subscriber_account, amount, since, found_at)
    SELECT r.id, 3, r.caller, NULL, greatest(r.fee, 1), r.received_at, $3
    FROM acquirer_reports AS r
    CROSS JOIN LATERAL (SELECT t.fee_ppm FROM arrival_terms AS t
                        WHERE t.caller = r.caller AND t.set_at <= r.received_at
                        ORDER BY t.number DESC LIMIT 1) AS t
    WHERE r.caller = $1 AND r.finished_at IS NOT NULL AND r.received_at >= $2
      AND t.fee_ppm IS NOT NULL AND r.fee IS NOT NULL
      AND 2 * abs(r.fee * 1000000 - r.amount * t.fee_ppm) > r.row_count::numeric * 1000000
    ON CONFLICT DO NOTHING
"""
_PAYMENT = """
    SELECT a.payment, a.caller, a.total, a.report, a.comes, a.given_back, a.arrived, a.released,
           coalesce(p.arrival, r.arrival) AS arrival
    FROM payment_arrivals AS a
    LEFT JOIN arrived_payments AS p ON p.payment = a.payment
    LEFT JOIN arrived_reports AS r ON r.report = a.report AND NOT r.is_fee
    WHERE a.payment = $1
"""
_PAYMENT_LINES = """
    SELECT l.statement, l.line, m.booked_on, m.amount FROM arrival_lines AS l
    JOIN incoming_money AS m ON m.statement = l.statement AND m.line = l.line
    WHERE l.arrival = $1 ORDER BY m.booked_on, l.statement, l.line
"""
_SHOWN = """
    SELECT d.source, d.document, d.place, d.kind, d.side, d.amount, d.since, d.state, d.outcome,
           d.steps, c.name AS acquirer, d.payment, d.report, d.statement, d.line, d.payout
    FROM discrepancies AS d LEFT JOIN callers AS c ON c.number = d.caller
"""
_OF_PAYMENT = f"""
    {_SHOWN}
    WHERE d.state IN ('open', 'proposed') AND (d.payment = $1 OR d.source = 'arrival' AND
          d.document = $2) ORDER BY d.since, d.source, d.document, d.place
"""
_ONE = f"{_SHOWN} WHERE d.source = $1 AND d.document = $2 AND d.place = $3"
_LISTED = f"""
    {_SHOWN}
    WHERE ($1::text[] IS NULL OR d.state = ANY ($1)) AND ($2::text IS NULL OR d.kind = $2)
      AND ($3::text IS NULL OR d.side = $3) AND ($4::timestamptz IS NULL OR d.since <= $4)
      AND ($5::text IS NULL OR c.name = $5)
      AND ($6::timestamptz IS NULL OR (d.since, d.source, d.document, d.place) > ($6, $7, $8, $9))
    ORDER BY d.since, d.source, d.document, d.place LIMIT $10
"""
_STEPS = """
    SELECT s.ordinal, s.step, s.outcome, s.evidence_name, s.evidence_number, s.evidence_date,
           encode(s.evidence_sha256, 'hex') AS evidence_sha256, s.evidence_text, s.reason, s.at,
           c.name AS by
    FROM discrepancy_steps AS s JOIN callers AS c ON c.number = s.caller
    WHERE s.source = $1 AND s.document = $2 AND s.place = $3 ORDER BY s.ordinal
"""
_ADD_STEP = """
    INSERT INTO discrepancy_steps (source, document, place, ordinal, step, outcome, evidence_name,
        evidence_number, evidence_date, evidence_sha256, evidence_text, reason, at, caller)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
_OPEN_BY_KIND = """
    SELECT kind, count(*) AS count, min(since) AS since FROM discrepancies
    WHERE state IN ('open', 'proposed') GROUP BY kind
"""
_NOT_ARRIVED = """
    SELECT coalesce(sum(r.amount), 0)::bigint FROM acquirer_reports AS r
    WHERE r.finished_at IS NOT NULL
      AND (SELECT t.comes FROM arrival_terms AS t WHERE t.caller = r.caller
           ORDER BY t.number DESC LIMIT 1) = 'by_report'
      AND NOT EXISTS (SELECT FROM arrived_reports AS a WHERE a.report = r.id AND NOT a.is_fee)
      AND NOT EXISTS (SELECT FROM acquirer_reports AS e
                      WHERE e.caller = r.caller AND e.digest = r.digest AND e.id < r.id
                        AND e.finished_at IS NOT NULL)
"""
# Balances that wait are carried on, and what a cancelled batch owed is owed in a later one: the
# money of all batches before it that were not paid is waited for with its own.
_HELD = """
    WITH these AS (SELECT number FROM settlement_batches
                   WHERE number = $1 OR number < $1 AND state IN ('cut', 'closed', 'cancelled'))
    SELECT c.name AS acquirer, a.comes, count(*) AS payments, sum(a.total)::bigint AS total,
           min(a.payment::text)::uuid AS first
    FROM (SELECT id AS payment FROM payments
          WHERE settlement_batch IN (SELECT number FROM these) AND bill IS NOT NULL
          UNION ALL
          SELECT payment FROM resolutions
          WHERE settlement_batch IN (SELECT number FROM these)) AS m
    JOIN payment_arrivals AS a ON a.payment = m.payment
    JOIN callers AS c ON c.number = a.caller
    WHERE NOT a.arrived AND NOT a.released AND NOT a.given_back
    GROUP BY c.name, a.comes ORDER BY c.name
"""


_DAY = "SELECT * FROM day_sides($1, $2, $3, $4) ORDER BY acquirer"


class Awaited(Struct, frozen=True):
    """What of a batch's money has not come, by acquirer; `comes` is None without terms."""

    acquirer: str
    comes: str | None
    payments: int
    total: int
    first: UUID


class Shown(Struct, frozen=True):
    """A discrepancy of the worklist; `steps` are how many people took about it."""

    source: str
    document: UUID
    place: int
    kind: str
    side: str
    amount: int
    since: datetime
    state: str
    outcome: str | None
    steps: int
    acquirer: str | None
    payment: UUID | None
    report: UUID | None
    statement: UUID | None
    line: int | None
    payout: UUID | None


class Step(Struct, frozen=True):
    """What a person did about a discrepancy, with the document that a resolution needs."""

    ordinal: int
    step: str
    outcome: str
    evidence_name: str | None
    evidence_number: str | None
    evidence_date: date | None
    evidence_sha256: str | None
    evidence_text: str | None
    reason: str | None
    at: datetime
    by: str


class Incoming(Struct, frozen=True):
    """A statement's line that is an acquirer's, as it is kept."""

    number: int
    caller: int
    is_fee: bool
    amount: int
    booked_on: date
    order_number: str | None
    order_date: date | None
    operations: Sequence[str]
    days: Sequence[date]
    identity: bytes


async def terms_of(conn: Any, caller: int) -> ArrivalTerms | None:
    """The terms in force for an acquirer; None where none were set."""
    row = await conn.fetchrow(_TERMS, caller)
    return None if row is None else msgspec.convert(dict(row), ArrivalTerms)


async def all_terms(conn: Any) -> dict[int, ArrivalTerms]:
    """The terms in force, by the acquirer's number."""
    rows = [dict(row) for row in await conn.fetch(_ALL_TERMS)]
    return {row.pop("caller"): msgspec.convert(row, ArrivalTerms) for row in rows}


async def set_terms(conn: Any, caller: int, terms: ArrivalTerms, at: datetime, by: int) -> None:
    """Put terms in force for an acquirer; those before them stay as they were."""
    await conn.execute(_ADD_TERMS, caller, *msgspec.structs.astuple(terms), at, by)


async def comes_by_payment(conn: Any, caller: int) -> bool:
    """Whether any of an acquirer's money has come by a line a payment."""
    found: bool = await conn.fetchval(_BY_PAYMENT, caller)
    return found


async def acquirer(conn: Any, name: str) -> int | None:
    """The number of the acquirer of this name."""
    number: int | None = await conn.fetchval(_ACQUIRER, name)
    return number


async def names(conn: Any, callers: Sequence[int]) -> dict[int, str]:
    """The names of callers by their numbers."""
    return {row["number"]: row["name"] for row in await conn.fetch(_ACQUIRERS, callers)}


async def seen(conn: Any, identities: Sequence[bytes]) -> set[bytes]:
    """Those movements that an earlier statement told of."""
    return {row["identity"] for row in await conn.fetch(_SEEN, identities)}


async def add_lines(conn: Any, statement: UUID, lines: Sequence[Incoming]) -> None:
    """Keep acquirers' lines of a statement that is kept itself."""
    await conn.execute(
        _ADD_LINES,
        statement,
        [line.number for line in lines],
        [line.caller for line in lines],
        [line.is_fee for line in lines],
        [line.amount for line in lines],
        [line.booked_on for line in lines],
        [line.order_number for line in lines],
        [line.order_date for line in lines],
        [" ".join(line.operations) for line in lines],
        [" ".join(day.isoformat() for day in line.days) for line in lines],
        [line.identity for line in lines],
    )


async def hold(conn: Any) -> None:
    """One matcher at a time until the commit."""
    await conn.execute(_HOLD, RECONCILIATION_LOCK)


async def open_lines(conn: Any, caller: int, *, is_fee: bool) -> list[Line]:
    """An acquirer's lines that nothing was found for, the latest first."""
    rows = await conn.fetch(_OPEN_LINES, caller, is_fee, LINES_AT_ONCE)
    return [
        Line(
            row["statement"],
            row["line"],
            row["amount"],
            row["booked_on"],
            of_order(row["order_number"], row["order_date"]),
            tuple(row["operations"]),
            tuple(row["days"]),
        )
        for row in rows
    ]


async def open_reports(
    conn: Any, caller: int, terms: ArrivalTerms, timezone: str, *, is_fee: bool
) -> list[Expected]:
    """An acquirer's reports whose money, or whose fee by a line of its own, is awaited."""
    rows = await conn.fetch(_OPEN_REPORTS, caller, is_fee, terms.fee, REPORTS_AT_ONCE, timezone)
    return [
        Expected(
            row["id"],
            row["fee"] if is_fee else row["amount"],
            row["fee"] if is_fee else row["due"],
            row["row_count"],
            # The footer's payment order brings the money; a fee is taken by another.
            None if is_fee else of_order(row["order_number"], row["order_date"]),
            None if row["first_day"] is None else (row["first_day"], row["last_day"]),
            row["received"],
        )
        for row in rows
        if is_fee or row["due"] is None or row["due"] > 0
    ]


async def paid(conn: Any, caller: int, operations: Sequence[str]) -> list[Paid]:
    """An acquirer's payments by what operations are called, those whose money has not come."""
    rows = await conn.fetch(_PAID, caller, operations)
    return [Paid(*row.values()) for row in rows]


async def add_arrival(
    conn: Any, id_: UUID, caller: int, match: Match, at: datetime, *, is_fee: bool
) -> None:
    """Keep that lines brought what they brought."""
    await conn.execute(_ADD_ARRIVAL, id_, caller, is_fee, match.rule, at)
    await conn.execute(
        _ADD_ARRIVAL_LINES,
        id_,
        [line.statement for line in match.lines],
        [line.number for line in match.lines],
        [line.amount for line in match.lines],
    )
    subjects = [one.subject for one in match.covered]
    amounts = [one.amount for one in match.covered]
    withheld = [one.withheld for one in match.covered]
    if match.covered[0].subscriber_account is None:
        await conn.execute(_ADD_ARRIVED_REPORTS, id_, is_fee, subjects, amounts, withheld)
    else:
        accounts = [one.subscriber_account for one in match.covered]
        await conn.execute(_ADD_ARRIVED_PAYMENTS, id_, subjects, accounts, amounts, withheld)


async def marks(conn: Any, caller: int) -> tuple[UUID, UUID]:
    """Up to which payment an acquirer's were looked at, for reports and for money."""
    row = await conn.fetchrow(_MARK, caller)
    return (UUID(int=0), UUID(int=0)) if row is None else (row[0], row[1])


async def set_marks(conn: Any, caller: int, reported: UUID, arrived: UUID) -> None:
    """Keep from where the next look begins."""
    await conn.execute(_SET_MARK, caller, reported, arrived)


async def next_aged(conn: Any, since: UUID, before: UUID) -> tuple[UUID, bool]:
    """The last payment of the next look, and whether there are more behind it."""
    row = await conn.fetchrow(_NEXT_AGED, since, before, PAYMENTS_AT_ONCE, timeout=TIMEOUT_S)
    return row["until"] or since, row["seen"] == PAYMENTS_AT_ONCE


async def note_not_reported(conn: Any, caller: int, since: UUID, until: UUID, at: datetime) -> None:
    """Note the acquirer's payments of these ids that no report speaks of."""
    await conn.execute(_NOT_REPORTED, caller, since, until, at, timeout=TIMEOUT_S)


async def note_not_arrived(conn: Any, caller: int, since: UUID, until: UUID, at: datetime) -> None:
    """Note the acquirer's payments of these ids whose money has not come."""
    await conn.execute(_PAYMENTS_NOT_ARRIVED, caller, since, until, at, timeout=TIMEOUT_S)


async def note_reports(
    conn: Any, caller: int, terms: ArrivalTerms, due: datetime, since: datetime, at: datetime
) -> None:
    """Note reports taken before `due` whose money has not come (of an acquirer that pays by
    reports), and fees other than agreed of those taken since a moment.
    """
    if terms.comes == "by_report":
        await conn.execute(_REPORTS_NOT_ARRIVED, caller, terms.fee, due, at)
    await conn.execute(_FEES_DIFFER, caller, since, at)


async def payment(conn: Any, id_: UUID) -> Any:
    """How the money of a payment stands: a row of payment_arrivals and its arrival, or None."""
    return await conn.fetchrow(_PAYMENT, id_)


async def arrival_lines(conn: Any, arrival: UUID) -> list[Any]:
    """statement, line, booked_on and amount of the lines that an arrival came by."""
    found: list[Any] = await conn.fetch(_PAYMENT_LINES, arrival)
    return found


async def of_payment(conn: Any, id_: UUID, report: UUID | None) -> list[Shown]:
    """What is open about a payment, or about the whole report that speaks of it."""
    return [Shown(*row.values()) for row in await conn.fetch(_OF_PAYMENT, id_, report)]


async def find(conn: Any, source: str, document: UUID, place: int) -> Shown | None:
    """One discrepancy."""
    row = await conn.fetchrow(_ONE, source, document, place)
    return None if row is None else Shown(*row.values())


async def listed(
    conn: Any,
    states: Sequence[str] | None,
    told: Mapping[str, str],
    until: datetime | None,
    after: Shown | None,
    limit: int,
) -> list[Shown]:
    """The worklist, the oldest first: of these states, and kind, side and acquirer as told, since
    before a moment, after another of them.
    """
    place = (None,) * 4
    if after is not None:
        place = (after.since, after.source, after.document, after.place)  # type: ignore[assignment]
    rows = await conn.fetch(
        _LISTED,
        states,
        told.get("kind"),
        told.get("side"),
        until,
        told.get("acquirer"),
        *place,
        limit,
        timeout=TIMEOUT_S,
    )
    return [Shown(*row.values()) for row in rows]


async def steps(conn: Any, one: Shown) -> list[Step]:
    """What people did about a discrepancy, in its order."""
    rows = await conn.fetch(_STEPS, one.source, one.document, one.place)
    return [Step(*row.values()) for row in rows]


async def add_step(conn: Any, one: Shown, step: Step, caller: int) -> None:
    """Keep one step more; the caller holds the lock."""
    digest = None if step.evidence_sha256 is None else bytes.fromhex(step.evidence_sha256)
    await conn.execute(
        _ADD_STEP,
        one.source,
        one.document,
        one.place,
        step.ordinal,
        step.step,
        step.outcome,
        step.evidence_name,
        step.evidence_number,
        step.evidence_date,
        digest,
        step.evidence_text,
        step.reason,
        step.at,
        caller,
    )


async def open_by_kind(conn: Any) -> dict[str, tuple[int, datetime]]:
    """How many are open of each kind, and since when the oldest is."""
    rows = await conn.fetch(_OPEN_BY_KIND, timeout=TIMEOUT_S)
    return {row["kind"]: (row["count"], row["since"]) for row in rows}


async def not_arrived(conn: Any) -> int:
    """Kopecks that reports tell of and that have not come."""
    return int(await conn.fetchval(_NOT_ARRIVED, timeout=TIMEOUT_S))


async def awaited(conn: Any, batch: int) -> list[Awaited]:
    """What of the money of a closed batch has not come."""
    return [Awaited(*row.values()) for row in await conn.fetch(_HELD, batch, timeout=TIMEOUT_S)]


async def day(
    conn: Any, since: UUID, first: datetime, end: datetime, acquirer_name: str | None
) -> list[dict[str, object]]:
    """The four sides of the payments made between two moments, in kopecks, by acquirer."""
    rows = await conn.fetch(_DAY, since, first, end, acquirer_name, timeout=TIMEOUT_S)
    return [dict(row) for row in rows]
