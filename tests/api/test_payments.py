"""The contract of POST /v1/payments and its kin, through a real worker and a real database."""

from typing import Any

import msgspec
import pytest

from gateway.api import answers
from tests.api.conftest import BOTH_ROADS, Gateway, bill, payment

ROADS = BOTH_ROADS


async def test_answer_is_the_contracts(region: Gateway) -> None:
    answer = await region.pay(payment())
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    shown = answer.json
    assert shown["id"].startswith("pay_")
    assert shown["state"] == "accepted"
    assert shown["amount"] == 100000
    assert shown["surcharge"] == 0
    assert shown["total"] == 100000
    assert shown["charges"] == [66667, 33333]
    assert shown["shares"] == [
        {"charge": 0, "service": "heating", "recipient": "uk", "amount": 3333},
        {"charge": 0, "service": "heating", "recipient": "heat", "amount": 63334},
        {"charge": 1, "service": "waste", "recipient": "waste", "amount": 33333},
    ]
    assert [r["recipient"] for r in shown["recipients"]] == ["uk", "heat", "waste"]
    assert shown["method"]["type"] == "card"
    assert shown["method"]["network"] == "visa"
    assert shown["plan"]
    assert shown["accepted_at"].endswith("Z")
    msgspec.json.decode(answer.content, type=answers.PaymentShown)


async def test_show_and_search_answer_what_post_answered(region: Gateway) -> None:
    first = (await region.pay(payment())).json
    second = (await region.pay(payment(amount=5))).json
    shown = await region.send("GET", f"/v1/payments/{first['id']}", role="operator")
    assert shown.status == 200
    assert shown.json == first
    path = "/v1/payments?subscriber_account=220012345&limit=1"
    page = (await region.send("GET", path, role="acquirer")).json
    assert [found["id"] for found in page["payments"]] == [first["id"]]
    following = await region.send("GET", f"{path}&cursor={page['next_cursor']}", role="acquirer")
    assert [found["id"] for found in following.json["payments"]] == [second["id"]]
    assert following.json["next_cursor"] is None
    msgspec.json.decode(following.content, type=answers.PaymentsShown)


async def test_search_bounds_by_time_with_an_unescaped_plus(region: Gateway) -> None:
    await region.pay(payment())
    for bounds, count in (
        ("from=2020-01-01T00:00:00+07:00", 1),
        ("to=2020-01-01T00:00:00%2B07:00", 0),
        ("from=2090-01-01T00:00:00Z", 0),
    ):
        answer = await region.send("GET", f"/v1/payments?{bounds}", role="auditor")
        assert len(answer.json["payments"]) == count, bounds


BAD_QUERIES = (
    "from=yesterday",
    "from=2026-11-12T09:31:07",
    "to=0001-01-01T00:00:00Z",
    "limit=0",
    "limit=1001",
    "limit=1e2",
    "limit=%D9%A1",
    "cursor=pay_0",
    "cursor=220012345",
    "unknown=1",
    "limit=1&limit=2",
    "from=%00",
)


async def test_search_refuses_queries_of_another_shape(gateway: Gateway) -> None:
    for query in BAD_QUERIES:
        answer = await gateway.send("GET", f"/v1/payments?{query}", role="acquirer")
        assert (answer.status, answer.code) == (400, "malformed"), query


