"""Scenarios have the shape they are named for, and each of them is paid on a real gateway."""

from typing import Any

import pytest

from loadtests import households, http_load
from loadtests.arrivals import evening
from loadtests.gateway_process import Gateway
from loadtests.scenario import Scenario, Staged, plan
from loadtests.scenarios import SCENARIOS
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from loadtests.scenarios.one_house_one_evening import FLATS
from loadtests.scenarios.overload import FLOOD, REFUSED, WAITING
from loadtests.scenarios.retry_storm import LATER, sent_twice
from loadtests.scenarios.slow_callers import slow_callers
from loadtests.stage import ACCOUNTS
from tests.benchmarks.conftest import FEW, Paid, Small


def recipients_of(bill: dict[str, Any]) -> set[str]:
    return {charge["recipient"] for charge in bill["charges"]}


def shape(scenario: Scenario) -> tuple[int, int, int]:
    """Accounts, recipients of all bills, and different sets of a bill's recipients."""
    bills = list(scenario.bills(min(scenario.accounts, FEW), scenario.first))
    assert all(len(bill["charges"]) == households.CHARGES for bill in bills)
    known = {body["id"] for body in households.recipients()}
    sets = [frozenset(recipients_of(bill)) for bill in bills]
    assert set().union(*sets) <= known
    return len({b["subscriber_account"] for b in bills}), len(set().union(*sets)), len(set(sets))


def test_scenarios_have_the_contention_they_are_named_for() -> None:
    assert {name: shape(scenario) for name, scenario in SCENARIOS.items()} == {
        "many_payers_many_recipients": (FEW, 30, 48),
        "many_payers_one_supplier": (FEW, 1, 1),
        "one_house_one_evening": (FLATS, 8, 1),
        "one_account": (1, 8, 1),
        "retry_storm": (FEW, 30, 48),
    }


def test_every_scenario_has_accounts_of_its_own() -> None:
    ranges = [range(one.first, one.first + one.accounts) for one in SCENARIOS.values()]
    numbers = [number for of_one in ranges for number in of_one]
    assert len(numbers) == len(set(numbers))
    assert min(numbers) >= ACCOUNTS


@pytest.mark.parametrize("count", [1, 2, LATER - 1, LATER, 3 * LATER, 3 * LATER + 1])
def test_a_retry_storm_sends_all_twice_half_of_it_at_once(count: int) -> None:
    requests = [b"%d" % number for number in range(count)]
    sent = sent_twice(requests)
    places: dict[bytes, list[int]] = {}
    for place, request in enumerate(sent):
        places.setdefault(request, []).append(place)
    assert sorted(places) == sorted(requests)
    assert {len(of_one) for of_one in places.values()} == {2}
    for number, request in enumerate(requests):
        apart = places[request][1] - places[request][0]
        if number % 2:
            assert apart == 1
        elif number < count - LATER:
            assert apart > LATER


def test_an_overload_comes_over_more_connections() -> None:
    assert WAITING.settings == {}
    assert REFUSED.settings["KOPECK_QUEUE_MAX"] == "250"
    for crowd in (REFUSED, FLOOD):
        assert crowd.queue_max is not None
        assert crowd.connections >= 4 * crowd.queue_max


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_is_paid(gateway: Gateway, small: Small, paid: Paid, name: str) -> None:
    scenario = small(SCENARIOS[name])
    requests = Staged(gateway, scenario, f"test-{name}").requests(FEW)
    outcome = http_load.load(plan(gateway.port, 60.0, 8), requests)
    assert (outcome.answers, outcome.failures) == (len(requests), 0)
    assert len(requests) == (2 * FEW if name == "retry_storm" else FEW)
    assert paid(scenario) == FEW


def test_payers_that_come_by_a_curve_are_all_answered(
    gateway: Gateway, small: Small, paid: Paid
) -> None:
    scenario = small(MANY_PAYERS_MANY_RECIPIENTS)
    staged = Staged(gateway, scenario, "test-curve")
    outcome = staged.opened(200.0, 1.0, connections=8, curve=evening)
    assert outcome.unsent == outcome.failures == 0
    assert outcome.answers == paid(scenario) > 50


def test_slow_callers_take_nobody_s_place(gateway: Gateway, small: Small, paid: Paid) -> None:
    scenario = small(MANY_PAYERS_MANY_RECIPIENTS)
    staged = Staged(gateway, scenario, "test-slow")
    with slow_callers(gateway.port, gateway.acquirer, 20):
        outcome = http_load.load(plan(gateway.port, 60.0, 8), staged.requests(100))
    assert (outcome.answers, paid(scenario)) == (100, 100)


def test_an_overload_is_answered_or_refused_and_what_was_refused_is_not_stored(
    gateway: Gateway, small: Small, paid: Paid
) -> None:
    scenario = small(MANY_PAYERS_MANY_RECIPIENTS)
    staged = Staged(gateway, scenario, "test-overload")
    outcome = staged.overloaded(100_000.0, 0.5, connections=1_500)
    assert outcome.failures == 0, outcome.first_failure
    assert outcome.refusals > 0
    assert outcome.answers == paid(scenario) > 0


def test_no_payment_is_made_twice_by_two_runs(gateway: Gateway, small: Small) -> None:
    staged = Staged(gateway, small(MANY_PAYERS_MANY_RECIPIENTS), "test-twice")
    made = [*staged.requests(50), *staged.requests(50)]
    assert len(set(made)) == 100
