"""Any failure as a code and a sentence: refusals as they are, a lost database as unavailable.

Of a bug nothing is told but that there was one.
"""

from gateway.api.problems import PROBLEMS
from gateway.domain.refusals import Refusal, Unavailable
from gateway.storage.postgres import to_be_found_out

_INTERNAL = "The request was not carried out as expected; it is being looked into"
_UNAVAILABLE = "The database cannot be reached; ask again with the same key"


def told(failure: Exception) -> tuple[str, str]:
    """Code and detail of a failure."""
    if isinstance(failure, (Refusal, Unavailable)):
        if failure.code in PROBLEMS:
            return failure.code, failure.detail
    elif to_be_found_out(failure):
        return "unavailable", _UNAVAILABLE
    return "internal", _INTERNAL
