"""The part of the table about loading bills, on a region of a few accounts."""

from pathlib import Path

from loadtests.rows import bills
from loadtests.stage import Stage


def test_first_bills_and_the_next_are_loaded_and_compared(tmp_path: Path) -> None:
    with Stage(2, tmp_path, workers=1) as stage:
        first, following = bills.part(stage, accounts=120)
    assert [row.name for row in (first, following)] == ["load_bills", "next_bills"]
    assert first.what == "loading 120 bills of 8 charges, 60 a request"
    for row in (first, following):
        assert row.against is not None
        assert len(row.measured.values) == len(row.against.values) == 2
        assert min(*row.measured.values, *row.against.values) > 0
