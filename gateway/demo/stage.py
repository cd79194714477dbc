"""What every step of the story has at hand: who calls, the region, our books, and the output."""

from dataclasses import astuple, dataclass
from pathlib import Path

from gateway.demo.books import Books
from gateway.demo.calls import Caller
from gateway.demo.payers import Payers
from gateway.demo.region import Region
from gateway.demo.show import Show


@dataclass(frozen=True)
class Size:
    """How much of everything the day has."""

    households: int = 2_000
    payments: int = 3_200
    bulk: int = 2_000
    repeats: int = 40
    refunds: int = 24
    wallets: int = 24

    def scaled(self, percent: int) -> "Size":
        """The same day in small, 1..100 percent of it."""
        return Size(*(max(4, count * percent // 100) for count in astuple(self)))


@dataclass(frozen=True)
class Stage:
    """One run: its name (part of every idempotency key), its callers, its region, its books."""

    run: str
    size: Size
    show: Show
    out: Path
    region: Region
    payers: Payers
    books: Books
    banks: tuple[Caller, Caller]
    operator: Caller
    approver: Caller
    heat_office: Caller
