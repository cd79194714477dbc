"""A bill: what one subscriber account owes for one period, as the billing centre sends it."""

import re
from datetime import datetime
from operator import attrgetter

from msgspec import Struct

from gateway.domain.refusals import Refusal
from splitcore import AMOUNT_MAX, CHARGES_MAX, PPM, SECOND_LEVEL_MAX, TIER_MAX

PERIOD = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)
SUBSCRIBER_ACCOUNT = re.compile(r"[A-Za-z0-9\-._/]{1,30}", re.ASCII)
NAME_LENGTH_MAX = 64

BY_WEIGHTS = -1
REJECT = -2


class SecondLevel(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Who else gets how many parts per million of whatever the charge receives."""

    recipient: str
    ppm: int


class Charge(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """One line of the bill; money in kopecks. A weight left out is the due."""

    service: str
    recipient: str
    due: int
    tier: int = 0
    weight: int | None = None
    second_level: tuple[SecondLevel, ...] = ()


class OverpaymentCharge(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """The overpayment policy that sends all of it to one charge."""

    charge: int


class Bill(Struct, frozen=True, forbid_unknown_fields=True):
    """One account's charges for one period (`2026-10`).

    `payer` is whatever the billing centre says of the household; it is stored, never logged.
    `payer_category` is what agreements know it by, say of those who may not be charged on top.
    """

    subscriber_account: str
    period: str
    charges: tuple[Charge, ...]
    overpayment: str | OverpaymentCharge = "weights"
    payer: dict[str, object] | str | None = None
    as_of: datetime | None = None
    payer_category: str | None = None


def check_account(account: str) -> None:
    """Refuses `account_invalid` where the text is no subscriber account."""
    if SUBSCRIBER_ACCOUNT.fullmatch(account) is None:
        raise Refusal("account_invalid", "Expected 1..30 of A-Z a-z 0-9 - . _ /")


def overpayment_policy(bill: Bill) -> int:
    """The policy as the kernel takes it: BY_WEIGHTS, REJECT, or the index of a charge."""
    policy = bill.overpayment
    if isinstance(policy, OverpaymentCharge):
        if not 0 <= policy.charge < len(bill.charges):
            raise Refusal("malformed", "Expected overpayment.charge to name a charge")
        return policy.charge
    if policy == "weights":
        return BY_WEIGHTS
    if policy == "reject":
        return REJECT
    raise Refusal("malformed", "Expected overpayment 'weights', 'reject' or {'charge': index}")


_but_money = attrgetter("service", "recipient", "tier", "second_level")
_due = attrgetter("due")
_weight = attrgetter("weight")

Structure = tuple[tuple[str, str, int, tuple[SecondLevel, ...]], ...]


def structure_of(bill: Bill) -> Structure:
    """What bills share that are split alike: of each charge everything but money."""
    return tuple(map(_but_money, bill.charges))


def check_bill(bill: Bill, known: bool = False) -> None:
    """Refuses a bill outside the limits of the splitting rules, in the order of its codes.

    `known`: a bill of this structure was found good before, so that only the rest is looked at.
    """
    _check_head(bill)
    charges = bill.charges
    if not known:
        _check_services(charges)
    dues = list(map(_due, charges))
    if not (min(dues) >= 0 and max(dues) <= AMOUNT_MAX):
        raise Refusal("due_out_of_range", f"Expected due in 0..{AMOUNT_MAX}")
    if not known and not all(0 <= charge.tier <= TIER_MAX for charge in charges):
        raise Refusal("tier_out_of_range", f"Expected tier in 0..{TIER_MAX}")
    weights = list(map(_weight, charges))
    if weights.count(None) < len(weights) and not all(
        weight is None or 0 <= weight <= AMOUNT_MAX for weight in weights
    ):
        raise Refusal("weight_out_of_range", f"Expected weight in 0..{AMOUNT_MAX}")
    if not known:
        for charge in charges:
            _check_second_level(charge.second_level)


def _check_head(bill: Bill) -> None:
    check_account(bill.subscriber_account)
    if PERIOD.fullmatch(bill.period) is None:
        raise Refusal("malformed", "Expected period YYYY-MM")
    if bill.as_of is not None and bill.as_of.tzinfo is None:
        raise Refusal("malformed", "Expected as_of with an offset")
    category = bill.payer_category
    if category is not None and not (
        1 <= len(category) <= NAME_LENGTH_MAX and category.isprintable()
    ):
        raise Refusal("malformed", f"Expected payer_category of 1..{NAME_LENGTH_MAX} characters")
    overpayment_policy(bill)


def _check_services(charges: tuple[Charge, ...]) -> None:
    for charge in charges:
        if not 1 <= len(charge.service) <= NAME_LENGTH_MAX:
            raise Refusal("malformed", f"Expected service of 1..{NAME_LENGTH_MAX} characters")
        if "\x00" in charge.service:
            raise Refusal("malformed", "Expected service without NUL")
    if not 1 <= len(charges) <= CHARGES_MAX:
        raise Refusal("charges_out_of_range", f"Expected 1..{CHARGES_MAX} charges")


def _check_second_level(entries: tuple[SecondLevel, ...]) -> None:
    within = (
        len(entries) <= SECOND_LEVEL_MAX
        and all(entry.ppm >= 0 for entry in entries)
        and sum(entry.ppm for entry in entries) <= PPM
    )
    if not within:
        raise Refusal(
            "second_level_out_of_range",
            f"Expected at most {SECOND_LEVEL_MAX} entries that add up to at most {PPM} ppm",
        )


class OpenBill(Struct, frozen=True, gc=False):
    """The open bill of an account as the journal keeps it; vectors are packed, one entry a charge.

    `sequence` is the number of the account's last payment; later than `counts_from` count on it.
    """

    subscriber_account: str
    bill: int
    period: str
    plan: int
    overpayment: int
    sequence: int
    counts_from: int
    due: bytes
    weight: bytes | None
    paid: bytes
