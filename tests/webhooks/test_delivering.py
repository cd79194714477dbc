"""At least once, under one id: lost answers, two workers, steps to day seven, replay, rotation."""

import asyncio
import base64
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from gateway.config import StartRefused
from gateway.domain.ids import EVENT, new_id, shown
from gateway.domain.refusals import InvariantBroken, Refusal
from gateway.flows.deliver_webhooks import PAUSE, SENT_AT_ONCE
from gateway.webhooks import schedule
from gateway.webhooks.addresses import Rules
from gateway.webhooks.secrets import Seal
from tests.flows.region import Region
from tests.webhooks.receiving import TIMEOUT_S, Hands, Receiver, Sending, receiving, sending, tell

LEASE = timedelta(seconds=TIMEOUT_S) + timedelta(seconds=5)


async def test_an_event_is_told_once_and_signed(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    made = await one.put(region.callers["op"], receiver.url)
    (told,) = await tell(region.conn, clock)
    assert [await one.round() for _ in range(3)] == [1, 0, 0]
    (heard,) = receiver.heard
    event = heard.verified(made["secret"])
    assert event == {
        "type": "payout.sent",
        "timestamp": clock.now().isoformat(),
        "id": shown(EVENT, told),
        "sequence": 1,
        "data": {"amount": 0},
    }
    assert heard.id == event["id"]
    # The library's own signature is ours, and one bit less is none.
    library = Webhook(made["secret"]).sign(heard.id, clock.now(), heard.body.decode())
    assert heard.headers["webhook-signature"] == library
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(heard.body + b" ", heard.headers)
    (delivery,) = await one.deliveries()
    assert (delivery["state"], delivery["next_at"]) == ("delivered", None)
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["delivered"]


async def test_a_lost_answer_brings_the_same_id_again(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    receiver.statuses = [0, 503, 200]
    made = await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock)
    assert await one.round() == 1
    assert await one.round() == 0
    clock.go(seconds=6)
    assert await one.round() == 1
    clock.go(seconds=331)
    assert [await one.round() for _ in range(2)] == [1, 0]
    assert len({heard.id for heard in receiver.heard}) == 1
    assert len({heard.body for heard in receiver.heard}) == 1
    assert len({heard.headers["webhook-signature"] for heard in receiver.heard}) == 3
    (delivery,) = await one.deliveries()
    outcomes = [(attempt["outcome"], attempt["status"]) for attempt in delivery["attempts"]]
    assert outcomes == [("unreachable", None), ("refused", 503), ("delivered", 200)]
    for heard in receiver.heard:
        at = datetime.fromtimestamp(int(heard.headers["webhook-timestamp"]), UTC)
        signed = Webhook(made["secret"]).sign(heard.id, at, heard.body.decode())
        assert heard.headers["webhook-signature"] == signed


async def test_two_workers_do_not_send_at_once(region: Region, clock: Hands) -> None:
    async with receiving() as receiver, sending(region, clock) as a, sending(region, clock) as b:
        await a.put(region.callers["op"], receiver.url)
        ids = await tell(region.conn, clock, 20)
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:

            async def drain(one: Sending) -> None:
                while len(receiver.heard) < len(ids) or receiver.at_once:
                    await one.round()

            for one in (a, b, a, b):
                group.create_task(drain(one))
        # In order too, as nothing failed.
        assert [heard.id for heard in receiver.heard] == [shown(EVENT, id_) for id_ in ids]
        assert receiver.at_once_max == 1


async def test_a_lease_ends_with_its_time_and_the_late_answer_counts(
    region: Region, clock: Hands
) -> None:
    async with receiving() as receiver, sending(region, clock) as a, sending(region, clock) as b:
        receiver.open.clear()
        await a.put(region.callers["op"], receiver.url)
        await tell(region.conn, clock)
        slow = asyncio.create_task(a.round())
        await receiver.came.wait()
        assert await b.round() == 0
        clock.at += LEASE + timedelta(seconds=1)
        receiver.open.set()
        again = await b.round()
        assert await slow == 1
        assert len({heard.id for heard in receiver.heard}) == 1
        assert len(receiver.heard) == 1 + again
        (delivery,) = await a.deliveries()
        assert delivery["state"] == "delivered"
        assert await b.round() == 0


async def test_a_slow_server_holds_up_nobody_else(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    async with receiving() as slow:
        slow.open.clear()
        await one.put(region.callers["op"], slow.url, name="slow")
        await one.put(region.callers["op"], receiver.url)
        await tell(region.conn, clock, SENT_AT_ONCE + 5)
        running = asyncio.create_task(one.deliverer.run())
        try:
            await receiver.until_heard(SENT_AT_ONCE + 5)
            assert len(slow.heard) == 1
        finally:
            running.cancel()
            slow.open.set()
            await asyncio.gather(running, return_exceptions=True)


async def test_it_is_tried_for_seven_days_and_then_disabled(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    receiver.statuses = [500] * 100
    await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock)
    begun = clock.now()
    moments = []
    for _ in range(100):
        (due,) = await one.deliveries() or [{"next_at": None, "state": "due"}]
        if due["state"] != "due":
            break
        if due["next_at"] is not None:
            clock.at = max(clock.now() + PAUSE, datetime.fromisoformat(due["next_at"]))
        assert await one.round() == 1
        moments.append((clock.now() - begun).total_seconds())
    (failed,) = await one.deliveries()
    assert (failed["state"], failed["next_at"]) == ("failed", None)
    assert len(failed["attempts"]) == len(moments) == 13
    plain = [0.0]
    for step in (*schedule.STEPS, *(schedule.DAILY,) * 3):
        plain.append(plain[-1] + step.total_seconds())
    # Never sooner than the specification's steps, and at most a tenth later.
    assert all(a <= b <= a * 1.1 + 1 for a, b in zip(plain, moments, strict=True))
    assert moments[-1] <= timedelta(days=7).total_seconds()
    shown_now = await one.webhooks.show("heat", "books")
    assert (shown_now["state"], shown_now["reason"]) == ("disabled", "failed")
    # What comes while it is disabled waits, and goes out once it is resumed.
    (later,) = await tell(region.conn, clock)
    receiver.statuses = []
    assert await one.round() == 0
    await one.put(region.callers["op"], receiver.url)
    clock.at += PAUSE
    assert [await one.round() for _ in range(2)] == [1, 0]
    assert receiver.heard[-1].id == shown(EVENT, later)


async def test_gone_disables_at_once_and_paused_waits(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    await one.put(region.callers["op"], receiver.url, state="paused")
    await tell(region.conn, clock, 2)
    assert await one.round() == 0
    await one.put(region.callers["op"], receiver.url)
    receiver.statuses = [410]
    assert [await one.round() for _ in range(2)] == [1, 0]
    found = await one.webhooks.show("heat", "books")
    assert (found["state"], found["reason"]) == ("disabled", "gone")
    clock.go(days=3)
    assert await one.round() == 0
    await one.put(region.callers["op"], receiver.url)
    assert [await one.round() for _ in range(3)] == [1, 1, 0]


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (302, {"Location": "/hook"}, "redirected"),
        (404, {}, "refused"),
        (429, {"Retry-After": "7200"}, "refused"),
    ],
)
async def test_what_is_no_success_is_tried_again(
    region: Region,
    clock: Hands,
    one: Sending,
    receiver: Receiver,
    status: int,
    headers: dict[str, str],
    outcome: str,
) -> None:
    receiver.statuses, receiver.headers = [status], headers
    await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock)
    await one.round()
    (delivery,) = await one.deliveries()
    assert len(receiver.heard) == 1
    (attempt,) = delivery["attempts"]
    assert (attempt["outcome"], attempt["status"]) == (outcome, status)
    waits = (datetime.fromisoformat(delivery["next_at"]) - clock.now()).total_seconds()
    assert waits == 7200 if "Retry-After" in headers else 5 <= waits <= 5.5


