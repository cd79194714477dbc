"""The reference's plans, fees and packed vectors: the same bytes and names as the kernel's.

A plan is a bill's structure without its amounts; it is checked once, when it is made.
"""

from collections.abc import Iterable, Iterator, Sequence

from splitcore.errors import SplitError, found
from splitcore.limits import CHARGES_MAX, PARTS_MAX, PPM, SECOND_LEVEL_MAX, TIER_MAX, TOTAL_MAX
from splitcore.reference import fee_of, hamilton, rule_range, rule_shape, whole, within
from splitcore.shapes import FeeRule

PLAN_VERSION = 1
Parts = tuple[tuple[int, int], ...]


def pack(values: Iterable[int]) -> bytes:
    """Integers from 0 to 2^63-1 as one width byte (4 or 8) and big-endian integers of that width.

    The width is 4 when every value is below 2^31. SplitError malformed.
    """
    checked = [
        within(whole(value, f"value {i}"), 0, TOTAL_MAX, "malformed", f"value {i}")
        for i, value in enumerate(values)
    ]
    width = 4 if all(value < 2**31 for value in checked) else 8
    return bytes([width]) + b"".join(value.to_bytes(width, "big") for value in checked)


def unpack(packed: bytes) -> list[int]:
    """The integers of a packed vector. SplitError malformed on bytes that are none."""
    if type(packed) is not bytes or len(packed) == 0 or packed[0] not in (4, 8):
        raise SplitError("malformed", "Expected a packed vector of width 4 or 8, was none")
    width = packed[0]
    if (len(packed) - 1) % width:
        raise SplitError("malformed", f"Expected whole integers of {width}, was {len(packed)}")
    values = [
        int.from_bytes(packed[at : at + width], "big", signed=True)
        for at in range(1, len(packed), width)
    ]
    if any(value < 0 for value in values):
        raise SplitError("malformed", "Expected values from 0, was a negative one")
    return values


def packed_sum(packed: bytes) -> int:
    """The sum of a packed vector. SplitError malformed, also for a sum above 2^63-1."""
    return within(sum(unpack(packed)), 0, TOTAL_MAX, "malformed", "the sum")


class PackedSums:
    """Packed vectors of one length added up place by place, however large the sums become.

    `places` 1..PARTS_MAX. SplitError malformed, also for a vector of another length.
    """

    def __init__(self, places: int) -> None:
        within(whole(places, "places"), 1, PARTS_MAX, "malformed", "places")
        self._sums = [0] * places

    def add(self, packed: bytes) -> None:
        """Add a vector, each of its integers to the sum of its place."""
        values = unpack(packed)
        if len(values) != len(self._sums):
            raise SplitError("malformed", f"Expected {len(self._sums)} places, was {len(values)}")
        self._sums = [before + value for before, value in zip(self._sums, values, strict=True)]

    def add_all(self, strung: bytes) -> int:
        """Add vectors strung together: how many there were.

        Of bytes that are not whole vectors of this length, those before the fault are added.
        """
        if type(strung) is not bytes:
            raise SplitError("malformed", f"Expected vectors in bytes, was {found(strung)}")
        count = at = 0
        while at < len(strung):
            end = at + 1 + strung[at] * len(self._sums)
            self.add(strung[at:end])
            count += 1
            at = end
        return count

    def totals(self) -> list[int]:
        """The sum of each place."""
        return list(self._sums)


