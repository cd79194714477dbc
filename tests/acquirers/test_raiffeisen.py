"""Raiffeisen's SBP API: signatures, statuses, and whole payments with a server of its protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquirers import raiffeisen
from gateway.acquirers.exchange import Exchange
from gateway.acquirers.words import (
    ABSENT,
    ACCEPTED,
    DECLINED,
    PENDING,
    REASONS,
    UNKNOWN,
    Acquirer,
    NoAnswer,
    Notice,
    SavedCard,
)
from gateway.config import StartRefused
from tests.acquirers.raiffeisen_bank import KEY, MERCHANT, Code, RaiffeisenBank
from tests.acquirers.talk import connected, flipped, heard, order, refund, served

GOLDEN_FIELDS = {
    "amount": "110",
    "sbpMerchantId": "MA622976",
    "order": "1-22-333",
    "paymentStatus": "SUCCESS",
    "transactionDate": "2019-07-11T17:45:13+03:00",
}
GOLDEN = "18ebd0635a86fc5f448c1e7ad82ba8db96fef096f83165373ef8f75fb7bd2a11"


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[RaiffeisenBank, Acquirer]]:
    bank = RaiffeisenBank()
    async with (
        served(bank.app) as url,
        connected("raiffeisen", f"{url}/api", {"merchant": MERCHANT}, {"key": KEY}) as acquirer,
    ):
        yield bank, acquirer


def unconnected(**options: str) -> raiffeisen.Raiffeisen:
    exchange = Exchange("https://bank.example", 1)
    return raiffeisen.Raiffeisen(exchange, {"merchant": MERCHANT, **options}, {"key": KEY})


def paid(amount: str = "1110.10") -> RaiffeisenBank:
    bank = RaiffeisenBank()
    bank.codes["AD1"] = Code("AD1", "0a" * 16, Decimal(amount), "SUCCESS", "PAID")
    return bank


def test_the_signature_of_a_known_callback() -> None:
    assert raiffeisen.signature(GOLDEN_FIELDS, "secret") == GOLDEN
    assert raiffeisen.signature({**GOLDEN_FIELDS, "amount": None}, "secret") is None


@pytest.mark.parametrize(
    ("written", "kopecks"), [("110", 11_000), ("1110.1", 111_010), ("1110.10", 111_010)]
)
def test_the_sum_is_signed_as_it_is_written(written: str, kopecks: int) -> None:
    notice = heard(unconnected(), *paid(written).callback("AD1"))
    assert isinstance(notice, Notice)
    assert notice.answer is not None
    assert (notice.answer.state, notice.answer.amount) == (ACCEPTED, kopecks)


@pytest.mark.parametrize("written", ["1e2", "110.005", "-110"])
def test_a_sum_that_cannot_be_read_is_asked_for(written: str) -> None:
    notice = heard(unconnected(), *paid(written).callback("AD1"))
    assert isinstance(notice, Notice)
    assert (notice.order is None, notice.answer) == (False, None)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_callback_is_refused(data: st.DataObject) -> None:
    headers, whole = paid().callback("AD1")
    good = heard(unconnected(), headers, whole)
    assert isinstance(good, Notice)
    bent = flipped(whole, data.draw(st.integers(0, len(whole) * 8 - 1)))
    # Fields that are not signed may say anything: nothing of them is heard.
    assert heard(unconnected(), headers, bent) in ("signature_invalid", "malformed", good)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_signature_is_refused(data: st.DataObject) -> None:
    headers, whole = paid().callback("AD1")
    told = headers["x-api-signature-sha256"].encode()
    bent = flipped(told, data.draw(st.integers(0, len(told) * 8 - 1))).decode("latin-1")
    assert heard(unconnected(), {"x-api-signature-sha256": bent}, whole) == "signature_invalid"
    assert heard(unconnected(), {}, whole) == "signature_invalid"


@pytest.mark.parametrize("status", ["DECLINED", "NO_INFO", "IN_PROGRESS", "ANOTHER"])
def test_only_a_success_is_believed_at_once(status: str) -> None:
    notice = heard(unconnected(), *paid().callback("AD1", status))
    assert isinstance(notice, Notice)
    assert notice.order is not None
    assert notice.answer is None


@pytest.mark.parametrize("written", ["110,00", "110.123", "-110"])
def test_a_success_without_a_sum_that_can_be_read_decides_nothing(written: str) -> None:
    headers, body = paid().callback("AD1")
    told = {**json.loads(body, parse_float=str, parse_int=str), "amount": written}
    headers["x-api-signature-sha256"] = str(raiffeisen.signature(told, KEY))
    notice = heard(unconnected(), headers, json.dumps(told).encode())
    assert isinstance(notice, Notice)
    assert (notice.order is not None, notice.answer) == (True, None)


def test_tables_are_closed() -> None:
    assert set(raiffeisen.PAYMENT_STATUSES) == {"SUCCESS", "DECLINED", "NO_INFO", "IN_PROGRESS"}
    expected = {"NEW", "IN_PROGRESS", "CANCELLED", "EXPIRED", "PAID"}
    assert set(raiffeisen.CODE_STATUSES) == expected
    assert set(raiffeisen.REFUND_STATUSES) == {"IN_PROGRESS", "COMPLETED", "DECLINED"}
    assert {reason for _, reason in raiffeisen.CODE_STATUSES.values() if reason} <= set(REASONS)


def test_an_account_is_digits() -> None:
    unconnected(account="40702810138250123017")
    with pytest.raises(StartRefused, match="account"):
        unconnected(account="1}")


@pytest.mark.parametrize("delivery", ["callback", "poll"])
async def test_a_code_is_shown_paid_and_given_back(delivery: str) -> None:
    async with talking() as (bank, acquirer):
        asked = order(1)
        answer = await acquirer.authorise(asked)
        assert (answer.state, answer.step.type) == (PENDING, "qr")
        assert answer.step.payload.startswith("https://qr.nspk.ru/")
        assert answer.operation is not None
        assert bank.codes[answer.operation].amount == Decimal("3490.56")
        assert (await acquirer.status(asked, answer.operation)).state == PENDING
        bank.pay(answer.operation)
        if delivery == "callback":
            told = [heard(acquirer, *bank.callback(answer.operation)) for _ in range(2)]
            assert told[0] == told[1]
            assert isinstance(told[0], Notice)
            assert told[0].order == asked.id
            taken = told[0].answer
        else:
            taken = await acquirer.status(asked, answer.operation)
        assert taken is not None
        assert (taken.state, taken.amount) == (ACCEPTED, asked.total)
        part = refund(1, asked, answer.operation, 5, asked.total - 5)
        rest = refund(2, asked, answer.operation, asked.total - 5, 0)
        more = refund(3, asked, answer.operation, 1, 0)
        assert (await acquirer.refund_status(part)).state == ABSENT
        assert (await acquirer.refund(part)).state == PENDING
        # A repeat is what became of the first.
        assert (await acquirer.refund(part)).state == ACCEPTED
        assert (await acquirer.refund(rest)).state == PENDING
        assert (await acquirer.refund(more)).reason == "limit_exceeded"
        assert bank.returned(asked.number) == Decimal("3490.56")


@pytest.mark.parametrize(
    ("payment", "code", "state", "reason"),
    [
        ("IN_PROGRESS", "IN_PROGRESS", PENDING, None),
        # The payer's bank refused once; the same code may be paid all the same.
        ("DECLINED", "NEW", PENDING, None),
        ("DECLINED", "EXPIRED", DECLINED, "refused_by_bank"),
        ("NO_INFO", "EXPIRED", DECLINED, "expired"),
        ("NO_INFO", "CANCELLED", DECLINED, "cancelled"),
        ("NO_INFO", "PAID", PENDING, None),
        ("NO_INFO", "ANOTHER", UNKNOWN, None),
        ("ANOTHER", "NEW", UNKNOWN, None),
    ],
)
async def test_statuses(payment: str, code: str, state: str, reason: str | None) -> None:
    async with talking() as (bank, acquirer):
        asked = order(2)
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        bank.codes[operation].payment, bank.codes[operation].state = payment, code
        answer = await acquirer.status(asked, operation)
        assert (answer.state, answer.reason) == (state, reason)


async def test_a_sum_of_half_kopecks_is_nothing_to_believe() -> None:
    async with talking() as (bank, acquirer):
        asked = order(2)
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        bank.pay(operation)
        bank.codes[operation].amount = Decimal("3490.565")
        assert (await acquirer.status(asked, operation)).state == UNKNOWN


@pytest.mark.parametrize("way", ["lost", "faulty", "garbled"])
async def test_a_code_that_nobody_saw_is_made_again(way: str) -> None:
    async with talking() as (bank, acquirer):
        asked = order(3)
        getattr(bank.line, way)["register"] = 1
        with pytest.raises(NoAnswer):
            await acquirer.authorise(asked)
        again = await acquirer.status(asked, None)
        assert (again.state, again.step.type) == (PENDING, "qr")
        assert again.operation is not None
        bank.pay(again.operation)
        # Once it was paid no code is made again, and the callback tells what was paid.
        assert (await acquirer.status(asked, None)).state == UNKNOWN
        assert sum(one.payment == "SUCCESS" for one in bank.codes.values()) == 1


async def test_a_code_too_late_to_make_was_paid_by_nobody() -> None:
    async with talking() as (bank, acquirer):
        bank.expired = True
        assert (await acquirer.status(order(4), None)).reason == "expired"


async def test_a_lost_refund_is_not_given_twice() -> None:
    async with talking() as (bank, acquirer):
        asked = order(5)
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        bank.pay(operation)
        back = refund(1, asked, operation, 100, asked.total - 100)
        bank.line.lost["refund"] = 1
        with pytest.raises(NoAnswer):
            await acquirer.refund(back)
        assert (await acquirer.refund(back)).state == ACCEPTED
        bank.refund_state = "DECLINED"
        assert (await acquirer.refund_status(back)).reason == "refused_by_bank"
        assert bank.returned(asked.number) == Decimal(1)


async def test_it_takes_codes_only() -> None:
    async with talking() as (bank, acquirer):
        assert (await acquirer.authorise(order(6, SavedCard("b")))).reason == "request_refused"
        assert not bank.codes
