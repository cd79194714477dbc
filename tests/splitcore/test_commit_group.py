"""Commit groups: each payment sees what earlier ones left; a refused one changes nothing."""

import array
from typing import Any

import pytest
from hypothesis import given, settings

import splitcore
from splitcore import (
    AMOUNT_MAX,
    CODES,
    GROUP_PAYMENTS_MAX,
    GROUP_VALUES_MAX,
    PPM,
    FeeRule,
    Fees,
    Group,
    GroupAllocation,
    GroupFull,
    Plan,
    SplitError,
    pack,
    reference_groups,
    reference_plans,
    split_flat,
    split_payment,
    unpack,
)
from splitcore.errors import ConservationBroken
from tests.splitcore.drawn import CASES, QUIET, Bill, bills, fee_rules, kopecks, payments

PLAN = Plan([0, 1], [0, 1], [[(1, 100_000), (0, 900_000)], [(0, PPM)]])
FEES = Fees([FeeRule(ppm=10_000), None])
NO_FEES = Fees([None, None])


def bill_in(group: Group, due: list[int], overpayment: int = -1, plan: Plan = PLAN) -> int:
    zeros = pack([0] * len(due))
    return group.add_bill(plan, NO_FEES, pack(due), None, zeros, overpayment)


def test_what_a_payment_of_a_group_tells() -> None:
    group = Group()
    bill = group.add_bill(PLAN, FEES, pack([100, 50]), pack([1, 0]), pack([20, 0]), -1)
    paid = group.add_payment(bill, 100, False, FeeRule(ppm=10_000), None)
    group.run()
    assert (bill, paid) == (0, 0)
    assert group.code(paid) is None
    assert (group.amount(paid), group.surcharge(paid), group.commission(paid)) == (100, 1, 1)
    assert group.charges(paid) == [80, 20]
    assert group.parts(paid) == [8, 72, 20]
    assert group.commissions(paid) == [1, 0]
    assert group.packed_parts(paid) == pack([8, 72, 20])
    assert group.packed_commissions(paid) == pack([1, 0])
    assert group.packed_paid(bill) == pack([100, 20])


def test_an_allocation_tells_all_of_it_at_once() -> None:
    group = Group()
    bill = group.add_bill(PLAN, FEES, pack([100, 50]), pack([1, 0]), pack([20, 0]), -1)
    group.add_payment(bill, 100, False, FeeRule(ppm=10_000), None)
    group.add_payment(bill, 0, False, None, None)
    group.run()
    # The second-level entry is the first part, so its recipient 1 appears before 0.
    assert group.allocation(0) == GroupAllocation(
        amount=100,
        surcharge=1,
        commission=1,
        charges=(80, 20),
        parts=(8, 72, 20),
        recipients=(1, 0),
        gross=(92, 8),
        commissions=(1, 0),
        net=(91, 8),
        packed_parts=pack([8, 72, 20]),
        packed_commissions=pack([1, 0]),
    )
    assert group.allocation(1) is None
    for nothing in (-1, 2):
        with pytest.raises(IndexError):
            group.allocation(nothing)


