"""What may be asked for at an acquirer, and what is refused before anybody is asked."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway import app
from gateway.acquirers.settings import load, secret
from gateway.config import StartRefused
from gateway.flows.poll_acquirers import waiting_tries
from gateway.telemetry import Telemetry
from tests.acquirers.conftest import KEY, Pair, acquirers_file, paired
from tests.api.conftest import settings_for, until


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"acquirer": "nobody"}, "method_invalid"),
        ({"acquirer": ""}, "malformed"),
        ({"acquirer": ..., "return_url": "https://x.example/"}, "malformed"),
        ({"reference": ...}, "malformed"),
        ({"paid_at": "2026-11-12T09:31:07+07:00"}, "malformed"),
        ({"return_url": "javascript:alert(1)"}, "malformed"),
        ({"method": {"type": "cash"}}, "method_invalid"),
        ({"method": {"type": "card"}}, "method_invalid"),
        ({"method": {"type": "card", "reference": ""}}, "method_invalid"),
        ({"method": {"type": "sbp", "reference": "x"}}, "method_invalid"),
        ({"method": {"type": "apple_pay"}}, "method_invalid"),
        ({"method": {"type": "card", "reference": "4111111111111111"}}, "pan_not_allowed"),
        ({"subscriber_account": "nowhere"}, "account_invalid"),
        ({"amount": 0}, "amount_out_of_range"),
        ({"designation": {"nothing": 1}}, "malformed"),
    ],
)
async def test_refused_before_the_acquirer_hears_of_it(
    pair: Pair, changes: dict[str, Any], code: str
) -> None:
    answer = await pair.pay(**changes)
    assert answer.code == code
    assert await pair.conn.fetchval("SELECT count(*) FROM authorisations") == 0
    assert await pair.conn.fetchval("SELECT count(*) FROM idempotency_keys WHERE route <> 3") == 0


async def test_a_stream_takes_no_payments_for_acquirers(pair: Pair) -> None:
    line = orjson.dumps({**pair.body(), "idempotency_key": "line"})
    answer = await pair.gateway.send("POST", "/v1/payments/bulk", line, role="acquirer")
    assert orjson.loads(answer.content)["code"] == "malformed"


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
async def test_a_wallet_token_goes_to_the_acquirer_and_is_kept_nowhere(
    pair: Pair, wallet: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = {"outcome": "approve", "signature": "only-for-the-acquirer"}
    paid = (await pair.pay(method={"type": wallet, "token": token})).json
    assert paid["state"] == "accepted"
    rows = await pair.conn.fetch("SELECT a::text FROM authorisations AS a")
    rows += await pair.conn.fetch("SELECT p::text FROM payments AS p")
    rows += await pair.conn.fetch("SELECT convert_from(answer, 'utf8') FROM idempotency_keys")
    kept = "".join(str(row[0]) for row in rows) + caplog.text
    assert "only-for-the-acquirer" not in kept
    assert KEY not in kept


async def test_only_its_caller_sees_a_try(pair: Pair) -> None:
    pending = (await pair.pay(method={"type": "sbp"})).json
    path = f"/v1/payments/{pending['id']}"
    assert (await pair.gateway.send("GET", path, role="acquirer2")).code == "not_found"
    assert (await pair.gateway.send("GET", path, role="operator")).json == pending


async def test_what_came_of_orders_is_counted(pair: Pair) -> None:
    await pair.pay("approve")
    await pair.pay("decline")
    metrics = (await pair.gateway.send("GET", "/metrics")).content.decode()
    for outcome in ("accepted", "declined"):
        line = f'kopeck_authorisations_total{{kind="sandbox",outcome="{outcome}"}} 1.0'
        assert line in metrics


@pytest.mark.parametrize(
    ("replaced", "by"),
    [
        ('kind = "sandbox"', 'kind = "nobody"'),
        ("https://bank.example", "file:///etc/passwd"),
        ("https://bank.example", "http://bank.example"),
        ("https://bank.example", "https://"),
        ("https://bank.example", "http://[::1"),
        ("timeout_ms = 500", "timeout_ms = 1"),
        ("timeout_ms = 500", "timeout_s = 1"),
        ("timeout_ms = 500", "timeout_ms = 15_001"),
        ('key = "sandbox.key"', 'other = "sandbox.key"'),
        ("[play]", '["Play It"]'),
        ("[play.secrets]", '[play.options]\nx = "y"\n[play.secrets]'),
    ],
)
def test_a_wrong_file_of_acquirers_is_told_at_the_start(
    tmp_path: Path, replaced: str, by: str
) -> None:
    path = acquirers_file(tmp_path, "https://bank.example")
    assert load(path)["play"].timeout_s == 0.5
    text = path.read_text()
    assert replaced in text
    path.write_text(text.replace(replaced, by))
    with pytest.raises(StartRefused):
        load(path)


def test_a_secret_is_read_without_its_newline_and_never_told(tmp_path: Path) -> None:
    acquirers_file(tmp_path, "https://bank.example")
    assert secret(tmp_path, "key", "sandbox.key") == KEY
    (tmp_path / "empty").write_text("\n")
    for path in ("empty", "absent"):
        with pytest.raises(StartRefused):
            secret(tmp_path, "key", path)


async def test_what_waits_is_shown_with_its_age_and_gone_again(
    pair: Pair, database_url: str
) -> None:
    telemetry = Telemetry("0.0.0", "kernel")
    await pair.pay(method={"type": "sbp"})
    line = 'kopeck_authorisations_waiting{kind="sandbox",state="pending"}'
    async with (
        app.open_context(settings_for(database_url)) as context,
        context.connection() as conn,
    ):
        telemetry.waiting(await waiting_tries(context, conn))
        assert f"{line} 1.0" in (await telemetry.exposition())[0].decode()
        await conn.execute(
            "UPDATE authorisations SET state = 'declined', reason = 'other',"
            " settled_at = now(), holds_reference = false"
        )
        telemetry.waiting(await waiting_tries(context, conn))
    assert f"{line} 0.0" in (await telemetry.exposition())[0].decode()


async def test_both_roads_ask_alike(pair: Pair) -> None:
    """A head that is not plain goes over aiohttp."""
    plain, odd = pair.body(), pair.body()
    hot = (await pair.gateway.pay(plain)).json
    cold = await pair.gateway.send(
        "POST",
        "/v1/payments",
        odd,
        role="acquirer",
        key=pair.gateway.key(),
        headers={"X-Odd": "1", "Expect": "100-continue"},
    )
    assert cold.status == 201
    assert list(cold.json) == list(hot)
    assert (cold.json["state"], hot["state"]) == ("accepted", "accepted")


async def test_a_slow_bank_holds_up_nobody_else(database_url: str, tmp_path: Path) -> None:
    """More than `asks_max` orders are refused before any work; ordinary payments go on."""
    async with paired(database_url, tmp_path, asks_max=6, timeout_ms=5_000) as pair:
        slow = [asyncio.create_task(pair.pay("timeout")) for _ in range(6)]
        await until(lambda: len(pair.charged()) == 6)
        refused = await pair.pay("approve")
        assert (refused.status, refused.code) == (503, "overloaded")
        for _ in range(20):
            paid = await pair.pay(acquirer=..., method={"type": "cash"}, reference=..., amount=1)
            assert paid.json["state"] == "accepted"
        assert not any(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_caller_that_leaves_does_not_stop_what_it_began(pair: Pair) -> None:
    leaving = asyncio.create_task(pair.pay("late-callback"))
    await until(lambda: bool(pair.bank.bank.taken_on))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    id_ = f"pay_{pair.bank.bank.taken_on[0]}"
    await pair.settled(id_, "accepted")
    assert await pair.payments() == 1
