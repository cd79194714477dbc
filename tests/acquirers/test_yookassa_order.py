"""The payment order of a housing payment: what stands in it, and the limits of each field."""

import msgspec
import pytest

from gateway.acquirers.words import Order, Utilities
from gateway.acquirers.yookassa_order import Unfit, payment_order, unified
from gateway.domain.party import Recipient
from tests.acquirers.talk import CENTRE, order

OPTIONS = {"bank_name": "ПАО Сбербанк"}


def with_utilities(**changes: object) -> Order:
    asked = order(1)
    return msgspec.structs.replace(
        asked, utilities=msgspec.structs.replace(asked.utilities, **changes)
    )


def test_what_stands_in_it() -> None:
    assert payment_order(order(1), OPTIONS) == {
        "type": "utilities",
        "amount": {"value": "3490.56", "currency": "RUB"},
        "payment_purpose": "Оплата ЖКУ, л/с 220012345",
        "recipient": {
            "name": "АО Единый расчётный центр",
            "inn": "7707083893",
            "kpp": "770701001",
            "bank": {
                "name": "ПАО Сбербанк",
                "bic": "044525225",
                "account": "40702810138250123017",
                "correspondent_account": "30101810400000000225",
            },
        },
        "account_number": "220012345",
        "payment_period": {"month": 11, "year": 2026},
    }


def test_budget_codes_are_options() -> None:
    built = payment_order(order(1), {**OPTIONS, "kbk": "1" * 20, "oktmo": "45382000"})
    assert (built["kbk"], built["oktmo"]) == ("1" * 20, "45382000")


@pytest.mark.parametrize(
    ("account", "found"),
    [
        ("90ET119242", "90ЕТ119242"),
        ("90ЕТ119242", "90ЕТ119242"),
        ("90et119242-02", "90ЕТ119242-02"),
        ("20MB875415-07-1051", "20МВ875415-07-1051"),
        ("75da533315-01", None),  # D has no look-alike
        ("220012345", None),
        ("90ET119242-2", None),
        ("90ET1192420", None),
    ],
)
def test_unified_accounts_are_told_by_their_form(account: str, found: str | None) -> None:
    assert unified(account) == found


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ("90ET119242", "unified_account_number"),
        ("90ET119242-02", "service_id"),
        ("90ET119242-02-7111", "payment_document_id"),
    ],
)
def test_a_unified_account_is_named_beside_the_account(account: str, name: str) -> None:
    built = payment_order(with_utilities(subscriber_account=account), OPTIONS)
    assert built["account_number"] == account
    assert built[name] == unified(account)


def _centre(**changes: object) -> Recipient:
    return msgspec.structs.replace(CENTRE, **changes)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"purpose": "о" * 211}, "payment_purpose"),
        ({"purpose": ""}, "payment_purpose"),
        ({"subscriber_account": "1" * 31}, "account_number"),
        ({"subscriber_account": ""}, "account_number"),
        ({"period": (1919, 12)}, "payment_period"),
        ({"period": (2051, 1)}, "payment_period"),
        ({"period": (2026, 0)}, "payment_period"),
        ({"period": (2026, 13)}, "payment_period"),
        ({"recipient": None}, "recipient"),
        ({"recipient": _centre(kpp=None)}, "recipient"),
        ({"recipient": _centre(name="я" * 161)}, "recipient.name"),
        (
            {"recipient": _centre(bank_account=msgspec.structs.replace(
                CENTRE.bank_account, correspondent=None
            ))},
            "recipient.bank.correspondent_account",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_sent(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Unfit, match=f"^{field}$"):
        payment_order(with_utilities(**changes), OPTIONS)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "recipient.bank.name"),
        ({"bank_name": "б" * 46}, "recipient.bank.name"),
        ({**OPTIONS, "kbk": "1" * 21}, "kbk"),
        ({**OPTIONS, "oktmo": "1" * 9}, "oktmo"),
    ],
)
def test_options_have_limits_too(options: dict[str, str], field: str) -> None:
    with pytest.raises(Unfit, match=f"^{field}$"):
        payment_order(order(1), options)


@pytest.mark.parametrize("period", [(1920, 1), (2050, 12), None])
def test_periods_at_the_edge(period: tuple[int, int] | None) -> None:
    built = payment_order(with_utilities(period=period), OPTIONS)
    assert ("payment_period" in built) == (period is not None)


def test_texts_at_the_edge() -> None:
    longest = Utilities("1" * 30, "о" * 210, (2026, 11), _centre(name="я" * 160))
    asked = msgspec.structs.replace(order(1), utilities=longest)
    assert payment_order(asked, {"bank_name": "б" * 45})["account_number"] == "1" * 30
