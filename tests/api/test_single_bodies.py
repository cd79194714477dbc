"""Single bodies: one of a form met before gives what reading it the general way does."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import decode
from gateway.api.payment_forms import FORMS_MAX
from gateway.api.single_bodies import BODIES_MIN, CALLERS_MAX, TRIES_MAX, SingleBodies
from gateway.domain.payment import PaymentRequest
from tests.api.test_bulk_lines import FORMS, QUIET, SIGNS, VALUES, shown

CALLER, KEY = 7, "2026-11-12/1"


def body(line: bytes, **changes: Any) -> bytes:
    """A line of a bulk body without its key: a body of a payment alone."""
    told = orjson.loads(line) | changes
    del told["idempotency_key"]
    return orjson.dumps(told)


BODIES = [body(line) for line in FORMS]


def plain(content: bytes) -> Any:
    """What a body is the general way: all but the id, or the refusal's words."""
    return read(lambda: decode.payment(content, KEY, CALLER))


def read(reading: Any) -> Any:
    try:
        return shown(reading())
    except Exception as failure:
        return shown(failure)


def knowing(*contents: bytes) -> SingleBodies:
    """A reader that has met the forms of these bodies."""
    reader = SingleBodies()
    for content in contents:
        for _ in range(BODIES_MIN):
            reader.read(content, KEY, CALLER)
    return reader


@pytest.mark.parametrize("content", BODIES)
def test_a_form_that_was_met_often_is_read_by_itself(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plain(content)
    reader = knowing(content)

    def general(*_: object) -> None:
        raise AssertionError("Expected a body to be read by its form")

    monkeypatch.setattr(decode, "payment", general)
    first, second = (reader.read(content, KEY, CALLER) for _ in range(2))
    assert isinstance(first, PaymentRequest)
    assert isinstance(second, PaymentRequest)
    assert shown(first) == shown(second) == expected
    assert first.id != second.id
    # What one caller's habit is says nothing of another's.
    with pytest.raises(AssertionError):
        reader.read(content, KEY, CALLER + 1)


@pytest.mark.parametrize("name", [name for name in VALUES if name != "idempotency_key"])
def test_a_value_out_of_the_usual_is_what_it_is_the_general_way(name: str) -> None:
    reader = knowing(*BODIES[:2])
    for value in VALUES[name]:
        content = body(FORMS[0], **{name: value})
        assert read(lambda one=content: reader.read(one, KEY, CALLER)) == plain(content), value


@QUIET
@given(
    st.sampled_from(BODIES),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(SIGNS), st.integers(0, 2)),
        min_size=1,
        max_size=3,
    ),
)
def test_a_bent_body_is_what_it_is_the_general_way(
    content: bytes, bends: list[tuple[float, int, int]]
) -> None:
    bent = bytearray(content)
    for where, sign, kind in bends:
        at = int(where * len(bent))
        bent[at : at + (kind > 0)] = [] if kind == 1 else [sign]
    reader = knowing(*BODIES[:FORMS_MAX])
    assert read(lambda: reader.read(bytes(bent), KEY, CALLER)) == plain(bytes(bent))


def test_a_body_that_brings_a_key_is_refused_whatever_was_met() -> None:
    reader = knowing(BODIES[0])
    assert read(lambda: reader.read(FORMS[0], KEY, CALLER)) == plain(FORMS[0])
    assert plain(FORMS[0])[0] is not dict


def test_what_is_remembered_is_bounded() -> None:
    reader = SingleBodies()
    for spaces in range(BODIES_MIN + 3 * FORMS_MAX):
        reader.read(BODIES[0] + b" " * spaces, KEY, CALLER)
    assert len(reader._callers[CALLER].forms) == FORMS_MAX
    cash = body(FORMS[0], method={"type": "cash", "terminal": "K1"})
    for _ in range(BODIES_MIN + 2 * TRIES_MAX):
        reader.read(cash, KEY, CALLER + 1)
    assert reader._callers[CALLER + 1].tries == TRIES_MAX
    for caller in range(CALLERS_MAX + 5):
        reader.read(cash, KEY, 1_000 + caller)
    assert len(reader._callers) == CALLERS_MAX