REFUSED_PAYMENTS: tuple[tuple[dict[str, Any], int, str], ...] = (
    ({"amount": 0}, 422, "amount_out_of_range"),
    ({"amount": -1}, 422, "amount_out_of_range"),
    ({"amount": 10**13 + 1}, 422, "amount_out_of_range"),
    ({"amount": 2**53 + 1}, 422, "amount_out_of_range"),
    ({"amount": 2**63}, 422, "amount_out_of_range"),
    ({"amount": 2**64 - 1}, 422, "amount_out_of_range"),
    ({"amount": 1.0}, 400, "malformed"),
    ({"amount": 1e2}, 400, "malformed"),
    ({"amount": "100"}, 400, "malformed"),
    ({"amount": True}, 400, "malformed"),
    ({"amount": None}, 400, "malformed"),
    ({"amount": []}, 400, "malformed"),
    ({"amount": ...}, 400, "malformed"),
    ({"total": 100000}, 400, "malformed"),
    ({"amount": ..., "total": 1.5}, 400, "malformed"),
    ({"amount": ..., "total": 0}, 422, "amount_out_of_range"),
    ({"currency": "USD"}, 400, "malformed"),
    ({"currency": None}, 400, "malformed"),
    ({"paid_at": "2026-11-12T09:31:07"}, 400, "malformed"),
    ({"paid_at": "0001-01-01T00:00:00+14:00"}, 400, "malformed"),
    ({"paid_at": 1763000000}, 400, "malformed"),
    ({"subscriber_account": ""}, 422, "account_invalid"),
    ({"subscriber_account": "2" * 31}, 422, "account_invalid"),
    ({"subscriber_account": "220 12345"}, 422, "account_invalid"),
    ({"subscriber_account": "22001234５"}, 422, "account_invalid"),
    ({"subscriber_account": "220012345\n"}, 422, "account_invalid"),
    ({"subscriber_account": "22\x0045"}, 400, "malformed"),
    ({"subscriber_account": ...}, 400, "malformed"),
    ({"subscriber_account": 220012345}, 400, "malformed"),
    ({"reference": ""}, 400, "malformed"),
    ({"reference": "a\nb"}, 400, "malformed"),
    ({"reference": "x" * 129}, 400, "malformed"),
    ({"designation": {"heating": -1}}, 422, "designation_out_of_range"),
    ({"designation": {"heating": 10**13 + 1}}, 422, "designation_out_of_range"),
    ({"designation": {"heating": 1.0}}, 400, "malformed"),
    ({"designation": {"heating": True}}, 400, "malformed"),
    ({"designation": {"heating": 100001}}, 422, "designation_exceeds_amount"),
    ({"designation": {"": 1}}, 400, "malformed"),
    ({"designation": []}, 400, "malformed"),
    ({"method": ...}, 400, "malformed"),
    ({"method": "card"}, 400, "malformed"),
    ({"method": {}}, 422, "method_invalid"),
    ({"method": {"type": "barter"}}, 422, "method_invalid"),
    ({"method": {"type": "apple_pay"}}, 422, "method_invalid"),
    ({"method": {"type": "google_pay"}}, 422, "method_invalid"),
    ({"method": {"type": "sbp"}}, 422, "method_invalid"),
    ({"method": {"type": "qr", "payload": "ST9"}}, 422, "qr_invalid"),
    ({"unknown": 1}, 400, "malformed"),
)


async def test_refused_payments(region: Gateway) -> None:
    for changes, status, code in REFUSED_PAYMENTS:
        answer = await region.pay(payment(**changes))
        assert (answer.status, answer.code) == (status, code), (changes, answer.content)
    found = await region.send("GET", "/v1/payments", role="acquirer")
    assert found.json["payments"] == []


async def test_numbers_that_json_or_the_contract_do_not_know(gateway: Gateway) -> None:
    for number in ("-0", "1.0", "1E5", "+5", "0x1", "01", "1_000", "1 000", "１２", "١٢", "NaN"):
        text = f'{{"subscriber_account":"1","method":{{"type":"cash"}},"amount":{number}}}'
        answer = await gateway.pay(text.encode())
        expected = "amount_out_of_range" if number == "-0" else "malformed"
        assert answer.code == expected, number


BAD_BODIES = (
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xef\xbb\xbf{}",
    b"{}{}",
    b'{"amount":1,"amount":1,"subscriber_account":"1","method":{"type":"cash"}}',
    b'{"amount":1,"am\\u006funt":1,"subscriber_account":"1","method":{"type":"cash"}}',
    b'{"amount":1,"subscriber_account":"1","method":{"type":"cash","type":"card"}}',
    b'{"amount":1,"subscriber_account":"1","method":{"type":"cash"},"reference":"\\ud800"}',
    b'{"amount":1,"subscriber_account":"1","method":{"type":"cash"},"reference":"\xff"}',
    b'{"amount":1,"subscriber_account":"1","method":{"type":"cash"},"reference":"\\u0000"}',
    b'{"amount":%b,"subscriber_account":"1","method":{"type":"cash"}}' % (b"9" * 5000),
    b'{"amount":1,"subscriber_account":"1","method":{"type":%b1%b}}' % (b"[" * 99, b"]" * 99),
    b'{"amount":1,"subscriber_account":"1","method":%b1%b}' % (b"[" * 9999, b"]" * 9999),
    '{"amount":1}'.encode("utf-16"),
)


