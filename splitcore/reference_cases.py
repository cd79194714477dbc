"""The reference's `kopeck split`: one case of the case files, from its JSON value to its result.

First the shape of everything, then the limits in the order of CODES, then the split. A value is
told in a refusal only when it is an integer; recipients' names never are.
"""

from dataclasses import dataclass
from typing import Any

from splitcore.errors import SplitError, found
from splitcore.limits import (
    AMOUNT_MAX,
    CHARGES_MAX,
    PPM,
    SECOND_LEVEL_MAX,
    TIER_MAX,
    TOTAL_MAX,
)
from splitcore.reference import (
    BY_WEIGHTS,
    REJECT,
    fee_of,
    hamilton,
    rule_in_range,
    rule_range,
    split_charges,
    total_amount,
    whole,
    within,
)
from splitcore.shapes import FeeRule


@dataclass(frozen=True)
class _Charge:
    recipient: str
    due: int
    tier: int
    weight: int
    second_level: list[tuple[str, int]]


@dataclass(frozen=True)
class _Case:
    amount: int
    is_total: bool
    charges: list[_Charge]
    designation: dict[int, int]
    overpayment: int
    surcharge: FeeRule
    commissions: dict[str, FeeRule]


def split_case(case: object) -> dict[str, Any]:
    """The allocation of one case, as the case files have it. SplitError: every code of CODES."""
    read = _read_case(case)
    amount, surcharge = _check_limits(read)
    named = sum(read.designation.values())
    within(named, 0, amount, "designation_exceeds_amount", "the sum of the designation")
    charges = split_charges(
        amount,
        [charge.due for charge in read.charges],
        [charge.tier for charge in read.charges],
        [charge.weight for charge in read.charges],
        read.overpayment,
        [read.designation.get(i, 0) for i in range(len(read.charges))],
    )
    shares = _shares(read, charges)
    return {
        "amount": amount,
        "surcharge": surcharge,
        "total": within(amount + surcharge, 0, TOTAL_MAX, "total_out_of_range", "the total"),
        "charges": charges,
        "shares": shares,
        "recipients": _recipients(read, shares),
    }


def _shares(read: _Case, charges: list[int]) -> list[dict[str, Any]]:
    shares = []
    for i, (charge, received) in enumerate(zip(read.charges, charges, strict=True)):
        entries = charge.second_level
        own = (charge.recipient, PPM - sum(ppm for _, ppm in entries))
        parts = [*entries, own]
        kopecks = hamilton(received, [ppm for _, ppm in parts])
        shares += [
            {"charge": i, "recipient": recipient, "amount": amount}
            for (recipient, _), amount in zip(parts, kopecks, strict=True)
            if amount > 0
        ]
    return shares


def _recipients(read: _Case, shares: list[dict[str, Any]]) -> list[dict[str, Any]]:
    gross: dict[str, int] = {}
    for share in shares:
        gross[share["recipient"]] = gross.get(share["recipient"], 0) + share["amount"]
    rows = []
    for recipient, x in gross.items():
        commission = min(fee_of(x, read.commissions.get(recipient, FeeRule())), x)
        row = {"recipient": recipient, "gross": x, "commission": commission, "net": x - commission}
        rows.append(row)
    return rows


def _check_limits(read: _Case) -> tuple[int, int]:
    """Everything against its limits in the order of CODES: (amount, surcharge)."""
    most = TOTAL_MAX if read.is_total else AMOUNT_MAX
    within(read.amount, 1, most, "amount_out_of_range", "the amount")
    if read.is_total and rule_in_range(read.surcharge):
        total_amount(read.amount, read.surcharge)
    within(len(read.charges), 1, CHARGES_MAX, "charges_out_of_range", "the number of charges")
    for i, charge in enumerate(read.charges):
        within(charge.due, 0, AMOUNT_MAX, "due_out_of_range", f"the due of charge {i}")
    for i, charge in enumerate(read.charges):
        within(charge.tier, 0, TIER_MAX, "tier_out_of_range", f"the tier of charge {i}")
    for i, charge in enumerate(read.charges):
        within(charge.weight, 0, AMOUNT_MAX, "weight_out_of_range", f"the weight of charge {i}")
    for i, charge in enumerate(read.charges):
        _check_second_level(charge.second_level, i)
    for rule in (read.surcharge, *read.commissions.values()):
        rule_range(rule, "a fee's")
    for i, kopecks in read.designation.items():
        within(kopecks, 0, AMOUNT_MAX, "designation_out_of_range", f"the designation of charge {i}")
    if read.is_total:
        return total_amount(read.amount, read.surcharge)
    return read.amount, fee_of(read.amount, read.surcharge)


