"""Bulk payments and NDJSON bills: order, neighbours of bad lines, and bounded memory."""

import asyncio
import resource
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from yarl import URL

from tests.api.conftest import Gateway, bill, payment, served


def line(key: str | None, **changes: Any) -> bytes:
    body = payment(**({"amount": 1} | changes))
    if key is not None:
        body["idempotency_key"] = key
    return orjson.dumps(body) + b"\n"


async def sent(gateway: Gateway, body: Any, **headers: str) -> list[dict[str, Any]]:
    """The outcomes of a bulk body."""
    answer = await gateway.send(
        "POST",
        "/v1/payments/bulk",
        body,
        role="acquirer",
        headers={"Content-Type": "application/x-ndjson", **headers},
    )
    assert answer.status == 200, answer.content
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert "Server" not in answer.headers
    return [orjson.loads(outcome) for outcome in answer.content.splitlines()]


async def test_outcomes_come_in_order_and_bad_lines_are_refused_alone(region: Gateway) -> None:
    body = b"".join(
        [
            line("a"),
            b"{broken\n",
            b"\n",
            line("b", amount=0),
            line(None),
            line("a"),
            line("a", reference="other"),
            line("c", method={"type": "card", "masked_pan": "4111111111111111"}),
            b'{"x":"' + b"y" * 70000 + b'"}\n',
            line("d e"),
            line("f", subscriber_account="999"),
            line("g")[:-1],
        ]
    )
    outcomes = await sent(region, body)
    assert [outcome["index"] for outcome in outcomes] == list(range(11))
    told = [(outcome["status"], outcome.get("code") or outcome["state"]) for outcome in outcomes]
    assert told == [
        (201, "accepted"),
        (400, "malformed"),
        (422, "amount_out_of_range"),
        (400, "idempotency_key_missing"),
        (201, "accepted"),
        (422, "idempotency_key_reused"),
        (422, "pan_not_allowed"),
        (413, "body_too_large"),
        (400, "malformed"),
        (201, "suspense"),
        (201, "accepted"),
    ]
    assert outcomes[4]["id"] == outcomes[0]["id"]
    assert outcomes[4]["replayed"] is True
    assert "4111111111111111" not in orjson.dumps(outcomes).decode()


@pytest.mark.parametrize(
    ("told", "brief"),
    [
        ("return=minimal", True),
        ('respond-async, Return = "Minimal"; x=1', True),
        ("return=representation, return=minimal", False),
        ("returns=minimal", False),
        ("minimal", False),
        ("", False),
    ],
)
async def test_who_prefers_it_is_told_outcomes_without_the_payments(
    region: Gateway, told: str, brief: bool
) -> None:
    body = b"".join(
        [
            line("m1"),
            line("m2", amount=0),
            line("m3", subscriber_account="999"),
            line("m1"),
            line("m1", reference="other"),
        ]
    )
    outcomes = await sent(region, body, Prefer=told)
    assert [outcome["status"] for outcome in outcomes] == [201, 422, 201, 201, 422]
    first, low, held, again, reused = outcomes
    assert (low["code"], reused["code"]) == ("amount_out_of_range", "idempotency_key_reused")
    assert ("shares" in first, "shares" in held) == (not brief, not brief)
    if brief:
        assert first == {"index": 0, "status": 201, "id": first["id"], "state": "accepted"}
        assert held == {"index": 2, "status": 201, "id": held["id"], "state": "suspense"}
        assert again == {**first, "index": 3, "replayed": True}
    shown = await region.send("GET", f"/v1/payments/{first['id']}", role="acquirer")
    assert shown.json["reference"] == payment()["reference"]


async def test_an_answer_says_which_preference_it_followed(region: Gateway) -> None:
    for told, applied in (("return=minimal", "return=minimal"), ("wait=1", None)):
        answer = await region.send(
            "POST", "/v1/payments/bulk", line("p"), role="acquirer", headers={"Prefer": told}
        )
        assert answer.headers.get("Preference-Applied") == applied


async def test_same_key_through_either_door_is_one_payment(region: Gateway) -> None:
    single = await region.pay(payment(amount=1), key="k")
    (outcome,) = await sent(region, line("k"))
    assert outcome["id"] == single.json["id"]
    assert outcome["replayed"] is True


async def test_outcomes_come_before_the_body_has_ended(region: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port)
    head = (
        "POST /v1/payments/bulk HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: Bearer {region.secrets['acquirer']}\r\n\r\n"
    )
    one = line("early")
    writer.write(head.encode() + b"%x\r\n%b\r\n" % (len(one), one))
    async with asyncio.timeout(5):
        assert await reader.readuntil(b'"status":201')
    writer.write(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"0\r\n\r\n")
    writer.close()


async def test_a_body_that_breaks_off_keeps_its_whole_lines_only(
    region: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port)
    head = (
        "POST /v1/payments/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {region.secrets['acquirer']}\r\n\r\n"
    )
    # The last line is whole JSON, but nobody said that it is a whole line.
    writer.write(head.encode() + line("whole") + line("cut")[:-1])
    async with asyncio.timeout(5):
        await reader.readuntil(b'"status":201')
    writer.close()
    (again,) = await sent(region, line("whole"))
    assert again["replayed"] is True
    (fresh,) = await sent(region, line("cut"))
    assert "replayed" not in fresh
    assert not caplog.records


async def test_a_body_that_stalls_is_told_so_and_cut_off(region: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port)
    head = (
        "POST /v1/payments/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n"
        f"Authorization: Bearer {region.secrets['acquirer']}\r\n\r\n"
    )
    writer.write(head.encode() + line("whole"))
    async with asyncio.timeout(10):
        received = await reader.read(-1)
    writer.close()
    assert received.count(b'"status":201') == 1
    assert b'"index":1,' in received
    assert b'"code":"request_timeout"' in received


