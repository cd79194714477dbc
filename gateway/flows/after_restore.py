"""After a restore: what is held until two people lift it, and what was paid that nobody knows of.

The database was put back to an earlier moment. What was closed, sent and paid since is open money
again, and would be paid again under new orders. So nothing is approved or sent until an operator
asks for it to go on and another person approves; then what the bank's lines tell of lost orders is
booked to their recipients, and is netted from what they are owed.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from gateway.domain.ids import LIFT, PAYOUT, RESTORE, STATEMENT, new_id, shown
from gateway.domain.party import Caller
from gateway.domain.payment import Claim
from gateway.domain.refusals import Refusal
from gateway.flows.answers import once
from gateway.flows.context import Answer, Context
from gateway.journal.rows import Cut
from gateway.parties import store as party_store
from gateway.payouts.centre import TRIAL_CENTRE
from gateway.payouts.lost import Identity, gives_back, identity, identity_of, names
from gateway.payouts.matching import (
    CANCELLED,
    KNOWN,
    PAID_BEFORE,
    RETURNED_BEFORE,
    UNKNOWN_CREDIT,
    UNKNOWN_DEBIT,
    UNKNOWN_RETURN,
    Verdict,
    batches_of,
)
from gateway.payouts.statements.lines import Line
from gateway.settlement import store as settlement_store
from gateway.settlement import store_restores
from gateway.settlement.store_restores import LostLine, Restore

SHOWN_MAX: Final = 50
LINES_SHOWN_MAX: Final = 1000
HELD: Final = (
    "Expected a database that has lost nothing: it was restored, and nothing is approved or sent"
    " until that is lifted (GET /v1/restores)"
)
CANCEL_ONLY: Final = (
    "Expected recipients to whom nothing was paid before the restore: cancel this batch; what it"
    " owes is owed again in the open one, less what was paid"
)

_DOUBTFUL: Final = (UNKNOWN_DEBIT, UNKNOWN_RETURN, UNKNOWN_CREDIT, CANCELLED)

Judged = list[tuple[Line, Verdict]]


@dataclass
class Lost:
    """Lines of one statement about lost orders: those to keep, and of them those to book now."""

    lines: list[LostLine] = field(default_factory=list)
    book: list[LostLine] = field(default_factory=list)


async def begin(conn: Any, found: str, detail: str, at: datetime, caller: int | None) -> UUID:
    """Hold settlement from now on, and mark what may have been paid; the restore's id.

    Within a transaction that holds the restores' lock.
    """
    restore = new_id()
    await store_restores.add(conn, restore, found, detail, at, caller)
    await settlement_store.mark_restored(conn, at)
    return restore


async def check(conn: Any, number: int) -> None:
    """Refuses state_conflict while settlement is held, and for a batch that would pay again what
    statements say was paid.
    """
    await check_held(conn)
    if await store_restores.paid_since(conn, number):
        raise Refusal("state_conflict", CANCEL_ONLY)


async def check_held(conn: Any) -> None:
    """Refuses state_conflict while settlement is held."""
    if await store_restores.unlifted(conn):
        raise Refusal("state_conflict", HELD)


async def say(context: Context, claim: Claim, caller: Caller, reason: str) -> Answer:
    """A person says that the database was restored by other means than `kopeck restore`.

    Refuses `state_conflict` where settlement is held already.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store_restores.lock(conn)
        if await store_restores.unlifted(conn):
            raise Refusal("state_conflict", "Expected settlement that is not held yet")
        await begin(conn, "said", reason, context.clock.now(), caller.number)
        return await _shown(conn)

    return await once(context, claim, new_id(), act, stamps=False)


async def show(context: Context) -> dict[str, object]:
    """Whether settlement is held, why, and what there is to decide."""
    async with context.connection() as conn:
        return await _shown(conn)


