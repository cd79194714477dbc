"""The k6 scripts pay on a real gateway, check what it answers, and say so when it is wrong."""

import platform
import subprocess
import sys

import pytest

from loadtests import k6_run
from loadtests.gateway_process import Gateway
from loadtests.scenario import Staged
from loadtests.scenarios import SCENARIOS
from tests.benchmarks.conftest import Paid, Small

HAS_WHEEL = sys.platform == "linux" and platform.machine() == "x86_64"
pytestmark = pytest.mark.skipif(not HAS_WHEEL, reason="k6 has a wheel for x86-64 Linux only")
FAILED_CHECKS = 99


@pytest.mark.parametrize(
    ("script", "name", "more"),
    [
        ("payment", "many_payers_many_recipients", ["VUS=4"]),
        # More users than come in all, so that k6 never has to drop one.
        ("payment", "retry_storm", ["VUS=64", "RATE=50"]),
        ("bulk", "many_payers_many_recipients", ["VUS=2", "LINES=20"]),
    ],
)
def test_a_script_pays_and_all_its_checks_hold(
    gateway: Gateway, small: Small, paid: Paid, script: str, name: str, more: list[str]
) -> None:
    scenario = small(SCENARIOS[name])
    Staged(gateway, scenario)
    assert k6_run.run(script, gateway, scenario, 1.0, more) == 0
    assert paid(scenario) > 0


@pytest.mark.parametrize("script", ["payment", "bulk"])
def test_a_script_fails_where_nothing_becomes_durable(
    gateway: Gateway, small: Small, paid: Paid, script: str
) -> None:
    scenario = small(SCENARIOS["many_payers_many_recipients"])
    Staged(gateway, scenario)
    wrong = ["VUS=1", "API_KEY=kp_nobody", "LINES=2"]
    assert k6_run.run(script, gateway, scenario, 1.0, wrong) == FAILED_CHECKS
    assert paid(scenario) == 0


def test_the_pinned_k6_is_the_one_that_runs() -> None:
    said = subprocess.run([k6_run.k6_path(), "version"], capture_output=True, text=True)
    assert said.stdout.startswith("k6 v1.1.0 ")
