"""What a line of a bank's statement is to our payouts (pure): executed, returned, or not agreed.

A payout is known by its order's number, its amount and its recipient's requisites together; a line
with two of the three is a discrepancy, never a guess.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from hashlib import blake2b
from typing import Final
from uuid import UUID

from msgspec import Struct

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, read_id
from gateway.payouts.statements.lines import Line

EXECUTED: Final = "executed"
RETURNED: Final = "returned"
# A line that an earlier statement had already.
KNOWN: Final = "known"
UNKNOWN_DEBIT: Final = "unknown-debit"
UNKNOWN_CREDIT: Final = "unknown-credit"
UNKNOWN_RETURN: Final = "unknown-return"
SUM_DIFFERS: Final = "sum-differs"
REQUISITES_DIFFER: Final = "requisites-differ"
EXECUTED_TWICE: Final = "executed-twice"
RETURNED_TWICE: Final = "returned-twice"
CANCELLED: Final = "cancelled-executed"
# Of an order that the database has lost, because it was restored.
PAID_BEFORE: Final = "paid-before-restore"
RETURNED_BEFORE: Final = "returned-before-restore"
DISCREPANCIES: Final = (
    *(UNKNOWN_DEBIT, UNKNOWN_CREDIT, UNKNOWN_RETURN, SUM_DIFFERS, REQUISITES_DIFFER),
    *(EXECUTED_TWICE, RETURNED_TWICE, CANCELLED, PAID_BEFORE, RETURNED_BEFORE),
)

NUMBER_LENGTH_MAX: Final = 6
_NUMBERS_MAX: Final = 20
_BACK: Final = re.compile(r"возвр|rtrn|return", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<![0-9.,])([0-9]{1,6})(?![0-9]|[.,][0-9])")
_LONG_NUMBER: Final = re.compile(r"(?<![0-9])[0-9]{10,20}(?![0-9])")
_BANKS_OWN: Final = ("301", "302", "303", "474", "603")
_BATCH: Final = re.compile(r"(?<![0-9A-Za-z_])sb_[0-9a-f]{32}(?![0-9A-Za-z])")
_DAY: Final = re.compile(r"\b([0-3][0-9])\.([01][0-9])\.(20)?([0-9]{2})\b")


class Known(Struct, gc=False):
    """A payout that a line may speak of, as it stands now, with who pays its batch.

    `executed_on` and `returned_on` are the days the bank booked; None for what it has not.
    `restored` where its batch came out of a backup.
    """

    id: UUID
    settlement_batch: int
    batch_id: UUID
    recipient: int
    recipient_id: str
    state: str
    amount: int
    order_number: int
    order_date: date
    account: str
    inn: str
    bic: str
    payer_account: str | None
    payer_bic: str | None
    executed_on: date | None
    returned_on: date | None
    restored: bool = False


class Verdict(Struct, frozen=True):
    """What a line is, and the payout it is about."""

    kind: str
    payout: Known | None = None


def numbers_of(line: Line) -> list[int]:
    """Numbers of orders that the line may speak of, its own first."""
    own = line.order_number.lstrip("0")
    found = [int(own)] if own.isascii() and own.isdigit() and len(own) <= NUMBER_LENGTH_MAX else []
    if line.is_debit or (line.refers_back and found):
        return found
    # A return has a number of its own; the one it gives back mostly stands in its purpose.
    spoken = _NUMBER.findall(_BATCH.sub(" ", line.purpose))[:_NUMBERS_MAX]
    return [*(int(number) for number in spoken if int(number)), *found]


def instruction_of(line: Line) -> UUID | None:
    """The payout that the line names by the id we gave it."""
    return None if line.instruction is None else read_id(PAYOUT, line.instruction)


def identity_of(line: Line) -> bytes:
    """By what a line is known again in another statement, whatever its form."""
    told = (
        *(line.account, line.is_debit, line.amount, line.booked_on.isoformat()),
        *(line.order_number.lstrip("0"), line.other_account),
    )
    return blake2b(repr(told).encode(), digest_size=16).digest()


def batches_of(line: Line) -> list[UUID]:
    """The settlement batches that the line names in its purpose, as our orders have it."""
    found = (read_id(SETTLEMENT_BATCH, text) for text in _BATCH.findall(line.purpose))
    return [one for one in found if one is not None]


def speaks_of(line: Line, one: Known) -> bool:
    """Whether the line names no other batch and no other payout of ours than this.

    Numbers come round again, and were given anew after a restore; ids never are.
    """
    named = batches_of(line)
    return instruction_of(line) in (None, one.id) and (not named or one.batch_id in named)


def is_return(line: Line) -> bool:
    """Whether money came back, as the bank marks it or says it."""
    return not line.is_debit and (line.refers_back or _BACK.search(line.purpose) is not None)


def judge(line: Line, known: Sequence[Known], told: set[tuple[UUID, bool]]) -> Verdict:
    """The verdict on a line; `told` are the payouts that earlier lines of this statement spoke of,
    each with whether they left us.
    """
    if not line.is_debit and not is_return(line):
        # Said or not, what a recipient sends back under the number and to the kopeck is a return.
        known = [one for one in known if _came_back(line, one)]
        if not known:
            return Verdict(UNKNOWN_CREDIT)
    if not known:
        return Verdict(UNKNOWN_DEBIT if line.is_debit else UNKNOWN_RETURN)
    agreed = [one for one in known if _pays_from(line, one) and _agrees(line, one)]
    fitting = [one for one in agreed if one.amount == line.amount]
    if not fitting:
        kind = SUM_DIFFERS if agreed else REQUISITES_DIFFER
        return Verdict(kind, (agreed or list(known))[0])
    # Where the day of an order is told, it is none of another day.
    fitting = [one for one in fitting if _is_dated(line, one)] or fitting
    fitting.sort(key=lambda one: one.order_date)
    if line.is_debit:
        judged = [_executed(line, one, told) for one in fitting]
    else:
        judged = [_returned(line, one, told) for one in fitting]
    # What was told of before is not another's, whoever else it could be.
    for wanted in (KNOWN, EXECUTED, RETURNED):
        found = [verdict for verdict in judged if verdict.kind == wanted]
        if found and wanted == RETURNED and _are_several(found):
            return Verdict(REQUISITES_DIFFER, found[0].payout)
        if found:
            return found[0]
    return judged[0]


def _executed(line: Line, one: Known, told: set[tuple[UUID, bool]]) -> Verdict:
    if one.state == "cancelled":
        return Verdict(CANCELLED, one)
    if one.executed_on is None:
        return Verdict(EXECUTED, one)
    again = one.executed_on == line.booked_on and (one.id, True) not in told
    return Verdict(KNOWN if again else EXECUTED_TWICE, one)


def _returned(line: Line, one: Known, told: set[tuple[UUID, bool]]) -> Verdict:
    if one.state == "cancelled":
        return Verdict(UNKNOWN_RETURN, one)
    if one.returned_on is None:
        return Verdict(RETURNED, one)
    again = one.returned_on == line.booked_on and (one.id, False) not in told
    return Verdict(KNOWN if again else RETURNED_TWICE, one)


def _are_several(found: Sequence[Verdict]) -> bool:
    """Whether orders to different accounts could all be what came back: nobody can tell which."""
    return len({one.payout.account for one in found if one.payout is not None}) > 1


def _came_back(line: Line, one: Known) -> bool:
    return line.other_account == one.account and line.amount == one.amount


def _pays_from(line: Line, one: Known) -> bool:
    return one.payer_account is None or one.payer_account == line.account


def _agrees(line: Line, one: Known) -> bool:
    """Whether who was paid, or who gives back, is the recipient of the payout or its bank."""
    if line.is_debit:
        # The id that we gave the order stands for its requisites where the bank tells no account.
        untold = line.other_account is None and instruction_of(line) == one.id
        if line.other_account != one.account and not untold:
            return False
        return _same(line.other_inn, one.inn) and _same(line.other_bic, one.bic)
    if instruction_of(line) == one.id or line.other_account == one.account:
        return True
    return _bank_gives_back(line, one)


def _bank_gives_back(line: Line, one: Known) -> bool:
    """Whether the recipient's bank, or ours, gives back from an account of its own, and it is told
    whose order that was.

    Many return under one number through such an account, so a number and a sum are not enough: the
    bank marks the line, or names the recipient's account or INN, or our batch as our order did. Of
    the recipient's own bank the day of the order is enough too: one of ours has its number on a
    day.
    """
    if line.other_bic is None or line.other_bic not in (one.bic, one.payer_bic):
        return False
    if line.refers_back:
        return line.other_account is None or _is_banks_own(line.other_account)
    if line.other_account is None or not _is_banks_own(line.other_account):
        return False
    told = set(_LONG_NUMBER.findall(line.purpose))
    if told & {one.account, one.inn}:
        return True
    if any(len(text) == len(one.account) and text != one.payer_account for text in told):
        # It names somebody else's account.
        return False
    if one.batch_id in batches_of(line):
        return True
    return line.other_bic != one.payer_bic and _is_dated(line, one)


def _is_banks_own(account: str) -> bool:
    """Whether it is an account of a bank's own and no client's, by its balance account: money in
    transit between banks, not cleared up, or owed on other operations.
    """
    return account.startswith(_BANKS_OWN)


def _same(told: str | None, ours: str) -> bool:
    """Whether what is told, if it is, is ours; `0` stands for nothing."""
    return told is None or told.strip("0") == "" or told == ours


def _is_dated(line: Line, one: Known) -> bool:
    """Whether the line names the day of the order."""
    if line.is_debit or line.refers_back:
        return line.order_date == one.order_date
    return one.order_date in _days(line.purpose)


def _days(text: str) -> Iterable[date]:
    for day, month, _, year in _DAY.findall(text):
        try:
            yield date(2000 + int(year), int(month), int(day))
        except ValueError:
            continue
