"""The path of one payment is measured on the product's own parts, step by step."""

import asyncio
from pathlib import Path

from loadtests import path
from loadtests.gateway_process import Gateway
from loadtests.scenario import Staged
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from tests.benchmarks.conftest import Paid, Small

AT_ONCE = {"open bills: one SELECT", "keys, bills, payments: one statement that commits"}


def test_a_small_group_takes_two_round_trips_and_one_fsync(
    gateway: Gateway, small: Small, paid: Paid
) -> None:
    scenario = small(MANY_PAYERS_MANY_RECIPIENTS)
    tries = 0
    costs = {"fsyncs of WAL": 1.0}
    # A backend tells its counts late: those of what went before may come meanwhile, and once only.
    while costs["fsyncs of WAL"] >= 1 and tries < 5:
        tries += 1
        staged = Staged(gateway, scenario, f"test-path-{tries}")
        costs = asyncio.run(path.path(gateway, staged, 8, 80))
        assert costs["round trips"] == 2 / 8
        assert {step for step in costs if step in path.STATEMENTS} == AT_ONCE
    assert 1 / 8 <= costs["fsyncs of WAL"] < 1
    assert costs["bytes of WAL"] > 300
    assert costs[path.KERNEL] < costs[path.SPLIT] < costs["elapsed"]
    # What is warmed up by is paid as well.
    assert paid(scenario) == tries * (80 + 4 * 8)


def test_the_processes_own_time_and_the_floors_are_told(
    gateway: Gateway, small: Small, tmp_path: Path
) -> None:
    staged = Staged(gateway, small(MANY_PAYERS_MANY_RECIPIENTS), "test-path-http")
    over_http = path.over_http(gateway, staged, 4, 0.5)
    floors = asyncio.run(path.floors(gateway, tmp_path, rounds=20))
    assert min(*over_http.values(), *floors.values()) > 0
    lines = path.table(["http", "floor"], [over_http, floors]).splitlines()
    assert len(lines) == 2 + len(over_http) + len(floors)
    assert lines[2].startswith("| worker, all of it | ")
    assert lines[2].endswith(" | – |")
