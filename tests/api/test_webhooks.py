"""Webhooks and events over HTTP: whose they are, what is shown once, what settlement tells."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.payouts.centre import TRIAL_CENTRE
from tests.api.conftest import Gateway, bill, payment, recipient, served
from tests.payouts.statement_files import Told, one_c
from tests.webhooks.receiving import Receiver, receiving

HEAT, WASTE = "recipient:heat", "recipient:waste"


async def put(gateway: Gateway, receiver: Receiver, name: str = "books", **body: Any) -> Any:
    """The recipient heat has it told here."""
    body = {"url": receiver.url, **body}
    answer = await gateway.send("PUT", f"/v1/webhooks/{name}", body, role=HEAT)
    assert answer.status in (200, 201), answer.content
    return answer


async def events(gateway: Gateway, role: str = HEAT, **query: Any) -> Any:
    words = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await gateway.send("GET", f"/v1/events?{words}", role=role)
    assert answer.status == 200, answer.content
    return answer.json


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """The recipient's server."""
    async with receiving() as made:
        yield made


async def settle(gateway: Gateway) -> tuple[str, str]:
    """A region whose day was closed and approved; the batch and its path."""
    for id_ in ("heat", "waste", "uk"):
        await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
    await gateway.send("POST", "/v1/bills", {"bills": [bill()]}, role="operator", key="b")
    await gateway.pay(payment())
    closed = await gateway.send("POST", "/v1/settlement-batches", {}, role="operator", key="c")
    batch = closed.json["id"]
    return batch, f"/v1/settlement-batches/{batch}"


async def test_a_recipient_is_told_of_its_own_money_to_the_end(
    database_url: str, receiver: Receiver
) -> None:
    async with served(database_url, webhook_loopback="allow") as gateway:
        await gateway.send("PUT", "/v1/recipients/heat", recipient("heat"), role="operator")
        secret = (await put(gateway, receiver)).json["secret"]
        batch, base = await settle(gateway)
        await gateway.send("POST", f"{base}/approve", {}, role="approver", key="a")
        await gateway.send("POST", f"{base}/send", {}, role="operator", key="s")
        shown = (await gateway.send("GET", base, role="operator")).json
        (mine,) = [one for one in shown["payouts"] if one["recipient"] == "heat"]
        paid = Told(str(mine["order_number"]), mine["amount"], "40702810002000001234")
        statement = one_c([paid], own=TRIAL_CENTRE.account)
        taken = await gateway.send(
            "POST",
            "/v1/bank-statements?format=1c",
            statement,
            role="operator",
            key="t",
            headers={"Content-Type": "text/plain"},
        )
        assert [one["recipient"] for one in taken.json["executed"]] == ["heat"], taken.content
        told = await receiver.until_heard(4)
        types = ["position.closed", "payout.approved", "payout.sent", "payout.executed"]
        assert [one["type"] for one in told] == types
        assert [one["sequence"] for one in told] == [1, 2, 3, 4]
        for one in receiver.heard:
            assert one.verified(secret)["data"]["settlement_batch"] == batch
        (position,) = [one for one in shown["positions"] if one["recipient"] == "heat"]
        data = told[0]["data"]
        assert {name: data[name] for name in position if name != "recipient"} == {
            name: value for name, value in position.items() if name != "recipient"
        }
        assert (await gateway.send("GET", data["report"], role=HEAT)).status == 200
        # Whoever polls reads the same, and nobody reads another's.
        assert await events(gateway) == {"events": told, "last_sequence": 4}
        assert await events(gateway, after=3) == {"events": told[3:], "last_sequence": 4}
        others = (await events(gateway, WASTE))["events"]
        assert {one["data"].get("order_number") for one in others} <= {
            None,
            *(one["order_number"] for one in shown["payouts"] if one["recipient"] == "waste"),
        }
        assert not {one["id"] for one in others} & {one["id"] for one in told}


async def test_a_cancelled_batch_is_told_of(database_url: str, receiver: Receiver) -> None:
    async with served(database_url, webhook_loopback="allow") as gateway:
        await gateway.send("PUT", "/v1/recipients/heat", recipient("heat"), role="operator")
        await put(gateway, receiver)
        _, base = await settle(gateway)
        reason = {"reason": "a mistake"}
        done = await gateway.send("POST", f"{base}/cancel", reason, role="approver", key="x")
        assert done.status == 200
        types = [one["type"] for one in await receiver.until_heard(2)]
        assert types == ["position.closed", "position.cancelled"]