class Plan:
    """A bill's structure, compiled: its tiers, its services, and who shares in each charge.

    `tiers[i]` 0..255; `services[i]` the service (0..n-1) that charge i belongs to; `parts[i]` pairs
    (recipient index, ppm): second-level entries in order, then the charge's own recipient with the
    ppm that remain. SplitError: malformed, charges_, tier_ or second_level_out_of_range.
    """

    def __init__(
        self,
        tiers: Sequence[int],
        services: Sequence[int],
        parts: Sequence[Sequence[tuple[int, int]]],
    ) -> None:
        if len(tiers) != len(services) or len(tiers) != len(parts):
            raise SplitError("malformed", "Expected as many tiers as services and parts, was not")
        pairs = [_integer_pairs(of_charge, i) for i, of_charge in enumerate(parts)]
        for i, (tier, service) in enumerate(zip(tiers, services, strict=True)):
            whole(tier, f"tier {i}")
            within(whole(service, f"service {i}"), 0, len(tiers) - 1, "malformed", f"service {i}")
        within(len(tiers), 1, CHARGES_MAX, "charges_out_of_range", "the number of charges")
        for i, tier in enumerate(tiers):
            within(tier, 0, TIER_MAX, "tier_out_of_range", f"tier {i}")
        for i, of_charge in enumerate(pairs):
            _check_second_level(of_charge, i)
        self.tiers = tuple(tiers)
        self.services = tuple(services)
        self.by_charge = tuple(pairs)
        self.charges = len(tiers)
        flat = [(i, recipient) for i, of in enumerate(pairs) for recipient, _ in of]
        self.parts = len(flat)
        self.part_charge = tuple(charge for charge, _ in flat)
        self.part_recipient = tuple(recipient for _, recipient in flat)
        self.part_ppm = tuple(ppm for of in pairs for _, ppm in of)
        self.recipients = max(self.part_recipient) + 1

    def to_bytes(self) -> bytes:
        """The canonical bytes: version, count, then each charge; the last part's ppm is implied."""
        out = bytearray([PLAN_VERSION, *self.charges.to_bytes(2, "big")])
        for tier, service, of_charge in zip(self.tiers, self.services, self.by_charge, strict=True):
            out += bytes([tier, service, len(of_charge) - 1])
            out += of_charge[-1][0].to_bytes(2, "big")
            for recipient, ppm in of_charge[:-1]:
                out += recipient.to_bytes(2, "big") + ppm.to_bytes(3, "big")
        return bytes(out)

    @classmethod
    def from_bytes(cls, b: bytes) -> "Plan":
        """The plan of those bytes. SplitError (a ValueError) on anything `to_bytes` never makes."""
        if type(b) is not bytes:
            raise SplitError("malformed", f"Expected a plan's bytes, was {found(b)}")
        ahead = iter(b)
        if _number(ahead, 1) != PLAN_VERSION:
            raise SplitError("malformed", f"Expected a plan of version {PLAN_VERSION}, was another")
        charges = within(_number(ahead, 2), 1, CHARGES_MAX, "malformed", "the number of charges")
        tiers, services, parts = [], [], []
        for i in range(charges):
            tiers.append(_number(ahead, 1))
            services.append(_number(ahead, 1))
            entries = within(_number(ahead, 1), 0, SECOND_LEVEL_MAX, "malformed", f"entries of {i}")
            own = _number(ahead, 2)
            of_charge = [(_number(ahead, 2), _number(ahead, 3)) for _ in range(entries)]
            parts.append([*of_charge, (own, PPM - sum(ppm for _, ppm in of_charge))])
        if next(ahead, None) is not None:
            raise SplitError("malformed", "Expected the end of a plan, was more")
        return cls(tiers, services, parts)

    def split_parts(self, charges: Sequence[int]) -> list[int]:
        """What each part receives when the charges receive that: largest remainder over the ppm."""
        return [
            share
            for received, of_charge in zip(charges, self.by_charge, strict=True)
            for share in hamilton(received, [ppm for _, ppm in of_charge])
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return Plan.from_bytes, (self.to_bytes(),)


def _number(ahead: Iterator[int], width: int) -> int:
    """The next big-endian number of a plan's bytes."""
    number = 0
    for _ in range(width):
        byte = next(ahead, None)
        if byte is None:
            raise SplitError("malformed", "Expected more of a plan, was its end")
        number = number * 256 + byte
    return number


def _integer_pairs(of_charge: Sequence[tuple[int, int]], charge: int) -> Parts:
    """The parts of one charge as pairs of integers, the recipient's index within its bounds."""
    pairs = []
    for pair in of_charge:
        if len(pair) != 2:
            raise SplitError("malformed", f"Expected pairs as parts of charge {charge}, was other")
        recipient, ppm = pair
        whole(recipient, f"a recipient of charge {charge}")
        within(recipient, 0, PARTS_MAX - 1, "malformed", f"a recipient of charge {charge}")
        pairs.append((recipient, whole(ppm, f"ppm of charge {charge}")))
    if not pairs:
        raise SplitError("malformed", f"Expected a part of charge {charge}, was none")
    return tuple(pairs)


def _check_second_level(of_charge: Parts, charge: int) -> None:
    code, where = "second_level_out_of_range", f"of charge {charge}"
    within(len(of_charge), 1, SECOND_LEVEL_MAX + 1, code, f"the number of parts {where}")
    for _, ppm in of_charge:
        within(ppm, 0, PPM, code, f"ppm {where}")
    within(sum(ppm for _, ppm in of_charge), PPM, PPM, code, f"the sum of ppm {where}")


class Fees:
    """One commission rule for each of a plan's recipient indexes, checked once; None is no fee.

    SplitError: malformed, fee_out_of_range.
    """

    def __init__(self, rules: Sequence[FeeRule | None]) -> None:
        if len(rules) > PARTS_MAX:
            raise SplitError("malformed", f"Expected at most {PARTS_MAX} rules, was {len(rules)}")
        shaped = [rule_shape(rule, f"rule {i}") for i, rule in enumerate(rules)]
        self.rules = [rule_range(rule, f"rule {i}") for i, rule in enumerate(shaped)]

    def __len__(self) -> int:
        return len(self.rules)

    def commissions(self, plan: Plan, parts: Sequence[int]) -> list[int]:
        """The commission on each recipient's gross, never more than the gross."""
        gross = [0] * plan.recipients
        for recipient, share in zip(plan.part_recipient, parts, strict=True):
            gross[recipient] += share
        return [min(fee_of(x, rule), x) for x, rule in zip(gross, self.rules, strict=True)]
