"""Which heads are plain: those of the clients there are, and none that can be read in two ways."""

import pytest

from gateway.api import plain

SECRET = "Bearer kp_0123456789"
LINES = (
    b"Host: pay.example:8080",
    b"Authorization: Bearer kp_0123456789",
    b"Idempotency-Key: order-1",
    b"Content-Type: application/json",
    b"Content-Length: 2",
)


def head(*lines: bytes, first: bytes = b"POST /v1/payments HTTP/1.1") -> bytes:
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def with_line(line: bytes) -> bytes:
    """The plain head with one more line, or with its line of the same name replaced."""
    name = line.partition(b":")[0].strip().lower()
    kept = [one for one in LINES if one.partition(b":")[0].lower() != name]
    return head(*kept, line)


def read(content: bytes, at: int = 0) -> plain.Head | None:
    shape = plain.shape_of(content, at)
    return None if shape is None else shape.read(content, at)


def test_a_plain_head_tells_key_and_body() -> None:
    content = b"before" + head(*LINES) + b"{}after"
    shape = plain.shape_of(content, 6)
    assert shape is not None
    assert shape.authorization == SECRET
    key, request_id, trace, body_at, end = shape.read(content, 6) or ("", None, None, 0, 0)
    assert (key, request_id, trace, content[body_at:end]) == ("order-1", None, None, b"{}")


def test_a_shape_reads_other_values_in_the_same_places() -> None:
    first = head(b"X-Request-Id: 1", LINES[4], LINES[0], LINES[2], LINES[1])
    shape = plain.shape_of(first, 0)
    assert shape is not None
    lines = (b"X-Request-Id: abc", b"Content-Length: 65536", LINES[0], b'Idempotency-Key: "~"')
    content = head(*lines, LINES[1])
    found = shape.read(content, 0)
    assert found == ('"~"', "abc", None, len(content), len(content) + 65536)
    assert shape.read(head(*lines, b"Authorization: Bearer kp_0123456780"), 0) is None
    assert shape.read(content[:-1], 0) is None


def test_a_trace_that_changes_keeps_the_shape() -> None:
    first = head(*LINES, b"traceparent: " + TRACE.encode())
    shape = plain.shape_of(first, 0)
    assert shape is not None
    other = TRACE.replace("0af", "1bf")
    found = shape.read(head(*LINES, b"traceparent: " + other.encode()), 0)
    assert found is not None
    assert found[2] == other
    assert shape.read(head(*LINES, b"traceparent: \x7f"), 0) is None


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

# Names and order as these send them.
CLIENTS = {
    "aiohttp": head(
        *LINES[:3],
        b"Accept: */*",
        b"Accept-Encoding: gzip, deflate, br",
        b"User-Agent: Python/3.11 aiohttp/3.14.5",
        *LINES[4:],
        LINES[3],
    ),
    "requests": head(
        LINES[0],
        b"User-Agent: python-requests/2.34.2",
        b"Accept-Encoding: gzip, deflate",
        b"Accept: */*",
        b"Connection: keep-alive",
        *LINES[1:],
    ),
    "curl": head(*LINES[:3], b"User-Agent: curl/8.14.1", b"Accept: */*", *LINES[3:]),
    "Go": head(LINES[0], b"User-Agent: Go-http-client/1.1", *LINES[1:], b"Accept-Encoding: gzip"),
    "Node": head(
        b"host: pay.example:8080",
        b"connection: keep-alive",
        b"authorization: Bearer kp_0123456789",
        b"idempotency-key: order-1",
        b"content-type: application/json; charset=utf-8",
        b"accept: */*",
        b"accept-language: *",
        b"user-agent: node",
        b"accept-encoding: gzip, deflate",
        b"content-length: 2",
    ),
    "behind nginx": head(
        *LINES,
        b"X-Real-IP: 192.0.2.1",
        b"X-Forwarded-For: 192.0.2.1, 192.0.2.2",
        b"X-Forwarded-Proto: https",
        b"X-Request-Id: 7f",
        b"traceparent: " + TRACE.encode(),
    ),
}


@pytest.mark.parametrize("content", CLIENTS.values(), ids=CLIENTS.keys())
def test_what_clients_send_is_plain(content: bytes) -> None:
    assert read(content) == (
        "order-1",
        "7f" if b"X-Request-Id" in content else None,
        TRACE if b"traceparent" in content else None,
        len(content),
        len(content) + 2,
    )


