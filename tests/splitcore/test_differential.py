"""The kernel equals the reference: the same results, the same refusals, on drawn cases.

Each property counts what it compared and fails if that was less than it promises.
"""

import array
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import splitcore._kernel as kernel
from splitcore import (
    AMOUNT_MAX,
    CHARGES_MAX,
    PARTS_MAX,
    PPM,
    FeeRule,
    SplitError,
    reference,
    reference_cases,
    reference_groups,
    reference_plans,
)
from tests.splitcore.drawn import CASES, QUIET, Bill, Pay, bills, fee_rules, kopecks, payments

pytestmark = pytest.mark.hypothesis
RESULTS = ("code", "amount", "surcharge", "commission", "charges", "parts", "commissions")
PACKED = ("packed_parts", "packed_commissions", "allocation")


def outcome(function: Any, *given_to: Any) -> Any:
    try:
        return function(*given_to)
    except SplitError as refused:
        return refused.code


def compare_group(bill: Bill, pays: list[Pay]) -> None:
    """A commit group of one bill, in both: every payment's every result."""
    plans = (
        kernel.Plan(bill.tiers, bill.services, bill.parts),
        reference_plans.Plan(bill.tiers, bill.services, bill.parts),
    )
    assert plans[0].to_bytes() == plans[1].to_bytes()
    groups: list[Any] = [kernel.Group(), reference_groups.Group()]
    fees: list[Any] = [kernel.Fees(bill.rules), reference_plans.Fees(bill.rules)]
    pack = reference_plans.pack
    weight = None if bill.weight is None else pack(bill.weight)
    for group, plan, of_plan in zip(groups, plans, fees, strict=True):
        group.add_bill(plan, of_plan, pack(bill.due), weight, pack(bill.paid), bill.overpayment)
        for pay in pays:
            group.add_payment(0, *pay)
        group.run()
    for i, pay in enumerate(pays):
        for name in RESULTS + PACKED:
            ours, law = (getattr(group, name)(i) for group in groups)
            assert ours == law, (name, pay)
    assert groups[0].packed_paid(0) == groups[1].packed_paid(0)


def compare_single(bill: Bill, pays: list[Pay]) -> None:
    plan = kernel.Plan.from_bytes(reference_plans.Plan(*bill[:3]).to_bytes())
    law_plan, fees = reference_plans.Plan(*bill[:3]), kernel.Fees(bill.rules)
    law_fees = reference_plans.Fees(bill.rules)
    for pay in pays:
        rest = (pay.amount, bill.due, bill.weight, bill.paid, bill.overpayment, *pay[1:])
        ours = outcome(kernel.split_payment, plan, fees, *rest)
        assert ours == outcome(reference_groups.split_payment, law_plan, law_fees, *rest), pay


