"""What counts as paid on a bill when it is replaced, or when money is given back (pure).

Payments name services through their shares; a bill that replaces another may have other charges.
"""

from collections.abc import Mapping, Sequence

from gateway.domain.bill import BY_WEIGHTS
from splitcore import Fees, Plan, pack, split_payment, unpack


def carried(
    plan: Plan, service_index: Mapping[str, int], due: bytes, received: Mapping[str, int]
) -> bytes:
    """What is paid on each charge (packed) once services received these kopecks before.

    Each service's money fills its charges as a designation to it would; what a service received
    that the bill no longer names was spent on it all the same, and counts nowhere else.
    """
    dues = unpack(due)
    named = [
        (service_index[service], kopecks)
        for service, kopecks in received.items()
        if kopecks > 0 and service in service_index
    ]
    if not named:
        return pack([0] * len(dues))
    amount = sum(kopecks for _, kopecks in named)
    fees = Fees([None] * plan.recipients)
    split = split_payment(plan, fees, amount, dues, None, None, BY_WEIGHTS, False, None, named)
    return pack(split.charges)


def taken_back(paid: bytes, charges: Sequence[int]) -> bytes:
    """Paid (packed) less what each charge gives back, for a payment to this very bill."""
    left = [before - back for before, back in zip(unpack(paid), charges, strict=True)]
    return pack([max(kopecks, 0) for kopecks in left])


def taken_back_by_service(
    paid: bytes, services: Sequence[str], tiers: Sequence[int], back: Mapping[str, int]
) -> bytes:
    """Paid (packed) less what services give back of payments to an earlier bill.

    What was filled last is emptied first: higher tiers before lower, later charges before earlier.
    """
    left = unpack(paid)
    remaining = dict(back)
    order = sorted(range(len(left)), key=lambda at: (tiers[at], at), reverse=True)
    for at in order:
        take = min(left[at], remaining.get(services[at], 0))
        left[at] -= take
        remaining[services[at]] = remaining.get(services[at], 0) - take
    return pack(left)


def given_back_by_service(
    paid: bytes, due: bytes, services: Sequence[str], tiers: Sequence[int], back: Mapping[str, int]
) -> bytes:
    """Paid (packed) and what services get back of what was taken from them before.

    What was filled first is filled first: lower tiers before higher, earlier charges before later;
    what no charge of a service owes goes to its last one. Services that the bill does not name
    count nowhere.
    """
    left, dues = unpack(paid), unpack(due)
    remaining = dict(back)
    order = sorted(range(len(left)), key=lambda at: (tiers[at], at))
    for at in order:
        take = min(max(dues[at] - left[at], 0), remaining.get(services[at], 0))
        left[at] += take
        remaining[services[at]] = remaining.get(services[at], 0) - take
    for at in reversed(order):
        left[at] += remaining.pop(services[at], 0)
    return pack(left)


def given_back(paid: bytes, charges: Sequence[int]) -> bytes:
    """Paid (packed) and what each charge gets back, for a payment to this very bill."""
    return pack([before + back for before, back in zip(unpack(paid), charges, strict=True)])
