"""From a payment to its charges and recipients: designation, tiers, overpayment, second level."""

from typing import Any

import pytest
from hypothesis import given, settings

from splitcore import AMOUNT_MAX, PPM, FeeRule, Fees, Plan, SplitError, split_case, split_payment
from tests.splitcore.drawn import CASES, QUIET, Bill, Pay, bills, fee_rules, kopecks, payments


def charges(*rows: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Charges from (due, tier, weight)."""
    return [
        {"recipient": f"r{i}", "due": due, "tier": tier, "weight": weight}
        for i, (due, tier, weight) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rule", "amount", "rows", "more", "received"),
    [
        ("paid exactly", 150, [(100, 0, 1), (50, 0, 1)], {}, [100, 50]),
        ("in proportion to the dues", 75, [(100, 0, 0), (50, 0, 9)], {}, [50, 25]),
        ("the lower tier first", 60, [(100, 1, 0), (50, 0, 0)], {}, [10, 50]),
        ("a later tier gets nothing", 30, [(100, 1, 0), (50, 0, 0)], {}, [0, 30]),
        ("tiers may have gaps", 160, [(10, 255, 0), (50, 7, 0), (100, 0, 0)], {}, [10, 50, 100]),
        ("a tier is shared, the next empty", 3, [(5, 0, 0), (5, 0, 0), (5, 1, 0)], {}, [2, 1, 0]),
        ("above the dues by weights", 130, [(100, 0, 1), (0, 0, 2)], {}, [110, 20]),
        ("a weight of 0 takes no advance", 130, [(100, 0, 0), (0, 0, 2)], {}, [100, 30]),
        ("above the dues to one", 130, [(100, 0, 1), (0, 0, 2)], {"overpayment": {"charge": 0}},
         [130, 0]),
        ("reject lets an exact payment pass", 100, [(100, 0, 1)], {"overpayment": "reject"}, [100]),
        ("named first", 100, [(80, 0, 0), (40, 0, 0)], {"designation": {"1": 40}}, [60, 40]),
        ("named above the due", 100, [(80, 0, 0), (40, 0, 0)], {"designation": {"1": 90}},
         [10, 90]),
        ("named against the tiers", 50, [(80, 0, 0), (40, 9, 0)], {"designation": {"1": 50}},
         [0, 50]),
        ("all of it named", 5, [(80, 0, 0), (40, 0, 0)], {"designation": {"0": 2, "1": 3}}, [2, 3]),
        ("named 0 changes nothing", 60, [(80, 0, 0), (40, 0, 0)], {"designation": {"0": 0}},
         [40, 20]),
    ],
)  # fmt: skip
def test_charges(
    rule: str, amount: int, rows: Any, more: dict[str, Any], received: list[int]
) -> None:
    assert split_case({"amount": amount, "charges": charges(*rows), **more})["charges"] == received


def test_the_worked_bill_of_the_specification() -> None:
    plan = Plan([0, 0], [0, 1], [[(0, 50_000), (1, 950_000)], [(2, PPM)]])
    fees = Fees([None, FeeRule(ppm=15_000), None])
    result = split_payment(
        *(plan, fees, 100_000, [80_000, 40_000], [80_000, 40_000], None, -1, False),
        FeeRule(ppm=10_000, min=100),
        [(1, 10_000)],
    )
    assert result.amount == 100_000
    assert result.surcharge == 1_000
    assert result.charges == (65_455, 34_545)
    assert result.parts == (3_273, 62_182, 34_545)
    assert result.commissions == (0, 933, 0)
    assert result == (100_000, 1_000, result.charges, result.parts, result.commissions)


def test_a_commission_is_never_more_than_the_gross() -> None:
    case = {
        "amount": 10,
        "charges": [{"recipient": "heat", "due": 10}],
        "commissions": {"heat": {"fixed": 30}},
    }
    assert split_case(case)["recipients"] == [
        {"recipient": "heat", "gross": 10, "commission": 10, "net": 0}
    ]


def test_a_recipient_is_charged_on_all_it_receives() -> None:
    plan = Plan([0, 0], [0, 1], [[(1, 500_000), (0, 500_000)], [(1, PPM)]])
    fees = Fees([None, FeeRule(ppm=10_000)])
    result = split_payment(plan, fees, 200, [100, 100], None, None, -1, False, None, None)
    assert result.parts == (50, 50, 100)
    assert result.commissions == (0, 2)  # 150 kopecks, half-up once and not twice


SERVICES = Plan([1, 0, 0, 0], [0, 0, 1, 0], [[(0, PPM)]] * 4)


@pytest.mark.parametrize(
    ("rule", "amount", "named", "received"),
    [
        ("its tiers fill among themselves", 40, [(0, 40)], [0, 30, 0, 10]),
        ("then its later tier", 130, [(0, 130)], [90, 30, 0, 10]),
        ("above its dues to its last charge", 200, [(0, 200)], [100, 30, 0, 70]),
        ("the rest sees what was named", 60, [(0, 40)], [0, 30, 20, 10]),
        ("two services", 60, [(1, 50), (0, 4)], [0, 8, 50, 2]),
    ],
)
def test_designation_by_service(
    rule: str, amount: int, named: list[tuple[int, int]], received: list[int]
) -> None:
    due = [100, 30, 50, 10]
    if rule == "two services":  # 4 to service 0 by its dues, then 6 by what is still owed
        received = [0, 3 + 5, 50, 1 + 1]
    result = split_payment(SERVICES, Fees([None]), amount, due, None, None, -1, False, None, named)
    assert list(result.charges) == received


@pytest.mark.parametrize(
    ("code", "change"),
    [
        ("malformed", {"amount": 1.0}),
        ("malformed", {"amount": True}),
        ("malformed", {"due": [1, 2, 3]}),
        ("malformed", {"due": [1, 2, 3, 4.0]}),
        ("malformed", {"weight": [1, 2, 3]}),
        ("malformed", {"paid": [True] * 4}),
        ("malformed", {"overpayment": 4}),
        ("malformed", {"overpayment": -3}),
        ("malformed", {"overpayment": 0.0}),
        ("malformed", {"surcharge": (0, 0, 0, None)}),
        ("malformed", {"designation": [(2, 1)]}),  # no charge is of service 2
        ("malformed", {"designation": [(9, 1)]}),
        ("malformed", {"designation": [(0, 1), (0, 1)]}),
        ("malformed", {"designation": [[0, 1]]}),
        ("malformed", {"designation": [(0, 1.0)]}),
        ("malformed", {"fees": Fees([])}),
        ("amount_out_of_range", {"amount": 0, "due": [-1] * 4}),
        ("amount_out_of_range", {"amount": AMOUNT_MAX + 1}),
        ("amount_out_of_range", {"amount": 5, "is_total": True, "surcharge": FeeRule(fixed=5)}),
        ("due_out_of_range", {"due": [1, 2, 3, -1], "weight": [-1] * 4}),
        ("due_out_of_range", {"paid": [0, 0, 0, 2**62 + 1]}),
        ("due_out_of_range", {"paid": [0, 0, 0, -1]}),
        ("weight_out_of_range", {"weight": [-1] * 4, "surcharge": FeeRule(ppm=-1)}),
        ("fee_out_of_range", {"surcharge": FeeRule(ppm=-1), "designation": [(0, -1)]}),
        ("designation_out_of_range", {"designation": [(0, -1)]}),
        ("designation_out_of_range", {"designation": [(0, AMOUNT_MAX + 1)]}),
        ("designation_exceeds_amount", {"amount": 5, "designation": [(0, 3), (1, 3)]}),
        ("overpayment", {"amount": 11, "overpayment": -2}),
        ("nothing_to_allocate", {"amount": 11, "weight": [0] * 4}),
    ],
)
def test_one_payment_refused(code: str, change: dict[str, Any]) -> None:
    names = ("plan", "fees", "amount", "due", "weight", "paid")
    values = (SERVICES, Fees([None]), 10, [1, 2, 3, 4], None, None)
    given_to: dict[str, Any] = dict(zip(names, values, strict=True))
    given_to |= {"overpayment": -1, "is_total": False, "surcharge": None, "designation": None}
    with pytest.raises(SplitError) as refused:
        split_payment(*(given_to | change).values())
    assert refused.value.code == code


def check_conserved(bill: Bill, pay: Pay) -> None:
    plan, fees = Plan(*bill[:3]), Fees(bill.rules)
    try:
        result = split_payment(
            *(plan, fees, pay.amount, bill.due, bill.weight, bill.paid),
            *(bill.overpayment, *pay[1:]),
        )
    except SplitError:
        return
    numbers = [*result.charges, *result.parts, *result.commissions, result.surcharge]
    assert all(type(number) is int and number >= 0 for number in numbers)
    assert sum(result.charges) == sum(result.parts) == result.amount
    if pay.is_total:
        assert result.amount + result.surcharge == pay.amount
    of_charge = [0] * plan.charges
    gross = [0] * plan.recipients
    for charge, recipient, share in zip(
        plan.part_charge, plan.part_recipient, result.parts, strict=True
    ):
        of_charge[charge] += share
        gross[recipient] += share
    assert tuple(of_charge) == result.charges
    assert all(kept <= whole for kept, whole in zip(result.commissions, gross, strict=True))
    ppm = [part for of in bill.parts for _, part in of]
    for share, charge, part in zip(result.parts, plan.part_charge, ppm, strict=True):
        assert abs(share * PPM - result.charges[charge] * part) < PPM


@pytest.mark.hypothesis
@settings(QUIET, max_examples=max(20, CASES // 1000))
@given(bills(), fee_rules(), kopecks(low=1))
def test_every_kopeck_arrives_once(bill: Bill, rule: FeeRule, drawn: int) -> None:
    for pay in payments(bill, rule, [drawn]):
        check_conserved(bill, pay)
