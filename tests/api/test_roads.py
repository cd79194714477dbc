"""The two roads side by side: the same bytes get the same answers and the same end on either.

Thousands of heads are bent by a seeded hand. Behind each stands a second request, so that one that
is cut at another place, which is how requests are smuggled in, changes what comes back.

One difference is aiohttp's own: where no request begins behind a whole one, it forgets the whole
one if both came in the same packet. The hot road answers it, as aiohttp does if they come apart.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import orjson
import pytest

from gateway.api import hot, plain
from gateway.api.replies import REPLAYED
from tests.api.conftest import Gateway, cold_server, payment, served
from tests.conftest import DatabaseServer

SEED = 20261124
BENT = 2_000
SCRATCHED = 1_000
AT_ONCE = 100
WAIT_S = 30.0

# Nothing of this body depends on what was paid before it, as its account has no bill.
BODY = orjson.dumps(payment(subscriber_account="999"))
AFTER = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
NO_REQUEST = b"\x16\x03\x01\x02\r\n\r\n"
FIRST = b"POST /v1/payments HTTP/1.1"

Head = list[bytes]
Bend = Callable[[random.Random, Head], None]


def plain_head(key: bytes, secret: str) -> Head:
    """Lines of a head, its request line first."""
    return [
        FIRST,
        b"Host: x",
        b"Authorization: Bearer " + secret.encode(),
        b"Idempotency-Key: " + key,
        b"Content-Type: application/json",
        b"User-Agent: a/1",
        b"X-Request-Id: " + key,
        b"Content-Length: %d" % len(BODY),
    ]


def plain_request(key: bytes, secret: str) -> bytes:
    return b"\r\n".join(plain_head(key, secret)) + b"\r\n\r\n" + BODY


def a_line(dice: random.Random, head: Head) -> int:
    return dice.randrange(1, len(head)) if len(head) > 1 else 0


def twice(dice: random.Random, head: Head) -> None:
    head.insert(dice.randrange(1, len(head) + 1), head[a_line(dice, head)])


def left_out(dice: random.Random, head: Head) -> None:
    if len(head) > 1:
        del head[a_line(dice, head)]


def moved(dice: random.Random, head: Head) -> None:
    rest = head[1:]
    dice.shuffle(rest)
    head[1:] = rest


def cased(dice: random.Random, head: Head) -> None:
    at = a_line(dice, head)
    name, colon, value = head[at].partition(b":")
    head[at] = dice.choice([name.upper(), name.lower(), name.swapcase()]) + colon + value


def parted(dice: random.Random, head: Head) -> None:
    """Whitespace round the colon, before the name, after the value, or in between lines."""
    at = a_line(dice, head)
    name, _, value = head[at].partition(b": ")
    space = dice.choice([b"", b" ", b"\t", b"  ", b"\x0b", b"\x0c", b"\r", b"\n", b"\x00", b"\xa0"])
    head[at] = dice.choice(
        [
            name + space + b": " + value,
            name + b":" + space + value,
            name + b": " + value + space,
            space + name + b": " + value,
            name + b": " + space + value,
            name + b": " + value[:2] + space + value[2:],
            name[:2] + space + name[2:] + b": " + value,
        ]
    )


def folded(dice: random.Random, head: Head) -> None:
    at = a_line(dice, head)
    head[at] += dice.choice([b"\r\n ", b"\r\n\t", b"\n ", b"\r "]) + dice.choice([b"a", b"", b"5"])


def bare_ends(dice: random.Random, head: Head) -> None:
    at = dice.randrange(len(head))
    after = head.pop(at + 1) if at + 1 < len(head) else b""
    head[at] += dice.choice([b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\n", b"\x00\r\n"]) + after


def length_told_otherwise(dice: random.Random, head: Head) -> None:
    n = len(BODY)
    told = dice.choice(
        [
            *(f"+{n}", f"-{n}", f"0{n}", f"{n}.0", f"{n},{n}", f"{n}, {n}", f"{n} {n}", f"{n:#x}"),
            *(f"{n}_0", f"{n}e0", "", "0", "1", f"{n - 1}", f"{n + 1}", f"{n + 40}", "65537"),
            *(f"{n};", f'"{n}"', "9" * 7, "9" * 19, "18446744073709551617", "٢", "\x0b5", f"{n}\t"),
        ]
    )
    head[:] = [one for one in head if not one.lower().startswith(b"content-length")]
    head.insert(dice.randrange(1, len(head) + 1), b"Content-Length: " + told.encode())


def one_more(dice: random.Random, head: Head) -> None:
    """A line that changes how a request is read, or that nobody has heard of."""
    line = dice.choice(
        [
            *(b"Transfer-Encoding: chunked", b"transfer-encoding: identity", b"Transfer-Encoding:"),
            *(b"Transfer-Encoding : chunked", b"Transfer-Encoding: \x0bchunked", b"TE: trailers"),
            *(b"Transfer-Encoding: gzip, chunked", b"Transfer_Encoding: chunked"),
            *(b"Content-Length: 5", b"Content_Length: 5", b"content-length: 5", b"Trailer: A"),
            *(b"Content-Encoding: gzip", b"Content-Encoding: identity", b"Expect: 100-continue"),
            *(b"Expect: cake", b"Connection: close", b"Connection: keep-alive", b"Connection: x"),
            *(b"Connection: upgrade", b"Upgrade: websocket", b"Upgrade: h2c", b"Host: y", b"A: b"),
            *(b"Content-Type: text/html", b"Content-Type: application/json; charset=utf-16"),
            *(b"Idempotency-Key: other", b"Authorization: Bearer other_one", b"Cookie: a=b"),
            *(b"X-Forwarded-For: 1.2.3.4", b"traceparent: 00-1-1-01", b"X-Real-IP: ::1", b":", b""),
            *(b"Keep-Alive: 5", b"Sec-WebSocket-Key1: a", b"Accept: */*", b"no colon", b"X: \xff"),
            b"User-Agent: " + b"a" * dice.choice([100, 1020, 1024, 1025, 4000, 8190, 9000]),
        ]
    )
    head.insert(dice.randrange(1, len(head) + 1), line)


def asked_otherwise(dice: random.Random, head: Head) -> None:
    target = b"/v1/payments"
    head[0] = dice.choice(
        [
            *(FIRST.replace(b"1.1", version) for version in (b"1.0", b"0.9", b"2.0", b"1.2", b"")),
            *(FIRST.replace(b"POST", method) for method in (b"post", b"HEAD", b"PO ST", b"")),
            *(FIRST.replace(b" ", space) for space in (b"  ", b"\t", b"\x0b", b"\xa0")),
            FIRST.replace(target, b"/v1/%70ayments"),
            FIRST.replace(target, b"/v1/payments/"),
            FIRST.replace(target, b"//v1/payments"),
            FIRST.replace(target, b"/v1/../v1/payments"),
            FIRST.replace(target, b"/v1/payments?a=b"),
            FIRST.replace(target, b"/v1/payments#a"),
            FIRST.replace(target, b"http://x/v1/payments"),
            FIRST.replace(target, b"*"),
            FIRST.replace(target, b"/v1/payments\x00"),
            *(FIRST + b" ", b"\r\n" + FIRST, b"\n" + FIRST, b" " + FIRST, FIRST.lower(), b""),
        ]
    )


BENDS: tuple[Bend, ...] = (
    twice,
    left_out,
    moved,
    cased,
    parted,
    folded,
    bare_ends,
    length_told_otherwise,
    one_more,
    asked_otherwise,
)


def bent(dice: random.Random, secret: str) -> Iterator[bytes]:
    """Requests with one to three of the bends, the first of each kind alone."""
    for number in range(BENT):
        head = plain_head(b"bent-%d" % number, secret)
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            dice.choice(BENDS)(dice, head)
        yield b"\r\n".join(head) + b"\r\n\r\n" + BODY + dice.choice([AFTER] * 9 + [NO_REQUEST])


def scratched(dice: random.Random, secret: str) -> Iterator[bytes]:
    """Requests with a byte or two of the head changed, lost or added."""
    for number in range(SCRATCHED):
        head = bytearray(b"\r\n".join(plain_head(b"scratched-%d" % number, secret)) + b"\r\n\r\n")
        for _ in range(dice.choice([1, 1, 2])):
            at = dice.randrange(len(head))
            byte = dice.choice([dice.randrange(256), *b"\r\n\t\x00 :,;0"])
            head[at : at + dice.choice([0, 1, 1])] = dice.choice([b"", bytes([byte]), b"\r\n"])
        yield bytes(head) + BODY + AFTER


async def said(port: int, *sent: bytes) -> bytes:
    """All that comes back until the connection ends, without what differs from run to run.

    What is sent in several pieces waits for something to come back in between.
    """
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        received = b""
        try:
            for piece in sent[:-1]:
                writer.write(piece)
                received += await reader.read(65536)
            writer.write(sent[-1])
            while answer := await reader.read(65536):
                received += answer
        except ConnectionResetError:
            pass
        finally:
            writer.close()
    received = re.sub(rb"Date: [^\r]+", b"Date:", received)
    received = re.sub(rb"pay_[0-9a-f]{32}", b"pay_", received)
    return re.sub(rb'"accepted_at":"[^"]+"', b'"accepted_at":', received)


@pytest.fixture
def other_database_url(database_server: DatabaseServer, template_database: str) -> Iterator[str]:
    """A second database like the first."""
    name = database_server.create(template_database)
    yield database_server.url(name)
    database_server.drop(name)


@pytest.mark.parametrize("hand", [bent, scratched])
async def test_bent_heads_get_the_same_on_either_road(
    database_url: str,
    other_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    hand: Callable[[random.Random, str], Iterator[bytes]],
) -> None:
    # How long a part may take is another test's; here it would only tell slow machines apart.
    monkeypatch.setattr(hot, "WHOLE_S", 0.05)
    room = asyncio.Semaphore(AT_ONCE)
    seen: Counter[int] = Counter()
    differ: list[tuple[bytes, bytes, bytes]] = []
    async with AsyncExitStack() as stack:
        fast = await stack.enter_async_context(served(database_url))
        with monkeypatch.context() as patch:
            patch.setattr("gateway.app.make_server", cold_server)
            slow = await stack.enter_async_context(served(other_database_url))

        async def compare(number: int, sent: bytes) -> None:
            # Every other one comes on a connection that knows what its heads look like.
            before = [plain_request(b"before-%d" % number, secret)] if number % 2 else []
            async with room:
                heard, cold = await asyncio.gather(
                    said(fast.port, *before, sent), said(slow.port, *before, sent)
                )
                if heard != cold and (end := end_of_plain(sent)):
                    cold = await said(slow.port, *before, sent[:end], sent[end:])
                    # What came before was paid the first time.
                    cold = cold.replace(REPLAYED, b"", len(before))
            if heard != cold:
                differ.append((sent, heard, cold))
            seen[statuses(heard)[len(before)]] += 1

        secret = fast.secrets["acquirer"]
        assert fast.secrets == slow.secrets
        async with asyncio.TaskGroup() as tasks:
            for number, sent in enumerate(hand(random.Random(SEED), secret)):
                tasks.create_task(compare(number, sent))
        assert not differ, (len(differ), *differ[:2])
        assert await payments_in(fast) == await payments_in(slow)
    # The hand bends neither everything nor nothing.
    assert seen[201] > 50, seen
    assert seen[400] > 50, seen


def statuses(received: bytes) -> list[int]:
    """The statuses of the answers, and 0 where there is no more."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)] + [0, 0]


def end_of_plain(content: bytes) -> int:
    """Where the plain request ends that the bytes begin with; 0 where they do not."""
    shape = plain.shape_of(content, 0)
    head = None if shape is None else shape.read(content, 0)
    return 0 if head is None else head[4]


async def payments_in(gateway: Gateway) -> int:
    """How many payments are durable, by the pages of the search."""
    count, cursor = 0, ""
    while True:
        path = f"/v1/payments?limit=1000{cursor}"
        page = (await gateway.send("GET", path, role="auditor")).json
        count += len(page["payments"])
        if page["next_cursor"] is None:
            return count
        cursor = f"&cursor={page['next_cursor']}"