async def test_an_answer_without_end_is_not_read(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    receiver.content = b"x" * 50_000_000
    await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock)
    await one.round()
    (delivery,) = await one.deliveries()
    assert delivery["state"] == "delivered"


async def test_an_event_is_told_again_when_asked(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    op = region.callers["op"]
    await one.put(op, receiver.url, "payout.sent")
    await one.put(op, receiver.url, "payout.returned", name="returns")
    (told,) = await tell(region.conn, clock)
    assert [await one.round() for _ in range(2)] == [1, 0]
    claim = region.claim("op", "r1", "redeliveries", told)
    for replayed in (False, True):
        answer = await one.webhooks.redeliver(claim, op, told)
        assert answer.replayed is replayed
    # To all webhooks of the recipient, whatever they asked to be told of.
    assert [await one.round() for _ in range(2)] == [2, 0]
    assert [heard.id for heard in receiver.heard] == [shown(EVENT, told)] * 3
    with pytest.raises(Refusal, match="not_found"):
        await one.webhooks.redeliver(region.claim("op", "r2", "redeliveries"), op, new_id())


async def test_a_test_is_sent_to_its_webhook_alone(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    op = region.callers["op"]
    await one.put(op, receiver.url, "payout.sent")
    await one.put(op, receiver.url, name="other")
    await one.webhooks.test(region.claim("op", "t1", "webhook_tests"), "heat", "books")
    assert [await one.round() for _ in range(2)] == [1, 0]
    assert receiver.heard[0].event["data"] == {"webhook": "books"}


async def test_both_secrets_sign_for_a_day(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    first = (await one.put(region.callers["op"], receiver.url))["secret"]
    own = "whsec_" + base64.b64encode(b"k" * 24).decode()
    rotated = await one.webhooks.rotate("heat", "books", own)
    assert rotated["secret"] == own
    # The same again changes nothing, as a lost answer makes one send it again.
    assert await one.webhooks.rotate("heat", "books", own) == rotated
    await tell(region.conn, clock)
    await one.round()
    both = receiver.heard[-1]
    assert both.verified(first) == both.verified(own)
    clock.go(hours=24, seconds=1)
    await tell(region.conn, clock)
    await one.round()
    now = receiver.heard[-1].headers["webhook-signature"]
    assert len(now.split()) == 1
    body = receiver.heard[-1].body.decode()
    assert now == Webhook(own).sign(receiver.heard[-1].id, clock.now(), body)


async def test_no_more_secrets_than_a_header_holds(region: Region, one: Sending) -> None:
    await one.put(region.callers["op"], "https://example.org/")
    for _ in range(4):
        await one.webhooks.rotate("heat", "books", None)
    with pytest.raises(Refusal, match="state_conflict"):
        await one.webhooks.rotate("heat", "books", None)


async def test_secrets_are_stored_sealed_where_there_is_a_key(
    region: Region, clock: Hands, receiver: Receiver, tmp_path: Path
) -> None:
    path = tmp_path / "key"
    path.write_bytes(base64.b64encode(os.urandom(32)) + b"\n")
    async with sending(region, clock, seal=Seal(path)) as one:
        made = await one.put(region.callers["op"], receiver.url)
        stored = await region.conn.fetchval("SELECT secret FROM webhook_secrets")
        assert base64.b64decode(made["secret"].removeprefix("whsec_")) not in stored
        await tell(region.conn, clock)
        await one.round()
        assert receiver.heard[0].verified(made["secret"])
    webhook = await region.conn.fetchval("SELECT id FROM webhooks")
    with pytest.raises(InvariantBroken):
        Seal().open(stored, webhook)
    with pytest.raises(InvariantBroken):
        # A row that was moved to another webhook is not its secret.
        Seal(path).open(stored, new_id())
    path.write_bytes(b"short")
    with pytest.raises(StartRefused, match="KOPECK_WEBHOOK_KEY"):
        Seal(path)


async def test_an_address_that_became_forbidden_is_not_called(
    region: Region, clock: Hands, receiver: Receiver
) -> None:
    async with sending(region, clock) as one:
        await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock)
    async with sending(region, clock, Rules(frozenset({443}))) as strict:
        assert await strict.round() == 1
        (delivery,) = await strict.deliveries()
    assert [attempt["outcome"] for attempt in delivery["attempts"]] == ["forbidden"]
    assert receiver.heard == []


async def test_a_removed_webhook_is_told_nothing_more(
    region: Region, clock: Hands, one: Sending, receiver: Receiver
) -> None:
    receiver.open.clear()
    await one.put(region.callers["op"], receiver.url)
    await tell(region.conn, clock, 2)
    under_way = asyncio.create_task(one.round())
    await receiver.came.wait()
    await one.webhooks.remove("heat", "books")
    receiver.open.set()
    assert await under_way == 1
    assert await one.round() == 0
    assert await region.number("SELECT count(*) FROM webhook_attempts") == 0
    with pytest.raises(Refusal, match="not_found"):
        await one.webhooks.remove("heat", "books")
