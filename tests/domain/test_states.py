"""The tables of states: every state with every event, and what a batch is by its payouts."""

import itertools

import pytest

from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.domain.states import (
    PAYOUT,
    PAYOUT_STATES,
    SETTLEMENT_BATCH,
    next_state,
    told_of_batch,
)

# A row a state, a column an event; a dot where there is no such step.
BATCH = """
    state              cut count  approve  cancel    send execute_some       execute_all return_all
    open               cut .      .        .         .    .                  .           .
    cut                .   closed .        .         .    .                  .           .
    closed             .   .      approved cancelled .    .                  .           .
    approved           .   .      .        cancelled sent partially_executed executed    returned
    sent               .   .      .        .         .    partially_executed executed    returned
    partially_executed .   .      .        .         .    partially_executed executed    returned
    executed           .   .      .        .         .    partially_executed .           returned
    returned           .   .      .        .         .    .                  .           returned
    cancelled          .   .      .        .         .    .                  .           .
"""
PAID = """
    state     send execute  return   cancel
    approved  sent executed returned cancelled
    sent      .    executed returned .
    executed  .    .        returned .
    returned  .    returned .        .
    cancelled .    .        .        .
"""


def steps(drawn: str) -> dict[tuple[str, str], str]:
    head, *rows = (line.split() for line in drawn.strip().splitlines())
    return {
        (row[0], event): following
        for row in rows
        for event, following in zip(head[1:], row[1:], strict=True)
    }


@pytest.mark.parametrize(("table", "drawn"), [(SETTLEMENT_BATCH, BATCH), (PAYOUT, PAID)])
def test_every_state_with_every_event(table: dict[tuple[str, str], str], drawn: str) -> None:
    expected = steps(drawn)
    assert set(table) <= set(expected)
    for (state, event), following in expected.items():
        if following == ".":
            with pytest.raises(Refusal, match=f"state_conflict: .*{event}, was {state}"):
                next_state(table, state, event)
        else:
            assert next_state(table, state, event) == following


def test_a_batch_is_what_its_payouts_are() -> None:
    told = ("approved", "sent", "executed", "returned")
    for count in range(4):
        for states in itertools.product(told, repeat=count):
            if set(states) <= {"approved", "sent"}:
                with pytest.raises(InvariantBroken):
                    told_of_batch(states)
            elif len(set(states)) == 1:
                every = {"executed": "execute_all", "returned": "return_all"}
                assert told_of_batch(states) == every[states[0]]
            else:
                assert told_of_batch(states) == "execute_some"


def test_no_payout_leaves_the_list_of_states() -> None:
    assert {*PAYOUT.values(), "approved"} == set(PAYOUT_STATES)
