"""The demo's own books: what the gateway must owe to whom, added up from its answers alone. Pure.

They are kept apart from the gateway's, so that at the end of the day the two can be compared.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]


class DemoFailed(Exception):
    """Something did not hold; the message is `Expected X, was Y`."""


def require(holds: bool, sentence: str) -> None:
    """Raises DemoFailed with the sentence where `holds` is false."""
    if not holds:
        raise DemoFailed(sentence)


def require_equal(what: str, was: object, expected: object) -> None:
    """Raises DemoFailed unless the two are equal."""
    require(was == expected, f"Expected {what} {expected}, was {was}")


@dataclass
class Line:
    """One recipient's day in kopecks, and the rows its report must have."""

    gross: int = 0
    commission: int = 0
    refunds: int = 0
    rows: int = 0

    @property
    def net(self) -> int:
        """What the day leaves to the recipient."""
        return self.gross - self.commission - self.refunds


@dataclass
class Books:
    """The day: counts, money from payers, and a line a recipient."""

    payments: int = 0
    settled: int = 0
    amount: int = 0
    surcharge: int = 0
    refunds: int = 0
    refunded: int = 0
    suspense: int = 0
    lines: dict[str, Line] = field(default_factory=dict)
    by_method: dict[str, list[int]] = field(default_factory=dict)

    def take(self, answer: Answer) -> None:
        """Enters a payment that was answered 201, split or held in suspense."""
        check_payment(answer)
        self.payments += 1
        self.amount += answer["amount"]
        self.surcharge += answer["surcharge"]
        count_and_amount = self.by_method.setdefault(answer["method"]["type"], [0, 0, 0])
        for place, added in enumerate((1, answer["amount"], answer["surcharge"])):
            count_and_amount[place] += added
        if answer["state"] == "suspense":
            self.suspense += answer["amount"]
        else:
            self._settle(answer)

    def resolve(self, answer: Answer) -> None:
        """Enters a payment that has left suspense, as GET shows it."""
        check_payment(answer)
        self.suspense -= answer["amount"]
        self._settle(answer)

    def refund(self, answer: Answer) -> None:
        """Enters a refund; one without shares comes out of suspense."""
        require_equal(
            "a refund's shares to add up to",
            sum_of(answer["shares"], "amount") or answer["amount"],
            answer["amount"],
        )
        self.refunds += 1
        self.refunded += answer["amount"]
        if not answer["shares"]:
            self.suspense -= answer["amount"]
        for share in answer["shares"]:
            line = self.lines[share["recipient"]]
            line.refunds += share["amount"]
            line.rows += 1

    def correct(self, answer: Answer) -> None:
        """Enters a correction: what it takes as refunds are, what it gives as payments are."""
        require_equal("a correction's moves to add up to", sum_of(answer["moves"], "amount"), 0)
        for move in answer["moves"]:
            for share in move["shares"]:
                line = self.lines.setdefault(share["recipient"], Line())
                line.gross += max(share["amount"], 0)
                line.refunds += max(-share["amount"], 0)
                line.rows += 1
            for withheld in move["commissions"]:
                self.lines[withheld["recipient"]].commission += withheld["amount"]

    def _settle(self, answer: Answer) -> None:
        self.settled += 1
        for recipient in answer["recipients"]:
            line = self.lines.setdefault(recipient["recipient"], Line())
            line.gross += recipient["gross"]
            line.commission += recipient["commission"]
        for share in answer["shares"]:
            self.lines[share["recipient"]].rows += 1

    @property
    def acquirers_owe(self) -> int:
        """What acquirers took from payers and have not given back."""
        return self.amount + self.surcharge - self.refunded


def check_payment(answer: Answer) -> None:
    """Conservation of one payment, to the kopeck; DemoFailed where it does not hold."""
    name, amount = answer["id"], answer["amount"]
    require_equal(f"{name} total", answer["total"], amount + answer["surcharge"])
    if answer["state"] == "suspense":
        require_equal(f"{name} in suspense to have shares", answer["shares"], [])
        return
    require_equal(f"{name} charges to add up to", sum(answer["charges"]), amount)
    require_equal(f"{name} shares to add up to", sum_of(answer["shares"], "amount"), amount)
    require_equal(f"{name} gross to add up to", sum_of(answer["recipients"], "gross"), amount)
    for line in answer["recipients"]:
        require_equal(
            f"{name} gross of {line['recipient']}", line["net"] + line["commission"], line["gross"]
        )


def check_positions(books: Books, positions: Iterable[Answer]) -> None:
    """The gateway's positions against our own lines; DemoFailed for any kopeck of difference."""
    found = {position["recipient"]: position for position in positions}
    require_equal("positions of", sorted(found), sorted(books.lines))
    for recipient, line in books.lines.items():
        position = found[recipient]
        for name in ("gross", "commission", "refunds", "net"):
            require_equal(f"{name} of {recipient}", position[name], getattr(line, name))


def sum_of(rows: Iterable[Answer], name: str) -> int:
    """The sum of one member over rows, in kopecks."""
    return sum(row[name] for row in rows)
