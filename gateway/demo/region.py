"""A region from a seed: recipients with valid requisites, houses, households and their bills.

Pure: one seed gives the same region every time. Amounts are whole kopecks from the start.
"""

import random
from typing import Any, Final

from msgspec import Struct

from gateway.demo import names
from gateway.demo.public_qr import HOUSEHOLD_ACCOUNT
from gateway.domain.bill import Bill, Charge, OverpaymentCharge, SecondLevel
from gateway.domain.requisites import account_with_key, inn_with_check_digits

FLATS_MAX: Final = 50
CHARGES_MIN: Final = 6
CHARGES_MAX: Final = 10

OLD_DEBT: Final = 0
CURRENT: Final = 1
PENALTY: Final = 2

# Surcharges that the payer pays on top, by method.
SURCHARGES: Final[dict[str, dict[str, int]]] = {
    "card": {"ppm": 10_000, "min": 100},
    "mir": {"ppm": 7_000, "min": 100},
    "cash": {"ppm": 20_000, "min": 1_500, "max": 30_000},
    "qr": {"ppm": 4_000, "max": 150_000},
    "apple_pay": {"ppm": 9_000},
    "google_pay": {"ppm": 9_000},
}

_LIFT: Final = SecondLevel(names.LIFT.id, 120_000)
_COMPANY_OF_HEATING_PPM: Final = 15_000
_COMPANY_OF_WASTE_PPM: Final = 20_000
_KPP: Final = "222501001"
_INN_REGION: Final = "22"


class Registered(Struct, frozen=True):
    """A recipient ready for `PUT /v1/recipients/{id}`: its id and the body."""

    id: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """The organisation's name."""
        return str(self.body["name"])


class House(Struct, frozen=True):
    """A house: what it has decides which charges its households get."""

    address: str
    company: str
    has_lift: bool
    has_intercom: bool
    has_hot_water: bool
    has_gas: bool


class Region(Struct, frozen=True):
    """Everything an operator loads: recipients, surcharges by method, bills."""

    recipients: tuple[Registered, ...]
    surcharges: dict[str, dict[str, int]]
    bills: tuple[Bill, ...]

    @property
    def centre(self) -> Registered:
        """The settlement centre, which bills are paid to and which pays everyone."""
        return next(one for one in self.recipients if one.body["kind"] == "centre")


