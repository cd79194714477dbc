"""The law: how a payment becomes charges, shares and fees, exact and written to be read.

Plain integers, no bounds on their size, no cleverness. The kernel computes the same by other means
and is held against this file; where the two differ, this file is right. No I/O, no clock.
"""

from collections.abc import Sequence
from typing import Final

from splitcore.errors import SplitError, found
from splitcore.limits import AMOUNT_MAX, PARTS_MAX, PPM, TOTAL_MAX
from splitcore.shapes import FeeRule

BY_WEIGHTS: Final = -1
REJECT: Final = -2


def whole(value: object, where: str) -> int:
    """The value itself if it is an integer and nothing else; SplitError malformed otherwise."""
    if type(value) is not int:
        raise SplitError("malformed", f"Expected an integer as {where}, was {found(value)}")
    return value


def within(value: int, low: int, high: int, code: str, where: str) -> int:
    """The value itself if low <= value <= high; SplitError of that code otherwise."""
    if not low <= value <= high:
        raise SplitError(code, f"Expected {where} from {low} to {high}, was {found(value)}")
    return value


def largest_remainder(total: int, weights: Sequence[int]) -> list[int]:
    """Share `total` kopecks in proportion to `weights`, to the kopeck (Hamilton's method).

    Everyone gets the floor of his exact quota total * weight / sum; the kopecks left go one each to
    the largest fractional parts, ties to the lower index. A weight of 0 never receives anything.
    largest_remainder(10, [1, 1, 1]) == [4, 3, 3].
    Limits: 0..10^13 each, at most PARTS_MAX weights. SplitError: malformed, amount_out_of_range,
    weight_out_of_range, nothing_to_allocate (all weights 0).
    """
    whole(total, "the total")
    for i, weight in enumerate(weights):
        whole(weight, f"weight {i}")
    if len(weights) > PARTS_MAX:
        raise SplitError("malformed", f"Expected at most {PARTS_MAX} weights, was {len(weights)}")
    within(total, 0, AMOUNT_MAX, "amount_out_of_range", "the total")
    for i, weight in enumerate(weights):
        within(weight, 0, AMOUNT_MAX, "weight_out_of_range", f"weight {i}")
    if sum(weights) == 0:
        raise SplitError("nothing_to_allocate", "Expected a weight above 0, was none")
    return hamilton(total, weights)


def hamilton(total: int, weights: Sequence[int]) -> list[int]:
    """`largest_remainder` of numbers already checked."""
    whole_weight = sum(weights)
    quotas = [divmod(total * weight, whole_weight) for weight in weights]
    shares = [floor for floor, _ in quotas]
    kopecks_left = total - sum(shares)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-quotas[i][1], i))
    for i in by_remainder[:kopecks_left]:
        shares[i] += 1
    return shares


def rule_shape(rule: object, where: str) -> FeeRule:
    """The fee rule itself if it is one of integers; None is no fee. SplitError malformed."""
    if rule is None:
        return FeeRule()
    if type(rule) is not FeeRule:
        raise SplitError("malformed", f"Expected a FeeRule as {where}, was {found(rule)}")
    for name, value in zip(FeeRule._fields, rule, strict=True):
        if not (name == "max" and value is None):
            whole(value, f"{where} {name}")
    return rule


def rule_range(rule: FeeRule, where: str) -> FeeRule:
    """The rule itself if its numbers are within the limits. SplitError fee_out_of_range."""
    within(rule.ppm, 0, PPM, "fee_out_of_range", f"{where} ppm")
    within(rule.fixed, 0, AMOUNT_MAX, "fee_out_of_range", f"{where} fixed")
    within(rule.min, 0, AMOUNT_MAX, "fee_out_of_range", f"{where} min")
    if rule.max is not None:
        within(rule.max, rule.min, AMOUNT_MAX, "fee_out_of_range", f"{where} max")
    return rule


def rule_in_range(rule: FeeRule) -> bool:
    """An amount can be told from a total only under a fee that will not itself be refused."""
    try:
        rule_range(rule, "a fee")
    except SplitError:
        return False
    return True


def fee(x: int, rule: FeeRule) -> int:
    """The fee on `x` kopecks: min(max(floor(x * ppm / 1,000,000 + 1/2) + fixed, min), max).

    fee(50, FeeRule(ppm=10_000)) == 1: half a kopeck goes up.
    SplitError: malformed, amount_out_of_range (x outside 0..10^13), fee_out_of_range.
    """
    whole(x, "the amount")
    shaped = rule_shape(rule, "the fee")
    within(x, 0, AMOUNT_MAX, "amount_out_of_range", "the amount")
    return fee_of(x, rule_range(shaped, "the fee"))


def fee_of(x: int, rule: FeeRule) -> int:
    """`fee` of numbers already checked."""
    proportional = (2 * x * rule.ppm + PPM) // (2 * PPM)
    raised = max(proportional + rule.fixed, rule.min)
    return raised if rule.max is None else min(raised, rule.max)


