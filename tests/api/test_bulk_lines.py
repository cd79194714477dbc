"""Lines of a bulk body: a line of a form met before gives what reading it the general way does."""

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import decode
from gateway.api.bulk_lines import LINES_MIN, BulkLines
from gateway.api.payment_forms import FORMS_MAX
from gateway.domain.payment import PaymentRequest

QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
CALLER = 7
CARD = {
    "type": "card",
    "network": "visa",
    "masked_pan": "427644******1234",
    "rrn": "123456789012",
    "authorization_code": "004711",
    "terminal": "K1",
}
TYPE = {"network": "visa", "type": "card"}


def body(**changes: Any) -> dict[str, Any]:
    usual = {
        "idempotency_key": "2026-11-12/1",
        "subscriber_account": "220012345",
        "amount": 154_301,
        "currency": "RUB",
        "paid_at": "2026-11-12T09:31:07+07:00",
        "method": CARD,
        "reference": "op 1",
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}


def plain(line: bytes) -> Any:
    """What the line is the general way: all but the id, or the refusal's words."""
    try:
        return shown(decode.bulk_payment(line, CALLER))
    except Exception as failure:
        return shown(failure)


def shown(read: PaymentRequest | Exception) -> Any:
    if isinstance(read, PaymentRequest):
        return {name: getattr(read, name) for name in read.__struct_fields__ if name != "id"}
    return type(read), str(read)


def knowing(*lines: bytes) -> BulkLines:
    """A reader that has met the forms of these lines."""
    reader = BulkLines(CALLER)
    for line in lines:
        reader.read([line] * LINES_MIN)
    return reader


def without_the_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def general(*_: object) -> None:
        raise AssertionError("Expected a line to be read by its form")

    monkeypatch.setattr(decode, "bulk_payment", general)


OF_ONE_FORM: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {"amount": 1, "subscriber_account": "A-b_c./9" * 3, "idempotency_key": "~"}),
    ({}, {"reference": "x" * 128, "paid_at": "2099-12-31T23:59:59.999999Z"}),
    ({}, {"amount": 9_999_999_999_999, "idempotency_key": "k" * 255}),
    ({"amount": None, "total": 5}, {"amount": None, "total": 10**12}),
    ({"paid_at": None, "reference": None}, {"paid_at": None, "reference": None, "amount": 3}),
    (
        {"currency": None, "method": {"masked_pan": "427644****0001", **TYPE}},
        {"currency": None, "method": {"masked_pan": "220000*********9999", **TYPE}},
    ),
    ({}, {"method": CARD | {"rrn": "0" * 40, "authorization_code": "z" * 12}}),
)


@pytest.mark.parametrize(("first", "second"), OF_ONE_FORM)
@pytest.mark.parametrize("spaced", [False, True])
def test_lines_of_one_form_are_read_by_it_to_the_same_payment(
    first: dict[str, Any], second: dict[str, Any], spaced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = orjson.OPT_INDENT_2 if spaced else 0
    known, line = (
        orjson.dumps(body(**changes), option=option).replace(b"\n", b"\t")
        for changes in (first, second)
    )
    expected = plain(line)
    assert isinstance(expected, dict)
    reader = knowing(known)
    without_the_general_way(monkeypatch)
    (read,) = reader.read([line])
    assert shown(read) == expected


VALUES: dict[str, list[Any]] = {
    "idempotency_key": ["", "a b", "ё", "k" * 256, "\x7f", 5, None, 'quo"te', "back\\slash"],
    "subscriber_account": ["", "a b", "x" * 31, "лс1", 220012345],
    "amount": [0, -1, 10**13, 10**13 + 1, 10**14, 1.5, 1e3, "5", True, None],
    "currency": ["USD", "rub", None],
    "paid_at": [
        *("2026-11-12", "2026-11-12T09:31:07", "1999-11-12T09:31:07Z", "2026-13-12T09:31:07Z"),
        *("2026-11-12T09:31:07.1234567Z", "2026-11-12 09:31:07+07:00", "2026-11-12T09:31:60Z"),
        *("2026-11-12T09:31:07-00:00", "0000-00-00T00:00:00+00:00", "2100-01-01T00:00:00+00:01"),
        *("2099-12-31T23:59:59-23:59", 5),
    ],
    "reference": ["", "x" * 129, "a\tb", "\x7f", "ё", "4276440000001234", 7],
    "designation": [{"heating": 5}, {}, {"4276440000001234": 1}],
    "total": [5],
    "unknown": [1],
    "method": [
        *(CARD | {"network": "Visa"}, CARD | {"masked_pan": "4276440000001234"}),
        *(CARD | {"masked_pan": "427644**********1234"}, CARD | {"masked_pan": "4276441***1234"}),
        *(CARD | {"rrn": "4276440000001234"}, CARD | {"rrn": ""}, CARD | {"type": "mir"}),
        *(CARD | {"type": "sbp"}, CARD | {"cvv": "1"}, {"type": "cash", "terminal": "K1"}),
        *(CARD | {"terminal": "4276 4400 0000 1234"}, CARD | {"terminal": "Касса"}, {}, "card"),
    ],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_out_of_the_usual_is_what_it_is_the_general_way(name: str) -> None:
    reader = knowing(orjson.dumps(body()))
    for value in VALUES[name]:
        line = orjson.dumps(body() | {name: value})
        assert shown(reader.read([line])[0]) == plain(line), value
        # And as the first of a form, which must not be remembered for what it is not.
        lines = [line] * LINES_MIN + [orjson.dumps(body(amount=2) | {name: value})]
        assert [shown(read) for read in BulkLines(CALLER).read(lines)] == list(map(plain, lines))


FORMS = [orjson.dumps(body(**first)) for first, _ in OF_ONE_FORM]
SIGNS = list(b'"\\{}[]:, \t\r\x00\x7f0159-+.eEaZ*%\xd0\xff/')


@QUIET
@given(
    st.sampled_from(FORMS),
    st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(SIGNS), st.integers(0, 2)),
        min_size=1,
        max_size=3,
    ),
)
def test_a_bent_line_is_what_it_is_the_general_way(
    line: bytes, bends: list[tuple[float, int, int]]
) -> None:
    bent = bytearray(line)
    for where, sign, kind in bends:
        at = int(where * len(bent))
        bent[at : at + (kind > 0)] = [] if kind == 1 else [sign]
    content = bytes(bent)
    (read,) = knowing(*FORMS).read([content])
    assert shown(read) == plain(content)
    lines = [content] * LINES_MIN + [line]
    assert [shown(read) for read in BulkLines(CALLER).read(lines)] == list(map(plain, lines))


def test_a_key_that_stands_twice_is_refused_by_any_reader() -> None:
    line = orjson.dumps(body())
    twice = line.replace(b'"amount":', b'"amount":1,"amount":', 1)
    (read,) = knowing(line).read([twice])
    assert isinstance(read, Exception)
    assert shown(read) == plain(twice)


def test_a_body_of_ever_new_forms_is_read_with_few_remembered() -> None:
    reader = BulkLines(CALLER)
    for spaces in range(3 * FORMS_MAX):
        line = orjson.dumps(body()) + b" " * spaces
        assert [shown(read) for read in reader.read([line] * LINES_MIN)] == [
            plain(line)
        ] * LINES_MIN
    assert len(reader._forms) == FORMS_MAX


def test_every_payment_of_a_form_has_an_id_of_its_own() -> None:
    line = orjson.dumps(body())
    read = BulkLines(CALLER).read([line] * LINES_MIN)
    assert len({one.id for one in read if isinstance(one, PaymentRequest)}) == LINES_MIN
