"""Lines of bills: a line like one read before is read by its numbers alone, to the same bill."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api import bill_lines, decode
from gateway.api.bill_lines import BillLines
from gateway.domain.bill import Bill, structure_of
from gateway.domain.packed_bill import PackedBill
from gateway.domain.refusals import Refusal
from gateway.flows.bill_forms import BillForms
from splitcore import AMOUNT_MAX, reference_plans

QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)


def plain(line: bytes) -> dict[str, Any] | str:
    """What is to be kept of a line, or its code: by the standard library and the reference."""
    read = BillLines(BillForms()).read([line])[0]
    if isinstance(read, Refusal):
        return read.code
    bill = json.loads(line)
    charges = bill["charges"]
    dues = [charge["due"] for charge in charges]
    told = [charge.get("weight") for charge in charges]
    weights = [due if weight is None else weight for due, weight in zip(dues, told, strict=True)]
    policy = bill.get("overpayment", "weights")
    return {
        "account": bill["subscriber_account"],
        "period": bill["period"],
        "overpayment": policy["charge"]
        if isinstance(policy, dict)
        else {"weights": -1, "reject": -2}[policy],
        "as_of": bill.get("as_of"),
        "structure": [
            [
                *(charge["service"], charge["recipient"], charge.get("tier", 0)),
                [[level["recipient"], level["ppm"]] for level in charge.get("second_level", ())],
            ]
            for charge in charges
        ],
        "due": reference_plans.pack(dues),
        "weight": None if weights == dues else reference_plans.pack(weights),
        "payer": bill.get("payer"),
    }


def shown(read: PackedBill | Refusal) -> dict[str, Any] | str:
    """The same of what was read."""
    if isinstance(read, Refusal):
        return read.code
    form = read.form
    return {
        "account": read.subscriber_account,
        "period": form.period,
        "overpayment": form.overpayment,
        "as_of": None if form.as_of is None else form.as_of.isoformat(),
        "structure": [
            [service, recipient, tier, [[level.recipient, level.ppm] for level in levels]]
            for service, recipient, tier, levels in form.structure
        ],
        "due": read.due,
        "weight": read.weight,
        "payer": None if read.payer is None else json.loads(read.payer),
    }


@st.composite
def charges(draw: st.DrawFn) -> dict[str, Any]:
    kopecks = st.one_of(
        st.sampled_from([0, 1, 2**31 - 1, 2**31, AMOUNT_MAX]), st.integers(0, 10**6)
    )
    charge: dict[str, Any] = {
        "service": draw(st.sampled_from(["heating", "ХВС", "tko 2", "x" * 64])),
        "recipient": draw(st.sampled_from(["heat", "uk-7"])),
        "due": draw(kopecks),
    }
    for name, values in (
        ("tier", st.integers(0, 2)),
        ("weight", st.one_of(st.none(), kopecks)),
        (
            "second_level",
            st.lists(
                st.fixed_dictionaries({"ppm": st.integers(0, 2), "recipient": st.just("uk")}),
                max_size=2,
            ),
        ),
    ):
        if draw(st.booleans()):
            charge[name] = draw(values)
    return dict(draw(st.permutations(list(charge.items()))))


@st.composite
def bills(draw: st.DrawFn) -> dict[str, Any]:
    bill: dict[str, Any] = {
        "subscriber_account": draw(st.sampled_from(["1", "22-0/a.b_C", "9" * 30])),
        "period": draw(st.sampled_from(["2026-10", "2026-11"])),
        "charges": draw(st.lists(charges(), min_size=1, max_size=12)),
    }
    for name, values in (
        ("overpayment", st.sampled_from(["weights", "reject", {"charge": 0}])),
        ("as_of", st.just("2026-11-01T00:00:00+07:00")),
        ("payer", st.sampled_from([None, "Ю. Petrov", {"name": "Иванова", "rooms": [2, 1.5]}])),
    ):
        if draw(st.integers(0, 3)) == 0:
            bill[name] = draw(values)
    return dict(draw(st.permutations(list(bill.items()))))


def renumbered(draw: st.DrawFn, value: Any, name: str = "") -> Any:
    """The same bill with other money, and sometimes another tier or account."""
    if isinstance(value, dict):
        return {key: renumbered(draw, inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [renumbered(draw, inner, name) for inner in value]
    if isinstance(value, int) and name in ("due", "weight"):
        return draw(st.integers(0, AMOUNT_MAX))
    if isinstance(value, str) and name in ("payer", "name"):
        return draw(st.sampled_from(["", 'Ю. "Ж" \\{', "}", "\n", "4111 1111 1111 1111"]))
    if name == "tier":
        return draw(st.integers(0, 1))
    return f"a{draw(st.integers(0, 9))}" if name == "subscriber_account" else value


@st.composite
def loads(draw: st.DrawFn) -> list[bytes]:
    """Lines of a few forms, many times each."""
    separators = draw(st.sampled_from([None, (",", ":")]))
    lines = []
    for bill in draw(st.lists(bills(), min_size=1, max_size=3)):
        for one in (bill, *(renumbered(draw, bill) for _ in range(4))):
            ascii_only = draw(st.booleans())
            text = json.dumps(one, ensure_ascii=ascii_only, separators=separators)
            lines.append(text.encode())
    return draw(st.permutations(lines))


class Strictly:
    """Counts how many lines are read strictly."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines = 0
        self._read = decode.bill
        monkeypatch.setattr(decode, "bill", self)

    def __call__(self, line: bytes) -> Bill:
        self.lines += 1
        return self._read(line)