def _check_second_level(entries: list[tuple[str, int]], charge: int) -> None:
    code, where = "second_level_out_of_range", f"of charge {charge}"
    within(len(entries), 0, SECOND_LEVEL_MAX, code, f"the number of entries {where}")
    for _, ppm in entries:
        within(ppm, 0, PPM, code, f"ppm {where}")
    within(sum(ppm for _, ppm in entries), 0, PPM, code, f"the sum of ppm {where}")


def _object(value: object, required: set[str], optional: set[str], where: str) -> dict[str, Any]:
    """The value itself if it is an object with those keys and no others."""
    if type(value) is not dict:
        raise SplitError("malformed", f"Expected an object as {where}, was {found(value)}")
    if not required <= value.keys() or not value.keys() <= required | optional:
        raise SplitError("malformed", f"Expected only the known keys in {where}, was others")
    return value


def _text(value: object, where: str) -> str:
    if type(value) is not str:
        raise SplitError("malformed", f"Expected a string as {where}, was {found(value)}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if type(value) is not list:
        raise SplitError("malformed", f"Expected an array as {where}, was {found(value)}")
    return value


def _read_case(case: object) -> _Case:
    optional = {"amount", "total", "designation", "overpayment", "surcharge", "commissions"}
    fields = _object(case, {"charges"}, optional, "a case")
    if ("amount" in fields) == ("total" in fields):
        raise SplitError("malformed", "Expected an amount or a total, was neither or both")
    is_total = "total" in fields
    charges = [
        _read_charge(charge, i) for i, charge in enumerate(_list(fields["charges"], "the charges"))
    ]
    commissions = fields.get("commissions", {})
    if type(commissions) is not dict:
        raise SplitError("malformed", f"Expected an object, was {found(commissions)}")
    return _Case(
        amount=whole(fields["total"] if is_total else fields["amount"], "the amount"),
        is_total=is_total,
        charges=charges,
        designation=_read_designation(fields.get("designation", {}), len(charges)),
        overpayment=_read_overpayment(fields.get("overpayment", "weights"), len(charges)),
        surcharge=_read_rule(fields.get("surcharge", {})),
        commissions={
            _text(name, "a recipient"): _read_rule(rule) for name, rule in commissions.items()
        },
    )


def _read_charge(value: object, i: int) -> _Charge:
    optional = {"service", "tier", "weight", "second_level"}
    fields = _object(value, {"recipient", "due"}, optional, f"charge {i}")
    if "service" in fields:
        _text(fields["service"], "a service")
    entries = []
    for entry in _list(fields.get("second_level", []), f"the second level of charge {i}"):
        part = _object(entry, {"recipient", "ppm"}, set(), f"the second level of charge {i}")
        entries.append((_text(part["recipient"], "a recipient"), whole(part["ppm"], "ppm")))
    due = whole(fields["due"], f"the due of charge {i}")
    return _Charge(
        recipient=_text(fields["recipient"], "a recipient"),
        due=due,
        tier=whole(fields.get("tier", 0), f"the tier of charge {i}"),
        weight=whole(fields.get("weight", due), f"the weight of charge {i}"),
        second_level=entries,
    )


def _read_designation(value: object, charges: int) -> dict[int, int]:
    """Kopecks by charge; a key is the charge's index in plain decimal digits."""
    if type(value) is not dict:
        raise SplitError("malformed", f"Expected an object, was {found(value)}")
    named = {str(i): i for i in range(charges)}
    designation = {}
    for key, kopecks in value.items():
        if type(key) is not str or key not in named:
            raise SplitError("malformed", "Expected a charge's index as designation, was another")
        designation[named[key]] = whole(kopecks, "a designated amount")
    return designation


def _read_overpayment(value: object, charges: int) -> int:
    if type(value) is str and value in ("weights", "reject"):
        return BY_WEIGHTS if value == "weights" else REJECT
    index = whole(_object(value, {"charge"}, set(), "the overpayment")["charge"], "a charge")
    return within(index, 0, charges - 1, "malformed", "the overpayment's charge")


def _read_rule(value: object) -> FeeRule:
    fields = _object(value, set(), set(FeeRule._fields), "a fee")
    return FeeRule(**{name: whole(number, f"a fee's {name}") for name, number in fields.items()})
