"""The table of a try's states: what no event may ever do, and the audit that looks for it."""

import pytest

from gateway.acquirers.words import ANSWERS
from gateway.audit import report
from gateway.domain.states import ACQUIRER_REFUND, AUTHORISATION
from gateway.flows.hear_acquirer import EVENTS
from tests.acquirers.conftest import Pair
from tests.acquirers.test_refunds_by_acquirer import refund

TRIES = ("asking", "pending", "unknown", "taken", "accepted", "declined")
REFUNDS = ("asking", "pending", "unknown", "given", "refunded", "declined")


def test_every_answer_has_its_event_and_every_state_takes_every_event() -> None:
    assert set(EVENTS) == set(ANSWERS)
    for table, states in ((AUTHORISATION, TRIES), (ACQUIRER_REFUND, REFUNDS)):
        assert set(table.values()) == set(states) - {"asking"} | ({"asking"} & set(table.values()))
        for state in states:
            assert {event for at, event in table if at == state} >= set(EVENTS.values()), state


@pytest.mark.parametrize(
    ("table", "there"),
    [(AUTHORISATION, ("taken", "accepted")), (ACQUIRER_REFUND, ("given", "refunded"))],
)
def test_money_that_moved_stays_moved(
    table: dict[tuple[str, str], str], there: tuple[str, str]
) -> None:
    """Whatever is heard afterwards; and only the word that it moved leads there."""
    for (state, event), following in table.items():
        if state in there:
            assert following in there, (state, event)
        elif following in there:
            assert event == "take", (state, event)
        if event == "book":
            assert state in there, state


def test_nothing_but_what_was_told_declines() -> None:
    declining = {(s, e) for (s, e), to in AUTHORISATION.items() if to == "declined"}
    assert {event for state, event in declining if state != "declined"} == {"decline", "miss"}
    assert ("pending", "miss") not in declining, "it knew of the order before"


DAMAGE = {
    "a payment that its acquirer was never asked for": (
        "authorisation_wrong",
        "DELETE FROM acquirer_refunds; DELETE FROM authorisations",
    ),
    "a try that is accepted and no payment": (
        "authorisation_wrong",
        "INSERT INTO authorisations SELECT (jsonb_populate_record(a, jsonb_build_object("
        "'id', gen_random_uuid(), 'reference', 'other', 'operation', 'other'))).*"
        " FROM authorisations AS a",
    ),
    "a payment of a try that was declined": (
        "authorisation_wrong",
        "UPDATE authorisations SET state = 'declined', reason = 'other', holds_reference = false",
    ),
    "another sum than was asked": (
        "authorisation_wrong",
        "UPDATE authorisations SET amount = amount + 1",
    ),
    "another surcharge than was told": (
        "authorisation_wrong",
        "UPDATE authorisations SET surcharge = surcharge + 1",
    ),
    "a refund that was never given": (
        "acquirer_refund_wrong",
        "UPDATE acquirer_refunds SET state = 'declined', reason = 'other'",
    ),
    "another refund than was given": (
        "acquirer_refund_wrong",
        "UPDATE acquirer_refunds SET amount = amount + 1",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_the_audit_finds(pair: Pair, damage: str) -> None:
    paid = (await pair.pay("approve")).json
    assert (await refund(pair, paid["id"], 300)).json["state"] == "refunded"
    assert (await report.run(pair.gateway.database_url))["problems"] == []
    check, statement = DAMAGE[damage]
    await pair.conn.execute(statement)
    found = await report.run(pair.gateway.database_url)
    assert check in dict(found["found"])  # type: ignore[call-overload]
