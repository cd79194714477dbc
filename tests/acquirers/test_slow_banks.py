"""A bank that does what it was asked and answers too late: unknown, then found, charged once."""

from collections.abc import Callable, Mapping
from typing import Protocol

import pytest
from aiohttp import web
from msgspec import Struct

from gateway.acquirers.words import ACCEPTED, PENDING, Instrument, NoAnswer, SavedCard, SbpQr
from tests.acquirers import raiffeisen_bank, sber_bank, tbank_bank, yookassa_shop
from tests.acquirers.talk import Line, connected, order, served

TIMEOUT_S = 0.2
PAGE = {"return_url": "https://centre.example/back"}


class Bank(Protocol):
    app: web.Application
    line: Line


class Slow(Struct, frozen=True):
    """A bank, how it is wired, and the request whose answer it keeps back."""

    kind: str
    make: Callable[[], Bank]
    base: str
    options: Mapping[str, str]
    secrets: Mapping[str, str]
    instrument: Instrument
    path: str
    found: str
    times: int = 1


BANKS = (
    Slow(
        "sber",
        sber_bank.SberBank,
        "/payment",
        {"user": sber_bank.USER, **PAGE},
        {"password": sber_bank.PASSWORD, "callback_key": sber_bank.KEY},
        SavedCard("b-good"),
        "paymentOrderBinding.do",
        ACCEPTED,
    ),
    Slow(
        "tbank",
        tbank_bank.TBankBank,
        "/v2",
        {"terminal": tbank_bank.TERMINAL},
        {"password": tbank_bank.PASSWORD},
        SavedCard("145919"),
        "Charge",
        ACCEPTED,
    ),
    Slow(
        "yookassa",
        yookassa_shop.YooKassaShop,
        "/v3",
        {"shop": yookassa_shop.SHOP, "bank_name": "ПАО Сбербанк", **PAGE},
        {"key": yookassa_shop.KEY},
        SavedCard("pm-good"),
        "payments",
        ACCEPTED,
        times=2,
    ),
    Slow(
        "raiffeisen",
        raiffeisen_bank.RaiffeisenBank,
        "/api",
        {"merchant": raiffeisen_bank.MERCHANT},
        {"key": raiffeisen_bank.KEY},
        SbpQr(),
        "register",
        PENDING,
    ),
)


@pytest.mark.parametrize("slow", BANKS, ids=lambda slow: slow.kind)
async def test_a_late_answer_is_unknown_and_then_found(slow: Slow) -> None:
    bank = slow.make()
    asked = order(1, slow.instrument)
    async with served(bank.app) as url:
        place = url + slow.base
        async with connected(slow.kind, place, slow.options, slow.secrets, TIMEOUT_S) as impatient:
            bank.line.held[slow.path] = slow.times
            with pytest.raises(NoAnswer, match="TimeoutError"):
                await impatient.authorise(asked)
            bank.line.release.set()
        async with connected(slow.kind, place, slow.options, slow.secrets) as acquirer:
            answer = await acquirer.status(asked, None)
            assert answer.state == slow.found
            assert answer.amount in (None, asked.total)
    assert not bank.line.held[slow.path]
