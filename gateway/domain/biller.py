"""What banks and payment agents ask by the biller protocols, and what they are told; no I/O.

Each protocol has its own parameters and numbers for the same few commands and verdicts.
"""

from datetime import datetime
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import Refusal

OSMP: Final = "osmp"
SBER: Final = "sber"
PROTOCOLS: Final = (OSMP, SBER)

CHECK: Final = "check"
PAY: Final = "pay"
CANCEL: Final = "cancel"
NO_COMMAND: Final = "unknown"
COMMANDS: Final = (CHECK, PAY, CANCEL, NO_COMMAND)

DONE: Final = "done"
REPEATED: Final = "repeated"
# To be asked again: nothing was done yet, or what was done is not known.
TEMPORARY: Final = "temporary"
UNFINISHED: Final = "unfinished"
# For good: nothing was taken, and the payer has the money.
UNKNOWN_COMMAND: Final = "unknown_command"
BAD_NUMBER: Final = "bad_number"
BAD_ACCOUNT: Final = "bad_account"
BAD_AMOUNT: Final = "bad_amount"
BAD_DATE: Final = "bad_date"
UNKNOWN_ACCOUNT: Final = "unknown_account"
INACTIVE_ACCOUNT: Final = "inactive_account"
TOO_SMALL: Final = "too_small"
TOO_BIG: Final = "too_big"
FORBIDDEN: Final = "forbidden"
TECHNICAL: Final = "technical"
UNCHECKED: Final = "unchecked"
OTHER: Final = "other"
VERDICTS: Final = (
    DONE,
    REPEATED,
    TEMPORARY,
    UNFINISHED,
    UNKNOWN_COMMAND,
    BAD_NUMBER,
    BAD_ACCOUNT,
    BAD_AMOUNT,
    BAD_DATE,
    UNKNOWN_ACCOUNT,
    INACTIVE_ACCOUNT,
    TOO_SMALL,
    TOO_BIG,
    FORBIDDEN,
    TECHNICAL,
    UNCHECKED,
    OTHER,
)

# What an operation that comes again may tell otherwise than it did first.
SUM_DIFFERS: Final = "sum"
ACCOUNT_DIFFERS: Final = "account"
BOTH_DIFFER: Final = "both"
DIFFERENCES: Final = (SUM_DIFFERS, ACCOUNT_DIFFERS, BOTH_DIFFER)


class Asked(Struct, frozen=True, kw_only=True):
    """One request of a bank or an agent, read. `misread` is the verdict where it cannot be obeyed.

    `number` is the asker's number of the operation, `cancels` that of the payment to give back.
    `total` is in kopecks: what the payer's money is that the asker passes on.
    """

    protocol: str
    by_osmp_names: bool
    command: str = NO_COMMAND
    number: str = ""
    account: str = ""
    total: int | None = None
    paid_at: datetime | None = None
    cancels: str = ""
    misread: str | None = None


class Told(Struct, frozen=True, kw_only=True):
    """The answer: a verdict, and what is to be told with it; money in kopecks, texts masked.

    `number` is our number of the payment, the same for ever; `at` is when it was accepted.
    `suspense`: it was taken for an account that has no bill.
    """

    verdict: str
    number: int | None = None
    total: int | None = None
    at: datetime | None = None
    payer: str = ""
    address: str = ""
    due: int | None = None
    recommended: int | None = None
    suspense: bool = False


class OperationDiffers(Refusal):
    """An operation came again with something other than at first; `differs` says what."""

    def __init__(self, differs: str) -> None:
        super().__init__("idempotency_key_reused", "Expected the operation as it came first")
        self.differs = differs
