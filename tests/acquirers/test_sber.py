"""The Sber gateway: checksums, statuses, and whole payments with a server of its protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquirers import sber, sber_checksum
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
    WalletToken,
)
from gateway.config import StartRefused
from gateway.domain.refusals import Refusal
from tests.acquirers.sber_bank import KEY, MERCHANT, PASSWORD, USER, SberBank, SberOrder
from tests.acquirers.talk import connected, flipped, heard, order, refund, served

ACS_PAGE = "https://3dsec.example/payment/acsRedirect.do?orderId="
OPTIONS = {
    "user": USER,
    "return_url": "https://centre.example/back",
    "merchant": MERCHANT,
    "acs_page": ACS_PAGE,
}
SECRETS = {"password": PASSWORD, "callback_key": KEY}
# A vector built from the documented rule.
GOLDEN_FIELDS = {
    "amount": "123456",
    "mdOrder": "3ff6962a-7dcc-4283-ab50-a6d7dd3386fe",
    "operation": "deposited",
    "orderNumber": "10747",
    "status": "1",
}
GOLDEN = "51C892147225ABE87798CB02979D70EF46D0AE79B5AA3B28B1C260BE286C50A9"


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[SberBank, Acquirer]]:
    bank = SberBank()
    async with (
        served(bank.app) as url,
        connected("sber", f"{url}/payment", OPTIONS, SECRETS) as acquirer,
    ):
        yield bank, acquirer


def unconnected(key: str = KEY) -> sber.Sber:
    secrets = {"password": PASSWORD, "callback_key": key}
    return sber.Sber(Exchange("https://bank.example", 1), OPTIONS, secrets)


def test_the_checksum_of_a_known_callback() -> None:
    assert sber_checksum.by_shared_key(KEY, GOLDEN_FIELDS) == GOLDEN
    # Neither the checksum itself nor its alias is signed.
    told = {**GOLDEN_FIELDS, "checksum": GOLDEN, "sign_alias": "any"}
    assert sber_checksum.check_with(KEY)(told)
    assert not sber_checksum.check_with(KEY)(GOLDEN_FIELDS)
    assert not sber_checksum.check_with("another")(told)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_callback_is_refused(data: st.DataObject) -> None:
    bank = SberBank()
    bank.orders["00" * 16] = SberOrder("00" * 16, 100)
    whole = bank.callback("00" * 16)
    good = heard(unconnected(), {}, whole)
    assert isinstance(good, Notice)
    bent = flipped(whole, data.draw(st.integers(0, len(whole) * 8 - 1)))
    # A bit that makes `%2D` of `%2d` changes nothing that is said.
    assert heard(unconnected(), {}, bent) in ("signature_invalid", "malformed", good)


def test_callbacks_signed_by_the_gateways_own_key() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    bank = SberBank()
    bank.orders["0a" * 16] = SberOrder("0a" * 16, 500)
    body = bank.callback_by_rsa("0a" * 16, key)
    notice = unconnected(pem).notice({}, body, "")
    assert notice.answer is not None
    assert (notice.answer.state, notice.answer.amount) == (ACCEPTED, 500)
    for bent in (body.replace(b"amount=500", b"amount=501"), bank.callback("0a" * 16)):
        with pytest.raises(Refusal, match="signature_invalid"):
            unconnected(pem).notice({}, bent, "")
    # The public key is no shared one: what anybody can sign with it is refused.
    told = {"orderNumber": "0a" * 16, "operation": "deposited", "status": "1"}
    forged = sber_checksum.by_shared_key(pem, told)
    assert not sber_checksum.check_with(pem)({**told, "checksum": forged})


def test_a_callback_key_that_is_no_key_stops_the_start() -> None:
    with pytest.raises(StartRefused, match="callback_key"):
        unconnected("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("operation", "status", "state"),
    [
        ("deposited", "1", ACCEPTED),
        ("declinedByTimeout", "1", DECLINED),
        # A hold, a failed attempt, and what comes after a payment decide nothing.
        ("approved", "1", None),
        ("deposited", "0", None),
        ("declinedByTimeout", "0", None),
        ("reversed", "1", None),
        ("refunded", "1", None),
        ("another", "1", None),
    ],
)
def test_what_a_callback_decides(operation: str, status: str, state: str | None) -> None:
    bank = SberBank()
    number = "00" * 16
    bank.orders[number] = SberOrder(number, 100)
    notice = unconnected().notice({}, bank.callback(number, operation, status), "")
    assert notice.order is not None
    assert notice.order.hex == number
    assert (notice.answer.state if notice.answer else None) == state


def test_a_callback_whose_sum_is_hidden_in_a_name_decides_nothing() -> None:
    bank = SberBank()
    number = "00" * 16
    bank.orders[number] = SberOrder(number, 100)
    fields = dict(parse_qsl(bank.callback(number).decode()))
    # The same text is signed: `amount;100;mdOrder;…;`.
    fields[f"amount;{fields.pop('amount')};mdOrder"] = fields.pop("mdOrder")
    notice = unconnected().notice({}, urlencode(fields).encode(), "")
    assert (notice.order and notice.order.hex, notice.answer) == (number, None)


def test_a_callback_of_another_shop_system_is_nobodys() -> None:
    bank = SberBank()
    bank.orders["10747"] = SberOrder("10747", 100)
    assert unconnected().notice({}, bank.callback("10747"), "").order is None


def test_tables_are_closed() -> None:
    assert set(sber.ORDER_STATUSES) == set("0123456")
    assert set(sber.ORDER_STATUSES.values()) <= set(ANSWERS)
    assert set(sber.ACTION_REASONS.values()) <= set(REASONS)


@pytest.mark.parametrize("delivery", ["callback", "poll"])
async def test_a_code_is_shown_paid_and_given_back(delivery: str) -> None:
    async with talking() as (bank, acquirer):
        asked = order(1)
        answer = await acquirer.authorise(asked)
        assert (answer.state, answer.step.type) == (PENDING, "qr")
        assert answer.step.payload.startswith("https://qr.nspk.ru/")
        assert (await acquirer.status(asked, answer.operation)).state == PENDING
        bank.pay(asked.number)
        if delivery == "callback":
            body = bank.callback(asked.number)
            told = [acquirer.notice({}, body, "127.0.0.1") for _ in range(2)]
            assert told[0] == told[1]
            assert told[0].order == asked.id
            taken = told[0].answer
        else:
            taken = await acquirer.status(asked, answer.operation)
        assert taken is not None
        assert taken.operation is not None
        assert (taken.state, taken.amount) == (ACCEPTED, asked.total)
        part = refund(1, asked, taken.operation, 49_056, 300_000)
        rest = refund(2, asked, taken.operation, 300_000, 0)
        assert (await acquirer.refund_status(part)).state == ABSENT
        assert (await acquirer.refund(part)).state == ACCEPTED
        # The same again gives nothing back again.
        assert (await acquirer.refund(part)).state == ACCEPTED
        assert (await acquirer.refund_status(part)).state == ACCEPTED
        assert (await acquirer.refund(rest)).state == ACCEPTED
        assert bank.orders[asked.number].refunded == asked.total
        assert bank.line.asked["refund.do"] == 2
        assert (await acquirer.status(asked, taken.operation)).state == ACCEPTED


@pytest.mark.parametrize(
    ("reference", "state", "reason"),
    [
        ("b-good", ACCEPTED, None),
        ("b-poor", DECLINED, "insufficient_funds"),
        ("b-acs", PENDING, None),
        ("b-gone", DECLINED, "card_invalid"),
    ],
)
async def test_a_saved_card(reference: str, state: str, reason: str | None) -> None:
    async with talking() as (_, acquirer):
        answer = await acquirer.authorise(order(2, SavedCard(reference)))
        assert (answer.state, answer.reason) == (state, reason)
        page = f"{ACS_PAGE}{answer.operation}" if state == PENDING else ""
        assert answer.step.url == page


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
async def test_a_wallet_token(wallet: str) -> None:
    async with talking() as (bank, acquirer):
        token = json.dumps({"amount": 349_056}).encode()
        asked = order(3, WalletToken(wallet, token))
        answer = await acquirer.authorise(asked)
        assert (answer.state, answer.amount) == (ACCEPTED, 349_056)
        assert answer.operation == bank.orders[asked.number].id
        broken = order(4, WalletToken(wallet, b'{"broken":true}'))
        assert (await acquirer.authorise(broken)).reason == "request_refused"


async def test_mir_pay_is_on_the_gateways_page() -> None:
    async with talking() as (_, acquirer):
        answer = await acquirer.authorise(order(5, MirPay()))
        assert (answer.state, answer.step.type) == (PENDING, "redirect")
        assert "mdOrder=" in answer.step.url


@pytest.mark.parametrize("way", ["lost", "faulty", "garbled"])
@pytest.mark.parametrize(
    ("instrument", "path", "found"),
    [
        (SavedCard("b-good"), "register.do", PENDING),
        (SavedCard("b-good"), "paymentOrderBinding.do", ACCEPTED),
        (SavedCard("b-good"), "getOrderStatusExtended.do", ACCEPTED),
        (WalletToken("google_pay", b'{"amount":349056}'), "google/payment.do", ACCEPTED),
    ],
)
async def test_what_went_unanswered_is_asked_about(
    way: str, instrument: Instrument, path: str, found: str
) -> None:
    async with talking() as (bank, acquirer):
        asked = order(6, instrument)
        getattr(bank.line, way)[path] = 1
        with pytest.raises(NoAnswer):
            await acquirer.authorise(asked)
        answer = await acquirer.status(asked, None)
        assert (answer.state, answer.operation) == (found, bank.orders[asked.number].id)
        # Asked again after all, it is the same order and no second charge.
        charges = bank.line.asked["paymentOrderBinding.do"]
        again = await acquirer.authorise(asked)
        assert again.state == found
        assert bank.line.asked["paymentOrderBinding.do"] == charges


async def test_a_lost_refund_is_not_given_twice() -> None:
    async with talking() as (bank, acquirer):
        asked = order(7, SavedCard("b-good"))
        taken = await acquirer.authorise(asked)
        assert taken.operation is not None
        back = refund(1, asked, taken.operation, 100, asked.total - 100)
        bank.line.lost["refund.do"] = 1
        with pytest.raises(NoAnswer):
            await acquirer.refund(back)
        assert (await acquirer.refund(back)).state == ACCEPTED
        assert bank.orders[asked.number].refunded == 100
        # Somebody else gave back meanwhile: nobody can tell, so nothing is sent.
        bank.orders[asked.number].refunded = 150
        assert (await acquirer.refund(back)).state == UNKNOWN
        assert bank.line.asked["refund.do"] == 1


async def test_what_the_gateway_never_heard_of() -> None:
    async with talking() as (bank, acquirer):
        assert (await acquirer.status(order(8), None)).state == ABSENT
        assert (await acquirer.authorise(order(9, total=1))).reason == "request_refused"
        assert not bank.orders
