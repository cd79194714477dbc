"""Who pays how on the sample day: payments as request bodies, made from the bills and a seed. Pure.

Each body is what a bank would send; nothing here knows how the gateway splits it.
"""

import random
from typing import Any, Final

from msgspec import Struct

from gateway.demo.public_qr import HOUSEHOLD_ACCOUNT, PUBLIC_QR
from gateway.demo.region import Region
from gateway.domain.bill import Bill

# What payers do, by how many of a hundred do it.
HABITS: Final = {"part": 58, "whole": 25, "named": 10, "more": 7}
_METHODS: Final = {"card": 36, "mir": 34, "cash": 16, "qr": 14}
# Issuers' first digits as banks print them on receipts, by network.
_NETWORKS: Final = {"visa": "427644", "mastercard": "546938", "unionpay": "620001"}
_MIR_ISSUER: Final = "220220"
_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


class Planned(Struct, frozen=True):
    """A payment to be made: its idempotency key, its body, and what kind of payer makes it."""

    key: str
    body: dict[str, Any]
    habit: str
    bill: Bill | None = None


class Payers:
    """Makes payments one after another; what an account still owes is kept in mind."""

    def __init__(self, region: Region, seed: int, run: str, paid_at: str) -> None:
        self._dice = random.Random(seed)  # noqa: S311  (a sample, not a secret)
        self._region = region
        self._run = run
        self.paid_at = paid_at
        self._number = 0
        self._owed = {bill.subscriber_account: owed_of(bill) for bill in region.bills}
        # The showcase keeps the first bills to itself; the published bill pays by its own code.
        self._bills = [
            bill for bill in region.bills[2:] if bill.subscriber_account != HOUSEHOLD_ACCOUNT
        ]

    def ordinary(self, count: int) -> list[Planned]:
        """So many payments of the region's households, by every method and habit."""
        return [self._ordinary() for _ in range(count)]

    def with_public_codes(self) -> list[Planned]:
        """A payment for each published bill code, of the amount that it names."""
        planned = []
        for code in PUBLIC_QR:
            method = {"type": "qr", "payload": code.payload, "operation_id": self._digits(12)}
            body = self._body(code.typed_account, code.kopecks, method)
            planned.append(Planned(self._key("code"), body, "code"))
        return planned

    def mistyped(self, account: str) -> Planned:
        """Cash for an account that nobody has: a digit too many was typed at the desk."""
        body = self._body(account, 350_000, self._cash())
        return Planned(self._key("cash"), body, "mistyped")

    def by_wallet(self, method: str) -> Planned:
        """A part of a bill by a wallet, whose token is still to be made for its total."""
        bill = self._dice.choice(self._bills)
        amount = self._amount("part", self._owed[bill.subscriber_account])
        self._owed[bill.subscriber_account] -= amount
        body = self._body(bill.subscriber_account, amount, {"type": method})
        return Planned(self._key(method), body, "part", bill)

    def showcase(self, bill: Bill) -> Planned:
        """A card payment of a little over half of a bill, for showing its split."""
        amount = owed_of(bill) * 11 // 20
        body = self._body(bill.subscriber_account, amount, self._card("visa"))
        return Planned(self._key("card"), body, "part", bill)

    def _ordinary(self) -> Planned:
        bill = self._dice.choice(self._bills)
        kind = self._one_of(_METHODS)
        owed = self._owed[bill.subscriber_account]
        habit = self._one_of(HABITS) if owed > 100 else "more"
        amount = self._amount(habit, owed)
        self._owed[bill.subscriber_account] = max(0, owed - amount)
        body = self._body(bill.subscriber_account, amount, self._method(kind, bill, amount))
        if habit == "named":
            body["designation"] = self._designation(bill, amount)
        elif kind == "cash" and self._dice.random() < 0.5:
            # A terminal knows only what was put into it; the surcharge comes out of that.
            body["total"] = -(-body.pop("amount") // 10_000) * 10_000
        return Planned(self._key(kind), body, habit, bill)

    def _amount(self, habit: str, owed: int) -> int:
        if habit == "whole":
            return owed
        if habit == "more":
            return owed + self._dice.randint(1, 50) * 1_000
        return max(100, owed * self._dice.randint(20, 80) // 100)

    def _designation(self, bill: Bill, amount: int) -> dict[str, int]:
        charge = self._dice.choice(bill.charges)
        return {charge.service: min(amount, max(100, charge.due))}

    def _body(self, account: str | None, amount: int, method: dict[str, str]) -> dict[str, Any]:
        body: dict[str, Any] = {"amount": amount, "currency": "RUB", "paid_at": self.paid_at}
        if account is not None:
            body["subscriber_account"] = account
        body["method"] = method
        body["reference"] = f"{self._run}-op-{self._number + 1}"
        return body

    def _method(self, kind: str, bill: Bill, amount: int) -> dict[str, str]:
        if kind == "cash":
            return self._cash()
        if kind == "mir":
            return {"type": "mir", **self._of_card(_MIR_ISSUER)}
        if kind == "qr":
            payload = printed_code(self._region, bill, amount)
            return {"type": "qr", "payload": payload, "operation_id": self._digits(12)}
        return self._card(self._dice.choice(list(_NETWORKS)))

    def _card(self, network: str) -> dict[str, str]:
        return {"type": "card", "network": network, **self._of_card(_NETWORKS[network])}

    def _of_card(self, issuer: str) -> dict[str, str]:
        return {
            "masked_pan": f"{issuer}******{self._digits(4)}",
            "rrn": self._digits(12),
            "authorization_code": "".join(self._dice.choices(_LETTERS, k=6)),
        }

    def _cash(self) -> dict[str, str]:
        return {"type": "cash", "terminal": f"ATM-{self._digits(4)}"}

    def _digits(self, count: int) -> str:
        return f"{self._dice.randrange(10**count):0{count}d}"

    def _one_of(self, weights: dict[str, int]) -> str:
        return self._dice.choices(list(weights), list(weights.values()))[0]

    def _key(self, kind: str) -> str:
        self._number += 1
        return f"{self._run}-{kind}-{self._number:06d}"


def owed_of(bill: Bill) -> int:
    """What the whole bill owes, in kopecks."""
    return sum(charge.due for charge in bill.charges)


def printed_code(region: Region, bill: Bill, kopecks: int) -> str:
    """The text of the QR that is printed on a bill (GOST R 56042-2014, UTF-8)."""
    centre = region.centre.body
    account = centre["bank_account"]
    fields = {
        "Name": centre["name"],
        "PersonalAcc": account["number"],
        "BankName": "ПАО Сбербанк",
        "BIC": account["bic"],
        "CorrespAcc": account["correspondent"],
        "Sum": str(kopecks),
        "Purpose": "Оплата ЖКУ",
        "PayeeINN": centre["inn"],
        "PersAcc": bill.subscriber_account,
        "PaymPeriod": f"{bill.period[5:]}{bill.period[:4]}",
        "TechCode": "02",
    }
    return "ST00012|" + "|".join(f"{name}={value}" for name, value in fields.items())