async def decide(
    context: Context,
    claim: Claim,
    caller: Caller,
    statement: UUID,
    line: int,
    recipient: str | None,
    reason: str,
) -> Answer:
    """Say whose a line is, or that it is no order of ours.

    Refuses `not_found`, and `state_conflict` once it is settled.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store_restores.lock(conn)
        one = await store_restores.line(conn, statement, line)
        number = None
        if recipient is not None:
            number = (await party_store.numbers(conn, [recipient])).get(recipient)
        if one is None or (number is None and recipient is not None):
            raise Refusal("not_found", "Expected a line of a lost order, and a recipient")
        if one.restore not in {id_ for id_, _ in await store_restores.unlifted(conn)}:
            raise Refusal("state_conflict", "Expected a line that is not settled yet")
        await store_restores.decide(conn, one, number, reason, context.clock.now(), caller.number)
        return await _shown(conn)

    return await once(context, claim, new_id(), act, stamps=False)


async def ask(
    context: Context, claim: Claim, caller: Caller, restore: UUID, reason: str, document: str
) -> Answer:
    """Ask that settlement goes on.

    Refuses `not_found`, and `state_conflict` where it does, or where a line is still nobody's.
    """
    lift = new_id()

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store_restores.lock(conn)
        lines = await _ready(conn, restore)
        now = context.clock.now()
        await store_restores.ask(
            conn, lift, restore, reason, document, _digest(lines), now, caller.number
        )
        return {"id": shown(LIFT, lift), "restore": shown(RESTORE, restore), "state": "asked"}

    return await once(context, claim, lift, act, stamps=False)


async def approve(context: Context, claim: Claim, caller: Caller, lift: UUID) -> Answer:
    """Let settlement go on, and book what was paid before.

    Refuses `not_found`; `forbidden` for whoever asked, or said whose a line is; `state_conflict`
    where anything came to it since it was asked for.
    """

    async def act(conn: Any, cut: Cut) -> dict[str, object]:
        await store_restores.lock(conn)
        row = await store_restores.lift(conn, lift)
        if row is None:
            raise Refusal("not_found", "Expected the id of a lift that was asked for")
        if row.approved:
            raise Refusal("state_conflict", "Expected a lift that was not approved yet")
        if caller.name == row.asked_by or caller.name in await store_restores.deciders(conn):
            raise Refusal("forbidden", "Expected another person than who asked and decided")
        lines = await _ready(conn, row.restore)
        if _digest(lines) != row.seen:
            raise Refusal(
                "state_conflict", "Expected the lines that were there when it was asked; ask again"
            )
        now = context.clock.now()
        ours = [one for one in lines if one.recipient is not None]
        await store_restores.book(conn, ours, cut.settlement_batch, now, caller.number)
        held = [id_ for id_, _ in await store_restores.unlifted(conn)]
        await store_restores.approve_lift(
            conn, lift, held, cut.settlement_batch, now, caller.number
        )
        return {"id": shown(LIFT, lift), "restore": shown(RESTORE, row.restore), "state": "lifted"}

    return await once(context, claim, new_id(), act)


async def _ready(conn: Any, restore: UUID) -> list[LostLine]:
    """The lines that a lift of this restore books, each of which is somebody's or nobody's."""
    held = [id_ for id_, _ in await store_restores.unlifted(conn)]
    if restore not in {one.id for one in await store_restores.restores(conn, SHOWN_MAX)}:
        raise Refusal("not_found", "Expected the id of a restore")
    if not held or held[0] != restore:
        raise Refusal("state_conflict", "Expected the newest restore, not lifted yet")
    lines = await store_restores.open_lines(conn)
    undecided = [one for one in lines if one.recipient is None and not one.decided]
    if undecided:
        first = undecided[0]
        raise Refusal(
            "state_conflict",
            f"Expected every line to be somebody's or nobody's, was {len(undecided)} undecided,"
            f" the first line {first.line} of {shown(STATEMENT, first.statement)}",
        )
    return lines


def _digest(lines: Sequence[LostLine]) -> bytes:
    told = [(one.statement.hex, one.line, one.recipient, one.owed) for one in lines]
    return sha256(repr(sorted(told, key=str)).encode()).digest()


async def _shown(conn: Any) -> dict[str, object]:
    held = await store_restores.unlifted(conn)
    lines = await store_restores.latest_lines(conn, LINES_SHOWN_MAX)
    ids = {number: one.id for number, one in (await party_store.find_all(conn)).items()}
    since = held[-1][1] if held else None
    statements = [] if since is None else await store_restores.statements_since(conn, since)
    open_ = {id_ for id_, _ in held}
    return {
        "held": bool(held),
        "restores": [_restore(one) for one in await store_restores.restores(conn, SHOWN_MAX)],
        "lifts": [
            {
                "id": shown(LIFT, one.id),
                "restore": shown(RESTORE, one.restore),
                "reason": one.reason,
                "document": one.document,
                "asked_at": one.asked_at.isoformat(),
                "asked_by": one.asked_by,
            }
            for one in await store_restores.waiting(conn)
        ],
        "statements": [
            {
                "id": shown(STATEMENT, one.id),
                "taken_at": one.taken_at.isoformat(),
                "first_day": None if one.first_day is None else one.first_day.isoformat(),
                "last_day": None if one.last_day is None else one.last_day.isoformat(),
                "lines": one.line_count,
            }
            for one in statements
        ],
        "lines": [line_shown(one, ids, open_) for one in lines],
    }


def _restore(one: Restore) -> dict[str, object]:
    return {
        "id": shown(RESTORE, one.id),
        "found": one.found,
        "detail": one.detail,
        "at": one.at.isoformat(),
        "said_by": one.said_by,
        "lifted_at": None if one.lifted_at is None else one.lifted_at.isoformat(),
        "asked_by": one.asked_by,
        "approved_by": one.approved_by,
        "reason": one.reason,
        "document": one.document,
    }


def line_shown(
    one: LostLine, ids: Mapping[int, str], held: Collection[UUID] = ()
) -> dict[str, object]:
    """A line on a lost order; `ids` are recipients' by number, `held` restores not lifted yet."""
    ready = one.recipient is not None or one.decided
    if one.booked_in is not None:
        state = "booked"
    elif one.restore in held:
        state = "ready" if ready else "undecided"
    else:
        state = "not_ours"
    return {
        "statement": shown(STATEMENT, one.statement),
        "line": one.line,
        "state": state,
        "recipient": None if one.recipient is None else ids.get(one.recipient),
        "suggested": None if one.suggested is None else ids.get(one.suggested),
        "owed": one.owed,
        "booked_on": one.booked_on.isoformat(),
        "order_number": one.order_number,
        "account": one.account,
        "named": one.named,
        "decided_by": one.decided_by,
        "reason": one.reason,
    }


