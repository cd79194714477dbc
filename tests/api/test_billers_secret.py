"""A key in a path stands in nothing that the processes wrote, however the request went."""

import asyncio
import re
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from gateway.demo import processes
from tests.api.test_billers import PAY, PAYMENT
from tests.api.test_no_card_numbers import found_in

GUESSED = "guessed_key_0123456789"


async def test_no_file_holds_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    data, log = tmp_path / "data", tmp_path / "gateway.log"
    with processes.started(data, log) as gateway:
        secret = processes.add_key(data, "bank", "acquirer")
        operator = processes.add_key(data, "centre", "operator")
        conflict = {**PAY, "sum": "1.00"}
        said = []
        async with aiohttp.ClientSession() as session:
            for key in (secret, operator, GUESSED):
                for protocol in ("osmp", "sber"):
                    url = f"{gateway.url}/{protocol}/{key}"
                    for told in (PAY, conflict, PAYMENT, {"command": "check"}, {}):
                        async with session.get(f"{url}?{urlencode(told)}") as answer:
                            said.append(await answer.read())
                        async with session.post(url, data=told) as answer:
                            said.append(await answer.read())
                    for path in (f"{url}/more", f"{url}%", f"{url}?%"):
                        async with session.get(path) as answer:
                            said.append(await answer.read())
                    async with session.put(url, data=b"x") as answer:
                        assert answer.status == 405
                        said.append(await answer.read())
            await _break_off(gateway.url, secret)
            async with session.get(f"{gateway.url}/metrics") as answer:
                said.append(await answer.read())
        gateway.stop()
    # Of a key its last twelve signs are enough to be found by.
    sought = re.compile("|".join(key[-12:] for key in (secret, operator, GUESSED)).encode())
    assert [content for content in said if sought.search(content)] == []
    assert found_in(tmp_path, sought) == []
    assert b'route="osmp_get"' in said[-1]


async def _break_off(url: str, secret: str) -> None:
    """Requests that no HTTP parser takes, so that complaints about them would be seen."""
    host, _, port = url.removeprefix("http://").partition(":")
    for head in (
        f"GET /osmp/{secret}?command=check HTTP/9.9\r\n\r\n",
        f"GET /osmp/{secret}?command=check\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"POST /osmp/{secret} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\ncommand=",
        f"GET /osmp/{secret}?x={'1' * 9_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode())
        await writer.drain()
        writer.write_eof()
        async with asyncio.timeout(15):
            await reader.read()
        writer.close()