ODD: tuple[bytes, ...] = (
    head(*LINES, first=b"GET /v1/payments HTTP/1.1"),
    head(*LINES, first=b"post /v1/payments HTTP/1.1"),
    head(*LINES, first=b"POST /v1/payments HTTP/1.0"),
    head(*LINES, first=b"POST  /v1/payments HTTP/1.1"),
    head(*LINES, first=b"POST /v1/payments? HTTP/1.1"),
    head(*LINES, first=b"POST /v1/%70ayments HTTP/1.1"),
    head(*LINES, first=b"POST http://x/v1/payments HTTP/1.1"),
    head(*LINES, first=b"\r\nPOST /v1/payments HTTP/1.1"),
    *(head(*LINES[:at], *LINES[at + 1 :]) for at in (0, 1, 2, 4)),
    *(head(*LINES, line) for line in LINES),
    *(head(*LINES, line.upper()) for line in LINES),
    with_line(b"Content-Length: 0"),
    with_line(b"Content-Length: 02"),
    with_line(b"Content-Length: +2"),
    with_line(b"Content-Length: -2"),
    with_line(b"Content-Length: 0x2"),
    with_line(b"Content-Length: 2,2"),
    with_line(b"Content-Length: 2 "),
    with_line(b"Content-Length: "),
    with_line(b"Content-Length:  2"),
    with_line(b"Content-Length:2"),
    with_line(b"Content-Length:\t2"),
    with_line(b"Content-Length : 2"),
    with_line(b" Content-Length: 2"),
    with_line("Content-Length: ٢".encode()),
    with_line(b"Content-Length: 12345678"),
    with_line(b"Content\xadLength: 2"),
    with_line(b"Transfer-Encoding: chunked"),
    with_line(b"Transfer-Encoding: identity"),
    with_line(b"Content-Encoding: identity"),
    with_line(b"Expect: 100-continue"),
    with_line(b"Upgrade: h2c"),
    with_line(b"Trailer: X-A"),
    with_line(b"X-Unheard-Of: 1"),
    with_line(b"Connection: close"),
    with_line(b"Connection: keep-alive, upgrade"),
    with_line(b"Content-Type: application/x-ndjson"),
    with_line(b"Content-Type: text/html"),
    with_line(b"Host: a b"),
    with_line(b"Host: a@b"),
    with_line(b"Host: a/b"),
    with_line(b"Authorization: Basic kp_0123456789"),
    with_line(b"Authorization: Bearer  kp_0123456789"),
    with_line(b"Authorization: Bearer short"),
    with_line(b"Idempotency-Key: a b"),
    with_line(b"Idempotency-Key: "),
    with_line(b"Idempotency-Key: " + b"k" * 256),
    with_line("Idempotency-Key: ключ".encode()),
    with_line(b"X-Request-Id: " + b"k" * 129),
    with_line(b"User-Agent: a\x00b"),
    with_line(b"User-Agent: a\nb"),
    with_line(b"User-Agent: a\rb"),
    with_line(b"User-Agent: a\r\n b"),
    with_line(b"User-Agent: a\x7fb"),
    with_line(b"User-Agent: a\x85b"),
    with_line(b"User-Agent: " + b"a" * 4096),
    with_line(b"no colon"),
    head(*LINES).replace(b"\r\n", b"\n"),
)


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_what_could_be_read_otherwise_is_not_plain(content: bytes) -> None:
    assert read(content) is None
    assert not plain.may_begin(content, 0)
    # Nor is it for a connection on which a plain one came before.
    usual = plain.shape_of(head(*LINES), 0)
    assert usual is not None
    assert usual.read(content, 0) is None


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (b"order-1", b""),
        (b"order-1", b"a b"),
        (b"order-1", b" order-1"),
        (b"order-1", b"order-1 "),
        (b"order-1", b"a\nb"),
        (b"order-1", b"a\x00b"),
        (b"order-1", b"k" * 256),
        (b"order-1", b"1\r\nX-A: 1"),
        (b"order-1", b"1\r\n\r\n"),
        (b"Length: 2", b"Length: "),
        (b"Length: 2", b"Length: 02"),
        (b"Length: 2", b"Length: +2"),
        (b"Length: 2", b"Length: 2 "),
        (b"Length: 2", b"Length: 2,2"),
        (b"Length: 2", b"Length: 2\n"),
        (b"Length: 2", b"Length: 12345678"),
    ],
)
def test_values_of_a_known_shape_are_held_to_their_form(value: bytes, other: bytes) -> None:
    usual = plain.shape_of(head(*LINES), 0)
    assert usual is not None
    content = head(*LINES).replace(value, other)
    assert usual.read(content, 0) is None
    assert read(content) is None or other == b"1\r\n\r\n"


def test_a_beginning_may_become_plain_and_nothing_else_may() -> None:
    content = head(*LINES)
    for size in range(len(content)):
        assert read(content[:size]) is None
        assert plain.may_begin(content[:size], 0), size
    assert not plain.may_begin(b"G", 0)
    assert not plain.may_begin(b"POST /v1/payments/", 0)
    assert not plain.may_begin(content[:-2] + b"X-A: " + b"a" * plain.HEAD_BYTES_MAX, 0)
