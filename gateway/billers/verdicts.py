"""What a failure on the road is to a bank or an agent (pure).

Fatal only where it is certain that nothing was taken: an agent gives the payer's money back then.
"""

from typing import Final

from gateway.domain import biller as words
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable

_REFUSED: Final = {
    "account_invalid": words.BAD_ACCOUNT,
    "not_found": words.UNKNOWN_ACCOUNT,
    # A total too small for its surcharge to leave anything; the rest is looked at before.
    "amount_out_of_range": words.TOO_SMALL,
    "total_out_of_range": words.TOO_BIG,
    "overpayment": words.FORBIDDEN,
    "refund_exceeds_payment": words.FORBIDDEN,
    "idempotency_key_reused": words.OTHER,
    "idempotency_key_in_progress": words.UNFINISHED,
    # A request that did not come whole may be one that was obeyed before.
    "request_timeout": words.TEMPORARY,
    "malformed": words.TEMPORARY,
}


def verdict_of(failure: Exception, command: str) -> str:
    """The verdict on a request that failed."""
    if isinstance(failure, Refusal):
        return _REFUSED.get(failure.code, words.TECHNICAL)
    if isinstance(failure, InvariantBroken):
        return words.OTHER
    if isinstance(failure, Unavailable) and failure.code != "unavailable":
        # Turned away before any work.
        return words.TEMPORARY
    if command in (words.PAY, words.CANCEL):
        return words.UNFINISHED
    return words.UNCHECKED if command == words.CHECK else words.TEMPORARY