async def booked_shown(
    conn: Any, batch: int, recipient: int | None = None
) -> list[dict[str, object]]:
    """What a batch (its number) has of lost orders: of all recipients, or to one its own."""
    found = await store_restores.booked_in(conn, batch, recipient)
    if not found:
        return []
    ids = {number: one.id for number, one in (await party_store.find_all(conn)).items()}
    return [_booked(one, None if recipient is not None else ids) for one in found]


def _booked(one: LostLine, ids: Mapping[int, str] | None) -> dict[str, object]:
    own: dict[str, object] = {
        "amount": one.owed,
        "booked_on": one.booked_on.isoformat(),
        "order_number": one.order_number,
    }
    if ids is None or one.recipient is None:
        return own
    told = {"statement": shown(STATEMENT, one.statement), "line": one.line}
    return {"recipient": ids[one.recipient], **own, **told}


async def find_lost(
    context: Context, conn: Any, statement: UUID, judged: Judged
) -> tuple[Judged, Lost]:
    """The verdicts of a statement with those on lost orders, and what is to be kept of these.

    A line that names what the database has not is itself the sign that it was restored.
    """
    doubtful = [entry for entry in judged if entry[1].kind in _DOUBTFUL]
    if not doubtful:
        return judged, Lost()
    await store_restores.lock(conn)
    finder = await _Finder.of(conn, statement, [line for line, _ in doubtful])
    verdicts = {line.number: KNOWN for line, _ in doubtful if finder.was_told(line)}
    fresh = [entry for entry in doubtful if entry[0].number not in verdicts]
    evident = [told for entry in fresh if (told := finder.evident(*entry)) is not None]
    if evident and finder.restore is None:
        detail = f"a line of {shown(STATEMENT, statement)} names {evident[0]}"
        finder.restore = await begin(conn, "statement", detail, context.clock.now(), None)
    # Money leaves before it can come back.
    for line, verdict in sorted(fresh, key=lambda entry: not entry[0].is_debit):
        kind = finder.left(line, verdict) if line.is_debit else finder.came(line, verdict)
        if kind is not None:
            verdicts[line.number] = kind
    found = [
        (line, Verdict(verdicts[line.number]) if line.number in verdicts else verdict)
        for line, verdict in judged
    ]
    return found, finder.lost


