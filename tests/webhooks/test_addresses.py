"""Where webhooks may not go, however it is written, and whatever a name is resolved to."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.domain.clock import SystemClock
from gateway.domain.refusals import Refusal
from gateway.webhooks.addresses import Rules
from gateway.webhooks.sending import Sender
from tests.webhooks.receiving import Receiver

STRICT = Rules(frozenset({443, 8443}))

FORBIDDEN = (
    *(
        "0.0.0.1",
        "0.255.0.1",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
    ),
    *("169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1"),
    *("192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::", "::1", "::ffff:8.8.8.8", "::ffff:10.0.0.1", "::8.8.8.8", "64:ff9b::8.8.8.8"),
    *("64:ff9b:1::10.0.0.1", "100::1", "2001::1", "2001:db8::1", "2002:a00:1::1", "3fff::1"),
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%1", "fec0::1", "ff02::1", "5f00::1"),
    *("2a00:1450:4001::1%1", "", "localhost"),
)
ALLOWED = ("8.8.8.8", "172.32.0.1", "100.63.255.255", "192.0.1.1", "2a00:1450:4001::1")


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_of_nobody_else(address: str) -> None:
    assert not STRICT.may_go_to(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_addresses_of_the_world(address: str) -> None:
    assert STRICT.may_go_to(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "https:///path",
        "https://example.org:444/",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https://payer:secret@example.org/",
        "https://payer@example.org/",
        "https://example.org/#part",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://10.0.0.1:443/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://example.org\\@127.0.0.1/",
        "https://пример.рф/",
        "https://exa mple.org/",
        "https://example.org/\r\nHost: x",
        "https://example.org/" + "x" * 2048,
        "//example.org/",
        "https://[::1",
        "https://exa%6dple.org/",
        "",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(Refusal, match="url_not_allowed"):
        STRICT.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org/hook?from=kopeck",
        "https://Example.org:8443/",
        "https://8.8.8.8/",
        "https://[2a00:1450:4001::1]/",
    ],
)
def test_urls_that_are_taken(url: str) -> None:
    STRICT.check_url(url)


def test_loopback_is_spoken_to_only_where_it_is_set() -> None:
    open_to_tests = Rules(frozenset({443}), loopback=True)
    for url in ("http://127.0.0.1:9/", "http://localhost:9/", "https://[::1]:9/"):
        open_to_tests.check_url(url)
    for url in ("http://10.0.0.1/", "http://example.org/", "https://example.org:9/"):
        with pytest.raises(Refusal, match="url_not_allowed"):
            open_to_tests.check_url(url)


@asynccontextmanager
async def names(monkeypatch: pytest.MonkeyPatch, *found: str) -> AsyncIterator[list[str]]:
    """A system whose resolver gives these addresses, one call after another the next."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()

    async def resolve(host: str, port: Any, **_: Any) -> list[Any]:
        asked.append(host)
        addresses = found[min(len(asked), len(found)) - 1].split()
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                socket.IPPROTO_TCP,
                "",
                (one, port, 0, 0) if ":" in one else (one, port),
            )
            for one in addresses
        ]

    monkeypatch.setattr(loop, "getaddrinfo", resolve)
    yield asked


@pytest.mark.parametrize("found", ["127.0.0.1", "8.8.8.8 127.0.0.1", "::ffff:127.0.0.1", "fe80::1"])
async def test_a_name_of_a_forbidden_address_is_not_called(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver, found: str
) -> None:
    rules = Rules(frozenset({receiver.port}))
    async with names(monkeypatch, found) as asked, Sender(rules, 5) as sender:
        reply = await sender.post(f"https://example.org:{receiver.port}/hook", {}, b"{}")
    assert (reply.outcome, asked) == ("forbidden", ["example.org"])
    assert receiver.heard == []


async def test_a_name_is_resolved_once_and_that_address_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that is public when it is judged and ours a moment later gets us nowhere."""
    called: list[str] = []

    def no_socket(_: Sender, address: Any) -> socket.socket:
        called.append(address[4][0])
        raise OSError("nobody is called in this test")

    monkeypatch.setattr(Sender, "_socket", no_socket)
    async with names(monkeypatch, "8.8.8.8", "127.0.0.1") as asked, Sender(STRICT, 5) as sender:
        reply = await sender.post("https://example.org/hook", {}, b"{}")
    assert (reply.outcome, asked, called) == ("unreachable", ["example.org"], ["8.8.8.8"])


async def test_the_socket_is_judged_once_more(
    monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """Whatever lets a URL through, the address of the connection is looked at itself."""
    monkeypatch.setattr(Rules, "check_url", lambda *_: None)
    async with Sender(STRICT, 5) as sender:
        reply = await sender.post(receiver.url, {}, b"{}")
    assert reply.outcome == "forbidden"
    assert receiver.heard == []


def self_signed(folder: Path) -> Path:
    """A file with a key and the certificate of 127.0.0.1 that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = SystemClock().now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "server.pem"
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


async def test_a_certificate_of_nobody_is_not_believed(tmp_path: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path))
    heard: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        heard.append(request.path)
        return web.Response()

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        port = runner.addresses[0][1]
        async with Sender(Rules(frozenset(), loopback=True), 5) as sender:
            reply = await sender.post(f"https://127.0.0.1:{port}/hook", {}, b"{}")
    finally:
        await runner.cleanup()
    assert (reply.outcome, heard) == ("unreachable", [])


async def test_a_server_that_never_answers_is_left(receiver: Receiver) -> None:
    receiver.open.clear()
    async with Sender(Rules(frozenset(), loopback=True), 0.2) as sender:
        reply = await sender.post(receiver.url, {}, b"{}")
    assert reply.outcome == "timed_out"
