"""What docs tell a reader to type is typed here, against a real gateway, and answered as they show.

A page's `sh` blocks are run in order by bash, after the bill and the recipient of README's first
example. A `json` or `xml` block behind one is its answer: `…` stands for any characters. A block
behind a sentence with "file `name`" is that file.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.config import PREFIX, Settings, read
from gateway.demo import wallets
from gateway.sandbox import server
from tests.api.conftest import Gateway, served
from tests.rules.sources import ROOT

# Page → settings of the gateway it is read beside.
PAGES: dict[str, dict[str, Any]] = {
    "docs/acquirer-reports.md": {},
    "docs/apple-pay.md": {},
    "docs/acquirers.md": {},
    "docs/cards.md": {},
    "docs/osmp.md": {},
    "docs/sber.md": {},
    "docs/corrections.md": {},
    "docs/google-pay.md": {},
    "docs/obligations.md": {},
    "docs/recipients.md": {},
    "docs/scans.md": {},
    "docs/settlement.md": {},
    "docs/webhooks.md": {},
}
README_ADDRESS = "localhost:8080"
README_PYTHON = ".venv/bin/python"
# Pages whose examples pay by a phone that the gateway trusts.
PHONE = ("docs/apple-pay.md", "docs/google-pay.md")
SANDBOX_ADDRESS = "localhost:9090"
SANDBOX_PAGES = ("docs/acquirers.md",)
BLOCK = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"file\s+`([\w.-]+)`[^`]*\Z")
RUN_S = 60


def blocks(text: str) -> Iterator[tuple[str, str, str | None]]:
    """Kind and content of each block, and the name of the file that it is."""
    before = 0
    for match in BLOCK.finditer(text):
        named = FILE.search(text[before : match.start()])
        yield match[1], match[2], None if named is None else named[1]
        before = match.end()


def differs(shown: Any, found: Any, place: str = "answer") -> str | None:
    """Where an answer is not as it is shown."""
    if isinstance(shown, dict) and isinstance(found, dict):
        if list(shown) != list(found):
            return f"{place}: {list(found)}"
        pairs = [(f"{place}.{name}", shown[name], found[name]) for name in shown]
    elif isinstance(shown, list) and isinstance(found, list) and len(shown) == len(found):
        pairs = [
            (f"{place}[{at}]", *pair) for at, pair in enumerate(zip(shown, found, strict=True))
        ]
    elif isinstance(shown, str) and isinstance(found, str) and "…" in shown:
        pattern = ".*".join(map(re.escape, shown.split("…")))
        return None if re.fullmatch(pattern, found, re.DOTALL) else f"{place}: {found!r}"
    else:
        same = type(shown) is type(found) and shown == found
        return None if same else f"{place}: {found!r}"
    return next((told for at, s, f in pairs if (told := differs(s, f, at)) is not None), None)


async def typed(script: str, folder: Path, gateway: Gateway) -> str:
    """What a block prints when it is typed into a shell."""
    running = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script.replace(README_ADDRESS, f"127.0.0.1:{gateway.port}").replace(
            README_PYTHON, sys.executable
        ),
        cwd=folder,
        env={
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "OP": gateway.secrets["operator"],
            "BANK": gateway.secrets["acquirer"],
            "BOSS": gateway.secrets["approver"],
            "HEAT": gateway.secrets["recipient:heat"],
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(RUN_S):
        said, complained = await running.communicate()
    assert running.returncode == 0, (script, complained.decode())
    return said.decode()


def in_one_line(document: str) -> str:
    """XML without the breaks between its elements."""
    return re.sub(r">\s+<", "><", document.strip())


@asynccontextmanager
async def beside(page: str, folder: Path) -> AsyncIterator[tuple[server.Sandbox, dict[str, Any]]]:
    """A sandbox bank, and the settings that make the gateway of some pages ask it."""
    bank = server.Sandbox("a key", None, 0.05)
    async with server.running(bank, "127.0.0.1", 0) as url:
        if page not in SANDBOX_PAGES:
            yield bank, {}
            return
        path = folder / "acquirers.toml"
        path.write_text(path.read_text().replace(f"http://{SANDBOX_ADDRESS}", url))
        (folder / "sandbox.key").write_text("a key\n")
        yield bank, {"acquirers": path}


def readme_lines() -> str:
    """The recipient and the bill of README's first example."""
    block = next(
        text for kind, text, _ in blocks((ROOT / "README.md").read_text()) if "kopeck serve" in text
    )
    lines = [line for line in block.splitlines() if line.startswith("curl")]
    return "\n".join(line for line in lines if "/v1/recipients" in line or "/v1/bills" in line)


def of_phone(folder: Path) -> dict[str, Any]:
    """The settings that a page's phone prints for its gateway."""
    environ = wallets.make(folder).environ
    names = [name for name in Settings.__dataclass_fields__ if f"{PREFIX}{name.upper()}" in environ]
    found = read(environ)
    return {name: getattr(found, name) for name in names}


@pytest.mark.parametrize("page", sorted(PAGES))
async def test_what_a_page_shows_is_what_is_answered(
    page: str, database_url: str, tmp_path: Path
) -> None:
    told = list(blocks((ROOT / page).read_text()))
    for _, content, name in told:
        if name is not None:
            (tmp_path / name).write_text(content)
    answered = 0
    chosen = PAGES[page] | (of_phone(tmp_path / "phone") if page in PHONE else {})
    async with (
        beside(page, tmp_path) as (bank, settings),
        served(database_url, **chosen, **settings) as gateway,
    ):
        bank.callbacks = f"{gateway.url}/v1/acquirers/play/callbacks"
        await typed(readme_lines(), tmp_path, gateway)
        printed = None
        for kind, content, _ in told:
            if kind == "sh":
                printed = await typed(content, tmp_path, gateway)
            elif kind == "json" and printed is not None:
                found = orjson.loads(printed.strip().splitlines()[-1])
                assert differs(json.loads(content), found) is None, f"{page}:\n{printed}"
                printed = None
                answered += 1
            elif kind == "xml" and printed is not None:
                # Shown in several lines, sent in one; what was printed before it is no answer.
                answer = "<?xml" + printed.rpartition("<?xml")[2]
                assert differs(in_one_line(content), in_one_line(answer)) is None, printed
                printed = None
                answered += 1
    assert answered, f"Expected {page} to show an answer"


def test_every_page_with_an_example_is_here() -> None:
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    examples = {page for page in pages if "```sh\ncurl" in (ROOT / page).read_text()}
    assert examples <= set(PAGES) <= pages


def test_an_answer_that_differs_is_told() -> None:
    shown = {"id": "pay_…", "amount": 1, "shares": [{"a": None}]}
    assert differs(shown, {"id": "pay_1", "amount": 1, "shares": [{"a": None}]}) is None
    assert differs(shown, {"id": "ref_1", "amount": 1, "shares": []}) == "answer.id: 'ref_1'"
    assert differs(shown, {"id": "pay_", "amount": True, "shares": []}) == "answer.amount: True"
    assert differs(shown, {"id": "pay_", "amount": 1, "shares": []}) == "answer.shares: []"
    assert differs({"a": 1}, {"b": 1}) == "answer: ['b']"