async def test_thousands_of_lines_to_a_caller_that_reads_last(region: Gateway) -> None:
    """A caller that sends all and reads then must not block; memory must not grow with it."""
    count = 6000
    reader, writer = await asyncio.open_connection("127.0.0.1", region.port, limit=2**14)
    head = (
        "POST /v1/payments/bulk HTTP/1.0\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        f"Authorization: Bearer {region.secrets['acquirer']}\r\nContent-Length: %d\r\n\r\n"
    )
    lines = [
        b"{broken}\n" if at % 100 == 99 else line(f"many-{at}", reference=f"r{at}")
        for at in range(count)
    ]
    body = b"".join(lines)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    writer.write((head % len(body)).encode())
    async with asyncio.timeout(120):
        for start in range(0, len(body), 65536):
            writer.write(body[start : start + 65536])
            await writer.drain()
        received = (await reader.read(-1)).partition(b"\r\n\r\n")[2]
    writer.close()
    outcomes = [orjson.loads(outcome) for outcome in received.splitlines()]
    assert [outcome["index"] for outcome in outcomes] == list(range(count))
    refused = [outcome["index"] for outcome in outcomes if outcome["status"] == 400]
    assert refused == list(range(99, count, 100))
    assert len({outcome["id"] for outcome in outcomes if outcome["status"] == 201}) == 5940
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 100 * 1024


async def test_bills_as_ndjson_keep_the_good_lines(region: Gateway) -> None:
    async def lines() -> AsyncIterator[bytes]:
        for at in range(1200):
            yield orjson.dumps(bill(f"N{at}")) + b"\n"
        yield orjson.dumps(bill("N1", period="2026-09")) + b"\n"
        yield b'{"subscriber_account":1}\n'
        yield b'{"subscriber_account":"1","subscriber_account":"2"}\n'
        yield orjson.dumps(bill("N2", charges=[])) + b"\n"
        yield orjson.dumps(
            bill("N3", charges=[{"service": "gas", "recipient": "nobody", "due": 1}])
        )

    headers = {
        "Authorization": f"Bearer {region.secrets['operator']}",
        "Content-Type": "application/x-ndjson",
        "Idempotency-Key": "load",
    }
    loaded: dict[str, Any] = {}
    for replayed in (None, "true"):
        async with region.session.post(
            f"{region.url}/v1/bills", data=lines(), headers=headers
        ) as response:
            assert response.headers.get("Idempotency-Replayed") == replayed
            loaded = await response.json()
    assert loaded["accepted"] == 1200
    told = [(refused["index"], refused["code"]) for refused in loaded["refused"]]
    assert told == [
        (1200, "period_closed"),
        (1201, "malformed"),
        (1202, "malformed"),
        (1203, "charges_out_of_range"),
        (1204, "recipient_unknown"),
    ]
    shown = await region.send("GET", "/v1/bills/N1199", role="acquirer")
    assert shown.json["period"] == "2026-10"
    assert shown.json["due_total"] == 120000


async def test_bills_document_is_told_by_its_shape_where_the_type_does_not_say(
    region: Gateway,
) -> None:
    document = orjson.dumps({"bills": [bill("D1"), {"x": 1}]})
    ndjson = orjson.dumps(bill("D2")) + b"\n" + b"{}\n"
    for body in (document, ndjson):
        answer = await region.send(
            "POST",
            "/v1/bills",
            body,
            role="operator",
            key=region.key(),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.json["accepted"] == 1
        assert [refused["index"] for refused in answer.json["refused"]] == [1]


async def test_bills_document_of_another_shape_is_malformed(region: Gateway) -> None:
    for body in (b"[]", b"{}", b'{"bills":1}', b'{"bills":[]', b'{"bills":[],"bills":[]}', b""):
        answer = await region.send("POST", "/v1/bills", body, role="operator", key=region.key())
        assert (answer.status, answer.code) == (400, "malformed"), body


async def test_an_account_with_slashes_is_found(region: Gateway) -> None:
    load = {"bills": [bill("22/00-1.2_3")]}
    await region.send("POST", "/v1/bills", load, role="operator", key=region.key())
    for path in ("22/00-1.2_3", "22%2F00-1.2_3"):
        async with region.session.get(
            URL(f"{region.url}/v1/bills/{path}", encoded=True),
            headers={"Authorization": f"Bearer {region.secrets['operator']}"},
        ) as response:
            assert response.status == 200


async def test_lines_that_come_while_the_worker_drains_are_told_to_come_again(
    database_url: str,
) -> None:
    async with served(database_url) as gateway:
        secret = gateway.secrets["acquirer"]
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        lines = [line("before"), line("after-1"), line("after-2")]
        head = (
            f"POST /v1/payments/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: {len(b''.join(lines))}"
            f"\r\nAuthorization: Bearer {secret}\r\n\r\n"
        )
        writer.write(head.encode() + lines[0])
        async with asyncio.timeout(5):
            await reader.readuntil(b'"status":201')
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", gateway.port)

        async def come_late() -> bytes:
            assert await idle_reader.read(1) == b""
            writer.write(lines[1] + lines[2])
            return await reader.read(-1)

        late = asyncio.create_task(come_late())
    async with asyncio.timeout(5):
        rest = await late
    writer.close()
    idle.close()
    assert rest.count(b'"status":503') == 2
    assert rest.count(b'"code":"unavailable"') == 2
    assert rest.endswith(b"0\r\n\r\n")
