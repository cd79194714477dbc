"""What the kernel is measured against computes the same kopecks."""

import random
from array import array

import pytest

import splitcore
from loadtests.plain_split import PlainSplit
from loadtests.rows import splitting
from splitcore import reference_groups, reference_plans

AMOUNT_MAX = splitcore.AMOUNT_MAX
EDGES = (0, 1, 2, 3, 99, 100, 101, 2**31 - 1, 2**31, 2**32, AMOUNT_MAX - 1, AMOUNT_MAX)


def kernel_shares(amounts: "array[int]", dues: "array[int]", charges: int) -> "array[int]":
    plan = splitcore.Plan(
        [0] * charges, list(range(charges)), [[(i, splitcore.PPM)] for i in range(charges)]
    )
    shares, codes = array("q", bytes(8 * len(dues))), bytearray(len(amounts))
    assert splitcore.split_flat(plan, amounts, dues, shares, codes) == 0
    return shares


def plain_shares(amounts: "array[int]", dues: "array[int]", charges: int) -> "array[int]":
    plain = PlainSplit(amounts, dues, charges)
    plain.run()
    return plain.shares


@pytest.mark.parametrize(
    ("amount", "dues", "shares"),
    [
        (10, [1, 1, 1], [1 + 3, 1 + 2, 1 + 2]),  # 7 above the dues; the odd kopeck to the first
        (2, [1, 1, 1], [1, 1, 0]),  # ties go to the lower index
        (3, [1, 1, 1], [1, 1, 1]),
        (100, [0, 300, 600], [0, 33, 67]),
        (AMOUNT_MAX - 1, [AMOUNT_MAX] * 2, [AMOUNT_MAX // 2, AMOUNT_MAX // 2 - 1]),
    ],
)
def test_plain_c_keeps_the_rule(amount: int, dues: list[int], shares: list[int]) -> None:
    assert plain_shares(array("q", [amount]), array("q", dues), len(dues)).tolist() == shares


@pytest.mark.parametrize("charges", [1, 2, 7, 8, 9, 31])
def test_plain_c_and_kernel_agree_on_random_bills(charges: int) -> None:
    dice = random.Random(charges)
    amounts, dues = array("q"), array("q")
    for _ in range(3_000):
        most = 10 ** dice.randint(0, 13)
        row = [
            dice.choice(EDGES) if dice.random() < 0.2 else dice.randint(0, most)
            for _ in range(charges)
        ]
        row[dice.randrange(charges)] = dice.randint(1, most)
        near = sum(row) + dice.randint(-2, 2)
        amount = near if dice.random() < 0.2 else dice.randint(1, 2 * sum(row))
        amounts.append(min(max(1, amount), AMOUNT_MAX))
        dues.extend(row)
    assert plain_shares(amounts, dues, charges) == kernel_shares(amounts, dues, charges)


def test_plain_c_and_kernel_agree_on_the_payments_of_the_bench() -> None:
    cases = splitting.Cases()
    charges = splitting.CHARGES
    assert plain_shares(cases.amounts, cases.dues, charges) == kernel_shares(
        cases.amounts, cases.dues, charges
    )


def test_kernel_and_reference_are_called_alike() -> None:
    cases = splitting.Cases()
    fees = splitcore.Fees(splitting.full_rules())
    plan = splitting.full_plan(splitcore.Plan)
    reference_fees = reference_plans.Fees(splitting.full_rules())
    reference_plan = splitting.full_plan(reference_plans.Plan)
    for amount, due in list(zip(cases.amounts, cases.rows, strict=True))[:200]:
        given = (amount, due, None, None, -1, False, splitting.SURCHARGE, None)
        result = splitcore.split_payment(plan, fees, *given)
        assert result == reference_groups.split_payment(reference_plan, reference_fees, *given)
        assert sum(result.parts) == amount
        assert sum(1 for rule in splitting.full_rules() if rule) == 4
