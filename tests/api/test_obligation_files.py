"""Files of debts over HTTP: CSV and JSON, each line's verdict, sent again, cut off, two at once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest
import pytest_asyncio

from gateway.api import obligation_lines
from gateway.flows import load_debts
from gateway.obligations import store
from tests.api.conftest import Answer, Gateway, recipient, served

HEAD = "должник;кредитор;сумма;номер документа;дата документа;услуги"
PATH = "/v1/obligation-files"


@pytest_asyncio.fixture
async def region(database_url: str) -> AsyncIterator[Gateway]:
    async with served(database_url) as gateway:
        for id_ in ("heat", "waste", "uk"):
            await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
        yield gateway


async def send(gateway: Gateway, content: bytes, key: str | None = None, **more: Any) -> Answer:
    headers = {"Content-Type": "text/csv"}
    used = key or gateway.key()
    return await gateway.send(
        "POST", PATH, content, role=more.get("role", "operator"), key=used, headers=headers
    )


async def listed(gateway: Gateway) -> list[dict[str, Any]]:
    answer = await gateway.send("GET", "/v1/obligations?limit=1000", role="operator")
    found: list[dict[str, Any]] = answer.json["obligations"]
    return found


def csv(*lines: str, head: str = HEAD, encoding: str = "utf-8") -> bytes:
    return "\r\n".join([head, *lines, ""]).encode(encoding)


def refusals(answer: Answer) -> list[tuple[int, str]]:
    assert answer.status == 200, answer.content
    return [(one["line"], one["code"]) for one in answer.json["refused"]]


async def test_a_registry_as_a_spreadsheet_exports_it(region: Gateway) -> None:
    content = csv(
        "uk;heat;130 000,00;УО-17/2026;30.09.2026;отопление | гвс",
        "uk;waste;1\u00a0250,5;8;2026-10-01;",
        ";;;;;",
        '"uk";"heat";"7";"№ 9 ""б"";в";"01.10.2026";""',
    )
    answer = await send(region, b"\xef\xbb\xbf" + content, key="once")
    assert answer.json == {"accepted": 3, "amount": 13_125_750, "known": 0, "refused": []}
    told = [
        (one["creditor"], one["amount"], one["document_number"], one["document_date"])
        for one in await listed(region)
    ]
    assert told == [
        ("heat", 13_000_000, "УО-17/2026", "2026-09-30"),
        ("waste", 125_050, "8", "2026-10-01"),
        ("heat", 700, '№ 9 "б";в', "2026-10-01"),
    ]
    assert [one["services"] for one in await listed(region)] == [["гвс", "отопление"], [], []]
    again = await send(region, b"\xef\xbb\xbf" + content, key="once")
    assert (again.content, again.headers["Idempotency-Replayed"]) == (answer.content, "true")
    other = await send(region, content, key="once")
    assert other.code == "idempotency_key_reused"
    # The same registry in another encoding, under another key.
    known = await send(region, content.replace("\u00a0".encode(), b" ").decode().encode("cp1251"))
    assert known.json == {"accepted": 0, "amount": 0, "known": 3, "refused": []}
    assert len(await listed(region)) == 3


@pytest.mark.parametrize("encoding", ["utf-8", "cp1251", "cp866"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
async def test_encodings_and_separators(region: Gateway, encoding: str, separator: str) -> None:
    names = ("document_date", "debtor", "creditor", "amount", "document_number", "services")
    line = ("2026-09-30", "uk", "heat", "700", "УО-17", "отопление")
    content = csv(separator.join(line), head=separator.join(names), encoding=encoding)
    assert (await send(region, content)).json["amount"] == 700
    (one,) = await listed(region)
    assert (one["document_number"], one["services"]) == ("УО-17", ["отопление"])


GOOD = "uk;heat;1,00;{};30.09.2026;"
BAD_LINES = [
    ("uk;heat;1,00;2;30.09.2026", "malformed"),
    ("uk;heat;1,00;2;30.09.2026;;", "malformed"),
    ("uk;heat;0,00;2;30.09.2026;", "amount_out_of_range"),
    ("uk;heat;100000000000,01;2;30.09.2026;", "amount_out_of_range"),
    ("uk;heat;-1,00;2;30.09.2026;", "malformed"),
    ("uk;heat;1,005;2;30.09.2026;", "malformed"),
    ("uk;heat;1 00,00;2;30.09.2026;", "malformed"),
    ("uk;heat;1e3;2;30.09.2026;", "malformed"),
    ("uk;heat;١;2;30.09.2026;", "malformed"),
    ("uk;heat;;2;30.09.2026;", "malformed"),
    ("Итого;;1,00;;;", "malformed"),
    ("uk;uk;1,00;2;30.09.2026;", "malformed"),
    ("uk;nobody;1,00;2;30.09.2026;", "recipient_unknown"),
    (";heat;1,00;2;30.09.2026;", "recipient_unknown"),
    ("uk;heat;1,00;;30.09.2026;", "malformed"),
    (f"uk;heat;1,00;{'1' * 65};30.09.2026;", "malformed"),
    ("uk;heat;1,00;2;31.09.2026;", "malformed"),
    ("uk;heat;1,00;2;09/30/2026;", "malformed"),
    ("uk;heat;1,00;2;30.09.1999;", "malformed"),
    ("uk;heat;1,00;2;30.09.2026;a|a", "malformed"),
    ("uk;heat;1,00;2;30.09.2026;a||b", "malformed"),
    ("uk;heat;1,00;2;30.09.2026;4111111111111111", "pan_not_allowed"),
    ('uk;heat;1,00;"2;30.09.2026;', "malformed"),
    ('uk;heat;1,00;"2"x;30.09.2026;', "malformed"),
    ("uk;heat;1,00;2\x00;30.09.2026;", "malformed"),
    (f"uk;heat;1,00;2;30.09.2026;{'x' * 16_384}", "body_too_large"),
    ("uk;heat;2,00;good-1;30.09.2026;", "state_conflict"),
    ("uk;heat;1,00;good-1;30.09.2026;heating", "state_conflict"),
]


async def test_a_bad_line_is_named_and_spoils_no_other(region: Gateway) -> None:
    lines = [GOOD.format("good-1"), *(line for line, _ in BAD_LINES), GOOD.format("good-2")]
    answer = await send(region, csv(*lines))
    assert refusals(answer) == [(at, code) for at, (_, code) in enumerate(BAD_LINES, 3)]
    assert (answer.json["accepted"], answer.json["amount"]) == (2, 200)
    assert [one["document_number"] for one in await listed(region)] == ["good-1", "good-2"]
    for one in answer.json["refused"]:
        assert one["detail"].startswith("Expected"), one


async def test_lines_of_json(region: Gateway) -> None:
    good = {
        "debtor": "uk",
        "creditor": "heat",
        "amount": 700,
        "document_number": "7",
        "document_date": "2026-09-30",
        "services": ["heating"],
    }
    lines = [
        orjson.dumps(good),
        b"",
        orjson.dumps({**good, "document_number": "8", "amount": 7.5}),
        orjson.dumps({**good, "document_number": "8", "priority": 1}),
        b'{"debtor": "uk", "debtor": "heat"}',
        b"[]",
        b"\xff",
        orjson.dumps({**good, "document_number": "9", "services": []}),
        orjson.dumps(good),
    ]
    answer = await send(region, b"\n".join(lines))
    assert refusals(answer) == [(line, "malformed") for line in (3, 4, 5, 6, 7)]
    assert (answer.json["accepted"], answer.json["amount"], answer.json["known"]) == (2, 1_400, 1)
    assert [one["services"] for one in await listed(region)] == [["heating"], []]


BAD_FILES = [
    b"",
    b"\n \r\n",
    b"uk;heat;1,00;2;30.09.2026;\n",
    csv(GOOD.format(1), head=HEAD.replace("услуги", "услуга")),
    csv(GOOD.format(1), head=HEAD + ";комментарий"),
    csv(GOOD.format(1), head=HEAD.replace("кредитор", "должник")),
    csv(GOOD.format(1), head=HEAD.replace("сумма", "услуги")),
    csv(GOOD.format(1), head=HEAD.replace("услуги", "amount")),
    csv(GOOD.format(1), head=HEAD.replace(";дата документа", "")),
    csv(GOOD.format(1)).decode().encode("utf-16"),
    b'[{"debtor": "uk"}]\n',
    b"\x00" * 40_000,
]


@pytest.mark.parametrize("content", BAD_FILES)
async def test_a_file_without_a_head_is_refused_whole(region: Gateway, content: bytes) -> None:
    assert (await send(region, content, key="file")).code == "malformed"
    assert await listed(region) == []
    # The key is free again for the file that was meant.
    assert (await send(region, csv(GOOD.format(1)), key="file")).json["accepted"] == 1


async def test_bounds_and_callers(region: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obligation_lines, "LINES_MAX", 3)
    assert (await send(region, csv(*map(GOOD.format, range(3))))).code == "body_too_large"
    assert await listed(region) == []
    assert (await send(region, csv(*map(GOOD.format, range(2))))).json["accepted"] == 2
    assert (await send(region, csv(GOOD.format(1)), role="approver")).code == "forbidden"
    bare = await region.send("POST", PATH, csv(GOOD.format(1)), role="operator")
    assert bare.code == "idempotency_key_missing"
    answer = await region.send("POST", f"{PATH}?format=csv", b"", role="operator", key="q")
    assert answer.code == "malformed"


async def test_numbers_are_by_the_order_of_lines(region: Gateway) -> None:
    """Of debts with the same date the first loaded is paid first."""
    count = 2 * load_debts.PART_MAX + 17
    names = [f"{(at * 7919) % count:04}" for at in range(count)]
    answer = await send(region, csv(*map(GOOD.format, names)))
    assert answer.json["accepted"] == count
    assert [one["document_number"] for one in await listed(region)] == names


async def test_files_with_the_same_documents_at_once(region: Gateway) -> None:
    """Each debt is loaded once, whichever file was first, in whatever order they have it."""
    names = [f"{at}" for at in range(600)]
    files = [csv(*map(GOOD.format, order)) for order in (names, names[::-1], names[300:])]
    answers = await asyncio.gather(*(send(region, file) for file in files))
    assert [refusals(answer) for answer in answers] == [[], [], []]
    assert sum(answer.json["accepted"] for answer in answers) == 600
    assert sum(answer.json["known"] for answer in answers) == 900
    conn = await asyncpg.connect(region.database_url)
    left = await conn.fetchrow("SELECT count(*), sum(remaining) FROM open_obligations")
    await conn.close()
    assert tuple(left) == (600, 60_000)


async def test_a_file_that_was_cut_off_is_sent_again(
    region: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part that failed left nothing; what stood before it is known then, and loaded once."""
    names = [f"{at}" for at in range(load_debts.PART_MAX + 5)]
    add, calls = store.add, 0

    async def failing(*given: Any) -> None:
        nonlocal calls
        calls += 1
        await add(*given)
        if calls == 2:
            raise RuntimeError("the worker dies here")

    monkeypatch.setattr(store, "add", failing)
    assert (await send(region, csv(*map(GOOD.format, names)), key="f")).status == 500
    assert len(await listed(region)) == load_debts.PART_MAX
    answer = await send(region, csv(*map(GOOD.format, names)), key="f")
    assert (answer.json["accepted"], answer.json["known"]) == (5, load_debts.PART_MAX)
    assert len(await listed(region)) == len(names)