async def test_bodies_of_another_shape_are_malformed(gateway: Gateway) -> None:
    for body in BAD_BODIES:
        answer = await gateway.pay(body)
        assert (answer.status, answer.code) == (400, "malformed"), body[:80]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": {"type": "card", "masked_pan": "4276440000001234"}}, "pan_not_allowed"),
        (
            {"method": {"type": "card", "authorization_code": "4111 1111 1111 1111"}},
            "pan_not_allowed",
        ),
        ({"method": {"type": "cash", "note": "4111-1111-1111-1111"}}, "pan_not_allowed"),
        ({"designation": {"card 4111111111111111": 1}}, "pan_not_allowed"),
        # Identifiers that a bank issues pass for cards by chance.
        ({"reference": "4111111111111111"}, None),
        ({"method": {"type": "card", "rrn": "4111111111111111"}}, None),
        ({"method": {"type": "cash", "terminal": "4111111111111111"}}, None),
        ({"subscriber_account": "4111111111111111"}, None),
        # No card: Luhn does not hold, or a 20-digit bank account.
        ({"designation": {"4111111111111112": 1}, "subscriber_account": "1"}, None),
        ({"designation": {"40702810002000001234": 1}, "subscriber_account": "1"}, None),
    ],
)
async def test_card_numbers_are_refused_and_never_repeated(
    region: Gateway, caplog: pytest.LogCaptureFixture, changes: dict[str, Any], code: str | None
) -> None:
    answer = await region.pay(payment(**changes))
    if code is None:
        assert answer.status == 201, answer.content
        return
    assert (answer.status, answer.code) == (422, code)
    for told in (answer.content.decode(), caplog.text):
        assert "1111" not in told
        assert "4276" not in told


async def test_unknown_account_goes_to_suspense_and_is_resolved(region: Gateway) -> None:
    taken = (await region.pay(payment(subscriber_account="999"))).json
    assert taken["state"] == "suspense"
    assert taken["shares"] == []
    path = f"/v1/payments/{taken['id']}/resolve"
    body = {"subscriber_account": "220012345"}
    resolved = await region.send("POST", path, body, role="operator", key=region.key())
    assert resolved.status == 200, resolved.content
    assert sum(share["amount"] for share in resolved.json["shares"]) == 100000
    msgspec.json.decode(resolved.content, type=answers.ResolutionShown)
    again = await region.send("POST", path, body, role="operator", key=region.key())
    assert (again.status, again.code) == (409, "state_conflict")


async def test_refunds_give_back_by_share_and_no_more_than_is_left(region: Gateway) -> None:
    taken = (await region.pay(payment())).json
    path = f"/v1/payments/{taken['id']}/refunds"
    refunded = await region.send("POST", path, {"amount": 40000}, role="acquirer", key="r1")
    assert refunded.status == 201, refunded.content
    assert refunded.json["id"].startswith("ref_")
    assert refunded.json["payment"] == taken["id"]
    assert sum(share["amount"] for share in refunded.json["shares"]) == 40000
    msgspec.json.decode(refunded.content, type=answers.RefundShown)
    more = await region.send("POST", path, {"amount": 60001}, role="acquirer", key="r2")
    assert (more.status, more.code) == (422, "refund_exceeds_payment")
    shown = await region.send("GET", f"/v1/payments/{taken['id']}", role="acquirer")
    assert (shown.json["state"], shown.json["refunded"]) == ("partially_refunded", 40000)


