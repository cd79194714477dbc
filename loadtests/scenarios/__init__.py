"""Scenarios by name, a file each; what they are like, and what each is for, stands there."""

from loadtests.scenario import Scenario
from loadtests.scenarios.many_payers_many_recipients import MANY_PAYERS_MANY_RECIPIENTS
from loadtests.scenarios.many_payers_one_supplier import MANY_PAYERS_ONE_SUPPLIER
from loadtests.scenarios.one_account import ONE_ACCOUNT
from loadtests.scenarios.one_house_one_evening import ONE_HOUSE_ONE_EVENING
from loadtests.scenarios.retry_storm import RETRY_STORM

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        MANY_PAYERS_MANY_RECIPIENTS,
        MANY_PAYERS_ONE_SUPPLIER,
        ONE_HOUSE_ONE_EVENING,
        ONE_ACCOUNT,
        RETRY_STORM,
    )
}
