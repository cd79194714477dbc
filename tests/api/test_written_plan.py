"""Shares and recipients written from templates are what the plan and the numbers say."""

import gc
import random
import tracemalloc
from datetime import UTC, datetime

import orjson
import pytest

from gateway.api import encode
from gateway.api.written_plan import WrittenPlan
from gateway.domain.ids import new_id
from gateway.domain.payment import ACCEPTED, METHODS, SUSPENSE, Payment
from gateway.domain.plan_names import PlanNames
from gateway.splitting.plans import Plan
from splitcore import GroupAllocation, pack
from splitcore import Plan as SplitPlan

NAMES = ("heating", "Содержание 50 %d", 'say "hi"\\', "water%%", "tabs\t", "x" * 64, "☃")


def plan_of(dice: random.Random) -> PlanNames:
    recipients = tuple(dice.sample(NAMES, dice.randint(1, len(NAMES))))
    parts = tuple(
        (charge, dice.choice(NAMES), recipients[at], at)
        for charge in range(dice.randint(1, 5))
        for at in sorted(dice.sample(range(len(recipients)), dice.randint(1, len(recipients))))
    )
    return PlanNames("pln_0123456789abcdef", parts, recipients)


def allocation_of(dice: random.Random, names: PlanNames, zeros: float) -> GroupAllocation:
    parts = tuple(
        0 if dice.random() < zeros else dice.choice((1, 99, 10**13, dice.randint(1, 10**6)))
        for _ in names.parts
    )
    gross = [0] * len(names.recipients)
    order: list[int] = []
    for (_, _, _, at), amount in zip(names.parts, parts, strict=True):
        gross[at] += amount
        if amount and at not in order:
            order.append(at)
    fees = tuple(dice.randint(0, amount) if dice.random() < 0.5 else 0 for amount in gross)
    net = tuple(amount - fee for amount, fee in zip(gross, fees, strict=True))
    told = parts, tuple(order), tuple(gross), fees, net
    return GroupAllocation(sum(parts), 0, sum(fees), (), *told, pack(parts), None)


@pytest.mark.parametrize("zeros", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("seed", range(20))
def test_templates_say_what_objects_would(seed: int, zeros: float) -> None:
    dice = random.Random(f"{seed}/{zeros}")
    names = plan_of(dice)
    written = WrittenPlan(names)
    for _ in range(20):
        told = allocation_of(dice, names, zeros)
        assert orjson.loads(written.shares(told.parts)) == [
            {"charge": charge, "service": service, "recipient": recipient, "amount": amount}
            for (charge, service, recipient, _), amount in zip(names.parts, told.parts, strict=True)
            if amount
        ]
        assert orjson.loads(written.recipients(told)) == [
            {
                "recipient": names.recipients[at],
                "gross": told.gross[at],
                "commission": told.commissions[at],
                "net": told.net[at],
            }
            for at in told.recipients
        ]


REFERENCES = ("op 17", None, "", 'a "quoted" one', "назначение ☃", "back\\slash")
METHODS_FACTS = (b'{"network":"visa","masked_pan":"427644******1234"}', b"{}", b' {"bank": "x"}')
MOMENTS = (
    None,
    datetime(2026, 11, 24, 7, tzinfo=UTC),
    datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
)


@pytest.mark.parametrize("seed", range(200))
def test_a_payment_written_at_once_is_what_an_object_of_it_says(seed: int) -> None:
    """The very bytes: an answer must not tell by which way it was written."""
    dice = random.Random(seed)
    names = plan_of(dice)
    told = allocation_of(dice, names, dice.choice((0.0, 0.0, 0.3)))
    on_bill = dice.random() < 0.9
    found = Payment(
        new_id(),
        1,
        ACCEPTED if on_bill else SUSPENSE,
        "22-01/7",
        told.amount or 1,
        dice.choice((0, 99)),
        dice.randrange(len(METHODS)),
        dice.choice(METHODS_FACTS),
        dice.choice(MOMENTS[1:]),
        dice.choice(((), (), (("heating", 5),))),
        dice.choice(REFERENCES),
        dice.choice(MOMENTS),
        told if on_bill else None,
        names if on_bill else None,
        "2026-10" if on_bill else None,
        dice.choice((0, 0, 5)),
    )
    plain = encode._encode(encode._shown(found))
    assert encode.payment(found) == plain
    assert orjson.loads(plain)["id"] == f"pay_{found.id.hex}"
    for replayed in (False, True):
        end = b',"replayed":true}\n' if replayed else b"}\n"
        line = encode.bulk_outcome(seed, 201, found, replayed)
        assert line == encode.bulk_outcome(seed, 201, found, replayed, encode.payment(found))
        assert line == b'{"index":%d,"status":201,' % seed + plain[1:-1] + end


def test_a_usual_payment_is_written_at_once() -> None:
    dice = random.Random(1)
    names = PlanNames("pln_0", ((0, "heating", "heat", 0), (1, "waste", "waste", 1)), NAMES[:2])
    found = Payment(
        *(new_id(), 1, ACCEPTED, "22-01/7", 5, 0, 0, METHODS_FACTS[0], MOMENTS[1], ()),
        *("op 17", MOMENTS[1], allocation_of(dice, names, 0.0), names, "2026-10"),
    )
    assert encode._usual(b"{", found, b"}") is not None


def test_twenty_thousand_plans_of_the_same_names_are_held_in_a_hundred_megabytes() -> None:
    body = SplitPlan([0] * 8, list(range(8)), [[(at, 1_000_000)] for at in range(8)]).to_bytes()
    held = []

    def hold(count: int) -> None:
        for number in range(count):
            # New strings each time, as a database driver makes them.
            services = [f"{name}-{at}" for at, name in enumerate(["service"] * 8)]
            ids = [f"{name}-{at}" for at, name in enumerate(["supplier of heat"] * 8)]
            split = SplitPlan.from_bytes(body)
            plan = Plan(number, split, services, list(range(8)), ids, random.randbytes(32))
            held.append((plan, WrittenPlan(plan.names)))

    hold(10)
    gc.collect()
    tracemalloc.start()
    try:
        hold(200)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown / 200 * 20_000 < 100e6
