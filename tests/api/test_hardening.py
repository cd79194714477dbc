"""What hostile or broken peers send, as bytes on a socket: refused, in time, without a trace.

A row is a name, what is sent, the status expected, and whether the connection must end.
"""

import asyncio
import contextlib

import orjson
import pytest
from aiohttp import http_parser

from gateway import app
from gateway.config import StartRefused
from tests.api.conftest import BOTH_ROADS, Gateway, payment, served, until

ROADS = BOTH_ROADS

HOST = b"Host: x\r\n"
GET = b"GET /healthz HTTP/1.1\r\n" + HOST
POST = b"POST /v1/quotes HTTP/1.1\r\n" + HOST + b"Authorization: Bearer %b\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

ROWS: list[tuple[str, bytes, int, bool]] = [
    ("a plain request", GET + b"\r\n", 200, False),
    ("HTTP/1.0", b"GET /healthz HTTP/1.0\r\n\r\n", 200, True),
    ("HTTP/2.0", b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n", 505, True),
    ("HTTP/0.9", b"GET /healthz HTTP/0.9\r\n" + HOST + b"\r\n", 505, True),
    ("no version", b"GET /healthz\r\n\r\n", 505, True),
    ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, True),
    ("two Content-Lengths", POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400, True),
    ("length and chunked", POST + b"Content-Length: 2\r\n" + CHUNKED + b"\r\n{}", 400, True),
    ("a signed length", POST + b"Content-Length: +2\r\n\r\n{}", 400, True),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\n", 400, True),
    ("a length of 1_0", POST + b"Content-Length: 1_0\r\n\r\n{}        ", 400, True),
    ("xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400, True),
    ("chunked, identity", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n", 400, True),
    ("a space before the colon", GET + b"Content-Length : 0\r\n\r\n", 400, True),
    ("a folded header", GET + b"X-A: a\r\n b\r\n\r\n", 400, True),
    ("NUL in a header", GET + b"X-A: a\x00b\r\n\r\n", 400, True),
    ("two hosts", GET + HOST + b"\r\n", 400, True),
    ("65 headers", GET + b"".join(b"X-%d: 1\r\n" % n for n in range(65)) + b"\r\n", 400, True),
    ("a header of 9 kB", GET + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 400, True),
    ("a target of 9 kB", b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 400, True),
    ("a huge chunk size", POST + CHUNKED + b"\r\n" + b"f" * 20 + b"\r\n", 400, True),
    ("a bad chunk size", POST + CHUNKED + b"\r\nzz\r\n{}\r\n0\r\n\r\n", 400, True),
    ("TRACE", b"TRACE /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405, False),
    ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\n" + HOST + b"\r\n", 405, True),
    ("OPTIONS", b"OPTIONS /healthz HTTP/1.1\r\n" + HOST + b"\r\n", 405, False),
    ("DELETE", b"DELETE /v1/bills HTTP/1.1\r\n" + HOST + b"\r\n", 405, False),
    ("an unknown path", b"GET /admin HTTP/1.1\r\n" + HOST + b"\r\n", 404, False),
    ("a path out of the tree", b"GET /docs/../../etc HTTP/1.1\r\n" + HOST + b"\r\n", 404, False),
    ("NUL in a path", b"GET /v1/bills/%00 HTTP/1.1\r\n" + HOST + b"\r\n", 404, False),
    ("a path that is no UTF-8", b"GET /v1/bills/%ff HTTP/1.1\r\n" + HOST + b"\r\n", 404, False),
    ("an absolute target", b"GET http://x/healthz HTTP/1.1\r\n" + HOST + b"\r\n", 200, False),
    ("gzip", POST + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415, True),
    ("a form", POST + b"Content-Type: text/html\r\nContent-Length: 2\r\n\r\n{}", 415, True),
    ("an expectation", POST + b"Expect: cake\r\nContent-Length: 2\r\n\r\n{}", 417, True),
    ("64 KiB and one", POST + b"Content-Length: 65537\r\n\r\n" + b" " * 65537, 413, True),
    ("64 KiB and one announced", POST + b"Content-Length: 65537\r\n\r\n", 413, True),
    (
        "64 KiB and one in chunks",
        POST + CHUNKED + b"\r\n" + b"8000\r\n" + b" " * 0x8000 + b"\r\n8002\r\n" + b" " * 0x8002,
        413,
        True,
    ),
    ("a body that stalls", POST + b"Content-Length: 10\r\n\r\n{", 408, True),
    ("an upgrade", GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 200, False),
]


async def exchange(gateway: Gateway, sent: bytes, wait_s: float = 10) -> tuple[bytes, bool]:
    """What came back for the bytes, and whether the connection ended by itself."""
    secret = gateway.secrets["acquirer"].encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    received, ended = b"", False
    try:
        async with asyncio.timeout(wait_s):
            writer.write(sent.replace(b"Bearer %b", b"Bearer " + secret))
            while not _whole(received):
                piece = await reader.read(65536)
                ended = piece == b""
                if ended:
                    return received, ended
                received += piece
            ended = await reader.read(1) == b"" if b"Connection: close" in received else False
    except ConnectionResetError:
        ended = True
    finally:
        writer.close()
    return received, ended


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    if not end:
        return False
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return False


async def test_bytes_on_the_wire(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    answers = await asyncio.gather(*(exchange(gateway, row[1]) for row in ROWS))
    for (name, _, status, ends), (received, ended) in zip(ROWS, answers, strict=True):
        first = received.split(b"\r\n", 1)[0].split(b" ")
        assert int(first[1]) == status, (name, received)
        assert ended == ends, name
        assert b"Server:" not in received, name
        assert b"X-Content-Type-Options: nosniff" in received, name
        assert b"Cache-Control: no-store" in received, name
        if status >= 400:
            assert b"Content-Type: application/problem+json" in received, name
            assert b"Traceback" not in received, name
    assert not caplog.records


async def test_an_answer_to_head_has_no_body(gateway: Gateway) -> None:
    head = b"HEAD /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(head + GET + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(5):
        received = await reader.read(-1)
    writer.close()
    assert received.startswith(b"HTTP/1.1 405 ")
    assert received.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 ")


async def test_ten_thousand_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    one = GET + b"X-Request-Id: %d\r\n\r\n"
    seen = 0

    async def send() -> None:
        for start in range(0, 10_000, 500):
            writer.write(b"".join(one % n for n in range(start, start + 500)))
            await writer.drain()

    sending = asyncio.create_task(send())
    async with asyncio.timeout(60):
        while seen < 10_000:
            line = await reader.readline()
            assert line, f"the connection ended after {seen}"
            if line.startswith(b"X-Request-Id: "):
                assert int(line[14:]) == seen
                seen += 1
    await sending
    writer.close()


async def test_idle_and_dripping_heads_are_closed(gateway: Gateway) -> None:
    """The keep-alive deadline also ends connections that never finish a head."""
    for sent in (b"", b"GET /healthz HT"):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(sent)
        async with asyncio.timeout(8):
            assert await reader.read(-1) == b""
        writer.close()


async def test_a_dripping_body_is_cut_at_the_deadline(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    secret = gateway.secrets["acquirer"].encode()
    writer.write(POST.replace(b"%b", secret) + b"Content-Length: 1000\r\n\r\n")

    async def drip() -> None:
        for _ in range(100):
            writer.write(b" ")
            await asyncio.sleep(0.1)

    dripping = asyncio.create_task(drip())
    async with asyncio.timeout(8):
        head = await reader.readuntil(b"\r\n\r\n")
    dripping.cancel()
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in head
    writer.close()


async def test_expect_100_is_answered_only_to_who_may_send(gateway: Gateway) -> None:
    head = b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(POST.replace(b"%b", gateway.secrets["acquirer"].encode()) + head)
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    stranger = POST.replace(b"Bearer %b", b"Bearer nobody-knows-me")
    received, _ = await exchange(gateway, stranger + head)
    assert received.startswith(b"HTTP/1.1 401 ")


async def test_connections_beyond_the_cap_are_closed(database_url: str) -> None:
    async with served(database_url, connections_max=3) as gateway:
        open_ones = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(3)]
        for reader, writer in open_ones:
            writer.write(GET + b"\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        extra_reader, extra = await asyncio.open_connection("127.0.0.1", gateway.port)
        extra.write(GET + b"\r\n")
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionResetError):
                assert await extra_reader.read(-1) == b""
        for _, writer in (*open_ones, (extra_reader, extra)):
            writer.close()


async def test_a_payment_goes_on_when_its_caller_leaves(region: Gateway) -> None:
    body = orjson.dumps(payment())
    secret = region.secrets["acquirer"]
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        f"Idempotency-Key: gone\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    # The key is known by now, so the payment is queued before the connection is seen to end.
    assert (await region.pay(payment())).status == 201
    _, writer = await asyncio.open_connection("127.0.0.1", region.port)
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    async with asyncio.timeout(5):
        while True:
            found = await region.send("GET", "/v1/payments", role="acquirer")
            if len(found.json["payments"]) == 2:
                break
            await asyncio.sleep(0.01)
    again = await region.pay(payment(), key="gone")
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_more_payments_than_may_wait_are_refused_before_any_work(database_url: str) -> None:
    limits = {"queue_max": 500, "group_size_max": 500, "body_timeout_s": 10, "drain_s": 20}
    async with served(database_url, **limits) as gateway:
        slow = POST.replace(b"/v1/quotes", b"/v1/payments") + b"Content-Length: 9\r\n\r\n{"
        secret = gateway.secrets["acquirer"].encode()
        waiting = []
        for _ in range(500):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(slow.replace(b"%b", secret))
            waiting.append((reader, writer))
        await until(lambda: gateway.door.in_flight == 500)
        refused = await gateway.pay(payment())
        assert refused.status == 503
        assert refused.code == "overloaded"
        assert int(refused.headers["Retry-After"]) >= 1
        # Nobody else is held up by it.
        assert (await gateway.send("GET", "/readyz")).status == 200
        for _, writer in waiting:
            writer.close()


def test_start_is_refused_under_a_slow_or_stripped_interpreter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app.refuse_unsafe_interpreter()
    with monkeypatch.context() as patch:
        patch.setenv("AIOHTTP_NO_EXTENSIONS", "1")
        with pytest.raises(StartRefused):
            app.refuse_unsafe_interpreter()
    with monkeypatch.context() as patch:
        patch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
        with pytest.raises(StartRefused):
            app.refuse_unsafe_interpreter()


async def test_a_drain_lets_a_body_that_still_comes_be_answered(database_url: str) -> None:
    async with served(database_url, body_timeout_s=5, drain_s=15) as gateway:
        secret = gateway.secrets["acquirer"].encode()
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(POST.replace(b"%b", secret) + b"Content-Length: 2\r\n\r\n{")
        idle_reader, idle = await asyncio.open_connection("127.0.0.1", gateway.port)
        idle.write(GET + b"\r\n")
        await idle_reader.readuntil(b'"alive"}')

        async def come_late() -> bytes:
            # The idle connection ends first: the worker has begun to drain.
            assert await idle_reader.read(1) == b""
            writer.write(b"}")
            return await reader.read(-1)

        late = asyncio.create_task(come_late())
    async with asyncio.timeout(5):
        answer = await late
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer
    for one in (writer, idle):
        one.close()