async def test_quote_is_what_the_payment_becomes(region: Gateway) -> None:
    rule = {"ppm": 10000, "min": 100}
    await region.send("PUT", "/v1/surcharges/card", rule, role="operator")
    asked = {"subscriber_account": "220012345", "amount": 100000, "method": {"type": "card"}}
    quoted = await region.send("POST", "/v1/quotes", asked, role="acquirer")
    assert quoted.status == 200, quoted.content
    msgspec.json.decode(quoted.content, type=answers.QuoteShown)
    taken = (await region.pay(payment())).json
    for member in ("amount", "surcharge", "total", "charges", "shares", "recipients", "plan"):
        assert quoted.json[member] == taken[member], member
    assert taken["surcharge"] == 1000


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"subscriber_account": "999"}, 404, "not_found"),
        ({"method": {"type": "sbp"}}, 422, "method_invalid"),
        ({"method": {"type": "card", "rrn": "1"}}, 422, "method_invalid"),
        ({"amount": 0}, 422, "amount_out_of_range"),
        ({"amount": 1.0}, 400, "malformed"),
        ({"total": 1}, 400, "malformed"),
    ],
)
async def test_refused_quotes(
    region: Gateway, changes: dict[str, Any], status: int, code: str
) -> None:
    asked = {"subscriber_account": "220012345", "amount": 1, "method": {"type": "card"}}
    answer = await region.send("POST", "/v1/quotes", asked | changes, role="acquirer")
    assert (answer.status, answer.code) == (status, code)


async def test_total_leaves_the_surcharge_out_of_the_amount(region: Gateway) -> None:
    await region.send("PUT", "/v1/surcharges/cash", {"ppm": 10000}, role="operator")
    taken = await region.pay(payment(amount=..., total=101000, method={"type": "cash"}))
    assert (taken.json["amount"], taken.json["surcharge"]) == (100000, 1000)


BILL_QR = (
    "ST00012|Name=АО Тепло|PersonalAcc=40702810002000001234|BankName=Банк|BIC=040173604"
    "|CorrespAcc=30101810200000000604|persAcc=220012345|Sum=100000"
)


@pytest.mark.parametrize(
    ("account", "status", "code"),
    [(..., 201, None), ("220012345", 201, None), ("999", 422, "qr_invalid")],
)
async def test_bill_qr_names_the_account(
    region: Gateway, account: Any, status: int, code: str | None
) -> None:
    body = payment(subscriber_account=account, method={"type": "qr", "payload": BILL_QR})
    answer = await region.pay(body)
    assert answer.status == status, answer.content
    if code is None:
        assert answer.json["subscriber_account"] == "220012345"
        assert answer.json["method"]["type"] == "qr"
    else:
        assert answer.code == code


async def test_a_total_may_be_above_the_limit_of_an_amount(region: Gateway) -> None:
    """10^13 and five kopecks of surcharge: the amount within it is the largest there may be."""
    await region.send("PUT", "/v1/surcharges/cash", {"fixed": 5}, role="operator")
    body = {"subscriber_account": "220012345", "method": {"type": "cash"}}
    most = body | {"total": 10**13 + 5}
    quote = await region.send("POST", "/v1/quotes", most, role="acquirer")
    assert (quote.status, quote.json["amount"], quote.json["surcharge"]) == (200, 10**13, 5)
    more = body | {"total": 10**13 + 6}
    refused = await region.send("POST", "/v1/quotes", more, role="acquirer")
    assert refused.code == "amount_out_of_range"


@pytest.mark.parametrize("changes", [{"payer": {"note": "card 4111 1111 1111 1111"}},
                                     {"payer": "4111111111111111"}])  # fmt: skip
async def test_a_bill_with_a_card_number_is_refused(
    region: Gateway, changes: dict[str, Any]
) -> None:
    load = {"bills": [bill("77", **changes), bill("78")]}
    answer = await region.send("POST", "/v1/bills", load, role="operator", key="b")
    assert answer.json["accepted"] == 1
    assert [refused["code"] for refused in answer.json["refused"]] == ["pan_not_allowed"]
    assert "4111" not in answer.content.decode()
