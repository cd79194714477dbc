"""T-Bank: tokens, statuses, and whole payments with a server of its protocol."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquirers import tbank, tbank_token
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
from tests.acquirers.talk import connected, flipped, heard, order, refund, served
from tests.acquirers.tbank_bank import PASSWORD, TERMINAL, BankPayment, TBankBank, signed

DOCUMENTED = (
    *("NEW", "FORM_SHOWED", "DEADLINE_EXPIRED", "CANCELED"),
    *("PREAUTHORIZING", "AUTHORIZING", "AUTHORIZED", "AUTH_FAIL"),
    *("REJECTED", "3DS_CHECKING", "3DS_CHECKED", "REVERSING"),
    *("PARTIAL_REVERSED", "REVERSED", "CONFIRMING", "CONFIRMED"),
    *("REFUNDING", "PARTIAL_REFUNDED", "REFUNDED", "ASYNC_REFUNDING"),
    *("ATTEMPTS_EXPIRED", "CHECKING", "CHECKED", "PROCESSING"),
    *("COMPLETING", "COMPLETED", "UNKNOWN"),
)


NAMES = st.text(min_size=1).filter(lambda name: name not in ("Token", "Password"))


@asynccontextmanager
async def talking() -> AsyncIterator[tuple[TBankBank, Acquirer]]:
    bank = TBankBank()
    async with (
        served(bank.app) as url,
        connected("tbank", f"{url}/v2", {"terminal": TERMINAL}, {"password": PASSWORD}) as acquirer,
    ):
        yield bank, acquirer


def unconnected() -> tbank.TBank:
    exchange = Exchange("https://bank.example", 1)
    return tbank.TBank(exchange, {"terminal": TERMINAL}, {"password": PASSWORD})


def told_of(status: str, code: str = "0", number: str = "0a" * 16) -> bytes:
    bank = TBankBank()
    bank.payments["13660"] = BankPayment("13660", number, 100_000, status, code)
    return bank.notification("13660")


def test_the_token_of_the_documents() -> None:
    fields = {
        "TerminalKey": "MerchantTerminalKey",
        "Amount": 19200,
        "OrderId": "00000",
        "Description": "Подарочная карта на 1000 рублей",
        "DATA": {"Phone": "+71234567890"},
        "Receipt": {"Items": []},
    }
    expected = "72dd466f8ace0a37a1f740ce5fb78101712bc0665d91a8108c7c8a0ccd426db2"
    assert tbank_token.token(fields, "11111111111111") == expected
    assert tbank_token.holds({**fields, "Token": expected}, "11111111111111")
    assert not tbank_token.holds({**fields, "Token": expected}, "11111111111112")
    assert not tbank_token.holds(fields, "11111111111111")


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_notification_decides_nothing_else(data: st.DataObject) -> None:
    whole = told_of("CONFIRMED")
    good = heard(unconnected(), {}, whole)
    assert isinstance(good, Notice)
    assert good.reply == b"OK"
    bent = flipped(whole, data.draw(st.integers(0, len(whole) * 8 - 1)))
    found = heard(unconnected(), {}, bent)
    # The token covers values and not names: with a field renamed the bank is asked.
    asked = isinstance(found, Notice) and found.answer is None
    assert asked or found in ("signature_invalid", "malformed", good)


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_of_a_value_is_refused(data: st.DataObject) -> None:
    fields: dict[str, str] = data.draw(st.dictionaries(NAMES, st.text(min_size=1), min_size=1))
    signed_fields = {**fields, "Token": tbank_token.token(fields, PASSWORD)}
    name = data.draw(st.sampled_from(sorted(signed_fields)))
    value = signed_fields[name].encode()
    bent = flipped(value, data.draw(st.integers(0, len(value) * 8 - 1))).decode("latin-1")
    assert tbank_token.holds(signed_fields, PASSWORD)
    assert not tbank_token.holds({**signed_fields, name: bent}, PASSWORD)


def test_a_notification_of_another_terminal_is_refused() -> None:
    fields: dict[str, object] = {"TerminalKey": "Another", "OrderId": "0a" * 16, "Status": "NEW"}
    assert heard(unconnected(), {}, json.dumps(signed(fields)).encode()) == "signature_invalid"


@pytest.mark.parametrize("status", DOCUMENTED)
def test_what_a_notification_decides(status: str) -> None:
    notice = heard(unconnected(), {}, told_of(status))
    assert isinstance(notice, Notice)
    declined = {"CANCELED", "REJECTED", "REVERSED", "DEADLINE_EXPIRED", "ATTEMPTS_EXPIRED"}
    if status == "CONFIRMED":
        assert notice.answer is not None
        assert (notice.answer.state, notice.answer.amount) == (ACCEPTED, 100_000)
    elif status in declined | {"AUTH_FAIL"}:
        assert notice.answer is not None
        assert notice.answer.state == DECLINED
    else:
        # Of a refund the sum is another, and what is on its way decides nothing.
        assert notice.answer is None


def test_tables_are_closed() -> None:
    assert set(tbank.STATUSES) == set(DOCUMENTED)
    assert {state for state, _ in tbank.STATUSES.values()} <= set(ANSWERS)
    told = {reason for _, reason in tbank.STATUSES.values() if reason}
    assert told | set(tbank.ERROR_REASONS.values()) <= set(REASONS)


@pytest.mark.parametrize("delivery", ["notification", "poll", "of the order"])
@pytest.mark.parametrize(("instrument", "step"), [(SbpQr(), "qr"), (MirPay(), "deeplink")])
async def test_a_code_or_a_link_is_shown_and_paid(
    instrument: Instrument, step: str, delivery: str
) -> None:
    async with talking() as (bank, acquirer):
        asked = order(1, instrument)
        answer = await acquirer.authorise(asked)
        assert (answer.state, answer.step.type) == (PENDING, step)
        assert answer.step.payload or answer.step.url.startswith("mirpay://")
        operation = answer.operation
        assert operation is not None
        assert (await acquirer.status(asked, operation)).state == PENDING
        bank.pay(operation)
        if delivery == "notification":
            # A one-stage payment is told of twice, and anything may come twice.
            held = acquirer.notice({}, bank.notification(operation, "AUTHORIZED"), "")
            assert held.answer is None
            told = [acquirer.notice({}, bank.notification(operation), "") for _ in range(2)]
            assert told[0] == told[1]
            taken = told[0].answer
        else:
            taken = await acquirer.status(asked, operation if delivery == "poll" else None)
        assert taken is not None
        assert (taken.state, taken.amount, taken.operation) == (ACCEPTED, asked.total, operation)


@pytest.mark.parametrize(
    ("reference", "state", "reason"),
    [
        ("145919", ACCEPTED, None),
        ("poor", DECLINED, "insufficient_funds"),
        ("gone", DECLINED, "card_invalid"),
        ("acs", PENDING, None),
    ],
)
async def test_a_saved_card(reference: str, state: str, reason: str | None) -> None:
    async with talking() as (_, acquirer):
        answer = await acquirer.authorise(order(2, SavedCard(reference)))
        assert (answer.state, answer.reason) == (state, reason)


@pytest.mark.parametrize("wallet", ["apple_pay", "google_pay"])
async def test_a_wallet_token(wallet: str) -> None:
    async with talking() as (_, acquirer):
        answer = await acquirer.authorise(order(3, WalletToken(wallet, b'{"version":"EC_v1"}')))
        assert answer.state == ACCEPTED


@pytest.mark.parametrize("way", ["lost", "faulty", "garbled"])
@pytest.mark.parametrize(
    ("path", "found"), [("Init", PENDING), ("Charge", ACCEPTED), ("FinishAuthorize", ACCEPTED)]
)
async def test_what_went_unanswered_is_asked_about(way: str, path: str, found: str) -> None:
    wallet = WalletToken("google_pay", b"{}")
    instrument: Instrument = wallet if path == "FinishAuthorize" else SavedCard("145919")
    async with talking() as (bank, acquirer):
        asked = order(4, instrument)
        getattr(bank.line, way)[path] = 1
        with pytest.raises(NoAnswer):
            await acquirer.authorise(asked)
        assert (await acquirer.status(asked, None)).state == found
        assert bank.charges == (1 if found == ACCEPTED else 0)


async def test_refunds_of_a_card_are_known_by_our_number() -> None:
    async with talking() as (bank, acquirer):
        asked = order(5, SavedCard("145919"))
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        part = refund(1, asked, operation, 49_056, 300_000)
        rest = refund(2, asked, operation, 300_000, 0)
        assert (await acquirer.refund_status(part)).state == ABSENT
        bank.line.lost["Cancel"] = 1
        with pytest.raises(NoAnswer):
            await acquirer.refund(part)
        # Absent means that asking again is safe, and so it is: the bank knows the number.
        assert (await acquirer.refund_status(part)).state == ABSENT
        assert (await acquirer.refund(part)).state == ACCEPTED
        assert bank.payments[operation].left == 300_000
        assert (await acquirer.refund(rest)).state == ACCEPTED
        assert (await acquirer.refund_status(rest)).state == ACCEPTED
        assert bank.payments[operation].left == 0
        more = refund(3, asked, operation, 1, 0)
        assert (await acquirer.refund(more)).state == DECLINED
        assert (await acquirer.status(asked, operation)).state == ACCEPTED


async def test_refunds_of_a_code_are_never_asked_for_blindly_again() -> None:
    async with talking() as (bank, acquirer):
        asked = order(6)
        operation = (await acquirer.authorise(asked)).operation
        assert operation is not None
        bank.pay(operation)
        first = refund(1, asked, operation, 100, asked.total - 100)
        answer = await acquirer.refund(first)
        assert answer.state == PENDING
        known = refund(1, asked, operation, 100, asked.total - 100)
        known = type(known)(
            id=known.id,
            order=known.order,
            operation=known.operation,
            amount=known.amount,
            left=known.left,
            operation_of_refund=answer.operation,
        )
        assert (await acquirer.refund_status(known)).state == ACCEPTED
        # One of another sum is not there yet; one of the same sum may or may not be.
        other = refund(2, asked, operation, 200, asked.total - 300)
        assert (await acquirer.refund_status(other)).state == ABSENT
        same = refund(3, asked, operation, 100, asked.total - 200)
        assert (await acquirer.refund_status(same)).state == UNKNOWN


async def test_two_payments_of_one_order_are_a_persons_to_decide() -> None:
    async with talking() as (bank, acquirer):
        asked = order(7, SavedCard("145919"))
        await acquirer.authorise(asked)
        await acquirer.authorise(asked)
        assert bank.charges == 2
        assert (await acquirer.status(asked, None)).state == UNKNOWN


async def test_what_the_bank_never_heard_of_and_what_it_refuses() -> None:
    async with talking() as (bank, acquirer):
        assert (await acquirer.status(order(8), None)).state == ABSENT
        assert (await acquirer.authorise(order(9, total=1))).reason == "request_refused"
        assert not bank.payments
