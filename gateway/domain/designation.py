"""A payer's designation when the money is placed later than it was given."""

from collections.abc import Collection, Sequence


def still_meant(
    designation: Sequence[tuple[str, int]], services: Collection[str], amount: int
) -> tuple[tuple[str, int], ...]:
    """The designation where the bill knows its services and the amount covers it, else nothing."""
    named = all(service in services for service, _ in designation)
    within = sum(kopecks for _, kopecks in designation) <= amount
    return tuple(designation) if named and within else ()