class _Finder:
    """What lines are compared with: what is there, whose accounts are, what was told before."""

    def __init__(self, statement: UUID) -> None:
        self.statement = statement
        # The newest one that holds settlement; lines are of it.
        self.restore: UUID | None = None
        self.lost = Lost()
        self._approved: dict[UUID, bool] = {}
        self._accounts: dict[str, set[int]] = {}
        self._told: Counter[Identity] = Counter()
        self._paid: list[LostLine] = []
        self._payer_bic = TRIAL_CENTRE.bic

    @classmethod
    async def of(cls, conn: Any, statement: UUID, lines: Sequence[Line]) -> "_Finder":
        found = cls(statement)
        held = await store_restores.unlifted(conn)
        found.restore = held[0][0] if held else None
        named = [batch for line in lines for batch in batches_of(line)]
        states = await store_restores.states(conn, named)
        found._approved = {batch: approved for batch, (_, approved) in states.items()}
        told = [line.other_account for line in lines if line.other_account is not None]
        found._accounts = await store_restores.accounts(conn, told)
        days = [line.booked_on for line in lines]
        came = [line.amount for line in lines if not line.is_debit]
        before = await store_restores.told(conn, days, came)
        centre = await party_store.find_centre(conn)
        if centre is not None:
            found._payer_bic = centre[1].bank_account.bic
        found._told = Counter(identity_of(one) for one in before)
        found._paid = [one for one in before if not one.came and not one.returned]
        return found

    def was_told(self, line: Line) -> bool:
        """Whether an earlier statement had the line; each of its lines is told again once."""
        told = identity(line)
        if not self._told[told]:
            return False
        self._told[told] -= 1
        return True

    def evident(self, line: Line, verdict: Verdict) -> str | None:
        """What a line names that was paid, and that the database has not or holds for unpaid."""
        if not line.is_debit:
            return None
        if verdict.kind != CANCELLED:
            return names(line, self._approved)
        payout = verdict.payout
        if payout is None or not payout.restored:
            return None
        # The bank has paid what came out of a backup and was cancelled here.
        return shown(PAYOUT, payout.id)

    def left(self, line: Line, verdict: Verdict) -> str | None:
        """The kind of a line that may have paid a lost order; None where it has not."""
        named, payout = self.evident(line, verdict), verdict.payout
        whose = self._whose(line) if payout is None else payout.recipient
        if named is None and (verdict.kind == CANCELLED or whose is None):
            return None
        if self.restore is None:
            return None
        one = self._line(line, self.restore, whose, named)
        self.lost.lines.append(one)
        self._paid.append(one)
        return PAID_BEFORE

    def came(self, line: Line, verdict: Verdict) -> str | None:
        """The kind of a line that may give a lost order back; None where it does not."""
        paid = gives_back(line, self._paid, self._payer_bic)
        if paid is not None:
            self._paid.remove(paid)
            one = self._line(line, paid.restore, None, None, paid)
            if paid.booked_in is not None:
                self.lost.book.append(one)
        elif self.restore is not None and verdict.kind == UNKNOWN_RETURN:
            # What it gives back may stand in a statement that is not taken yet.
            one = self._line(line, self.restore, self._whose(line), None)
        else:
            return None
        self.lost.lines.append(one)
        return RETURNED_BEFORE

    def _whose(self, line: Line) -> int | None:
        whose = self._accounts.get(line.other_account or "", set())
        return next(iter(whose)) if len(whose) == 1 else None

    def _line(
        self,
        line: Line,
        restore: UUID,
        whose: int | None,
        named: str | None,
        paid: LostLine | None = None,
    ) -> LostLine:
        return LostLine(
            statement=self.statement,
            line=line.number,
            restore=restore,
            came=not line.is_debit,
            amount=line.amount,
            booked_on=line.booked_on,
            payer=line.account,
            order_number=line.order_number,
            order_date=line.order_date,
            account=line.other_account,
            inn=line.other_inn,
            bic=line.other_bic,
            named=named,
            suggested=whose,
            recipient=None if paid is None else paid.recipient,
            of_statement=None if paid is None else paid.statement,
            of_line=None if paid is None else paid.line,
        )
