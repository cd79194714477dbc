"""The sample region is one a gateway takes: valid requisites, bills within limits, one seed."""

import re
from collections import Counter

import pytest

from gateway.demo import region as regions
from gateway.demo.region import CHARGES_MAX, CHARGES_MIN, CURRENT, OLD_DEBT, PENALTY, Region
from gateway.domain.bill import check_bill
from gateway.domain.party import RECIPIENT_KINDS
from gateway.domain.requisites import account_key_holds, check_bic, check_inn, check_kpp

SEED = 2002
PERIOD = "2026-10"


@pytest.fixture(scope="module")
def region() -> Region:
    return regions.generate(SEED, 2_000, PERIOD)


def test_recipients_are_of_every_kind_and_at_least_twelve(region: Region) -> None:
    kinds = Counter(one.body["kind"] for one in region.recipients)
    assert set(kinds) == set(RECIPIENT_KINDS)
    assert kinds["centre"] == 1
    assert len(region.recipients) >= 12
    assert len({one.id for one in region.recipients}) == len(region.recipients)


def test_requisites_are_valid(region: Region) -> None:
    for one in region.recipients:
        account = one.body["bank_account"]
        assert check_inn(one.body["inn"]), one.id
        assert check_kpp(one.body["kpp"]), one.id
        assert check_bic(account["bic"]), one.id
        assert account_key_holds(account["number"], account["bic"]), one.id
        assert account_key_holds(account["correspondent"], account["bic"]), one.id
        # A payout file is windows-1251, and a name in it has at most 160 characters.
        assert len(one.name.encode("cp1251")) <= 160, one.id
    numbers = [one.body["bank_account"]["number"] for one in region.recipients]
    inns = [one.body["inn"] for one in region.recipients]
    assert len(set(numbers)) == len(set(inns)) == len(region.recipients)


def test_the_centre_collects_on_an_account_of_a_payment_agent(region: Region) -> None:
    assert region.centre.body["bank_account"]["number"].startswith("40821")


def test_bills_are_within_the_limits(region: Region) -> None:
    ids = {one.id for one in region.recipients}
    assert len(region.bills) == 2_000
    assert len({bill.subscriber_account for bill in region.bills}) == 2_000
    for bill in region.bills:
        check_bill(bill)
        assert bill.period == PERIOD
        assert CHARGES_MIN <= len(bill.charges) <= CHARGES_MAX
        assert sum(charge.due for charge in bill.charges) > 0
        for charge in bill.charges:
            assert charge.recipient in ids
            assert {entry.recipient for entry in charge.second_level} <= ids - {charge.recipient}


def test_bills_have_debts_penalties_second_levels_and_capital_repair(region: Region) -> None:
    tiers = Counter(charge.tier for bill in region.bills for charge in bill.charges)
    assert tiers[OLD_DEBT] == tiers[PENALTY] > 400
    assert tiers[CURRENT] >= 6 * 2_000
    services = Counter(charge.service for bill in region.bills for charge in bill.charges)
    assert services["capital_repair"] == 2_000
    levels = sum(bool(charge.second_level) for bill in region.bills for charge in bill.charges)
    assert levels >= 2 * 2_000
    assert {str(bill.overpayment) for bill in region.bills[:2]} == {"reject", "weights"}


def test_a_penalty_is_never_the_advance(region: Region) -> None:
    """What is paid over the bill belongs to this period's services, by their weights."""
    for bill in region.bills:
        for charge in bill.charges:
            if charge.tier != CURRENT:
                assert charge.weight == 0


def test_one_seed_makes_one_region() -> None:
    first = regions.generate(SEED, 120, PERIOD)
    assert regions.generate(SEED, 120, PERIOD) == first
    assert regions.generate(SEED + 1, 120, PERIOD) != first


@pytest.mark.parametrize("households", [4, 100, 333])
def test_a_region_has_as_many_households_as_asked(households: int) -> None:
    made = regions.generate(SEED, households, PERIOD)
    assert len(made.bills) == households
    assert all(
        re.fullmatch(r"[0-9]{9}", bill.subscriber_account) is not None for bill in made.bills
    )


@pytest.mark.parametrize(
    ("period", "months", "later"),
    [("2026-10", 0, "2026-10"), ("2026-10", 3, "2027-01"), ("2026-12", 25, "2029-01")],
)
def test_periods_follow_one_another(period: str, months: int, later: str) -> None:
    assert regions.later_period(period, months) == later
