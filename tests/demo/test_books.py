"""The demo's own books find every kopeck that the gateway's answers would lose."""

from typing import Any

import pytest

from gateway.demo.books import Books, DemoFailed, check_payment, check_positions


def payment(**changes: Any) -> dict[str, Any]:
    """1 000.00 split between two recipients, one of them paying a commission."""
    return {
        "id": "pay_1",
        "state": "accepted",
        "amount": 100_000,
        "surcharge": 1_000,
        "total": 101_000,
        "method": {"type": "card"},
        "charges": [65_455, 34_545],
        "shares": [
            {"recipient": "uk", "amount": 3_273},
            {"recipient": "heat", "amount": 62_182},
            {"recipient": "uk", "amount": 34_545},
        ],
        "recipients": [
            {"recipient": "uk", "gross": 37_818, "commission": 0, "net": 37_818},
            {"recipient": "heat", "gross": 62_182, "commission": 933, "net": 61_249},
        ],
        **changes,
    }


def suspended() -> dict[str, Any]:
    return payment(state="suspense", charges=[], shares=[], recipients=[])


def positions() -> list[dict[str, Any]]:
    return [
        {"recipient": "heat", "gross": 62_182, "commission": 933, "refunds": 100, "net": 61_149},
        {"recipient": "uk", "gross": 37_818, "commission": 0, "refunds": 0, "net": 37_818},
    ]


def booked() -> Books:
    books = Books()
    books.take(payment())
    books.refund({"amount": 100, "shares": [{"recipient": "heat", "amount": 100}]})
    return books


def test_a_balanced_payment_holds() -> None:
    check_payment(payment())
    check_payment(suspended())


@pytest.mark.parametrize(
    "changes",
    [
        {"total": 101_001},
        {"charges": [65_455, 34_544]},
        {"shares": [{"recipient": "uk", "amount": 99_999}]},
        {"recipients": [{"recipient": "uk", "gross": 99_999, "commission": 0, "net": 99_999}]},
        {"recipients": [{"recipient": "uk", "gross": 100_000, "commission": 1, "net": 100_000}]},
        {"state": "suspense"},
    ],
)
def test_a_kopeck_missing_anywhere_is_found(changes: dict[str, Any]) -> None:
    with pytest.raises(DemoFailed):
        check_payment(payment(**changes))


def test_positions_are_compared_to_the_kopeck() -> None:
    check_positions(booked(), positions())
    for at, name in [(0, "gross"), (0, "commission"), (0, "refunds"), (0, "net"), (1, "net")]:
        wrong = positions()
        wrong[at][name] += 1
        with pytest.raises(DemoFailed):
            check_positions(booked(), wrong)
    with pytest.raises(DemoFailed):
        check_positions(booked(), positions()[:1])


def test_refund_whose_shares_do_not_add_up_is_found() -> None:
    with pytest.raises(DemoFailed):
        booked().refund({"amount": 100, "shares": [{"recipient": "heat", "amount": 99}]})


def test_money_of_the_day_is_kept_by_where_it_is() -> None:
    books = booked()
    books.take(suspended())
    books.take(suspended())
    books.resolve(payment())
    books.refund({"amount": 40_000, "shares": []})
    assert (books.payments, books.settled, books.refunds) == (3, 2, 2)
    assert books.suspense == 60_000
    assert books.acquirers_owe == 3 * 101_000 - 40_100
    # What acquirers owe is somebody's, to the kopeck.
    net = sum(line.net for line in books.lines.values())
    commission = sum(line.commission for line in books.lines.values())
    assert books.acquirers_owe == net + commission + books.surcharge + books.suspense
    assert {recipient: line.rows for recipient, line in books.lines.items()} == {
        "uk": 4,
        "heat": 3,
    }
