"""Problems: every code of the contract, one status each, and nothing of a bug or a caller told."""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import asyncpg
import pytest

import gateway
from gateway.api import problems, replies
from gateway.api.failures import told
from gateway.domain.refusals import InvariantBroken, Refusal, Unavailable
from gateway.flows import find_bill, reports
from splitcore import CODES, REFUND_CODES
from tests.api.conftest import BOTH_ROADS, Gateway, served

ROADS = BOTH_ROADS

STATUSES = {
    400: "malformed idempotency_key_missing",
    401: "unauthenticated",
    403: "forbidden signature_invalid",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "idempotency_key_in_progress state_conflict ledger_mismatch token_replayed",
    413: "body_too_large",
    415: "unsupported_media_type",
    417: "expectation_failed",
    422: (
        "idempotency_key_reused amount_out_of_range charges_out_of_range due_out_of_range "
        "tier_out_of_range weight_out_of_range second_level_out_of_range fee_out_of_range "
        "designation_out_of_range designation_exceeds_amount overpayment nothing_to_allocate "
        "total_out_of_range refund_exceeds_payment account_invalid account_key_invalid inn_invalid "
        "recipient_unknown period_closed method_invalid token_invalid token_expired "
        "token_amount_mismatch qr_invalid qr_crc_mismatch pan_not_allowed control_total_mismatch "
        "url_not_allowed"
    ),
    429: "rate_limited",
    500: "internal",
    503: "overloaded unavailable",
    505: "http_version_not_supported",
}


def test_every_code_has_its_status() -> None:
    told_here = {code: status for status, codes in STATUSES.items() for code in codes.split()}
    assert {code: status for code, (status, _) in problems.PROBLEMS.items()} == told_here


def test_every_code_of_the_split_is_known() -> None:
    assert {*CODES, *REFUND_CODES} <= problems.PROBLEMS.keys()


def test_every_code_that_is_raised_anywhere_is_known() -> None:
    raised = re.compile(r"(?:Refusal|Unavailable)\(\s*\"([a-z_]+)\"")
    source = Path(gateway.__file__).parent
    found = {code for path in source.rglob("*.py") for code in raised.findall(path.read_text())}
    assert len(found) > 20
    assert found <= problems.PROBLEMS.keys()


def test_a_problem_is_what_rfc_9457_says() -> None:
    assert problems.as_object("qr_invalid", "Expected a bill's QR") == {
        "type": "urn:kopeck:problem:qr_invalid",
        "title": "The QR code is not valid",
        "status": 422,
        "detail": "Expected a bill's QR",
        "code": "qr_invalid",
    }


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (Refusal("qr_invalid", "x"), "qr_invalid"),
        (Unavailable("overloaded", "x"), "overloaded"),
        (Refusal("a_code_nobody_listed", "x"), "internal"),
        (InvariantBroken("Σ shares 5 of account 220012345"), "internal"),
        (KeyError("220012345"), "internal"),
        (ConnectionRefusedError("/secret/path"), "unavailable"),
        (TimeoutError("x"), "unavailable"),
    ],
)
def test_what_is_told_of_a_failure(failure: Exception, code: str) -> None:
    found, detail = told(failure)
    assert found == code
    assert "220012345" not in detail
    assert "secret" not in detail


def test_retry_after_goes_with_what_passes() -> None:
    reply = replies.problem("overloaded", "x", retry_after_s=3)
    assert b"Retry-After: 3\r\n" in reply.extra


async def test_a_bug_is_a_500_without_detail_logged_once(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> dict[str, object]:
        raise KeyError("220012345 Иванов")

    monkeypatch.setattr(find_bill, "find", broken)
    async with served(database_url) as gateway_:
        with caplog.at_level(logging.DEBUG):
            answer = await gateway_.send("GET", "/v1/bills/220012345", role="operator")
    assert (answer.status, answer.code) == (500, "internal")
    assert answer.headers["X-Request-Id"]
    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(logged) == 1
    message = logged[0].getMessage()
    assert "KeyError" in message
    assert answer.headers["X-Request-Id"] in message
    for text in (answer.content.decode(), caplog.text):
        assert "220012345" not in text
        assert "Иванов" not in text


async def test_a_database_that_is_away_is_unavailable_and_comes_back(gateway: Gateway) -> None:
    conn = await asyncpg.connect(gateway.database_url)
    try:
        assert (await gateway.send("GET", "/readyz")).status == 200
        await conn.execute("ALTER TABLE schema_migrations RENAME TO gone")
        answer = await gateway.send("GET", "/readyz")
        assert (answer.status, answer.code) == (503, "unavailable")
        await conn.execute("ALTER TABLE gone RENAME TO schema_migrations")
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        statuses = [
            (await gateway.send("GET", "/v1/payments", role="acquirer")).status for _ in range(9)
        ]
        assert set(statuses) <= {200, 503}
        assert statuses[-1] == 200
    finally:
        await conn.close()


async def test_request_ids_come_back(gateway: Gateway) -> None:
    answer = await gateway.send("GET", "/healthz", headers={"X-Request-Id": "abc-1"})
    assert answer.headers["X-Request-Id"] == "abc-1"
    answer = await gateway.send("GET", "/healthz", headers={"X-Request-Id": "a b"})
    assert "X-Request-Id" not in answer.headers


async def test_a_stream_that_fails_is_cut_off_and_logged(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was sent of a report must not look like a whole one."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise KeyError("220012345")

    async def report(*_: object) -> AsyncIterator[bytes]:
        return pieces()

    monkeypatch.setattr(reports, "report", report)
    path = "/v1/settlement-batches/sb_" + "0" * 32 + "/reports/heat"
    async with served(database_url) as gateway_:
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway_.send("GET", path, role="operator")
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 1
    assert "KeyError" in logged[0]
    assert "220012345" not in logged[0]
