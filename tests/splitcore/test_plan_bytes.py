"""Plans: what one holds, its canonical bytes, and everything that is refused as one."""

import copy
import pickle
from typing import Any

import pytest

from splitcore import CHARGES_MAX, PARTS_MAX, PPM, FeeRule, Fees, Plan, SplitError

OWN = [(0, PPM)]


def small() -> Plan:
    """Two charges of one service; recipient 2 has five percent of the first."""
    return Plan([1, 0], [0, 0], [[(2, 50_000), (0, 950_000)], [(1, PPM)]])


def test_what_a_plan_tells() -> None:
    plan = small()
    assert (plan.charges, plan.parts, plan.recipients) == (2, 3, 3)
    assert plan.part_charge == (0, 0, 1)
    assert plan.part_recipient == (2, 0, 1)


def test_the_layout_of_the_bytes() -> None:
    head = b"\x01\0\x02"
    first = b"\x01\0\x01" + b"\0\0" + b"\0\x02" + (50_000).to_bytes(3, "big")
    second = b"\0\0\0" + b"\0\x01"
    assert small().to_bytes() == head + first + second


def test_equal_plans_have_equal_bytes() -> None:
    plan = Plan.from_bytes(small().to_bytes())
    assert plan == small()
    assert hash(plan) == hash(small())
    assert plan.to_bytes() == small().to_bytes()
    assert plan != Plan([1, 0], [0, 1], [[(2, 50_000), (0, 950_000)], [(1, PPM)]])
    assert plan != small().to_bytes()
    assert pickle.loads(pickle.dumps(plan)) == copy.copy(plan) == plan  # noqa: S301 - our own bytes


def test_the_largest_plan() -> None:
    entries = [(PARTS_MAX - 1, PPM // 16)] * 16 + [(0, 0)]
    plan = Plan([255] * CHARGES_MAX, list(range(CHARGES_MAX)), [entries] * CHARGES_MAX)
    again = Plan.from_bytes(plan.to_bytes())
    assert again == plan
    assert (again.parts, again.recipients) == (PARTS_MAX, PARTS_MAX)


@pytest.mark.parametrize(
    ("code", "tiers", "services", "parts"),
    [
        ("malformed", [0], [0, 0], [OWN]),
        ("malformed", [0], [0], []),
        ("malformed", [0.0], [0], [OWN]),
        ("malformed", [True], [0], [OWN]),
        ("malformed", [0], [1], [OWN]),
        ("malformed", [0], [-1], [OWN]),
        ("malformed", [0], [0], [[]]),
        ("malformed", [0], [0], [[(0, 0, PPM)]]),
        ("malformed", [0], [0], [[(-1, PPM)]]),
        ("malformed", [0], [0], [[(PARTS_MAX, PPM)]]),
        ("malformed", [0], [0], [[(0, float(PPM))]]),
        ("charges_out_of_range", [], [], []),
        ("charges_out_of_range", [256] * 257, [0] * 257, [OWN] * 257),
        ("tier_out_of_range", [256], [0], [[(0, 1)]]),
        ("tier_out_of_range", [-1], [0], [OWN]),
        ("second_level_out_of_range", [0], [0], [[(0, PPM - 1)]]),
        ("second_level_out_of_range", [0], [0], [[(0, PPM), (0, 1)]]),
        ("second_level_out_of_range", [0], [0], [[(0, -1), (0, PPM + 1)]]),
        ("second_level_out_of_range", [0], [0], [[(0, 0)] * 17 + OWN]),
    ],
)
def test_no_plan(code: str, tiers: Any, services: Any, parts: Any) -> None:
    with pytest.raises(SplitError) as refused:
        Plan(tiers, services, parts)
    assert refused.value.code == code


def spoilt() -> list[bytes]:
    good = small().to_bytes()
    return [
        *(good[:cut] for cut in range(len(good))),
        good + b"\0",
        b"\x02" + good[1:],  # another version
        b"\x01\0\0" + good[3:],  # no charges
        b"\x01\x01\x01" + good[3:] * 300,  # 257 charges
        good[:4] + b"\x02" + good[5:],  # service 2 of 2 charges
        good[:5] + b"\x11" + good[6:],  # 17 second-level entries
        good[:6] + b"\xff\xff" + good[8:],  # recipient 65,535
        good[:10] + b"\x0f\x42\x41" + good[13:],  # 1,000,001 ppm
    ]


@pytest.mark.parametrize("odd", [*spoilt(), None, "plan", bytearray(small().to_bytes()), 7])
def test_odd_bytes_are_refused(odd: Any) -> None:
    with pytest.raises(ValueError, match="Expected"):
        Plan.from_bytes(odd)


def test_fees_hold_one_rule_a_recipient() -> None:
    assert len(Fees([None, FeeRule(ppm=10_000)])) == 2
    for code, rules in {
        "malformed": [(0, 0, 0, None)],
        "fee_out_of_range": [None, FeeRule(ppm=PPM + 1)],
    }.items():
        with pytest.raises(SplitError) as refused:
            Fees(rules)  # type: ignore[arg-type]
        assert refused.value.code == code
