"""Refusals: each code alone, the order in which they win, and what counts as malformed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from splitcore import AMOUNT_MAX, CODES, SplitError, split_case

Spoil = Callable[[dict[str, Any]], None]


def good() -> dict[str, Any]:
    """A case of every key that goes through."""
    return {
        "amount": 300,
        "charges": [
            {
                "service": "heating",
                "recipient": "heat",
                "due": 100,
                "tier": 1,
                "weight": 100,
                "second_level": [{"recipient": "uk", "ppm": 50_000}],
            },
            {"recipient": "waste", "due": 50, "weight": 0},
        ],
        "designation": {"1": 10},
        "overpayment": "weights",
        "surcharge": {"ppm": 10_000, "fixed": 0, "min": 1, "max": 100},
        "commissions": {"heat": {"ppm": 15_000}, "stranger": {}},
    }


def set_in(*path: Any, to: Any) -> Spoil:
    def spoil(case: dict[str, Any]) -> None:
        place: Any = case
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = copy.deepcopy(to)

    return spoil


def refused_with(case: object) -> str | None:
    try:
        split_case(case)
    except SplitError as refused:
        return refused.code if refused.detail.startswith("Expected ") else "no detail"
    return None


# One way to earn each code, in an order that is the reverse of how they are told.
EARNED: dict[str, Spoil] = {
    "nothing_to_allocate": lambda case: [
        charge.update(weight=0) for charge in case["charges"]
    ].clear(),
    "overpayment": set_in("overpayment", to="reject"),
    "designation_exceeds_amount": set_in("designation", to={"0": 200, "1": 101}),
    "designation_out_of_range": set_in("designation", "0", to=-1),
    "fee_out_of_range": set_in("commissions", "stranger", to={"min": 2, "max": 1}),
    "second_level_out_of_range": set_in("charges", 0, "second_level", 0, "ppm", to=1_000_001),
    "weight_out_of_range": set_in("charges", 1, "weight", to=-1),
    "tier_out_of_range": set_in("charges", 1, "tier", to=256),
    "due_out_of_range": set_in("charges", 1, "due", to=AMOUNT_MAX + 1),
    "charges_out_of_range": lambda case: case["charges"].extend(
        {"recipient": "a", "due": 1} for _ in range(255)
    ),
    "amount_out_of_range": set_in("amount", to=0),
    "malformed": set_in("rounding", to="up"),
}


def test_a_good_case_goes_through() -> None:
    assert refused_with(good()) is None


def test_every_code_but_the_unreachable_one_is_earned() -> None:
    # Within the limits amount + surcharge is at most 3 * 10^13, so the last code cannot be reached.
    assert set(EARNED) == set(CODES) - {"total_out_of_range"}


@pytest.mark.parametrize("code", EARNED)
def test_code_alone(code: str) -> None:
    case = good()
    EARNED[code](case)
    assert refused_with(case) == code


def test_the_earlier_code_wins_whatever_else_is_wrong() -> None:
    case = good()
    for code, spoil in EARNED.items():
        spoil(case)
        assert refused_with(case) == code


@pytest.mark.parametrize("first", CODES)
@pytest.mark.parametrize("second", CODES)
def test_of_two_faults_the_first_in_the_order_is_told(first: str, second: str) -> None:
    if first not in EARNED or second not in EARNED:
        assert "total_out_of_range" in (first, second)
        return
    case = good()
    for code in sorted((first, second), key=list(EARNED).index):
        EARNED[code](case)
    assert refused_with(case) == min(first, second, key=CODES.index)


HUGE = 10**30
NO_INTEGER: tuple[Any, ...] = (1.0, True, False, "1", None, [1], {})


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("amount_out_of_range", ("amount",)),
        ("due_out_of_range", ("charges", 0, "due")),
        ("tier_out_of_range", ("charges", 0, "tier")),
        ("weight_out_of_range", ("charges", 0, "weight")),
        ("second_level_out_of_range", ("charges", 0, "second_level", 0, "ppm")),
        ("fee_out_of_range", ("surcharge", "ppm")),
        ("fee_out_of_range", ("surcharge", "fixed")),
        ("fee_out_of_range", ("surcharge", "min")),
        ("fee_out_of_range", ("surcharge", "max")),
        ("fee_out_of_range", ("commissions", "heat", "ppm")),
        ("designation_out_of_range", ("designation", "1")),
    ],
)
def test_a_number_is_an_integer_within_its_limits(code: str, path: tuple[Any, ...]) -> None:
    for outside in (-1, HUGE, -HUGE, 2**63, 2**63 - 1, AMOUNT_MAX + 1):
        case = good()
        set_in(*path, to=outside)(case)
        assert refused_with(case) == code, outside
    for other in NO_INTEGER:
        case = good()
        set_in(*path, to=other)(case)
        assert refused_with(case) == "malformed", other


MALFORMED: dict[str, Spoil] = {
    "no charges": lambda case: case.pop("charges"),
    "no amount": lambda case: case.pop("amount"),
    "an amount and a total": set_in("total", to=300),
    "charges are no array": set_in("charges", to={}),
    "a charge is no object": set_in("charges", 0, to=[]),
    "a charge without a due": lambda case: case["charges"][0].pop("due"),
    "a charge without a recipient": lambda case: case["charges"][0].pop("recipient"),
    "an unknown key of a charge": set_in("charges", 0, "dues", to=1),
    "a recipient is no string": set_in("charges", 0, "recipient", to=7),
    "a service is no string": set_in("charges", 0, "service", to=7),
    "a second level is no array": set_in("charges", 0, "second_level", to={}),
    "a second-level entry is no object": set_in("charges", 0, "second_level", to=[1]),
    "an entry without ppm": set_in("charges", 0, "second_level", to=[{"recipient": "uk"}]),
    "an entry without a recipient": set_in("charges", 0, "second_level", to=[{"ppm": 1}]),
    "an entry with more": set_in("charges", 0, "second_level", 0, "x", to=1),
    "an entry's recipient is no string": set_in("charges", 0, "second_level", 0, "recipient", to=1),
    "a fee is no object": set_in("surcharge", to=1),
    "a fee is null": set_in("surcharge", to=None),
    "an unknown key of a fee": set_in("surcharge", "rate", to=1),
    "commissions are no object": set_in("commissions", to=[]),
    "a commission is no object": set_in("commissions", "heat", to=None),
    "a commission of a number": set_in("commissions", 7, to={}),
    "a designation is no object": set_in("designation", to=[]),
    "a designation of no charge": set_in("designation", "2", to=1),
    "a designation of a huge index": set_in("designation", "9" * 30, to=1),
    "a designation of a minus": set_in("designation", "-1", to=1),
    "a designation of a sign": set_in("designation", "+1", to=1),
    "a designation of a leading zero": set_in("designation", "01", to=1),
    "a designation of a space": set_in("designation", " 1", to=1),
    "a designation of an empty key": set_in("designation", "", to=1),
    "a designation of another script": set_in("designation", "١", to=1),
    "a designation of a number": set_in("designation", 1, to=1),
    "an overpayment of another word": set_in("overpayment", to="refuse"),
    "an overpayment of null": set_in("overpayment", to=None),
    "an overpayment of no charge": set_in("overpayment", to={"charge": 2}),
    "an overpayment below the first": set_in("overpayment", to={"charge": -1}),
    "an overpayment of a huge index": set_in("overpayment", to={"charge": HUGE}),
    "an overpayment of a bool": set_in("overpayment", to={"charge": True}),
    "an overpayment of a float": set_in("overpayment", to={"charge": 0.0}),
    "an overpayment with more": set_in("overpayment", to={"charge": 0, "x": 1}),
    "an overpayment of nothing": set_in("overpayment", to={}),
}


@pytest.mark.parametrize("spoil", MALFORMED.values(), ids=MALFORMED)
def test_malformed(spoil: Spoil) -> None:
    case = good()
    spoil(case)
    set_in("amount", to=case.get("amount", 0) and 0)(case) if "amount" in case else None
    assert refused_with(case) == "malformed"


@pytest.mark.parametrize("case", [None, True, 1, 1.5, "case", [], {}, [good()]])
def test_a_case_is_an_object(case: object) -> None:
    assert refused_with(case) == "malformed"


def test_a_shape_beyond_the_limits_is_still_read_as_a_shape() -> None:
    case = good()
    EARNED["charges_out_of_range"](case)
    assert refused_with(case) == "charges_out_of_range"
    for spoil in (set_in("charges", 256, "due", to=1.0), set_in("charges", 256, "x", to=1)):
        worse = copy.deepcopy(case)
        spoil(worse)
        assert refused_with(worse) == "malformed"


def test_seventeen_second_level_entries_on_every_charge_are_refused() -> None:
    level = [{"recipient": "uk", "ppm": 1}] * 17
    charges = [{"recipient": "a", "due": 1, "second_level": level} for _ in range(256)]
    case = {"amount": 1, "charges": charges}
    assert refused_with(case) == "second_level_out_of_range"
    charges[-1]["second_level"] = [*level, {"recipient": "uk", "ppm": 1.0}]
    assert refused_with(case) == "malformed"


def test_no_name_is_told() -> None:
    case = good()
    case["charges"][0]["due"] = "Иванов"
    with pytest.raises(SplitError) as refused:
        split_case(case)
    assert "Иванов" not in str(refused.value)


def test_total_stands_for_amount() -> None:
    case = good()
    case["total"] = case.pop("amount") + 3
    assert (split_case(case)["amount"], split_case(case)["surcharge"]) == (300, 3)
    for total, code in ((0, "amount_out_of_range"), (1, "amount_out_of_range"), (1.0, "malformed")):
        assert refused_with(case | {"total": total}) == code
    # Without a right fee the amount cannot be told, so the fee is what is refused.
    assert refused_with(case | {"total": 1, "surcharge": {"fixed": -1}}) == "fee_out_of_range"
    assert refused_with(case | {"total": 2**63}) == "amount_out_of_range"