def test_recipients_of_an_allocation_stand_as_their_shares_first_appear() -> None:
    # Recipient 0 has a part of every charge, of the first one none of the ppm.
    plan = Plan(
        [0, 0, 1], [0, 1, 2], [[(0, 0), (1, PPM)], [(2, PPM // 2), (0, PPM // 2)], [(3, PPM)]]
    )
    group = Group()
    group.add_bill(plan, Fees([None] * 4), pack([6, 4, 9]), None, pack([0] * 3), -1)
    group.add_payment(0, 10, False, None, None)
    group.run()
    told = group.allocation(0)
    assert told is not None
    assert (told.parts, told.recipients) == ((0, 6, 2, 2, 0), (1, 2, 0))
    assert (told.gross, told.net, told.packed_commissions) == ((2, 6, 2, 0), (2, 6, 2, 0), None)


@pytest.mark.parametrize("recipients", [1, 63, 64, 65, 256])
def test_an_allocation_of_many_recipients_of_whom_nobody_gives_up_anything(recipients: int) -> None:
    plan = Plan([0] * recipients, list(range(recipients)), [[(i, PPM)] for i in range(recipients)])
    group = Group()
    nothing = pack([0] * recipients)
    group.add_bill(plan, Fees([None] * recipients), pack([7] * recipients), None, nothing, -1)
    group.add_payment(0, 7 * recipients, False, None, None)
    group.run()
    told = group.allocation(0)
    assert told is not None
    assert told.charges == told.parts == told.gross == told.net == (7,) * recipients
    assert told.commissions == (0,) * recipients
    assert told.recipients == tuple(range(recipients))


def test_each_payment_sees_what_the_earlier_ones_left() -> None:
    group = Group()
    bill = bill_in(group, [100, 50])
    for amount in (60, 60, 60):
        group.add_payment(bill, amount, False, None, None)
    group.run()
    assert [group.charges(i) for i in range(3)] == [[60, 0], [40, 20], [20, 40]]
    assert unpack(group.packed_paid(bill)) == [120, 60]


def test_a_refused_payment_changes_nothing_and_its_neighbours_go_on() -> None:
    group = Group()
    bill = bill_in(group, [100, 50], overpayment=-2)
    given_to: list[Any] = [
        (151, False, None, None),
        (100, False, None, None),
        (0, False, None, None),
        (1.5, False, None, None),
        (10, False, FeeRule(ppm=-1), None),
        (10, False, "fee", None),
        (10, False, None, [(0, 11)]),
        (10, False, None, [(0, -1)]),
        (10, False, None, [(7, 1)]),
        (2**80, True, None, None),
        (50, False, None, None),
        (1, False, None, None),
    ]
    for pay in given_to:
        group.add_payment(bill, *pay)
    group.run()
    assert [group.code(i) for i in range(len(given_to))] == [
        *("overpayment", None, "amount_out_of_range", "malformed", "fee_out_of_range", "malformed"),
        *("designation_exceeds_amount", "designation_out_of_range", "malformed"),
        *("amount_out_of_range", None, "overpayment"),
    ]
    assert (group.amount(0), group.surcharge(0), group.commission(0)) == (0, 0, 0)
    assert group.charges(0) == group.parts(0) == group.commissions(0) == []
    assert group.packed_parts(0) == group.packed_commissions(0) == b"\x04"
    assert unpack(group.packed_paid(bill)) == [100, 50]


def test_run_goes_on_where_it_stopped() -> None:
    group = Group()
    bill = bill_in(group, [100, 50])
    group.add_payment(bill, 100, False, None, None)
    group.run()
    group.add_payment(bill, 10, False, None, None)
    with pytest.raises(IndexError):
        group.code(1)
    group.run()
    group.run()
    assert group.charges(1) == [0, 10]


def test_clear_begins_anew() -> None:
    group = Group()
    for due in ([100, 50], [1, 2]):
        group.clear()
        assert bill_in(group, due) == 0
        assert group.add_payment(0, 3, False, None, None) == 0
        group.run()
    assert group.charges(0) == [1, 2]
    group.clear()
    with pytest.raises(IndexError):
        group.packed_paid(0)


def test_a_group_outlives_the_plans_given_to_it() -> None:
    group = Group()
    for i in range(200):  # nothing but the group keeps these alive
        plan = Plan([0] * 8, list(range(8)), [[(0, PPM)]] * 8)
        group.add_bill(plan, Fees([FeeRule(fixed=i)]), pack([9] * 8), None, pack([0] * 8), -1)
        group.add_payment(i, 72, False, None, None)
    group.run()
    assert [group.commission(i) for i in range(200)] == [min(i, 72) for i in range(200)]


def test_indexes_that_name_nothing() -> None:
    group = Group()
    bill_in(group, [1, 1])
    for wrong in (-1, 1):
        with pytest.raises(IndexError):
            group.add_payment(wrong, 1, False, None, None)
        with pytest.raises(IndexError):
            group.packed_paid(wrong)
        with pytest.raises(IndexError):
            group.amount(wrong)


@pytest.mark.parametrize(
    ("code", "due", "weight", "paid", "overpayment"),
    [
        ("malformed", pack([1]), None, pack([0, 0]), -1),
        ("malformed", pack([1, 1]), pack([1]), pack([0, 0]), -1),
        ("malformed", pack([1, 1]), None, pack([0]), -1),
        ("malformed", b"\x04\xff\xff\xff\xff\0\0\0\0", None, pack([0, 0]), -1),
        ("malformed", [1, 1], None, pack([0, 0]), -1),
        ("malformed", pack([1, 1]), None, pack([0, 0]), 2),
        ("malformed", pack([1, 1]), None, pack([0, 0]), -3),
        ("malformed", pack([1, 1]), None, pack([0, 0]), True),
        ("due_out_of_range", pack([1, AMOUNT_MAX + 1]), None, pack([0, 0]), -1),
        ("due_out_of_range", pack([1, 1]), None, pack([0, 2**62 + 1]), -1),
        ("weight_out_of_range", pack([1, 1]), pack([1, AMOUNT_MAX + 1]), pack([0, 0]), -1),
    ],
)
def test_no_bill(code: str, due: Any, weight: Any, paid: Any, overpayment: Any) -> None:
    group = Group()
    with pytest.raises(SplitError) as refused:
        group.add_bill(PLAN, NO_FEES, due, weight, paid, overpayment)
    assert refused.value.code == code
    assert bill_in(group, [1, 1]) == 0


def test_a_group_has_a_bound() -> None:
    group = Group()
    bill = bill_in(group, [1], plan=Plan([0], [0], [[(1, PPM)]]))
    for _ in range(GROUP_PAYMENTS_MAX):
        group.add_payment(bill, 1, False, None, None)
    with pytest.raises(GroupFull):
        group.add_payment(bill, 1, False, None, None)


def test_a_group_has_a_bound_on_what_it_holds() -> None:
    parts = [[(i, PPM // 16) for i in range(16)] + [(4_351, 0)]] * 256
    plan = Plan([0] * 256, list(range(256)), parts)
    group = Group()
    zeros = pack([0] * 256)
    bill = group.add_bill(plan, Fees([None] * 4_352), zeros, None, zeros, -1)
    of_one = plan.charges + plan.parts + plan.recipients
    for _ in range(GROUP_VALUES_MAX // of_one):
        group.add_payment(bill, 1, False, None, None)
    with pytest.raises(GroupFull):
        group.add_payment(bill, 1, False, None, None)


@pytest.mark.hypothesis
@settings(QUIET, max_examples=max(20, CASES // 1000))
@given(bills(), fee_rules(), kopecks(low=1))
def test_a_group_is_its_payments_one_by_one(bill: Bill, rule: FeeRule, drawn: int) -> None:
    plan, fees, paid = Plan(*bill[:3]), Fees(bill.rules), bill.paid
    weight = None if bill.weight is None else pack(bill.weight)
    group = Group()
    group.add_bill(plan, fees, pack(bill.due), weight, pack(paid), bill.overpayment)
    pays = payments(bill, rule, [drawn])[:20]
    for pay in pays:
        group.add_payment(0, *pay)
    group.run()
    for i, pay in enumerate(pays):
        alone = (pay.amount, bill.due, bill.weight, paid, bill.overpayment, *pay[1:])
        if group.code(i) is not None:
            with pytest.raises(SplitError, match=group.code(i)):
                split_payment(plan, fees, *alone)
            continue
        result = split_payment(plan, fees, *alone)
        assert result == (
            *(group.amount(i), group.surcharge(i)),
            *(tuple(group.charges(i)), tuple(group.parts(i)), tuple(group.commissions(i))),
        )
        paid = [before + now for before, now in zip(paid, result.charges, strict=True)]
    assert unpack(group.packed_paid(0)) == paid


def test_flat_buffers() -> None:
    plan = Plan([0, 0, 1], [0, 1, 2], [[(0, PPM)]] * 3)
    amounts = array.array("q", [3, 9, 0, 1, 1])
    dues = array.array("q", [1, 1, 1, 2, 2, 2, 1, 1, 1, 1, -1, 1, 0, 0, 0])
    charges = array.array("q", [7] * 15)
    codes = bytearray(5)
    assert split_flat(plan, amounts, dues, charges, codes) == 3
    assert charges.tolist() == [1, 1, 1, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    told = [CODES[code - 1] if code else None for code in codes]
    expected = [None, None, "amount_out_of_range", "due_out_of_range", "nothing_to_allocate"]
    assert told == expected
    with pytest.raises(ValueError, match="Expected buffers"):
        split_flat(plan, amounts, dues[:-1], charges, codes)
    none = array.array("q")
    assert split_flat(plan, none, none, array.array("q"), bytearray()) == 0


def test_every_name_of_the_door_is_there() -> None:
    assert all(hasattr(splitcore, name) for name in splitcore.__all__)


def test_the_reference_lets_no_split_out_that_does_not_add_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allocate = reference_groups.allocate

    def lossy(*told: Any) -> Any:
        whole = allocate(*told)
        return whole._replace(parts=(whole.parts[0] - 1, *whole.parts[1:]))

    plan = reference_plans.Plan([0, 0], [0, 1], [[(0, PPM)], [(1, PPM)]])
    fees = reference_plans.Fees([None, None])
    group = reference_groups.Group()
    bill = group.add_bill(plan, fees, pack([100, 100]), None, pack([0, 0]), -1)
    group.add_payment(bill, 50, False, None, None)
    monkeypatch.setattr(reference_groups, "allocate", lossy)
    with pytest.raises(ConservationBroken):
        group.run()
