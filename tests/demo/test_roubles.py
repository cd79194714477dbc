"""How kopecks are shown to people."""

import pytest

from gateway.demo.roubles import percent, roubles


@pytest.mark.parametrize(
    ("kopecks", "shown"),
    [
        (0, "0.00"),
        (1, "0.01"),
        (-1, "−0.01"),
        (99, "0.99"),
        (100, "1.00"),
        (99_999, "999.99"),
        (100_000, "1 000.00"),
        (123_456_789, "1 234 567.89"),
        (-123_456_705, "−1 234 567.05"),
        # Past 2^53 a float would already have lost a kopeck.
        (9_007_199_254_740_993, "90 071 992 547 409.93"),
    ],
)
def test_kopecks_become_roubles(kopecks: int, shown: str) -> None:
    assert roubles(kopecks) == shown.replace(" ", "\u202f")


@pytest.mark.parametrize("other", [True, 1.0, "1", None])
def test_only_whole_kopecks_are_shown(other: object) -> None:
    with pytest.raises(TypeError):
        roubles(other)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ppm", "shown"),
    [
        (0, "0 %"),
        (1, "0.0001 %"),
        (400, "0.04 %"),
        (15_000, "1.5 %"),
        (120_000, "12 %"),
        (1_000_000, "100 %"),
    ],
)
def test_parts_per_million_become_percent(ppm: int, shown: str) -> None:
    assert percent(ppm) == shown.replace(" ", "\u202f")
