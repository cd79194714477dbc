"""The contract of POST /v1/payments and its kin, through a real worker and a real database."""

from typing import Any

import msgspec
import pytest

from gateway.api import answers
from tests.api.conftest import Gateway, payment


async def test_answer_is_the_contracts(region: Gateway) -> None:
    answer = await region.pay(payment())
    assert answer.status == 201
    assert answer.headers["Content-Type"] == "application/json"
    shown = answer.json
    assert shown["id"].startswith("pay_")
    assert shown["state"] == "accepted"
    assert shown["amount"] == 100000
    assert shown["surcharge"] == 0
    assert shown["total"] == 100000
    assert shown["charges"] == [66667, 33333]
    assert shown["shares"] == [
        {"charge": 0, "service": "heating", "recipient": "uk", "amount": 3333},
        {"charge": 0, "service": "heating", "recipient": "heat", "amount": 63334},
        {"charge": 1, "service": "waste", "recipient": "waste", "amount": 33333},
    ]
    assert [r["recipient"] for r in shown["recipients"]] == ["uk", "heat", "waste"]
    assert shown["method"]["type"] == "card"
    assert shown["method"]["network"] == "visa"
    assert shown["plan"]
    assert shown["accepted_at"].endswith("Z")
    msgspec.json.decode(answer.content, type=answers.PaymentShown)
