"""What each way to pay may say, and what is refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.methods import card, normalise
from gateway.methods.facts import ISSUED_IDENTIFIERS, refuse_card_numbers

CARD_NUMBER = "4111111111111111"
BILL = (
    'ST00012|Name=ООО "ИВЦ"|PersonalAcc=40702810268000010356|BankName=Банк|BIC=049401601|'
    "CorrespAcc=30101810400000000601|PayeeINN=1841008627|PersAcc=210042076|Sum=299441|"
    "PaymPeriod=0521|LastName=ИВАНОВ|UIN=20МВ875415-07-1051|TechCode=02"
)

TAKEN = [
    # method, network, facts, warnings
    ({"type": "card"}, None, {}, ()),
    ({"type": "mir"}, "mir", {"network": "mir"}, ()),
    ({"type": "cash"}, None, {}, ()),
    ({"type": "cash", "terminal": "Касса 7"}, None, {"terminal": "Касса 7"}, ()),
    (
        {
            "type": "card",
            "network": "visa",
            "masked_pan": "427644******1234",
            "rrn": "012345678901",
            "authorization_code": "A1B2C3",
            "terminal": "T-100",
        },
        "visa",
        {
            "network": "visa",
            "masked_pan": "427644******1234",
            "rrn": "012345678901",
            "authorization_code": "A1B2C3",
            "terminal": "T-100",
        },
        (),
    ),
    (
        {"type": "card", "masked_pan": "5536 91•• •••• 1234"},
        "mastercard",
        {"network": "mastercard", "masked_pan": "553691******1234"},
        (),
    ),
    (
        {"type": "mir", "masked_pan": "22022016XXXX1234"},
        "mir",
        {"network": "mir", "masked_pan": "22022016****1234"},
        (),
    ),
    (
        {"type": "mir", "instrument": "mir_pay", "masked_pan": "220220******1234", "rrn": "1"},
        "mir",
        {
            "network": "mir",
            "masked_pan": "220220******1234",
            "rrn": "1",
            "instrument": "mir_pay",
        },
        (),
    ),
    ({"type": "card", "masked_pan": "*1234"}, None, {"masked_pan": "*1234"}, ()),
    ({"type": "card", "network": "MIR"}, "mir", {"network": "mir"}, ()),
    ({"type": "card", "network": "discover"}, "discover", {"network": "discover"}, ()),
    (
        {"type": "mir", "masked_pan": "629157******1234"},
        "mir",
        {"network": "mir", "masked_pan": "629157******1234"},
        ("network_differs",),
    ),
]

REFUSED = [
    # method, code
    ({}, "method_invalid"),
    ({"type": None}, "method_invalid"),
    ({"type": ["card"]}, "method_invalid"),
    ({"type": {"card": 1}}, "method_invalid"),
    ({"type": "Card"}, "method_invalid"),
    ({"type": "cheque"}, "method_invalid"),
    ({"type": "apple_pay"}, "method_invalid"),
    ({"type": "apple_pay", "token": "{}"}, "method_invalid"),
    ({"type": "apple_pay", "token": {}, "network": "visa"}, "method_invalid"),
    ({"type": "apple_pay", "token": {}, "note": "4111111111111111"}, "pan_not_allowed"),
    ({"type": "google_pay", "token": None}, "method_invalid"),
    ({"type": "google_pay", "token": 4111111111111111}, "method_invalid"),
    ({"type": "google_pay", "token": []}, "method_invalid"),
    ({"type": "card", "colour": "red"}, "method_invalid"),
    ({"type": "card", "payload": BILL}, "method_invalid"),
    ({"type": "card", "network": "dine rs"}, "method_invalid"),
    ({"type": "card", "network": ""}, "method_invalid"),
    ({"type": "card", "network": None}, "method_invalid"),
    ({"type": "mir", "network": "visa"}, "method_invalid"),
    ({"type": "mir", "token": "{}"}, "method_invalid"),
    ({"type": "mir", "token": {"pan": CARD_NUMBER}}, "pan_not_allowed"),
    ({"type": "mir", "instrument": "apple_pay"}, "method_invalid"),
    ({"type": "card", "instrument": "mir_pay"}, "method_invalid"),
    ({"type": "card", "rrn": 12345678901}, "method_invalid"),
    ({"type": "card", "rrn": "1" * 41}, "method_invalid"),
    ({"type": "card", "rrn": "12\n34"}, "method_invalid"),
    ({"type": "card", "authorization_code": "A1B2C3D4E5F6G"}, "method_invalid"),
    ({"type": "card", "authorization_code": True}, "method_invalid"),
    ({"type": "cash", "terminal": ""}, "method_invalid"),
    ({"type": "cash", "terminal": "7\x00"}, "method_invalid"),
    ({"type": "cash", "terminal": "\ud800"}, "method_invalid"),
    ({"type": "cash", "terminal": "x" * 65}, "method_invalid"),
    ({"type": "cash", "network": "visa"}, "method_invalid"),
    ({"type": "card", "masked_pan": "no mask"}, "method_invalid"),
    ({"type": "card", "masked_pan": "427644"}, "method_invalid"),
    ({"type": "card", "masked_pan": "42764412*1234"}, "method_invalid"),
    ({"type": "card", "masked_pan": "427644123***1234"}, "method_invalid"),
    ({"type": "card", "masked_pan": "427644*****12345"}, "method_invalid"),
    ({"type": "card", "masked_pan": "4276**44**1234"}, "method_invalid"),
    ({"type": "card", "masked_pan": "427644*********12345"}, "method_invalid"),
    ({"type": "card", "masked_pan": CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "card", "masked_pan": "4111 1111-1111 1111"}, "pan_not_allowed"),
    ({"type": "card", "masked_pan": "4111111111111112"}, "pan_not_allowed"),
    ({"type": "card", "network": CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "card", "pan": CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "card", "pan": int(CARD_NUMBER)}, "pan_not_allowed"),
    ({"type": "card", "pan": float(CARD_NUMBER)}, "pan_not_allowed"),
    ({"type": "card", "pan": 10**5000}, "method_invalid"),
    ({"type": "card", "card": {"numbers": [CARD_NUMBER]}}, "pan_not_allowed"),
    ({"type": "card", "card": {CARD_NUMBER: ""}}, "pan_not_allowed"),
    ({"type": "card", CARD_NUMBER: ""}, "pan_not_allowed"),
    ({"type": CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "cash", "payload": CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "card", "x": [1] * 300}, "method_invalid"),
    ({"type": "card", "x": "4 " * 4000}, "method_invalid"),
    ({"type": "qr"}, "method_invalid"),
    ({"type": "qr", "payload": 1}, "method_invalid"),
    ({"type": "qr", "payload": ""}, "method_invalid"),
    ({"type": "qr", "payload": "x" * 4097}, "method_invalid"),
    ({"type": "qr", "payload": BILL, "token": ""}, "method_invalid"),
    ({"type": "qr", "payload": "hello"}, "qr_invalid"),
    ({"type": "qr", "payload": CARD_NUMBER}, "qr_invalid"),
    (
        {
            "type": "qr",
            "payload": "https://qr.nspk.ru/AS2A006F0RCJU7V991SBLV4AACJGFT2P?type=01&crc=A93E",
            "operation_id": "A1",
        },
        "qr_invalid",
    ),
    ({"type": "qr", "payload": " HTTPS://QR.NSPK.RU/AS2A"}, "qr_invalid"),
    ({"type": "qr", "payload": BILL + "|Purpose=карта 4111 1111 1111 1111"}, "pan_not_allowed"),
    ({"type": "qr", "payload": BILL + "|payeraddress=" + CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "qr", "payload": BILL + "|FirstName=" + CARD_NUMBER}, "pan_not_allowed"),
    ({"type": "qr", "payload": BILL + "|Note=card " + CARD_NUMBER}, "pan_not_allowed"),
]


@pytest.mark.parametrize(("method", "network", "facts", "warnings"), TAKEN)
def test_method_is_taken(
    method: dict[str, object],
    network: str | None,
    facts: dict[str, str],
    warnings: tuple[str, ...],
) -> None:
    found = normalise(method)
    assert found.type == method["type"]
    assert found.network == network
    assert found.facts == facts
    assert found.warnings == warnings
    assert found.subscriber_account is None


@pytest.mark.parametrize(("method", "code"), REFUSED)
def test_method_is_refused_without_being_repeated(method: dict[str, object], code: str) -> None:
    with pytest.raises(Refusal) as caught:
        normalise(method)
    assert caught.value.code == code
    said = f"{caught.value} {caught.value.detail}"
    assert "4111" not in said
    assert "ИВАНОВ" not in said


@pytest.mark.parametrize("key", ["rrn", "terminal"])
def test_number_that_a_bank_issues_may_look_like_a_card(key: str) -> None:
    assert normalise({"type": "card", key: CARD_NUMBER}).facts == {key: CARD_NUMBER}


def test_bill_names_its_account_and_payee_but_no_person_is_kept() -> None:
    found = normalise({"type": "qr", "payload": BILL, "operation_id": "op-1"})
    assert found.type == "qr"
    assert found.network is None
    assert found.subscriber_account == "210042076"
    assert found.facts == {
        "operation_id": "op-1",
        "payee_inn": "1841008627",
        "payee_bic": "049401601",
        "payee_account": "40702810268000010356",
        "bill_amount_kopecks": "299441",
        "period": "2021-05",
        "uin": "20МВ875415-07-1051",
    }


@pytest.mark.parametrize("key", ["PersAcc", "UIN", "DocIdx", "QuittId", "Note"])
def test_number_that_a_billing_centre_issues_may_look_like_a_card(key: str) -> None:
    bill = f"ST00012|PersonalAcc=40702810268000010356|{key}={CARD_NUMBER}"
    assert normalise({"type": "qr", "payload": bill}).type == "qr"


def test_field_of_another_shape_is_not_kept() -> None:
    bill = f"ST00012|PersAcc=1|PersonalAcc={CARD_NUMBER}|BIC=x|PayeeINN=Иванов И.И.|UIN=a b"
    assert normalise({"type": "qr", "payload": bill}).facts == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["type", "network", "masked_pan", "rrn", "authorization_code", "terminal", "payload", "x"]
)
TYPES = st.sampled_from(["card", "mir", "cash", "qr", "apple_pay", "google_pay"])


@given(st.dictionaries(KEYS, JSON, max_size=5), TYPES | JSON)
def test_any_object_is_taken_or_refused(method: dict[str, object], kind: object) -> None:
    try:
        kept = normalise({**method, "type": kind}).facts
    except Refusal as refusal:
        kept = {"code": refusal.code}
    assert kept.get("code") in (
        *(None, "method_invalid", "qr_invalid", "qr_crc_mismatch", "pan_not_allowed"),
    )
    assert all(type(value) is str for value in kept.values())


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["card", "mir", "card\nvisa"]),
        "network": st.sampled_from(["visa", "mir", "VISA", "v\n1", "x" * 33, "a4111111111111111"]),
        "masked_pan": st.sampled_from(
            ["427644******1234", "220220******1234", CARD_NUMBER, "427644******12345", "*1234", ""]
        ),
        "rrn": st.sampled_from(["012345678901", CARD_NUMBER, "", "1\n2", "x" * 41]),
        "authorization_code": st.sampled_from(["A1B2C3", "1234567890123", CARD_NUMBER[:12], 7]),
        "terminal": st.sampled_from(["T100", "T-100", "4" * 64, CARD_NUMBER, None]),
        "extra": st.just("1"),
    },
)


@given(FIELDS, st.randoms())
def test_the_usual_way_gives_what_the_long_way_gives(
    method: dict[str, object], dice: random.Random
) -> None:
    told = list(method.items())
    dice.shuffle(told)
    usual = card.as_usual(dict(told))
    if usual is not None:
        refuse_card_numbers(method, ISSUED_IDENTIFIERS)
        longer = card.normalise(method)
        assert usual == longer
        assert list(usual.facts) == list(longer.facts), "stored and answered in one order"


@pytest.mark.parametrize("hidden", range(1, 16))
def test_a_mask_of_any_length_is_usual_only_where_it_is_taken(hidden: int) -> None:
    told = {"type": "card", "network": "visa", "masked_pan": f"427644{'*' * hidden}1234"}
    usual = card.as_usual(told)
    try:
        longer = card.normalise(told)
    except Refusal:
        assert usual is None
    else:
        assert usual in (None, longer)


def test_what_most_banks_tell_is_usual() -> None:
    usual = {
        "type": "card", "network": "visa", "masked_pan": "427644******1234", "rrn": "012345678901",
    }  # fmt: skip
    assert card.as_usual(usual) is not None
    assert card.as_usual(usual | {"authorization_code": "012345"}) is not None
