"""One line a request: who, which route, what came of it, how long; nothing of its text."""

import re
from datetime import datetime
from typing import Any

import orjson
import pytest

from gateway.api.request_log import SAME_MAX, RequestLog
from gateway.domain.party import Caller
from tests.api.conftest import payment, served

BANK = Caller(7, 'Банк "Первый"', "acquirer")
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"
UUID = "123e4567-e89b-12d3-a456-426614174000"


def written(level: str, *told: Any) -> list[dict[str, Any]]:
    lines: list[bytes] = []
    RequestLog(level, 3, lines.append).answered(*told)
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines)
    return [orjson.loads(line) for line in lines]


def test_a_line_tells_who_where_what_and_how_long() -> None:
    (line,) = written("info", "/v1/payments", 201, "accepted", BANK, 0.0123456, UUID, PARENT)
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "level": "info",
        "event": "request",
        "route": "/v1/payments",
        "status": 201,
        "outcome": "accepted",
        "caller": 'Банк "Первый"',
        "worker": 3,
        "seconds": 0.012346,
        "trace_id": TRACE,
        "request_id": UUID,
    }


def test_a_request_without_a_trace_gets_one_of_its_own() -> None:
    lines: list[bytes] = []
    log = RequestLog("info", 0, lines.append)
    for _ in range(100):
        log.answered("/healthz", 200, "ok", None, 0.0)
    traces = {orjson.loads(line)["trace_id"] for line in lines}
    assert len(traces) == 100
    assert all(re.fullmatch("[0-9a-f]{32}", trace) for trace in traces)
    assert orjson.loads(lines[0])["caller"] is None


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", [201, 404, 503, 500]),
        ("info", [201, 404, 503, 500]),
        ("warning", [503, 500]),
        ("error", [500]),
    ],
)
def test_the_level_says_which_requests_are_told(level: str, seen: list[int]) -> None:
    lines: list[bytes] = []
    log = RequestLog(level, 0, lines.append)
    for status in (201, 404, 503, 500):
        log.answered("payments", status, "x", BANK, 0.0)
    assert [orjson.loads(line)["status"] for line in lines] == seen


@pytest.mark.parametrize(
    "given",
    [
        "4000001234567890",
        "Иванов",
        UUID + "\n",
        '"},{"',
        UUID.replace("-", ""),
        "220012345",
    ],
)
def test_only_uuids_are_quoted(given: str) -> None:
    (line,) = written("info", "/v1/payments", 201, "accepted", BANK, 0.0, given, given)
    assert "request_id" not in line
    assert given not in str(line)


@pytest.mark.parametrize(
    "parent", ["", "00-" + "0" * 32 + "-b7ad6b7169203331-01", PARENT.upper(), PARENT + "-x"]
)
def test_a_trace_that_is_none_is_replaced(parent: str) -> None:
    (line,) = written("info", "/v1/payments", 201, "accepted", BANK, 0.0, None, parent)
    assert line["trace_id"] not in (TRACE, TRACE.upper(), "0" * 32)


def test_what_is_remembered_of_lines_is_bounded() -> None:
    log = RequestLog("info", 0, lambda line: None)
    for number in range(3 * SAME_MAX):
        log.answered("payments", 201, "ok", Caller(number, f"c{number}", "acquirer"), 0.0)
    assert len(log._same) <= SAME_MAX


async def test_each_request_is_one_line_on_either_road(database_url: str) -> None:
    """Who asked, the route's name and not its path, and what became of it."""
    lines: list[bytes] = []
    async with served(database_url, write=lines.append) as gateway:
        before = len(lines)
        body = payment(subscriber_account="220012345")
        kept = {"traceparent": PARENT, "X-Request-Id": UUID}
        await gateway.send("POST", "/v1/payments", body, role="acquirer", key="1", headers=kept)
        await gateway.pay(body, key="1")
        await gateway.pay({**body, "amount": 1.5}, key="2")
        await gateway.send("GET", "/v1/bills/220012345?x=220012345", role="operator")
        await gateway.send("GET", "/nowhere/220012345")
        await gateway.send("POST", "/v1/payments", body, key="3")
    told = [orjson.loads(line) for line in lines[before:]]
    assert [(one["route"], one["caller"], one["status"], one["outcome"]) for one in told] == [
        ("payments", "acquirer", 201, "suspense"),
        ("payments", "acquirer", 201, "replayed"),
        ("payments", "acquirer", 400, "malformed"),
        ("bill", "operator", 400, "malformed"),
        ("unmatched", None, 404, "not_found"),
        ("payments", None, 401, "unauthenticated"),
    ]
    assert (told[0]["trace_id"], told[0]["request_id"]) == (TRACE, UUID)
    assert len({one["trace_id"] for one in told}) == len(told)
    assert all(0 < one["seconds"] < 60 for one in told)
    assert b"220012345" not in b"".join(lines)