def expect_read(read: Callable[[Sequence[bytes]], list[Any]], lines: list[bytes]) -> None:
    for line, found in zip(lines, read(lines), strict=True):
        assert shown(found) == plain(line), line


@pytest.mark.hypothesis
def test_bills_read_by_their_numbers_are_the_bills_of_their_lines() -> None:
    kept = 0

    @QUIET
    @given(loads())
    def compare(lines: list[bytes]) -> None:
        nonlocal kept
        reader = BillLines(BillForms())
        expect_read(reader.read, lines)
        # Now every form is known.
        expect_read(reader.read, lines)
        kept += sum(isinstance(read, PackedBill) for read in reader.read(lines))

    compare()
    assert kept > 2_000, f"expected 2000 good bills, was {kept}"


LIKE = (
    b'{"subscriber_account":"A1","period":"2026-10","charges":['
    b'{"service":"heating","recipient":"heat","due":100,"tier":1},'
    b'{"service":"waste","recipient":"waste","due":5,"weight":7}]}'
)


def test_a_line_like_another_is_not_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    strictly = Strictly(monkeypatch)
    reader = BillLines(BillForms())
    others = [
        LIKE,
        LIKE.replace(b"A1", b"B-2").replace(b"100", b"3000000000"),
        LIKE.replace(b'"due":5', b'"due":0').replace(b'"weight":7', b'"weight":0'),
    ]
    read = reader.read(others)
    assert strictly.lines == 1
    forms = [bill.form for bill in read if isinstance(bill, PackedBill)]
    assert forms == [forms[0]] * 3
    # Another tier is another form, and the second of it is known again.
    reader.read([LIKE.replace(b'"tier":1', b'"tier":2')] * 2)
    assert strictly.lines == 2


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b'"due":100', b'"due":-100', "due_out_of_range"),
        (b'"due":100', b'"due":10000000000001', "due_out_of_range"),
        (b'"due":100', b'"due":' + b"9" * 400, "due_out_of_range"),
        (b'"due":100', b'"due":100.0', "malformed"),
        (b'"due":100', b'"due":1e2', "malformed"),
        (b'"due":100', b'"due":0100', "malformed"),
        (b'"due":100', b'"due":"100"', "malformed"),
        (b'"due":100', b'"due":true', "malformed"),
        (b'"due":100', b'"due":1,"due":100', "malformed"),
        (b'"due":100', b'"d\\u0075e":1,"due":100', "malformed"),
        (b'"weight":7', b'"weight":10000000000001', "weight_out_of_range"),
        (b'"tier":1', b'"tier":256', "tier_out_of_range"),
        (b'"A1"', b'"A 1"', "account_invalid"),
        (b'"A1"', b'""', "account_invalid"),
        (b'"A1"', '"Ж"'.encode(), "account_invalid"),
        (b'"A1"', b'"\xff"', "malformed"),
        (b'"A1"', b"17", "malformed"),
        (b"]}", b"]}]", "malformed"),
        (b"]}", b"]", "malformed"),
    ],
)
def test_a_bad_line_like_a_good_one_is_refused_as_it_is_alone(
    old: bytes, new: bytes, code: str
) -> None:
    reader = BillLines(BillForms())
    reader.read([LIKE])
    bad = LIKE.replace(old, new, 1)
    found = reader.read([bad])[0]
    alone = BillLines(BillForms()).read([bad])[0]
    assert isinstance(found, Refusal)
    assert isinstance(alone, Refusal)
    assert (found.code, found.detail) == (alone.code, alone.detail)
    assert found.code == code


