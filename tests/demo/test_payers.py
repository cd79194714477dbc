"""The sample day's payments: every method and habit, amounts within reason, one seed."""

from collections import Counter

import pytest

from gateway.demo import region as regions
from gateway.demo.payers import HABITS, Payers, Planned, owed_of, printed_code
from gateway.demo.public_qr import HOUSEHOLD_ACCOUNT, PUBLIC_QR
from gateway.demo.region import SURCHARGES, Region
from gateway.methods import bill_qr, normalise

SEED = 2002
PAID_AT = "2026-11-12T09:31:07+07:00"


@pytest.fixture(scope="module")
def region() -> Region:
    return regions.generate(SEED, 300, "2026-10")


@pytest.fixture(scope="module")
def planned(region: Region) -> list[Planned]:
    return Payers(region, SEED, "demo-1", PAID_AT).ordinary(1_000)


def test_every_method_and_habit_occurs(planned: list[Planned]) -> None:
    methods = Counter(one.body["method"]["type"] for one in planned)
    by_phone = {"apple_pay", "google_pay"}
    assert set(methods) == set(SURCHARGES) - by_phone
    assert set(Counter(one.habit for one in planned)) == set(HABITS)
    assert min(methods.values()) > 50
    assert any("total" in one.body for one in planned)
    networks = {one.body["method"].get("network") for one in planned}
    assert {"visa", "mastercard", "unionpay"} <= networks


def test_each_payment_has_a_key_of_its_own(planned: list[Planned]) -> None:
    assert len({one.key for one in planned}) == len(planned)


def test_amounts_are_whole_kopecks_above_nothing(planned: list[Planned]) -> None:
    for one in planned:
        kopecks = one.body.get("amount", one.body.get("total"))
        assert type(kopecks) is int
        assert kopecks > 0
        assert sum(one.body.get("designation", {}).values()) <= kopecks


def test_methods_are_what_the_gateway_takes(planned: list[Planned]) -> None:
    """No masked number passes for a whole one, and a bill's own code names its account."""
    for one in planned:
        facts = normalise(one.body["method"])
        if facts.type == "qr":
            assert facts.subscriber_account == one.body["subscriber_account"]
            assert facts.warnings == ()


def test_a_printed_code_says_what_the_bill_says(region: Region) -> None:
    bill = region.bills[5]
    code = bill_qr.parse(printed_code(region, bill, owed_of(bill)))
    assert code.subscriber_account == bill.subscriber_account
    assert code.sum_kopecks == owed_of(bill)
    assert code.period == "2026-10"
    assert code.warnings == ()


def test_public_codes_are_read_as_published() -> None:
    found = [bill_qr.parse(code.payload) for code in PUBLIC_QR]
    assert [code.sum_kopecks for code in found] == [code.kopecks for code in PUBLIC_QR]
    assert [code.encoding for code in found] == ["text", "text", "cp1251", "koi8-r", "text"]
    swing = [code.fields for code in found[1:4]]
    assert swing[0] == swing[1] == swing[2]
    assert [code.subscriber_account for code in found] == [None] * 4 + [HOUSEHOLD_ACCOUNT]


def test_public_codes_have_an_account_named_or_typed(region: Region) -> None:
    bodies = [one.body for one in Payers(region, SEED, "x", PAID_AT).with_public_codes()]
    assert ["subscriber_account" in body for body in bodies] == [True] * 4 + [False]
    accounts = {bill.subscriber_account for bill in region.bills}
    assert HOUSEHOLD_ACCOUNT in accounts
    assert not accounts & {body.get("subscriber_account") for body in bodies}


def test_one_seed_makes_one_day(region: Region, planned: list[Planned]) -> None:
    assert Payers(region, SEED, "demo-1", PAID_AT).ordinary(1_000) == planned
