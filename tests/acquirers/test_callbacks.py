"""Callbacks: only the signed ones are believed, each has its effect once, none costs much."""

import asyncio

import msgspec
import pytest

from gateway.acquirers.sandbox import SIGNATURE, OutcomeSaid, is_signed, signature
from gateway.api.call import CALLBACKS_AT_ONCE
from tests.acquirers.conftest import KEY, NAME, Pair
from tests.api.conftest import Answer

PATH = f"/v1/acquirers/{NAME}/callbacks"


def said(number: str, **changes: object) -> bytes:
    told = OutcomeSaid(number, "accepted", f"sb-{number}", 100000)
    return msgspec.json.encode(msgspec.structs.replace(told, **changes))


async def call_back(pair: Pair, body: bytes, signed: str | None = None) -> Answer:
    headers = {SIGNATURE: signature(KEY, body) if signed is None else signed}
    return await pair.gateway.send("POST", PATH, body, headers=headers)


async def pending(pair: Pair) -> str:
    made = (await pair.pay(method={"type": "sbp"})).json
    return str(made["id"])


def test_a_signature_of_any_bytes_is_refused() -> None:
    told = b"\xff\xfe".decode("utf-8", "surrogateescape")
    assert not is_signed(KEY, b"{}", told)


async def test_every_flipped_bit_of_body_or_signature_is_refused(pair: Pair) -> None:
    id_ = await pending(pair)
    body = said(id_.removeprefix("pay_"))
    signed = signature(KEY, body)
    for at in range(len(body)):
        bent = bytearray(body)
        bent[at] ^= 1 << at % 8
        answer = await call_back(pair, bytes(bent), signed)
        assert (answer.status, answer.code) == (403, "signature_invalid"), at
    for at in range(len(signed)):
        other = signed[:at] + ("0" if signed[at] != "0" else "1") + signed[at + 1 :]
        assert (await call_back(pair, body, other)).code == "signature_invalid", at
    assert (await call_back(pair, body, "")).code == "signature_invalid"
    assert await pair.payments() == 0
    assert (await call_back(pair, body)).status == 200
    await pair.settled(id_, "accepted")


async def test_a_callback_that_comes_a_hundred_times_at_once_makes_one_payment(pair: Pair) -> None:
    id_ = await pending(pair)
    body = said(id_.removeprefix("pay_"))
    answers = await asyncio.gather(*(call_back(pair, body) for _ in range(100)))
    assert {answer.status for answer in answers} <= {200, 503}
    assert (await pair.settled(id_, "accepted"))["total"] == 100000
    assert await pair.payments() == 1


async def test_a_decline_after_the_money_changes_nothing(pair: Pair) -> None:
    """Callbacks come in any order."""
    id_ = await pending(pair)
    number = id_.removeprefix("pay_")
    assert (await call_back(pair, said(number))).status == 200
    await pair.settled(id_, "accepted")
    for state in ("declined", "pending", "unknown", "absent"):
        assert (await call_back(pair, said(number, state=state))).status == 200
    assert (await pair.show(id_))["state"] == "accepted"
    assert await pair.payments() == 1


async def test_a_callback_of_another_order_is_taken_and_does_nothing(pair: Pair) -> None:
    """A bank repeats what is refused, and its terminal may serve others too."""
    answer = await call_back(pair, said("0" * 32))
    assert (answer.status, answer.content) == (200, b'{"taken":true}')
    assert await pair.payments() == 0


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff", b'{"number":"x"}'])
async def test_what_is_signed_and_cannot_be_read_is_malformed(pair: Pair, body: bytes) -> None:
    answer = await call_back(pair, body)
    assert (answer.status, answer.code) == (400, "malformed")


async def test_sizes_and_names_are_bounded(pair: Pair) -> None:
    large = await call_back(pair, b" " * 70_000)
    assert (large.status, large.code) == (413, "body_too_large")
    other = await pair.gateway.send("POST", "/v1/acquirers/nobody/callbacks", b"{}")
    assert (other.status, other.code) == (404, "not_found")


async def test_another_sum_in_a_callback_is_never_booked(pair: Pair) -> None:
    id_ = await pending(pair)
    assert (await call_back(pair, said(id_.removeprefix("pay_"), amount=1))).status == 200
    assert (await pair.show(id_))["state"] == "pending"
    assert await pair.payments() == 0


async def test_callbacks_that_come_slowly_hold_up_nobody_elses(pair: Pair) -> None:
    id_ = await pending(pair)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    slow = []
    try:
        for _ in range(CALLBACKS_AT_ONCE + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", pair.gateway.port)
            slow.append(writer)
            writer.write(head.encode() + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
            # It is asked for its body, so it has begun.
            assert (await reader.readline()).startswith(b"HTTP/1.1 100 ")
        answer = await call_back(pair, said(id_.removeprefix("pay_")))
        assert answer.status == 200, answer.content
    finally:
        for writer in slow:
            writer.close()


async def test_the_operation_of_another_order_is_believed_of_nobody_else(pair: Pair) -> None:
    first, second = await pending(pair), await pending(pair)
    numbers = [id_.removeprefix("pay_") for id_ in (first, second)]
    assert (await call_back(pair, said(numbers[0]))).status == 200
    await pair.settled(first, "accepted")
    # Its own operation is not known yet, as if the answer had been lost.
    await pair.conn.execute(
        "UPDATE authorisations SET operation = NULL WHERE id = $1::uuid", numbers[1]
    )
    for _ in range(2):
        assert (await call_back(pair, said(numbers[1], operation=f"sb-{numbers[0]}"))).status == 200
    assert (await pair.show(second))["state"] == "pending"
    assert await pair.payments() == 1
    assert (await call_back(pair, said(numbers[1]))).status == 200
    await pair.settled(second, "accepted")
