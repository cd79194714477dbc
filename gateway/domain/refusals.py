"""Three kinds of failure, never mixed: the caller's mistake, something to try again, our bug.

Codes are the product's own; only gateway.api.problems knows which HTTP status each becomes.
"""


class Refusal(Exception):
    """The caller can act on this: nothing was changed, and `code` says why."""

    def __init__(self, code: str, detail: str) -> None:
        # The arguments as they are: an error that many wait for is copied, which makes it anew.
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class Unavailable(Exception):
    """Try again: `code` is `unavailable`, or `overloaded` where no work was begun.

    An `unavailable` answer to a payment does not say that it failed: its outcome is unknown, and
    the same request with the same idempotency key finds it out.
    """

    def __init__(self, code: str, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(code, detail, retry_after_s)
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class InvariantBroken(Exception):
    """A bug of ours: money does not add up. Nothing is committed, and a human is needed."""
