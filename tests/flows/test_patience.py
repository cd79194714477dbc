"""Tries come further and further apart, and never so far that a payer waits for a pause alone."""

from itertools import islice

from gateway.flows.patience import pauses


def test_pauses_grow_to_a_bound() -> None:
    assert list(islice(pauses(), 6)) == [0.05, 0.1, 0.2, 0.4, 0.4, 0.4]
