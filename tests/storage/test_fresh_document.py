"""A document of somebody else's: as new as may be, bounded, and never lost by a bad moment."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from gateway.demo.apple_wallet import key_pem, new_key
from gateway.domain.clock import SystemClock
from gateway.storage.fresh_document import (
    AGAIN_S,
    DOCUMENT_BYTES_MAX,
    FILE_S,
    KEPT_MAX_S,
    KEPT_MIN_S,
    USUAL_S,
    FreshDocument,
    kept_s,
)


def parse(content: bytes) -> str:
    """A document that begins with an A."""
    text = content.decode()
    if not text.startswith("A"):
        raise ValueError("Expected an A")
    return text


def write(path: Path, text: str) -> None:
    path.write_text(text)


class Server:
    """An https server of the test's own; `answer` is what it says next."""

    def __init__(self, folder: Path) -> None:
        key = new_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        since = SystemClock().now() - timedelta(hours=1)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(since)
            .not_valid_after(since + timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), False
            )
            .sign(key, SHA256())
        )
        pem = folder / "server.pem"
        pem.write_bytes(certificate.public_bytes(Encoding.PEM) + key_pem(key))
        self._own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._own.load_cert_chain(pem)
        self.trusting = ssl.create_default_context(cafile=str(pem))
        self.url = ""
        self.answer = web.Response(text="A")
        self.asked = 0

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/keys.json", self._answer)
        app.router.add_get("/elsewhere", self._elsewhere)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._own)
        await site.start()
        self.url = f"https://127.0.0.1:{runner.addresses[0][1]}/keys.json"
        return runner

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        return self.answer

    async def _elsewhere(self, request: web.Request) -> web.Response:
        return web.Response(text="A moved")

    def document(self) -> FreshDocument[str]:
        return FreshDocument(self.url, parse, self.trusting)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    runner = await made.start()
    try:
        yield made
    finally:
        await runner.cleanup()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    write(file, "A 1")
    return file


async def test_a_file_is_read_again_when_it_changes(path: Path) -> None:
    document = FreshDocument(str(path), parse)
    assert await document.refresh() == FILE_S
    first = document.value
    write(path, "A longer")
    assert await document.refresh() == FILE_S
    assert (first, document.value) == ("A 1", "A longer")
    other = path.with_suffix(".new")
    other.write_text("A placed")
    os.replace(other, path)
    await document.refresh()
    assert document.value == "A placed"


async def test_a_file_that_goes_bad_leaves_what_it_said(path: Path) -> None:
    document = FreshDocument(str(path), parse)
    document.read_file()
    for broken in ("B", "A" * (DOCUMENT_BYTES_MAX + 1)):
        write(path, broken)
        assert await document.refresh() == AGAIN_S
        assert document.value == "A 1"
    os.unlink(path)
    assert await document.refresh() == AGAIN_S
    write(path, "A again")
    assert await document.refresh() == FILE_S
    assert document.value == "A again"


async def test_a_url_is_fetched_for_as_long_as_its_owner_says(server: Server) -> None:
    document = server.document()
    assert document.value is None
    server.answer = web.Response(text="A 1", headers={"Cache-Control": "public, max-age=600"})
    assert await document.refresh() == 600
    assert document.value == "A 1"


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500, text="A"),
        lambda: web.Response(status=302, headers={"Location": "/elsewhere"}),
        lambda: web.Response(text="B"),
        lambda: web.Response(text=""),
        lambda: web.Response(body=b"\xff"),
        lambda: web.Response(text="A" * (DOCUMENT_BYTES_MAX + 1)),
    ],
)
async def test_a_bad_answer_leaves_the_one_before(server: Server, answer: object) -> None:
    document = server.document()
    await document.refresh()
    assert callable(answer)
    server.answer = answer()
    assert await document.refresh() == AGAIN_S
    assert document.value == "A"


async def test_a_server_that_nobody_vouches_for_is_not_believed(server: Server) -> None:
    document = FreshDocument(server.url, parse)
    assert await document.refresh() == AGAIN_S
    assert (document.value, server.asked) == (None, 0)


async def test_a_server_that_is_not_there_is_tried_again(server: Server) -> None:
    document = FreshDocument("https://127.0.0.1:1/keys.json", parse, server.trusting)
    assert await document.refresh() == AGAIN_S
    assert document.value is None


async def test_it_is_kept_fresh_until_it_is_left_alone(path: Path) -> None:
    read = asyncio.Event()

    def parsed(content: bytes) -> str:
        read.set()
        return parse(content)

    document = FreshDocument(str(path), parsed)
    keeping = asyncio.create_task(document.keep_fresh())
    async with asyncio.timeout(15):
        await read.wait()
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    assert (keeping.cancelled(), document.value) == (True, "A 1")


@pytest.mark.parametrize(
    ("cache_control", "age", "seconds"),
    [
        ("", "", USUAL_S),
        ("max-age=600", "", 600),
        ("private,max-age=600,must-revalidate", "100", 500),
        ("MAX-AGE=600", "-100", 600),
        ("max-age=0", "", KEPT_MIN_S),
        ("max-age=600", "999", KEPT_MIN_S),
        ("max-age=999999999", "", KEPT_MAX_S),
        ("s-maxage=600", "", USUAL_S),
        ("max-age=soon", "", USUAL_S),
        ("no-store", "", KEPT_MIN_S),
        ("no-cache", "", KEPT_MIN_S),
    ],
)
def test_how_long_an_answer_is_kept(cache_control: str, age: str, seconds: float) -> None:
    assert kept_s(cache_control, age) == seconds
