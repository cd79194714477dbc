"""YooKassa: addresses, statuses, keys, and whole payments with a server of its protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from gateway.acquirers import yookassa
from gateway.acquirers.exchange import Exchange
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    ANSWERS,
    DECLINED,
    PENDING,
    REASONS,
    UNKNOWN,
    Acquirer,
    Instrument,
    MirPay,
    NoAnswer,
    Notice,
    SavedCard,
    SbpQr,
    WalletToken,
)
from gateway.config import StartRefused
from tests.acquirers.talk import connected, heard, order, refund, served
from tests.acquirers.yookassa_shop import KEY, SHOP, YooKassaShop

OPTIONS = {"shop": SHOP, "return_url": "https://centre.example/back", "bank_name": "ПАО Сбербанк"}


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[YooKassaShop, Acquirer]]:
    shop = YooKassaShop()
    async with (
        served(shop.app) as url,
        connected("yookassa", f"{url}/v3", OPTIONS, {"key": KEY}) as acquirer,
    ):
        yield shop, acquirer


def unconnected(**options: str) -> yookassa.YooKassa:
    exchange = Exchange("https://api.example", 1)
    return yookassa.YooKassa(exchange, {**OPTIONS, **options}, {"key": KEY})


@pytest.mark.parametrize(
    ("peer", "known"),
    [
        ("185.71.76.0", True),
        ("185.71.76.31", True),
        ("185.71.76.32", False),
        ("185.71.77.5", True),
        ("77.75.153.127", True),
        ("77.75.153.128", False),
        ("77.75.154.127", False),
        ("77.75.154.128", True),
        ("77.75.156.11", True),
        ("77.75.156.12", False),
        ("77.75.156.35", True),
        ("2a02:5180:0:1509::1", True),
        ("2a02:5181::1", False),
        # The same address, as a socket of both families tells it.
        ("::ffff:185.71.76.1", True),
        ("::ffff:185.71.75.1", False),
        ("127.0.0.1", False),
        ("not an address", False),
        ("", False),
    ],
)
def test_callbacks_come_from_known_addresses(peer: str, known: bool) -> None:
    body = json.dumps({"event": "payment.succeeded", "object": {"metadata": {"order": "0a" * 16}}})
    found = heard(unconnected(), {}, body.encode(), peer)
    if known:
        # Whatever it says, it is asked for: anybody in the network could have said it.
        assert isinstance(found, Notice)
        assert found.order is not None
        assert found.answer is None
    else:
        assert found == "signature_invalid"


def test_the_addresses_are_a_setting() -> None:
    ours = unconnected(networks="10.1.0.0/16,fd00::/8")
    assert isinstance(heard(ours, {}, b"{}", "10.1.2.3"), Notice)
    assert heard(ours, {}, b"{}", "185.71.76.1") == "signature_invalid"
    with pytest.raises(StartRefused, match="networks"):
        unconnected(networks="10.1.0.0/16,everything")


def test_tables_are_closed() -> None:
    expected = {"pending", "waiting_for_capture", "succeeded", "canceled"}
    assert set(yookassa.STATUSES) == expected
    assert set(yookassa.STATUSES.values()) <= set(ANSWERS)
    assert set(yookassa.REASONS.values()) <= set(REASONS)


@pytest.mark.parametrize("delivery", ["callback", "poll", "search"])
@pytest.mark.parametrize(("instrument", "step"), [(SbpQr(), "qr"), (MirPay(), "redirect")])
async def test_a_payment_is_confirmed_by_the_payer(
    instrument: Instrument, step: str, delivery: str
) -> None:
    async with talking() as (shop, acquirer):
        asked = order(1, instrument)
        answer = await acquirer.authorise(asked)
        assert (answer.state, answer.step.type) == (PENDING, step)
        operation = answer.operation
        assert operation is not None
        assert (await acquirer.status(asked, operation)).step == answer.step
        shop.settle(operation, "waiting_for_capture")
        assert (await acquirer.status(asked, operation)).state == PENDING
        shop.payments[operation]["status"] = "succeeded"
        if delivery == "callback":
            told = acquirer.notice({}, shop.callback(operation), "185.71.76.1")
            assert (told.order, told.answer) == (asked.id, None)
        taken = await acquirer.status(asked, None if delivery == "search" else operation)
        assert (taken.state, taken.amount, taken.operation) == (ACCEPTED, asked.total, operation)


@pytest.mark.parametrize(
    ("reference", "state", "reason"),
    [
        ("pm-good", ACCEPTED, None),
        ("pm-poor", DECLINED, "insufficient_funds"),
        ("pm-gone", DECLINED, "request_refused"),
    ],
)
async def test_a_saved_method(reference: str, state: str, reason: str | None) -> None:
    async with talking() as (_, acquirer):
        answer = await acquirer.authorise(order(2, SavedCard(reference)))
        assert (answer.state, answer.reason) == (state, reason)


@pytest.mark.parametrize("way", ["lost", "faulty"])
async def test_what_went_unanswered_is_sent_again_with_its_key(way: str) -> None:
    async with talking() as (shop, acquirer):
        asked = order(3, SavedCard("pm-good"))
        getattr(shop.line, way)["payments"] = 1
        assert (await acquirer.authorise(asked)).state == ACCEPTED
        assert len(shop.payments) == 1
        # Twice unanswered it is looked for, and still is one payment.
        other = order(4, SavedCard("pm-good"))
        getattr(shop.line, way)["payments"] = 2
        with pytest.raises(NoAnswer):
            await acquirer.authorise(other)
        assert (await acquirer.status(other, None)).state == ACCEPTED
        assert (await acquirer.authorise(other)).state == ACCEPTED
        assert len(shop.payments) == 2


async def test_a_payment_is_found_among_many() -> None:
    async with talking() as (shop, acquirer):
        shop.page_size = 2
        many = [order(10 + number) for number in range(7)]
        made = [await acquirer.authorise(one) for one in many]
        for one, answer in zip(many, made, strict=True):
            assert (await acquirer.status(one, None)).operation == answer.operation
        assert (await acquirer.status(order(99), None)).state == ABSENT


async def test_refunds_in_part_and_the_rest() -> None:
    async with talking() as (shop, acquirer):
        asked = order(5, SavedCard("pm-good"))
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        part = refund(1, asked, operation, 49_056, 300_000)
        rest = refund(2, asked, operation, 300_000, 0)
        assert (await acquirer.refund_status(part)).state == ABSENT
        shop.line.lost["refunds"] = 2
        with pytest.raises(NoAnswer):
            await acquirer.refund(part)
        found = await acquirer.refund_status(part)
        assert (found.state, found.amount) == (ACCEPTED, 49_056)
        assert (await acquirer.refund(part)).operation == found.operation
        known = msgspec.structs.replace(part, operation_of_refund=found.operation)
        assert await acquirer.refund_status(known) == found
        assert (await acquirer.refund(rest)).state == ACCEPTED
        assert shop.returned(operation) == asked.total
        more = refund(3, asked, operation, 1, 0)
        assert (await acquirer.refund(more)).reason == "request_refused"


async def test_nothing_is_read_into_a_strange_answer() -> None:
    async with talking() as (shop, acquirer):
        asked = order(6)
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        said = shop.payments[operation]
        shop.settle(operation, "succeeded")
        for name, value, state in (
            ("status", "refunded_by_magic", UNKNOWN),
            ("amount", {"value": "3490.565", "currency": "RUB"}, UNKNOWN),
            ("amount", {"value": "3490.56", "currency": "USD"}, UNKNOWN),
            ("amount", {"value": 3490.56, "currency": "RUB"}, ACCEPTED),
        ):
            before = said[name]
            said[name] = value
            assert (await acquirer.status(asked, operation)).state == state
            said[name] = before
        said["metadata"] = {"order": "0b" * 16}
        with pytest.raises(NoAnswer, match="this order"):
            await acquirer.status(asked, operation)
        with pytest.raises(NoAnswer):
            await acquirer.status(asked, "no-such-payment")


async def test_a_wallet_token_is_not_its_to_take() -> None:
    async with talking() as (shop, acquirer):
        answer = await acquirer.authorise(order(7, WalletToken("google_pay", b"{}")))
        assert answer.reason == "request_refused"
        assert not shop.payments
