"""Every limit of the splitting core, by name; both backends read them from here.

The relations between them are checked when this file is imported, because the kernel's arithmetic
is only exact while they hold: a limit raised carelessly must stop the program, not wrap an integer.
"""

from typing import Final

AMOUNT_MAX: Final = 10**13  # kopecks: a payment, a due, a weight, a designation, a fixed fee
CHARGES_MAX: Final = 256  # lines of one bill
SECOND_LEVEL_MAX: Final = 16  # second-level entries of one charge
PARTS_MAX: Final = CHARGES_MAX * (SECOND_LEVEL_MAX + 1)  # shares of one payment
PPM: Final = 1_000_000  # the whole, in parts per million
TIER_MAX: Final = 255
TOTAL_MAX: Final = 2**63 - 1  # amount + surcharge, and any value of a packed vector
PAID_MAX: Final = 2**62  # what a charge may have received before a group begins
GROUP_PAYMENTS_MAX: Final = 65_536  # payments of one commit group, and its bills
TEXT_BYTES_MAX: Final = 8_192  # a JSON text whose numbers are taken apart
TEXT_NUMBERS_MAX: Final = 1_024
GROUP_VALUES_MAX: Final = 2**24  # integers a group holds: vectors, designations, results

_RELATIONS: Final = {
    "a sum of weights fits 63 bits": PARTS_MAX * AMOUNT_MAX < 2**63,
    "an amount in ppm and its half-up term fit 64 bits": AMOUNT_MAX * PPM + PPM < 2**64,
    "amount and surcharge fit the total": 3 * AMOUNT_MAX <= TOTAL_MAX,
    "what is paid cannot overflow within a group": (
        PAID_MAX + GROUP_PAYMENTS_MAX * AMOUNT_MAX <= TOTAL_MAX
    ),
    "a service or tier of a plan fits one byte": max(CHARGES_MAX - 1, TIER_MAX) < 2**8,
    "a recipient of a plan fits two bytes": PARTS_MAX <= 2**16,
    "a ppm of a plan fits three bytes": PPM < 2**24,
    "one largest payment fits a group": CHARGES_MAX * 3 + PARTS_MAX * 2 <= GROUP_VALUES_MAX,
}


def check_relations(relations: dict[str, bool]) -> None:
    """Raise RuntimeError naming the relations that do not hold."""
    broken = [name for name, holds in relations.items() if not holds]
    if broken:
        raise RuntimeError(f"Expected the limits to keep their relations, was broken: {broken}")


check_relations(_RELATIONS)
