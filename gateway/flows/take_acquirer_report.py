"""Taking an acquirer's report: match its rows, make payments of what is new, name what differs.

Called once a file's control totals hold. Rows come in parts; each part is matched with the
payments we know in a few statements, and what is new takes the same road as any payment. All of
it may be done again after a crash: a row finds by its key what it made, and what it matched.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from gateway.acquirer_reports import store
from gateway.acquirer_reports.policy import Policy
from gateway.acquirer_reports.requests import Requests, made_by
from gateway.acquirer_reports.rows import ReportFile, Row
from gateway.acquirer_reports.store import Discrepancy, SpokenOfMeanwhile
from gateway.acquirer_reports.verdict import (
    CREATED,
    DUPLICATE,
    FRESH,
    MATCHED,
    REPORT_ONLY,
    Known,
    Source,
    Verdict,
    judge,
)
from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.ids import PAYMENT, REPORT, earliest, shown
from gateway.domain.payment import Payment
from gateway.domain.refusals import Refusal
from gateway.flows import reconcile
from gateway.flows.accept_payment import Intake
from gateway.flows.commit_group import Outcome
from gateway.flows.context import Context
from gateway.flows.patience import patiently
from gateway.journal.db_transaction import reading, writing

PART_ROWS: Final = 1_000
PARTS_IN_FLIGHT_MAX: Final = 4
LISTED_MAX: Final = 100_000
# How many rows are submitted at once, before others have their turn.
BUNCH_ROWS: Final = 250
# A day ends elsewhere before it does here, and a payment is accepted when it is paid or later;
# where files have no dates, payments are looked for less than a month back, for next month the same
# sum is another payment.
SLACK: Final = timedelta(days=1)
_DAY_AND_SLACK: Final = timedelta(days=1) + SLACK
WITHOUT_DATES: Final = timedelta(days=20)
# One odd date makes every payment of a year one of the file's days: then only we know of none.
ONLINE_ONLY_DAYS: Final = timedelta(days=32)
_NO_BILL: Final = "not_found"

Observe = Callable[[Sequence[Outcome]], None]
Late = list[Discrepancy]


class _Part(Struct):
    """The rows of a part that are on their way to be payments, and those kept from it."""

    bunches: list[tuple[list[Row], asyncio.Future[Sequence[Outcome]]]]
    discrepancies: Late


class Taking:
    """One file on its way: rows in parts in, an answer out."""

    def __init__(
        self, context: Context, intake: Intake, caller: int, report: UUID, file: ReportFile
    ) -> None:
        self._context = context
        self._intake = intake
        self._caller = caller
        self._file = file
        self._source = Source(report, file.digest, file.per_file)
        self._requests = Requests(caller, self._source, file)
        self._policy = Policy()
        self._counts = {MATCHED: 0, CREATED: 0}
        self._digests: dict[UUID, bytes | None] = {}
        now = context.clock.now()
        first = now - WITHOUT_DATES if file.paid is None else min(now, file.paid[0]) - SLACK
        self._since = earliest(first)
        self._ever = (first, now + SLACK)

    async def take(
        self, parts: AsyncIterator[Sequence[Row]], observe: Observe
    ) -> dict[str, object]:
        """Take the rows, in parts of at most PART_ROWS; the answer.

        Raises Unavailable where the database is away for too long: the same file is sent again.
        """
        await patiently(self._context, self._begin)
        waiting: deque[_Part] = deque()
        try:
            async for rows in parts:
                waiting.append(await self._submit(await self._match(rows)))
                if len(waiting) >= PARTS_IN_FLIGHT_MAX:
                    await self._settle(waiting.popleft(), observe)
            while waiting:
                await self._settle(waiting.popleft(), observe)
        finally:
            for part in waiting:
                _abandon(part)
        taken = await patiently(self._context, self._finish)
        # Its money may have come before it.
        await reconcile.match_all(self._context)
        return taken

    async def _begin(self) -> None:
        now = self._context.clock.now()
        async with self._context.connection() as conn:
            self._policy = await store.policy_of(conn, self._caller)
            await store.add_report(conn, self._source.report, self._caller, self._file, now)

    async def _match(self, rows: Sequence[Row]) -> list[Row]:
        """The rows of a part that are new, once what matches and what differs is kept."""
        verdicts = await patiently(self._context, lambda: self._judged(rows))
        fresh = []
        for row, verdict in zip(rows, verdicts, strict=True):
            if verdict.kind == FRESH:
                fresh.append(row)
            elif verdict.kind in self._counts:
                self._counts[verdict.kind] += 1
        return fresh

    async def _judged(self, rows: Sequence[Row]) -> list[Verdict]:
        async with self._context.connection() as conn:
            while True:
                verdicts = self._verdicts(rows, await self._known(conn, rows))
                judged = list(zip(rows, verdicts, strict=True))
                claimed = [
                    (verdict.payment, row.number, row.subscriber_account)
                    for row, verdict in judged
                    if verdict.claims and verdict.payment is not None
                ]
                differing = [
                    Discrepancy(row, verdict)
                    for row, verdict in judged
                    if verdict.kind != FRESH and verdict.kind not in self._counts
                ]
                if not claimed and not differing:
                    return verdicts
                try:
                    async with writing(conn):
                        if claimed:
                            await store.claim_payments(conn, self._source.report, claimed)
                        if differing:
                            await store.add_discrepancies(conn, self._source.report, differing)
                except SpokenOfMeanwhile:
                    continue
                return verdicts

    async def _known(self, conn: Any, rows: Sequence[Row]) -> list[list[Known]]:
        """What is known beside each row: by number, else by account, sum and day."""
        numbered = [row for row in rows if row.operation is not None]
        found: dict[int, list[Known]] = {row.number: [] for row in rows}
        if numbered:
            known = await store.known_by_number(conn, self._caller, numbered)
            found.update(zip((row.number for row in numbered), known, strict=True))
        per_file = self._source.per_file
        rest = rows if per_file else [row for row in rows if not found[row.number]]
        if rest:
            known = await store.known_by_account(
                conn,
                self._caller,
                rest,
                [self._days(row) for row in rest],
                self._since,
                # A number of a file's own says nothing of the one that was told online.
                numbered=per_file or not numbered,
            )
            for row, beside in zip(rest, known, strict=True):
                found[row.number] += beside
        return list(found.values())

    def _days(self, row: Row) -> tuple[datetime, datetime]:
        if row.paid_at is None:
            return self._ever
        paid_at = datetime.fromtimestamp(row.paid_at, UTC)
        return paid_at - SLACK, paid_at + _DAY_AND_SLACK

    def _verdicts(self, rows: Sequence[Row], known: Sequence[Sequence[Known]]) -> list[Verdict]:
        taken: set[UUID] = set()
        verdicts = []
        for row, beside in zip(rows, known, strict=True):
            verdict = judge(row, beside, taken, self._source)
            if verdict.claims and verdict.payment is not None:
                taken.add(verdict.payment)
            verdicts.append(verdict)
        return verdicts

    async def _submit(self, fresh: list[Row]) -> _Part:
        """New rows on their way to be payments, those left out that policy or shape keeps out."""
        part = _Part([], [])
        rows = await self._allowed(fresh, part.discrepancies)
        size = min(BUNCH_ROWS, self._intake.bunch_max)
        try:
            for at in range(0, len(rows), size):
                bunch = rows[at : at + size]
                requests = [self._requests.make(row) for row in bunch]
                part.bunches.append((bunch, await self._intake.submit(requests)))
                await asyncio.sleep(0)
        except BaseException:
            _abandon(part)
            raise
        return part

    async def _allowed(self, fresh: list[Row], left_out: Late) -> list[Row]:
        if self._policy.report_only == "question":
            left_out += [Discrepancy(row, Verdict(REPORT_ONLY)) for row in fresh]
            return []
        rows = []
        for row in fresh:
            if SUBSCRIBER_ACCOUNT.fullmatch(row.subscriber_account) is None:
                left_out.append(Discrepancy(row, Verdict(REPORT_ONLY), "account_invalid"))
            else:
                rows.append(row)
        if self._policy.unknown_account == "suspense" or not rows:
            return rows
        known = await patiently(self._context, lambda: self._with_bill(rows))
        left_out += [
            Discrepancy(row, Verdict(REPORT_ONLY), _NO_BILL)
            for row in rows
            if row.subscriber_account not in known
        ]
        return [row for row in rows if row.subscriber_account in known]

    async def _with_bill(self, rows: Sequence[Row]) -> set[str]:
        async with self._context.connection() as conn:
            return await store.with_bill(conn, [row.subscriber_account for row in rows])

    async def _settle(self, part: _Part, observe: Observe) -> None:
        """Waits for a part's payments, and keeps what came of its rows instead."""
        late = part.discrepancies
        try:
            for rows, future in part.bunches:
                outcomes = await future
                observe(outcomes)
                for row, outcome in zip(rows, outcomes, strict=True):
                    differing = await self._came_to(row, outcome)
                    if differing is not None:
                        late.append(differing)
        except BaseException:
            _abandon(part)
            raise
        if late:
            await patiently(self._context, lambda: self._keep(late))

    async def _came_to(self, row: Row, outcome: Outcome) -> Discrepancy | None:
        """Counts a row that is a payment now, else what it is."""
        if isinstance(outcome, Refusal):
            return _refused(row, outcome)
        if isinstance(outcome, Exception):
            raise outcome
        kind = await self._made(row, outcome.payment) if outcome.replayed else CREATED
        if kind in self._counts:
            self._counts[kind] += 1
            return None
        return Discrepancy(row, Verdict(kind, outcome.payment.id))

    async def _made(self, row: Row, payment: Payment) -> str:
        """What a row is whose key had made a payment before it."""
        mark = made_by(payment.facts)
        if mark is None or mark[1] != row.number:
            return DUPLICATE
        if mark[0] == self._source.report:
            return CREATED
        if mark[0] not in self._digests:
            self._digests[mark[0]] = await patiently(
                self._context, lambda: self._digest_of(mark[0])
            )
        return MATCHED if self._digests[mark[0]] == self._source.digest else DUPLICATE

    async def _digest_of(self, report: UUID) -> bytes | None:
        async with self._context.connection() as conn:
            return await store.digest_of(conn, report)

    async def _keep(self, found: Late) -> None:
        async with self._context.connection() as conn, writing(conn):
            await store.add_discrepancies(conn, self._source.report, found)

    def _is_of_days(self) -> bool:
        paid = self._file.paid
        asked = self._policy.online_only == "question"
        return asked and paid is not None and paid[1] - paid[0] <= ONLINE_ONLY_DAYS

    async def _finish(self) -> dict[str, object]:
        report, file = self._source.report, self._file
        matched, created = self._counts[MATCHED], self._counts[CREATED]
        async with self._context.connection() as conn:
            async with writing(conn):
                await store.take_time(conn)
                if self._is_of_days() and file.paid is not None:
                    await store.add_online_only(conn, report, self._caller, self._since, file.paid)
                now = self._context.clock.now()
                await store.finish_report(conn, report, (matched, created), now)
            async with reading(conn):
                count, found = await store.discrepancies(conn, report, LISTED_MAX)
        return answer(report, file.format, file.rows, matched, created, count, found)