def generate(seed: int, households: int, period: str) -> Region:
    """The region of `households` accounts with their bills of `period` (`2026-10`)."""
    dice = random.Random(seed)  # noqa: S311  (a sample, not a secret)
    recipients = tuple(_registered(one, dice) for one in names.ORGANISATIONS)
    bills: list[Bill] = []
    number = 0
    while len(bills) < households:
        number += 1
        house = _house(number, dice)
        flats = min(dice.randint(FLATS_MAX // 2, FLATS_MAX), households - len(bills))
        for flat in range(1, flats + 1):
            account = f"22{number:04d}{flat:03d}"
            bills.append(_bill(account, period, house, flat, len(bills), dice))
    # The published bill is somebody's here: it takes the place of the last household.
    last = bills.pop()
    bills.append(_renamed(last, HOUSEHOLD_ACCOUNT))
    return Region(recipients, dict(SURCHARGES), tuple(bills))


def later_period(period: str, months: int) -> str:
    """The period so many months on: `2027-01` is three after `2026-10`."""
    year, month = map(int, period.split("-"))
    counted = year * 12 + month - 1 + months
    return f"{counted // 12:04d}-{counted % 12 + 1:02d}"


def _registered(one: names.Organisation, dice: random.Random) -> Registered:
    bic = one.bank.bic
    number = f"{one.balance_account}8100{dice.randrange(10**11):011d}"
    # A bank's correspondent account ends in the last three digits of its BIC.
    correspondent = f"30101810000000000{bic[-3:]}"
    body: dict[str, Any] = {
        "name": one.name,
        "kind": one.kind,
        "inn": inn_with_check_digits(f"{_INN_REGION}{dice.randrange(10**7):07d}"),
        "kpp": _KPP,
        "bank_account": {
            "bic": bic,
            "number": account_with_key(number, bic),
            "correspondent": account_with_key(correspondent, bic),
            "bank_name": one.bank.name,
        },
    }
    if one.commission is not None:
        body["commission"] = one.commission
    return Registered(one.id, body)


def _house(number: int, dice: random.Random) -> House:
    street = names.STREETS[number % len(names.STREETS)]
    company = names.COMPANIES[number % len(names.COMPANIES)]
    water_or_gas = dice.choice(("hot_water", "hot_water", "gas", "neither"))
    return House(
        address=f"{names.TOWN}, {street}, д. {dice.randint(1, 120)}",
        company=company.id,
        has_lift=dice.random() < 0.5,
        has_intercom=dice.random() < 0.5,
        has_hot_water=water_or_gas == "hot_water",
        has_gas=water_or_gas == "gas",
    )


def _bill(
    account: str, period: str, house: House, flat: int, index: int, dice: random.Random
) -> Bill:
    charges = _with_debt(_charges(house, dice), dice)
    return Bill(
        subscriber_account=account,
        period=period,
        charges=tuple(charges),
        overpayment=_overpayment(index),
        payer={"name": _person(dice), "address": f"{house.address}, кв. {flat}"},
    )


def _overpayment(index: int) -> str | OverpaymentCharge:
    """Most by weights; every fiftieth keeps an advance on its first charge; one takes none."""
    if index == 0:
        return "reject"
    return OverpaymentCharge(0) if index % 50 == 7 else "weights"


def _charges(house: House, dice: random.Random) -> list[Charge]:
    """This period's charges, one a service."""
    area, people = dice.randint(28, 96), dice.randint(1, 5)
    metered = dice.randint(60, 140)  # Percent of the norm, as meters tell.
    company = house.company
    charges = [
        _charge("housing", company, area * 2_914, (_LIFT,) if house.has_lift else ()),
        _charge(
            "heating",
            names.HEAT.id,
            area * 4_873,
            (SecondLevel(company, _COMPANY_OF_HEATING_PPM),),
        ),
        _charge("cold_water", names.WATER.id, people * 21_437 * metered // 100),
        _charge("electricity", names.POWER.id, people * 38_019 * metered // 100),
        _charge(
            "waste",
            names.WASTE.id,
            people * 12_871,
            (SecondLevel(company, _COMPANY_OF_WASTE_PPM),),
        ),
        _charge("capital_repair", names.CAPITAL.id, area * 1_163),
    ]
    if house.has_hot_water:
        charges.append(_charge("hot_water", names.HEAT.id, people * 52_306 * metered // 100))
    if house.has_gas:
        charges.append(_charge("gas", names.GAS.id, people * 9_748))
    if house.has_intercom:
        charges.append(_charge("intercom", names.INTERCOM.id, 6_500))
    if dice.random() < 0.04:
        # Overpaid before: nothing is due, but an advance still goes here by its weight.
        spared = charges[3]
        charges[3] = Charge(spared.service, spared.recipient, 0, CURRENT, weight=spared.due)
    return charges


def _charge(
    service: str, recipient: str, due: int, second_level: tuple[SecondLevel, ...] = ()
) -> Charge:
    return Charge(service, recipient, due, CURRENT, second_level=second_level)


def _with_debt(charges: list[Charge], dice: random.Random) -> list[Charge]:
    """Some owe for earlier periods too: the debt stands first, the penalty on it last.

    An advance belongs to this period's services, so debts and penalties weigh nothing.
    """
    if dice.random() >= 0.3:
        return charges
    owed = charges[dice.randrange(2)]
    debt = owed.due * dice.randint(40, 300) // 100
    penalty = max(1, debt * dice.randint(1, 90) // 3_000)
    return [
        Charge(owed.service, owed.recipient, debt, OLD_DEBT, 0, owed.second_level),
        *charges,
        Charge("penalty", owed.recipient, penalty, PENALTY, 0),
    ]


def _person(dice: random.Random) -> str:
    surname = dice.choice(names.SURNAMES)
    if dice.random() < 0.5:
        return f"{surname}а {dice.choice(names.WOMEN)}"
    return f"{surname} {dice.choice(names.MEN)}"


def _renamed(bill: Bill, account: str) -> Bill:
    return Bill(account, bill.period, bill.charges, bill.overpayment, bill.payer)