def test_payments_split_alike_in_groups_and_alone() -> None:
    counted = 0

    @settings(QUIET, max_examples=max(20, CASES // 180))
    @given(bills(), fee_rules(), st.lists(kopecks(), min_size=6, max_size=12))
    def compare(bill: Bill, rule: FeeRule, drawn: list[int]) -> None:
        nonlocal counted
        pays = payments(bill, rule, drawn)
        compare_group(bill, pays)
        compare_single(bill, pays[:12])
        counted += len(pays) + len(pays[:12])

    for _ in range(10):  # hypothesis may draw smaller bills than was hoped, or stop early
        if counted < CASES:
            compare()
    assert counted >= CASES


@settings(QUIET, max_examples=max(20, CASES // 200))
@given(
    kopecks(),
    st.one_of(
        st.lists(kopecks(), min_size=1, max_size=40),
        st.lists(st.integers(0, 3), min_size=1, max_size=CHARGES_MAX),
    ),
    st.integers(1, 60),
)
@example(AMOUNT_MAX, [AMOUNT_MAX, 1, AMOUNT_MAX - 1], 1)
@example(AMOUNT_MAX, [AMOUNT_MAX] * 64, 60)
@example(2**51, [1, 1], 1)
@example(AMOUNT_MAX - 1, [3, 5, 7], PARTS_MAX // 3)
def test_largest_remainder(total: int, weights: list[int], repeated: int) -> None:
    many = (weights * repeated)[:PARTS_MAX]
    ours = outcome(kernel.largest_remainder, total, many)
    assert ours == outcome(reference.largest_remainder, total, many)
    if isinstance(ours, list) and total > 0:
        back = [share // 3 for share in ours]
        left = min(AMOUNT_MAX, max(1, (total - sum(back)) // 2))
        law = outcome(reference.refund, ours, back, left)
        assert outcome(kernel.refund, ours, back, left) == law


@pytest.fixture(params=[2, 4], ids=lambda lanes: f"{lanes} lanes")
def lanes(request: pytest.FixtureRequest) -> Iterator[int]:
    """Each width of vectors that this machine has, in turn; the widest again after."""
    taken = kernel._choose_lanes(request.param)  # type: ignore[attr-defined]
    yield taken
    kernel._choose_lanes(kernel.LANES)  # type: ignore[attr-defined]


def test_a_few_weights_in_vectors_of_each_width(lanes: int) -> None:
    assert lanes in (2, kernel.LANES)

    @settings(QUIET, max_examples=max(20, CASES // 200))
    @given(
        st.one_of(
            st.lists(kopecks(high=2**43), min_size=1, max_size=17),
            st.lists(st.integers(0, 400_000), min_size=1, max_size=17),
            st.lists(st.integers(0, 3), min_size=1, max_size=17),
        ),
        kopecks(),
        st.integers(0, 1000),
    )
    def compare(weights: list[int], drawn: int, permille: int) -> None:
        # Products that vectors take are below 2^52, which totals drawn alone seldom are.
        most = 2**52 // max(1, sum(weights))
        for total in (drawn, sum(weights) * permille // 1000, min(drawn, most), most - 1, most):
            ours = outcome(kernel.largest_remainder, total, weights)
            assert ours == outcome(reference.largest_remainder, total, weights)

    compare()


def test_remainders_one_apart_on_both_sides_of_what_doubles_hold(lanes: int) -> None:
    # Of 2w over w + 1 and w the remainders are w and w + 1: the second gets the odd kopeck.
    plan = kernel.Plan([0, 0], [0, 1], [[(0, PPM)]] * 2)
    for w in (2**k + near for k in range(2, 43) for near in (-1, 0, 1)):
        assert kernel.largest_remainder(2 * w, [w + 1, w]) == [w, w]
        charges = array.array("q", [0, 0])
        amounts, dues = array.array("q", [2 * w]), array.array("q", [w + 1, w])
        assert kernel.split_flat(plan, amounts, dues, charges, bytearray(1)) == 0
        assert charges.tolist() == [w, w]


# Ties; everyday sums; products on both sides of 2^52; the limits; what is no due at all.
DUES = (
    st.integers(0, 3),
    st.integers(0, 400_000),
    st.integers(2**22, 2**27),
    kopecks(),
    st.sampled_from([1, AMOUNT_MAX, AMOUNT_MAX + 1]),
    st.sampled_from([1, -(2**63), -1, 2**63 - 1]),
)


def test_flat_buffers_in_vectors_of_each_width(lanes: int) -> None:
    @settings(QUIET, max_examples=max(60, CASES // 200))
    @given(st.integers(1, 17), st.sampled_from([1, 1, 1, 2, 3]), st.sampled_from(DUES), st.data())
    def compare(n: int, tiers: int, due: st.SearchStrategy[int], data: st.DataObject) -> None:
        shape = ([i % tiers for i in range(n)], list(range(n)), [[(0, PPM)]] * n)
        dues = data.draw(st.lists(st.lists(due, min_size=n, max_size=n), min_size=1, max_size=9))
        share = data.draw(st.integers(0, 1100))
        near = data.draw(st.integers(-2, 2))
        wanted = [near if share < 200 else sum(row) * share // 1000 + near for row in dues]
        amounts = array.array("q", (max(-1, min(amount, 2**63 - 1)) for amount in wanted))
        flat = array.array("q", (kopecks for row in dues for kopecks in row))
        given_back = []
        for module, of in ((kernel, kernel.Plan), (reference_groups, reference_plans.Plan)):
            charges, codes = array.array("q", [7] * len(flat)), bytearray(b"\x07" * len(dues))
            refused = module.split_flat(of(*shape), amounts, flat, charges, codes)
            given_back.append((refused, charges, codes))
        assert given_back[0] == given_back[1]

    compare()


@settings(QUIET, max_examples=max(20, CASES // 100))
@given(fee_rules(), st.lists(kopecks(high=4 * AMOUNT_MAX), min_size=1, max_size=20))
def test_fees_and_totals(rule: FeeRule, numbers: list[int]) -> None:
    for x in numbers:
        assert outcome(kernel.fee, x, rule) == outcome(reference.fee, x, rule)
        for total in (x, x + outcome(reference.fee, min(x, AMOUNT_MAX), rule)):
            ours = outcome(kernel.amount_for_total, total, rule)
            assert ours == outcome(reference.amount_for_total, total, rule)


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False),
        st.integers(),
        st.integers(-(2**70), 2**70),
        st.sampled_from(["", "heat", "weights", "reject", "0", "1", "01", "+1", "١"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=4,
)


@st.composite
def cases(draw: st.DrawFn) -> Any:
    """A case file's case: right in most, with one value spoilt in the others."""
    names = st.sampled_from(["heat", "water", "uk", "waste"])
    level = st.lists(
        st.fixed_dictionaries({"recipient": names, "ppm": st.integers(0, 400_000)}), max_size=3
    )
    charge = st.fixed_dictionaries(
        {"recipient": names, "due": kopecks()},
        optional={
            "tier": st.integers(0, 255),
            "weight": kopecks(),
            "second_level": level,
            "service": names,
        },
    )
    rule = st.fixed_dictionaries(
        {}, optional={"ppm": st.integers(0, 10**6), "fixed": kopecks(), "max": kopecks()}
    )
    charges = draw(st.lists(charge, min_size=1, max_size=9))
    index = st.integers(0, len(charges) - 1)
    case: Any = draw(
        st.fixed_dictionaries(
            {draw(st.sampled_from(["amount", "total"])): kopecks(), "charges": st.just(charges)},
            optional={
                "designation": st.dictionaries(index.map(str), kopecks(high=10**6), max_size=3),
                "overpayment": st.one_of(
                    st.sampled_from(["weights", "reject"]), st.fixed_dictionaries({"charge": index})
                ),
                "surcharge": rule,
                "commissions": st.dictionaries(names, rule),
            },
        )
    )
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.sampled_from([case, *charges, *case.get("commissions", {}).values()]))
        keys = [*place, "due", "ppm", "surprise", "designation", "overpayment"]
        place[draw(st.sampled_from(keys))] = draw(JSON)
    return case


@settings(QUIET, max_examples=max(50, CASES // 150))
@given(cases())
def test_cases(case: Any) -> None:
    assert outcome(kernel.split_case, case) == outcome(reference_cases.split_case, case)


@settings(QUIET, max_examples=max(50, CASES // 200))
@given(JSON)
def test_any_value_as_a_case(value: Any) -> None:
    assert outcome(kernel.split_case, value) == outcome(reference_cases.split_case, value)


@settings(QUIET, max_examples=max(50, CASES // 400))
@given(
    bills(), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3), st.data()
)
def test_spoilt_plan_bytes(bill: Bill, spoilt: list[tuple[int, int]], data: st.DataObject) -> None:
    made = bytearray(reference_plans.Plan(*bill[:3]).to_bytes())
    for place, byte in spoilt:
        made[place % len(made)] = byte
    cut = bytes(made[: data.draw(st.integers(0, len(made) + 3))])
    ours, law = outcome(kernel.Plan.from_bytes, cut), outcome(reference_plans.Plan.from_bytes, cut)
    if isinstance(law, str):
        # The kernel reads the whole before it tells a limit, so any code of a bad plan will do.
        assert isinstance(ours, str)
        return
    assert ours.to_bytes() == law.to_bytes() == cut
    for name in ("charges", "parts", "recipients", "part_charge", "part_recipient"):
        assert getattr(ours, name) == getattr(law, name)


@settings(QUIET, max_examples=max(50, CASES // 200))
@given(st.one_of(st.binary(max_size=40), st.lists(st.integers(-1, 2**64), max_size=9)))
def test_packed_vectors(given_to: Any) -> None:
    if isinstance(given_to, list):
        assert outcome(kernel.pack, given_to) == outcome(reference_plans.pack, given_to)
        return
    for width in (b"", b"\x04", b"\x08"):
        packed = width + given_to
        for name in ("unpack", "packed_sum"):
            law = outcome(getattr(reference_plans, name), packed)
            assert outcome(getattr(kernel, name), packed) == law
