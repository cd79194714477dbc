"""The reference's rows of shares: what one recipient received, out of packed records, as text.

Which texts stand between the figures is the caller's; so CSV and JSON are the same rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from splitcore.errors import SplitError, found
from splitcore.limits import AMOUNT_MAX, PARTS_MAX
from splitcore.reference import hamilton, whole, within
from splitcore.reference_plans import unpack

# Of a payment, a refund, a correction that gives and one that takes, of a chargeback that was won
# and of a chargeback. Odd kinds are taken back.
KINDS = 6
LAYOUT_TEXTS = 8 + KINDS
HEAD = 29
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Whole and in order: the record's place, moment, kind, payment, account, period, shares
# and commissions (None: nothing was withheld from anybody).
_Record = tuple[int, bytes, int, str, bytes, bytes, list[int], list[int] | None]


class _Plan:
    def __init__(self, services: Sequence[bytes | None], recipients: int, at: int | None) -> None:
        self.services = tuple(services)
        self.recipients = whole(recipients, "the recipients of a plan")
        self.withheld_at = None if at is None else whole(at, "a place")
        if any(text is not None and type(text) is not bytes for text in self.services):
            raise SplitError("malformed", "Expected texts in bytes, was other")
        within(len(self.services), 1, PARTS_MAX, "malformed", "the parts of a plan")
        within(self.recipients, 1, PARTS_MAX, "malformed", "the recipients of a plan")
        if self.withheld_at is not None:
            within(self.withheld_at, 0, self.recipients - 1, "malformed", "a place")


class ShareRows:
    """Rows of one recipient's shares as text, and what they add up to.

    A row is nine texts of the `layout` around its figures: before the moment (RFC 3339, UTC), the
    account, the service, the period, gross, commission, net (kopecks, negative where it is taken
    back) and the payment (32 hexadecimal digits), then what ends the row of its kind.

    A record, of one payment or refund, is in big-endian order: its place (4 bytes), microseconds
    since 2000 (8), the payment (16), its kind (1); account and period, each ended by a
    line feed; the packed shares; the packed commissions, or one zero byte for none. Texts are
    written as they stand. SplitError malformed for a record that is none, a share above
    AMOUNT_MAX, a commission above its shares.
    """

    def __init__(self, layout: Sequence[bytes]) -> None:
        self._layout = tuple(layout)
        if len(self._layout) != LAYOUT_TEXTS or any(type(text) is not bytes for text in layout):
            raise SplitError("malformed", f"Expected {LAYOUT_TEXTS} texts of a layout, was other")
        self._plans: dict[int, _Plan] = {}
        self._totals = [0, 0, 0, 0]
        self._waiting: Iterator[tuple[_Record, _Plan]] = iter(())

    def add_plan(
        self,
        number: int,
        services: Sequence[bytes | None],
        recipients: int,
        withheld_at: int | None,
    ) -> None:
        """Make a plan known: its services by place, None where the share is another's.

        `withheld_at` is the recipient's place among the plan's `recipients`, None where nothing is
        ever withheld.
        """
        plan = _Plan(services, recipients, withheld_at)
        self._plans[whole(number, "the number of a plan")] = plan

    def read(self, pages: Iterable[tuple[int, bytes]]) -> None:
        """Read pages of records (plan, records), whose rows `next_text` then tells.

        Rows come in the order of their records' places, which are different within one call; no
        share of nothing has a row. A payment's commission is laid on its shares by largest
        remainder. Rows of pages read before are forgotten where they are not yet told.
        """
        self._waiting = iter(())
        read = [
            (record, plan)
            for number, page in pages
            for plan in [self._known(number, page)]
            for record in _records(plan, page)
        ]
        read.sort(key=lambda entry: entry[0][0])
        self._waiting = iter(read)

    def next_text(self, size: int) -> bytes:
        """Further rows: of as few records as have `size` bytes; nothing when all are told."""
        enough = whole(size, "a size")
        text = b""
        while len(text) < enough:
            record, plan = next(self._waiting, (None, None))
            if record is None or plan is None:
                break
            text += b"".join(self._rows(record, plan))
        return text

    def totals(self) -> tuple[int, ...]:
        """(rows, gross, commission, refunds) of all rows told so far, in kopecks."""
        return tuple(self._totals)

    def _known(self, number: int, page: bytes) -> _Plan:
        if number not in self._plans or type(page) is not bytes:
            raise SplitError("malformed", f"Expected a known plan and bytes, was {found(page)}")
        return self._plans[number]

    def _rows(self, record: _Record, plan: _Plan) -> Iterator[bytes]:
        _, moment, kind, payment, account, period, values, commissions = record
        mine = [
            (service, share)
            for service, share in zip(plan.services, values, strict=True)
            if service is not None and share
        ]
        shares = [share for _, share in mine]
        total = sum(shares)
        commission = 0
        if commissions is not None and plan.withheld_at is not None:
            commission = commissions[plan.withheld_at]
        for share in shares:
            within(share, 0, AMOUNT_MAX, "malformed", "a share")
        within(commission, 0, 0 if kind == 1 else min(total, AMOUNT_MAX), "malformed", "commission")
        withheld = hamilton(commission, shares) if commission else [0] * len(shares)
        sign = -1 if kind % 2 else 1
        given, taken = (total, 0) if sign > 0 else (0, total)
        sums = (len(shares), given, sign * commission, taken)
        self._totals = [before + more for before, more in zip(self._totals, sums, strict=True)]
        for (service, share), of_it in zip(mine, withheld, strict=True):
            gross, kept = sign * share, sign * of_it
            figures = (
                *(moment, account, service, period),
                *(b"%d" % number for number in (gross, kept, gross - kept)),
                payment.encode(),
            )
            yield (
                b"".join(
                    piece for pair in zip(self._layout, figures, strict=False) for piece in pair
                )
                + self._layout[8 + kind]
            )


def _records(plan: _Plan, page: bytes) -> Iterator[_Record]:
    at = 0
    while at < len(page):
        head = page[at : at + HEAD]
        at += HEAD
        period_at = page.find(b"\n", at) + 1
        shares_at = page.find(b"\n", period_at) + 1
        if len(head) < HEAD or head[28] >= KINDS or not period_at or not shares_at:
            raise SplitError("malformed", "Expected a head and two texts in a record, was other")
        texts = page[at:period_at][:-1], page[period_at:shares_at][:-1]
        shares, at = _vector(page, shares_at, len(plan.services))
        commissions: list[int] | None = None
        if page[at : at + 1] == b"\0":
            at += 1
        else:
            commissions, at = _vector(page, at, plan.recipients)
        place = int.from_bytes(head[:4], "big", signed=True)
        yield (
            place,
            _moment(head[4:12]),
            head[28],
            head[12:28].hex(),
            *texts,
            shares,
            commissions,
        )


def _vector(page: bytes, at: int, count: int) -> tuple[list[int], int]:
    end = at + 1 + count * page[at] if at < len(page) else at
    if end > len(page):
        raise SplitError("malformed", "Expected a whole vector in a record, was less")
    return unpack(page[at:end]), end


def _moment(packed: bytes) -> bytes:
    microseconds = int.from_bytes(packed, "big", signed=True)
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat().encode()
    except OverflowError:
        raise SplitError("malformed", "Expected a moment of our era, was another") from None
