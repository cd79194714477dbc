"""The hot road over real sockets, on both loops: order, hand-over, deadlines, drain, slow peers."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from gateway.api import encode, hot
from tests.api.conftest import BOTH_LOOPS, Answer, Gateway, payment, served, until

LOOPS = BOTH_LOOPS
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
KEPT_MAX = 256 * 1024


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine does not make a request odd."""
    monkeypatch.setattr(hot, "WHOLE_S", 60.0)


class Peer:
    """A raw connection to the gateway, whose answers are read one by one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *pieces: bytes) -> None:
        self.writer.write(b"".join(pieces))

    async def answer(self) -> Answer:
        async with asyncio.timeout(15):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].decode().split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines[1:])
            content = await self.reader.readexactly(int(headers["Content-Length"]))
        return Answer(int(lines[0].split(" ")[1]), headers, content)

    async def is_ended(self) -> bool:
        async with asyncio.timeout(15):
            with contextlib.suppress(ConnectionResetError):
                return await self.reader.read(1) == b""
            return True


@contextlib.asynccontextmanager
async def peer_of(gateway: Gateway, **options: Any) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, **options)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


def post(gateway: Gateway, key: str, body: bytes | None = None, **changes: Any) -> bytes:
    """A plain payment whose request id is its key; `secret` and `more` header lines may differ."""
    content = orjson.dumps(payment(subscriber_account="999")) if body is None else body
    secret = changes.get("secret", gateway.secrets["acquirer"])
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {secret}\r\n"
        f"Idempotency-Key: {key}\r\nX-Request-Id: {key}\r\n{changes.get('more', '')}"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def is_hot(gateway: Gateway) -> bool:
    return not gateway.server.connections


@contextlib.asynccontextmanager
async def held_commits(gateway: Gateway) -> AsyncIterator[None]:
    """No payment becomes durable meanwhile."""
    conn = await asyncpg.connect(gateway.database_url)
    try:
        async with conn.transaction():
            await conn.execute("LOCK TABLE idempotency_keys IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await conn.close()


async def test_a_request_may_come_byte_by_byte(gateway: Gateway, unhurried: None) -> None:
    async with peer_of(gateway) as peer:
        for key in ("a", "b"):
            for byte in post(gateway, key):
                peer.send(bytes([byte]))
                await peer.writer.drain()
                await asyncio.sleep(0)
            assert (await peer.answer()).status == 201
        assert is_hot(gateway)


@pytest.mark.parametrize("count", [2, 200])
async def test_requests_of_one_packet_are_answered_in_order(
    gateway: Gateway, count: int, unhurried: None
) -> None:
    keys = [f"k{n}" for n in range(count)]
    async with peer_of(gateway) as peer:
        peer.send(*(post(gateway, key) for key in keys))
        answers = [await peer.answer() for _ in keys]
        assert [answer.status for answer in answers] == [201] * count
        assert [answer.headers["X-Request-Id"] for answer in answers] == keys
        assert len({answer.json["id"] for answer in answers}) == count
        assert is_hot(gateway)


async def test_hot_then_cold_then_hot(gateway: Gateway) -> None:
    async with peer_of(gateway) as peer:
        for sent, status in ((post(gateway, "a"), 201), (GET, 200), (post(gateway, "b"), 201)):
            peer.send(sent)
            assert (await peer.answer()).status == status
        assert len(gateway.server.connections) == 1


async def test_all_of_it_in_one_packet(gateway: Gateway) -> None:
    """What was taken is answered before the connection goes over with all that follows."""
    async with peer_of(gateway) as peer:
        peer.send(post(gateway, "a"), post(gateway, "b"), GET, post(gateway, "c"), GET[:9])
        answers = [await peer.answer() for _ in range(4)]
        assert [answer.status for answer in answers] == [201, 201, 200, 201]
        assert [answer.headers.get("X-Request-Id") for answer in answers] == ["a", "b", None, "c"]
        peer.send(GET[9:])
        assert (await peer.answer()).status == 200


async def test_bytes_that_come_while_answers_are_awaited_are_kept(gateway: Gateway) -> None:
    async with peer_of(gateway) as peer:
        async with held_commits(gateway):
            peer.send(post(gateway, "a"))
            await until(lambda: gateway.door.in_flight == 1)
            for at in range(0, len(GET), 7):
                peer.send(GET[at : at + 7])
                await peer.writer.drain()
        assert (await peer.answer()).status == 201
        assert (await peer.answer()).status == 200


async def test_part_of_a_request_goes_over_in_time(gateway: Gateway) -> None:
    whole = post(gateway, "a")
    for size in (1, 60, len(whole) - 1):
        async with peer_of(gateway) as peer:
            peer.send(whole[:size])
            await until(lambda: len(gateway.server.connections) == 1)
            peer.send(whole[size:])
            assert (await peer.answer()).status == 201
        await until(lambda: is_hot(gateway))


async def test_a_body_that_stalls_is_cut_at_the_deadline(gateway: Gateway) -> None:
    async with peer_of(gateway) as peer:
        peer.send(post(gateway, "a")[:-1])
        answer = await peer.answer()
        assert (answer.status, answer.code) == (408, "request_timeout")
        assert await peer.is_ended()


async def test_a_body_that_is_too_large_is_refused_at_its_head(gateway: Gateway) -> None:
    largest = b" " * (65536 - len(b"{}")) + b"{}"
    async with peer_of(gateway) as peer:
        peer.send(post(gateway, "a", largest))
        assert (await peer.answer()).code == "malformed"
        peer.send(post(gateway, "a", largest + b" ").removesuffix(largest + b" "))
        answer = await peer.answer()
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await peer.is_ended()


async def test_a_body_that_is_too_large_is_refused_though_all_is_there(database_url: str) -> None:
    async with served(database_url, body_bytes_max=1024) as gateway, peer_of(gateway) as peer:
        peer.send(post(gateway, "a", b" " * 1024), post(gateway, "b", b" " * 1025))
        assert (await peer.answer()).code == "malformed"
        answer = await peer.answer()
        assert (answer.status, answer.code) == (413, "body_too_large")
        assert await peer.is_ended()


async def test_who_may_not_pay_is_told_so(gateway: Gateway) -> None:
    async with peer_of(gateway) as peer:
        for secret, code in (("nobody-knows-me", "unauthenticated"), ("operator", "forbidden")):
            secret = gateway.secrets.get(secret, secret)
            peer.send(post(gateway, "a", secret=secret))
            answer = await peer.answer()
            assert answer.code == code
            assert answer.headers["X-Request-Id"] == "a"
        peer.send(post(gateway, "a"))
        assert (await peer.answer()).status == 201
        assert is_hot(gateway)


async def test_the_rate_limit_holds(database_url: str) -> None:
    async with served(database_url, rate_limit_per_s=3) as gateway, peer_of(gateway) as peer:
        peer.send(*(post(gateway, f"k{n}") for n in range(20)))
        answers = [await peer.answer() for _ in range(20)]
    refused = [answer for answer in answers if answer.status != 201]
    # A second may begin in between.
    assert 14 <= len(refused) <= 17
    assert {answer.code for answer in refused} == {"rate_limited"}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)


async def test_no_more_are_taken_than_may_wait(database_url: str) -> None:
    async with served(database_url, queue_max=2, group_size_max=2) as gateway:
        async with peer_of(gateway) as peer:
            peer.send(post(gateway, "first"))
            assert (await peer.answer()).status == 201
            async with held_commits(gateway):
                peer.send(*(post(gateway, f"k{n}") for n in range(4)))
                await until(lambda: gateway.door.in_flight == 2)
            answers = [await peer.answer() for _ in range(4)]
        assert [answer.status for answer in answers] == [201, 201, 503, 503]
        assert answers[3].code == "overloaded"
        assert gateway.door.in_flight == 0


async def test_whoever_is_refused_for_want_of_room_is_not_looked_up(database_url: str) -> None:
    async with (
        served(database_url, queue_max=1, group_size_max=1) as gateway,
        peer_of(gateway) as payer,
        peer_of(gateway) as other,
    ):
        async with held_commits(gateway):
            payer.send(post(gateway, "first"))
            await until(lambda: gateway.door.in_flight == 1)
            gateway.secrets["acquirer"] = "nobody-has-this-secret"
            # Sent in one go, and each is answered while the first payment still waits.
            other.send(post(gateway, "k1"), post(gateway, "k2"))
            answers = [await other.answer() for _ in range(2)]
        assert (await payer.answer()).status == 201
    assert {(answer.status, answer.code) for answer in answers} == {(503, "overloaded")}
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers)


async def test_a_bug_is_a_500_and_the_connection_goes_on(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bytes:
        raise KeyError("220012345")

    async with peer_of(gateway) as peer:
        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
            patch.setattr(encode, "payment", broken)
            peer.send(post(gateway, "a"))
            answer = await peer.answer()
        assert (answer.status, answer.code) == (500, "internal")
        assert len(caplog.records) == 1
        assert "220012345" not in caplog.text
        peer.send(post(gateway, "a"))
        again = await peer.answer()
        assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")


async def test_a_payment_goes_on_when_its_caller_leaves(gateway: Gateway) -> None:
    async with held_commits(gateway):
        async with peer_of(gateway) as peer:
            peer.send(post(gateway, "a"), post(gateway, "b"))
            await until(lambda: gateway.door.in_flight == 2)
            before = gateway.server.hot_connections
        await until(lambda: gateway.server.hot_connections < before)
    await until(lambda: gateway.door.in_flight == 0)
    for key in ("a", "b"):
        again = await gateway.pay(payment(subscriber_account="999"), key=key)
        assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_drain_answers_what_was_taken_and_ends_the_rest(database_url: str) -> None:
    async with contextlib.AsyncExitStack() as peers:
        async with served(database_url) as gateway:
            busy, idle = [await peers.enter_async_context(peer_of(gateway)) for _ in range(2)]
            idle.send(post(gateway, "before"))
            assert "Connection" not in (await idle.answer()).headers
            commits = held_commits(gateway)
            await commits.__aenter__()
            busy.send(post(gateway, "a"), post(gateway, "b"), post(gateway, "c")[:-1])
            await until(lambda: gateway.door.in_flight == 2)

            async def let_commit() -> None:
                # The idle connection ends first: the worker has begun to drain.
                assert await idle.is_ended()
                await commits.__aexit__(None, None, None)

            letting = asyncio.create_task(let_commit())
        await letting
        answers = [await busy.answer() for _ in range(2)]
        assert [answer.status for answer in answers] == [201, 201]
        assert [answer.headers.get("Connection") for answer in answers] == [None, "close"]
        assert await busy.is_ended()


async def test_a_drain_lets_a_body_that_still_comes_be_answered(database_url: str) -> None:
    async with contextlib.AsyncExitStack() as peers:
        async with served(database_url, body_timeout_s=5, drain_s=15) as gateway:
            late, idle = [await peers.enter_async_context(peer_of(gateway)) for _ in range(2)]
            idle.send(post(gateway, "before"))
            await idle.answer()
            whole = post(gateway, "a")
            late.send(whole[:-1])
            await until(lambda: any(one._kept for one in gateway.server._hot))

            async def come_late() -> None:
                assert await idle.is_ended()
                late.send(whole[-1:])

            coming = asyncio.create_task(come_late())
        await coming
        answer = await late.answer()
        assert (answer.status, answer.headers["Connection"]) == (201, "close")


async def test_a_connection_nothing_comes_on_is_ended(database_url: str) -> None:
    async with served(database_url, keepalive_s=1) as gateway, peer_of(gateway) as peer:
        assert is_hot(gateway)
        peer.send(post(gateway, "a"))
        assert (await peer.answer()).status == 201
        assert await peer.is_ended()


async def test_a_request_that_has_begun_is_not_idle(gateway: Gateway, unhurried: None) -> None:
    whole = post(gateway, "a")
    async with peer_of(gateway) as peer:
        peer.send(whole[:-1])
        await until(lambda: any(one._kept for one in gateway.server._hot))
        (connection,) = gateway.server._hot
        connection._active_at -= 3600
        connection._end_if_idle()
        peer.send(whole[-1:])
        assert (await peer.answer()).status == 201


@contextlib.asynccontextmanager
async def slow_peer_of(gateway: Gateway) -> AsyncIterator[tuple[Peer, hot.HotConnection, Any]]:
    """A peer that takes little unless it is asked for answers, and both ends of the server's side.

    The kernel's own buffers are made small, so that ours has to grow.
    """
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", gateway.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=4096)
    try:
        peer = Peer(reader, writer)
        peer.send(post(gateway, "first"))
        assert (await peer.answer()).status == 201
        (connection,) = [one for one in gateway.server._hot if one._shape is not None]
        transport = connection._transport
        assert transport is not None
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield peer, connection, transport
    finally:
        writer.close()


async def test_a_peer_that_does_not_read_holds_little_and_loses_nothing(
    gateway: Gateway, unhurried: None
) -> None:
    count = 1500
    async with slow_peer_of(gateway) as (peer, connection, transport):
        peer.send(*(post(gateway, f"k{n}") for n in range(count)))
        await until(lambda: connection._paused and gateway.door.in_flight == 0)
        assert transport.get_write_buffer_size() < KEPT_MAX
        assert len(connection._kept) < 2 * KEPT_MAX
        for n in range(count):
            answer = await peer.answer()
            assert (answer.status, answer.headers["X-Request-Id"]) == (201, f"k{n}")


async def test_a_peer_that_never_reads_is_let_go(database_url: str, unhurried: None) -> None:
    async with (
        served(database_url, keepalive_s=1) as gateway,
        slow_peer_of(gateway) as (peer, connection, _),
    ):
        peer.send(*(post(gateway, f"k{n}") for n in range(1500)))
        await until(lambda: connection._paused)
        await until(lambda: gateway.server.hot_connections == 0)


async def durable_payments(gateway: Gateway) -> int:
    conn = await asyncpg.connect(gateway.database_url)
    try:
        return int(await conn.fetchval("SELECT count(*) FROM payments"))
    finally:
        await conn.close()


async def test_a_drain_lets_a_slow_peer_take_its_answers(database_url: str) -> None:
    async with contextlib.AsyncExitStack() as peers:
        async with served(database_url) as gateway:
            peer, connection, _ = await peers.enter_async_context(slow_peer_of(gateway))
            idle = await peers.enter_async_context(peer_of(gateway))
            sent = 0
            async with asyncio.timeout(30):
                while not connection._paused:
                    peer.send(post(gateway, f"k{sent}"))
                    sent += 1
                    # All of them are taken before the worker stops.
                    while await durable_payments(gateway) <= sent or gateway.door.in_flight:
                        pass

            async def read_at_last() -> list[Answer]:
                assert await idle.is_ended()
                return [await peer.answer() for _ in range(sent)]

            reading = asyncio.create_task(read_at_last())
        answers = await reading
        assert [answer.headers["X-Request-Id"] for answer in answers] == [
            f"k{n}" for n in range(sent)
        ]
        assert await peer.is_ended()
