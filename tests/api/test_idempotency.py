"""Idempotency-Key: missing, bad, replayed, reused, and kept to one caller."""

import asyncio

import asyncpg
import orjson
import pytest

from gateway.api.decode import idempotency_key
from gateway.domain.refusals import Refusal
from tests.api.conftest import BOTH_ROADS, Gateway, bill, payment

ROADS = BOTH_ROADS


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (["abc"], "abc"),
        (['"abc"'], "abc"),
        (['"a\\"b\\\\c"'], 'a"b\\c'),
        (["8e03978e-40d5-43dd-bc93-6894a57f9324"], "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (["x" * 255], "x" * 255),
        (["!~"], "!~"),
        # Not strings of RFC 8941, but visible ASCII all the same.
        (['"abc'], '"abc'),
        (['""'], '""'),
        (['"a"b"'], '"a"b"'),
    ],
)
def test_keys_are_taken_bare_or_quoted(values: list[str], key: str) -> None:
    assert idempotency_key(values) == key


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([], "idempotency_key_missing"),
        ([""], "malformed"),
        (['"a b"'], "malformed"),
        (["a b"], "malformed"),
        (["x" * 256], "malformed"),
        (["ключ"], "malformed"),
        (["a\x00"], "malformed"),
        (["a", "a"], "malformed"),
    ],
)
def test_keys_of_another_shape(values: list[str], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        idempotency_key(values)
    assert refused.value.code == code


async def test_same_body_is_answered_with_the_first_answer(region: Gateway) -> None:
    first = await region.pay(payment(), key="k")
    # Another spelling of the same request, and the key quoted.
    body = (
        b'{"reference":"bank-op-778","amount":100000,"subscriber_account":"\\u0032\\u00320012345",'
        b'"method":{"masked_pan":"427644******1234","network":"visa","type":"card"},'
        b'"paid_at":"2026-11-12T09:31:07+07:00"}'
    )
    again = await region.pay(body, key='"k"')
    assert again.status == first.status == 201
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == first.content
    found = await region.send("GET", "/v1/payments", role="acquirer")
    assert len(found.json["payments"]) == 1


async def test_other_body_or_route_is_refused(region: Gateway) -> None:
    first = await region.pay(payment(), key="k")
    other = await region.pay(payment(amount=100001), key="k")
    assert (other.status, other.code) == (422, "idempotency_key_reused")
    path = f"/v1/payments/{first.json['id']}/refunds"
    refund = await region.send("POST", path, {"amount": 1}, role="acquirer", key="k")
    assert (refund.status, refund.code) == (422, "idempotency_key_reused")


async def test_keys_belong_to_their_caller(region: Gateway) -> None:
    first = await region.pay(payment(), key="k")
    other = await region.pay(payment(), key="k", role="acquirer2")
    assert other.status == 201
    assert other.json["id"] != first.json["id"]


async def test_a_key_sent_many_times_at_once_pays_once(region: Gateway) -> None:
    answers = await asyncio.gather(*(region.pay(payment(), key="k") for _ in range(20)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.json["id"] for answer in answers}) == 1
    replayed = [answer for answer in answers if "Idempotency-Replayed" in answer.headers]
    assert len(replayed) == 19


async def test_a_refused_payment_frees_its_key(region: Gateway) -> None:
    refused = await region.pay(payment(amount=0), key="k")
    assert refused.code == "amount_out_of_range"
    assert (await region.pay(payment(), key="k")).status == 201


async def test_refunds_are_replayed_and_bound_to_their_payment(region: Gateway) -> None:
    one, two = (await region.pay(payment())).json, (await region.pay(payment())).json
    path = f"/v1/payments/{one['id']}/refunds"
    first = await region.send("POST", path, {"amount": 5}, role="acquirer", key="r")
    again = await region.send("POST", path, {"amount": 5}, role="acquirer", key="r")
    assert first.content == again.content
    assert again.headers["Idempotency-Replayed"] == "true"
    other = f"/v1/payments/{two['id']}/refunds"
    reused = await region.send("POST", other, {"amount": 5}, role="acquirer", key="r")
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")


async def test_bills_loads_are_replayed_byte_for_byte(region: Gateway) -> None:
    load = {"bills": [bill("7"), bill("8", period="1")]}
    first = await region.send("POST", "/v1/bills", load, role="operator", key="b")
    again = await region.send("POST", "/v1/bills", load, role="operator", key="b")
    assert first.content == again.content
    assert first.json["accepted"] == 1
    assert again.headers["Idempotency-Replayed"] == "true"
    other = {"bills": [bill("9")]}
    reused = await region.send("POST", "/v1/bills", other, role="operator", key="b")
    assert (reused.status, reused.code) == (422, "idempotency_key_reused")
    assert (await region.send("GET", "/v1/bills/9", role="operator")).status == 404


async def test_two_loads_under_one_key_are_never_both_done(region: Gateway) -> None:
    loads = [{"bills": [bill(f"many{at}{n}") for n in range(300)]} for at in "AB"]
    answers = await asyncio.gather(
        *(region.send("POST", "/v1/bills", load, role="operator", key="b") for load in loads)
    )
    done = [answer.status == 200 for answer in answers]
    assert done.count(True) == 1
    assert answers[done.index(False)].status in (409, 422)
    for at, was_done in zip("AB", done, strict=True):
        found = await region.send("GET", f"/v1/bills/many{at}299", role="operator")
        assert found.status == (200 if was_done else 404)


async def test_a_load_that_breaks_off_changes_nothing_and_frees_its_key(region: Gateway) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", region.port)
    whole = orjson.dumps(bill("cut0")) + b"\n"
    head = (
        "POST /v1/bills HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        "Content-Type: application/x-ndjson\r\nIdempotency-Key: b\r\n"
        f"Authorization: Bearer {region.secrets['operator']}\r\n\r\n"
    )
    writer.write(head.encode() + whole * 1000)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    other = {"bills": [bill("cut1")]}
    assert (await region.send("POST", "/v1/bills", other, role="operator", key="b")).status == 200
    assert (await region.send("GET", "/v1/bills/cut0", role="operator")).status == 404


async def test_a_load_cut_off_by_a_crash_is_done_again(region: Gateway) -> None:
    """A claim without an answer that nobody holds is what a crash leaves."""
    load = {"bills": [bill("7")]}
    first = await region.send("POST", "/v1/bills", load, role="operator", key="b")
    conn = await asyncpg.connect(region.database_url)
    await conn.execute("UPDATE idempotency_keys SET answer = NULL WHERE key = 'b'")
    await conn.close()
    again = await region.send("POST", "/v1/bills", load, role="operator", key="b")
    assert (again.status, again.content) == (200, first.content)
    assert "Idempotency-Replayed" not in again.headers


@pytest.mark.parametrize(
    ("path", "role", "body"),
    [
        ("/v1/payments", "acquirer", payment()),
        ("/v1/payments/pay_" + "0" * 32 + "/refunds", "acquirer", {"amount": 1}),
        ("/v1/payments/pay_" + "0" * 32 + "/resolve", "operator", {"subscriber_account": "1"}),
        ("/v1/bills", "operator", {"bills": []}),
        ("/v1/settlement-batches", "operator", {}),
        ("/v1/settlement-batches/sb_" + "0" * 32 + "/approve", "approver", {}),
    ],
)
async def test_every_changing_post_asks_for_a_key(
    gateway: Gateway, path: str, role: str, body: object
) -> None:
    answer = await gateway.send("POST", path, body, role=role)
    assert (answer.status, answer.code) == (400, "idempotency_key_missing")
