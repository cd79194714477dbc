"""The database's own sum of a packed vector, which its last check of a payment rests on."""

import random
from collections.abc import Sequence

import asyncpg
import pytest

EDGES = (0, 1, -1, 2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 10**13)


def packed(numbers: Sequence[int]) -> bytes:
    """One width byte (4 or 8), then signed big-endian integers of that width."""
    width = 4 if all(-(2**31) <= number < 2**31 for number in numbers) else 8
    return bytes((width,)) + b"".join(one.to_bytes(width, signed=True) for one in numbers)


@pytest.mark.parametrize("most", [2**31 - 1, 2**40])
async def test_sums_are_those_of_the_numbers(database_url: str, most: int) -> None:
    dice = random.Random(most)
    vectors = [
        [dice.choice((dice.randint(-most - 1, most), dice.choice(EDGES))) for _ in range(count)]
        for count in (*range(20), 64, 65)
        for _ in range(10)
    ] + [[edge] * count for edge in EDGES for count in range(1, 12)]
    conn = await asyncpg.connect(database_url)
    try:
        rows = await conn.fetch(
            "SELECT packed_sum(v) AS sum FROM unnest($1::bytea[]) WITH ORDINALITY AS u (v, at)"
            " ORDER BY at",
            [packed(vector) for vector in vectors],
        )
    finally:
        await conn.close()
    assert [row["sum"] for row in rows] == [sum(vector) for vector in vectors]