def amount_for_total(total: int, rule: FeeRule | None) -> tuple[int, int]:
    """What a payer who hands over `total` pays: (amount, surcharge), together exactly the total.

    The amount is the largest a with a + fee(a) <= total; a kopeck or two that no amount can use up,
    at a step of the rounding, joins the surcharge.
    amount_for_total(100, FeeRule(ppm=10_000)) == (99, 1).
    SplitError: malformed, amount_out_of_range (no such a from 1 to 10^13), fee_out_of_range.
    """
    whole(total, "the total")
    shaped = rule_shape(rule, "the surcharge")
    within(total, 1, TOTAL_MAX, "amount_out_of_range", "the total")
    return total_amount(total, rule_range(shaped, "the surcharge"))


def total_amount(total: int, rule: FeeRule) -> tuple[int, int]:
    """`amount_for_total` of a checked rule, found by bisection: a + fee(a) only ever grows."""
    affordable, too_much = 0, AMOUNT_MAX + 2
    while too_much - affordable > 1:
        middle = (affordable + too_much) // 2
        if middle + fee_of(middle, rule) <= total:
            affordable = middle
        else:
            too_much = middle
    within(affordable, 1, AMOUNT_MAX, "amount_out_of_range", "the amount within the total")
    return affordable, total - affordable


def refund(shares: Sequence[int], refunded: Sequence[int], amount: int) -> list[int]:
    """How `amount` kopecks go back: largest remainder over what is left of every share.

    Never negative, never more than is left; refunds that add up to the payment return every share
    exactly. refund([60, 40], [0, 0], 5) == [3, 2].
    SplitError: malformed (unequal lengths, or a refunded part that is not from 0 to its share),
    amount_out_of_range, refund_exceeds_payment.
    """
    if len(shares) != len(refunded) or len(shares) > PARTS_MAX:
        raise SplitError(
            "malformed",
            f"Expected equally many shares and refunded parts, at most {PARTS_MAX}, "
            f"was {len(shares)} and {len(refunded)}",
        )
    for i, (share, back) in enumerate(zip(shares, refunded, strict=True)):
        whole(share, f"share {i}")
        whole(back, f"refunded part {i}")
        within(share, 0, AMOUNT_MAX, "malformed", f"share {i}")
        within(back, 0, share, "malformed", f"refunded part {i}")
    within(whole(amount, "the refund"), 1, AMOUNT_MAX, "amount_out_of_range", "the refund")
    left = [share - back for share, back in zip(shares, refunded, strict=True)]
    if amount > sum(left):
        raise SplitError(
            "refund_exceeds_payment", f"Expected at most {sum(left)} to refund, was {amount}"
        )
    return hamilton(amount, left)


def fill_tiers(amount: int, owed: Sequence[int], tiers: Sequence[int]) -> tuple[list[int], int]:
    """Fill the tiers in ascending order: (what each charge receives, what nobody owed).

    A tier that can be filled whole is; the first that cannot is shared by largest remainder over
    what its charges owe, and then nothing is left.
    """
    received = [0] * len(owed)
    left = amount
    for tier in sorted(set(tiers)):
        members = [i for i in range(len(owed)) if tiers[i] == tier]
        wanted = [owed[i] for i in members]
        given = wanted if sum(wanted) <= left else hamilton(left, wanted)
        for i, kopecks in zip(members, given, strict=True):
            received[i] = kopecks
        left -= sum(given)
    return received, left


def designate(
    service: int, kopecks: int, owed: Sequence[int], tiers: Sequence[int], services: Sequence[int]
) -> list[int]:
    """What each charge receives of `kopecks` that the payer named for one service.

    The service's charges are filled by their tiers among themselves, and what is above their dues
    goes to the last of them. With one charge a service the named charge simply gets its amount.
    """
    members = [i for i in range(len(owed)) if services[i] == service]
    given, above = fill_tiers(kopecks, [owed[i] for i in members], [tiers[i] for i in members])
    given[-1] += above
    received = [0] * len(owed)
    for i, part in zip(members, given, strict=True):
        received[i] = part
    return received


def split_charges(
    amount: int,
    owed: Sequence[int],
    tiers: Sequence[int],
    weights: Sequence[int],
    overpayment: int,
    designated: Sequence[int],
) -> list[int]:
    """From a payment to its charges (designation, tiers, overpayment), of numbers already checked.

    `designated`: what each charge receives by the payer's own word, their sum at most the amount.
    `overpayment`: BY_WEIGHTS, REJECT or the index of the charge that takes it.
    SplitError: overpayment, nothing_to_allocate.
    """
    still_owed = [max(0, due - named) for due, named in zip(owed, designated, strict=True)]
    filled, left = fill_tiers(amount - sum(designated), still_owed, tiers)
    above = [0] * len(owed)
    if left > 0:
        if overpayment == REJECT:
            raise SplitError("overpayment", f"Expected at most what is owed, was {left} above it")
        if overpayment == BY_WEIGHTS:
            if sum(weights) == 0:
                raise SplitError("nothing_to_allocate", "Expected a weight above 0, was none")
            above = hamilton(left, weights)
        else:
            above[overpayment] = left
    return [sum(parts) for parts in zip(designated, filled, above, strict=True)]
