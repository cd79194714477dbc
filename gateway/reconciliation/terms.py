"""How an acquirer's money is known and when it is due: a setting of each acquirer (pure)."""

import re
from datetime import date
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_bank_account, check_inn

PPM: Final = 1_000_000
_FEE_WORDS: Final = re.compile(r"\bfee\b|комисси|вознагражд", re.IGNORECASE)


class ArrivalTerms(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """By what an acquirer's money is known on a statement, what it is less, and when it is due.

    `by_report`: a line brings what one or more reports tell; `by_payment`: a line a payment;
    `own`: the centre takes the money itself (a cash desk), and none is waited for.
    """

    comes: Literal["by_report", "by_payment", "own"]
    payer_account: Annotated[str, Meta(description="20 digits of the account it pays from")] | (
        None
    ) = None
    payer_inn: Annotated[str, Meta(description="The INN of whoever pays")] | None = None
    contract: (
        Annotated[
            str,
            Meta(
                description="What stands in the purpose of every line, where one pays for many",
                min_length=2,
                max_length=64,
            ),
        ]
        | None
    ) = None
    fee: Annotated[
        Literal["withheld", "apart"],
        Meta(description="Whether the acquirer keeps its fee, or takes it by a line of its own"),
    ] = "withheld"
    fee_ppm: (
        Annotated[int, Meta(description="The fee agreed, in parts per million", ge=0, le=PPM)]
        | None
    ) = None
    report_days: Annotated[
        int, Meta(description="Days until a payment has to be in a report", ge=1, le=60)
    ] = 3
    arrival_days: Annotated[
        int, Meta(description="Days until the money has to be there", ge=1, le=60)
    ] = 5

    def check(self) -> None:
        """Refusals malformed, inn_invalid."""
        if self.comes != "own" and self.payer_account is None and self.payer_inn is None:
            raise Refusal("malformed", "Expected payer_account or payer_inn of who pays")
        if self.payer_account is not None and not check_bank_account(self.payer_account):
            raise Refusal("malformed", "Expected payer_account of 20 digits")
        if self.payer_inn is not None and not check_inn(self.payer_inn):
            raise Refusal("inn_invalid", "Expected payer_inn with its check digits")
        if self.contract is not None and (
            "\x00" in self.contract or self.contract != self.contract.strip()
        ):
            raise Refusal("malformed", "Expected contract without blanks around it")

    def pays(self, account: str | None, inn: str | None, purpose: str) -> bool:
        """Whether who pays so, for that, is this acquirer: all that is named here has to agree."""
        if self.comes == "own":
            return False
        if self.payer_account is not None and account != self.payer_account:
            return False
        if self.payer_inn is not None and inn != self.payer_inn:
            return False
        return self.contract is None or is_named(self.contract, purpose)

    def fee_fits(self, amount: int, fee: int, count: int) -> bool:
        """Whether a fee is the one agreed: off by no more than rounding each of `count` sums to
        a kopeck can make it. Without an agreed fee none may be withheld unseen.
        """
        if self.fee_ppm is None:
            return fee == 0
        return 2 * abs(fee * PPM - amount * self.fee_ppm) <= count * PPM


def is_named(word: str, text: str) -> bool:
    """Whether a text has the word, not as a part of a longer one."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def is_fee(purpose: str) -> bool:
    """Whether what leaves our account by these words is a fee."""
    return _FEE_WORDS.search(purpose) is not None


def days_of(text: str) -> list[date]:
    """The days that a purpose names, but for that of a contract."""
    found: set[date] = set()
    for day, month, year in _DAY.findall(_OF_CONTRACT.sub(" ", text)):
        try:
            found.add(date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day)))
        except ValueError:
            continue
    return sorted(found)


def operations_of(text: str) -> list[str]:
    """What a purpose names operations by: the order and the code in `[order - code - telephone]`,
    and codes of the fast payment system. A telephone is never among them.
    """
    found = dict.fromkeys(_CODE.findall(text))
    for inside in _BRACKETS.findall(text):
        for part in inside.split(" - ")[:2]:
            word = part.strip()
            if _OPERATION.fullmatch(word) and not _TELEPHONE.fullmatch(word):
                found[word] = None
    return list(found)[:_OPERATIONS_MAX]


_OPERATIONS_MAX: Final = 8
_DAY: Final = re.compile(r"(?<![0-9])([0-3][0-9])[./-]([01][0-9])[./-]((?:20)?[0-9]{2})(?![0-9])")
_OF_CONTRACT: Final = re.compile(
    r"\bдог(?:\.|овор\w*)[^\[\]]{0,40}?\bот\s+[0-9./-]{8,10}", re.IGNORECASE
)
_BRACKETS: Final = re.compile(r"\[([^\[\]]{1,200})\]")
_CODE: Final = re.compile(r"\b[AB][SD][0-9A-Z]{30}\b")
_OPERATION: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TELEPHONE: Final = re.compile(r"(?:00|\+)?7?9[0-9*]{9}")