PAID_BY = LIKE.replace(b'"period"', b'"payer":{"name":"N"},"period"')


def test_payers_are_read_without_their_bills(monkeypatch: pytest.MonkeyPatch) -> None:
    strictly = Strictly(monkeypatch)
    reader = BillLines(BillForms())
    payers = [b'{"name":"N"}', b'"\\"}{"', b'{"a":{"b":[1,2.5,null]}}', '"Ж"'.encode(), b"{}"]
    read = reader.read([PAID_BY.replace(b'{"name":"N"}', payer) for payer in payers])
    assert strictly.lines == 1
    told = [bill.payer for bill in read if isinstance(bill, PackedBill)]
    assert [json.loads(payer or "null") for payer in told] == [*map(json.loads, payers)]


@pytest.mark.parametrize(
    ("payer", "code"),
    [
        (b'{"name":"4111 1111 1111 1111"}', "pan_not_allowed"),
        (b'"4111111111111111"', "pan_not_allowed"),
        (b'{"name":"\\u0000"}', "malformed"),
        (b'{"name":"\\ud800"}', "malformed"),
        (b'{"name":"\x01"}', "malformed"),
        (b'{"name":"\xff"}', "malformed"),
        (b'{"name":1,"name":2}', "malformed"),
        (b'{"name":NaN}', "malformed"),
        (b'{"name":' + b"9" * 30 + b"}", "malformed"),
        (b'{"name":' + b"9" * 18 + b"}", None),
        (b'{"a":' * 14 + b"1" + b"}" * 14, None),
        (b'{"a":' * 15 + b"1" + b"}" * 15, "malformed"),
        (b'{"a":' * 2_000 + b"1" + b"}" * 2_000, "malformed"),
        *((payer, "malformed") for payer in (b"{1}", b"{]}", b"[]", b"7", b"true", b"", b'{}"x"')),
        (b"null", None),
    ],
)
def test_a_payer_is_refused_as_it_is_in_a_bill_alone(payer: bytes, code: str | None) -> None:
    reader = BillLines(BillForms())
    reader.read([PAID_BY])
    line = PAID_BY.replace(b'{"name":"N"}', payer)
    found = reader.read([line])[0]
    alone = BillLines(BillForms()).read([line])[0]
    if isinstance(found, Refusal) and isinstance(alone, Refusal):
        assert (found.code, found.detail) == (alone.code, alone.detail)
        assert found.code == code
    else:
        assert code is None
        assert isinstance(found, PackedBill)
        assert isinstance(alone, PackedBill)
        assert found.payer == alone.payer


def test_a_card_number_is_found_in_every_payer_and_once_in_services() -> None:
    reader = BillLines(BillForms())
    card = b'"payer":{"name":"4111 1111 1111 1111"}'
    good = LIKE.replace(b'"period"', b'"payer":{"name":"7"},"period"')
    bad = LIKE.replace(b'"period"', card + b',"period"')
    service = LIKE.replace(b'"heating"', b'"4111111111111111"')
    codes = [
        read.code if isinstance(read, Refusal) else read.payer
        for read in reader.read([good, bad, service, LIKE, service])
    ]
    refused = "pan_not_allowed"
    assert codes == ['{"name":"7"}', refused, refused, None, refused]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill_lines, "TEXTS_MAX", 3)
    monkeypatch.setattr(bill_lines, "FORMS_MAX", 3)
    monkeypatch.setattr("gateway.flows.bill_forms.FORMS_MAX", 3)
    reader = BillLines(BillForms())
    lines = [
        LIKE.replace(b"heating", b"heating%d" % (n % 5)).replace(
            b'"tier":1', b'"tier":%d' % (n % 7)
        )
        for n in range(70)
    ]
    expect_read(reader.read, lines)
    texts = reader._texts
    assert len(texts) <= 3
    assert all(len(text.forms) <= 3 for text in texts.values())
    assert len(reader._bill_forms._forms) <= 3


def test_a_form_is_the_same_object_for_all_bills_of_it() -> None:
    forms = BillForms()
    first, second = (forms.pack(decode.bill(LIKE)) for _ in range(2))
    assert first.form is second.form
    assert first.form.structure == structure_of(decode.bill(LIKE))
    other = forms.pack(decode.bill(LIKE.replace(b"2026-10", b"2026-11")))
    assert other.form is not first.form