def answer(
    report: UUID,
    format_name: str,
    rows: int,
    matched: int,
    created: int,
    count: int,
    found: Sequence[store.Found],
) -> dict[str, object]:
    """What is told of a report that was taken."""
    return {
        "id": shown(REPORT, report),
        "format": format_name,
        "rows": rows,
        "matched": matched,
        "created": created,
        "discrepancy_count": count,
        "discrepancies": [_shown(one) for one in found],
    }


def _shown(found: store.Found) -> dict[str, object]:
    told: dict[str, object] = {"kind": found.kind}
    if found.place > 0:
        told["row"] = found.place
    if found.payment is not None:
        told["payment"] = shown(PAYMENT, found.payment)
    if found.code is not None:
        told["code"] = found.code
    return told


def _refused(row: Row, refusal: Refusal) -> Discrepancy:
    if refusal.code == "idempotency_key_reused":
        # Another row has this number, and was taken for another sum or account.
        return Discrepancy(row, Verdict(DUPLICATE))
    return Discrepancy(row, Verdict(REPORT_ONLY), refusal.code)


def _abandon(part: _Part) -> None:
    """Lets outcomes nobody will read come to nothing, quietly; their payments go on."""
    for _, future in part.bunches:
        future.add_done_callback(lambda late: late.cancelled() or late.exception())