async def test_what_is_shown_and_to_whom(region: Gateway, receiver: Receiver) -> None:
    body = {"url": "https://example.org/hook", "types": ["payout.executed"]}
    first = await region.send("PUT", "/v1/webhooks/books", body, role=HEAT)
    assert first.status == 201
    secret = first.json["secret"]
    assert secret.startswith("whsec_")
    again = await region.send("PUT", "/v1/webhooks/books", body, role=HEAT)
    assert (again.status, "secret" in again.json) == (200, False)
    listed = await region.send("GET", "/v1/webhooks", role=HEAT)
    assert [one["name"] for one in listed.json["webhooks"]] == ["books"]
    assert b"whsec" not in listed.content
    own = "/v1/webhooks/books"
    for role, path, status in (
        (WASTE, own, 404),
        (WASTE, f"{own}?recipient=heat", 403),
        (HEAT, f"{own}?recipient=heat", 200),
        ("operator", f"{own}?recipient=heat", 200),
        ("auditor", f"{own}?recipient=heat", 200),
        ("operator", own, 400),
        ("operator", f"{own}?recipient=nobody", 404),
        ("acquirer", own, 403),
    ):
        answer = await region.send("GET", path, role=role)
        assert answer.status == status, (role, path, answer.content)
    rotated = await region.send("PUT", f"{own}/secret", {}, role=HEAT)
    assert rotated.json["secret"] != secret
    assert len(rotated.json["before_until"]) == 1
    gone = await region.send("DELETE", own, role=HEAT)
    assert (gone.status, gone.json) == (200, {"state": "removed"})
    assert (await region.send("DELETE", own, role=HEAT)).status == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://example.org/"}, "url_not_allowed"),
        ({"url": "https://127.0.0.1/"}, "url_not_allowed"),
        ({"url": "https://example.org:8443/"}, "url_not_allowed"),
        ({"url": "https://example.org/4111111111111111"}, "pan_not_allowed"),
        ({"url": "https://example.org/", "types": ["payment.accepted"]}, "malformed"),
        ({"url": "https://example.org/", "state": "disabled"}, "malformed"),
        ({}, "malformed"),
    ],
)
async def test_what_is_refused(region: Gateway, body: dict[str, Any], code: str) -> None:
    answer = await region.send("PUT", "/v1/webhooks/books", body, role=HEAT)
    assert answer.code == code


async def test_a_recipient_has_eight_at_most(region: Gateway) -> None:
    body = {"url": "https://example.org/"}
    answers = [
        await region.send("PUT", f"/v1/webhooks/w{number}", body, role=HEAT) for number in range(9)
    ]
    assert [answer.status for answer in answers] == [201] * 8 + [409]


async def test_a_secret_of_ones_own_is_not_repeated_in_a_refusal(region: Gateway) -> None:
    await region.send("PUT", "/v1/webhooks/b", {"url": "https://example.org/"}, role=HEAT)
    for given in (
        "whsec_c2hvcnQ=",
        "c2hvcnQgc2VjcmV0IG9mIG5vYm9keSBhdCBhbGw=",
        "whsec_!!",
    ):
        answer = await region.send("PUT", "/v1/webhooks/b/secret", {"secret": given}, role=HEAT)
        assert answer.code == "malformed"
        assert given.encode() not in answer.content


async def test_tests_and_replays_keep_their_keys(database_url: str, receiver: Receiver) -> None:
    async with served(database_url, webhook_loopback="allow") as gateway:
        for id_ in ("heat", "waste"):
            await gateway.send("PUT", f"/v1/recipients/{id_}", recipient(id_), role="operator")
        await put(gateway, receiver)
        path = "/v1/webhooks/books/test"
        sent = [await gateway.send("POST", path, {}, role=HEAT, key="t") for _ in "12"]
        assert sent[0].content == sent[1].content
        (told,) = await receiver.until_heard(1)
        assert (told["type"], told["id"]) == ("webhook.test", sent[0].json["event"])
        replay = f"/v1/events/{told['id']}/redeliver"
        foreign = await gateway.send("POST", replay, {}, role=WASTE, key="r")
        assert (foreign.status, foreign.code) == (404, "not_found")
        answer = await gateway.send("POST", replay, {}, role=HEAT, key="r")
        assert answer.json == {"event": told["id"], "webhooks": 1}
        assert await receiver.until_heard(2) == [told, told]
        found = await gateway.send("GET", "/v1/webhooks/books/deliveries", role=HEAT)
        (delivery,) = found.json["deliveries"]
        assert [one["outcome"] for one in delivery["attempts"]][:1] == ["delivered"]
        metrics = (await gateway.send("GET", "/metrics")).content.decode()
        assert 'kopeck_webhook_attempts_total{outcome="delivered"}' in metrics
