"""Which lines are executions and returns of ours: all of number, sum and requisites, or neither."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.ids import PAYOUT, SETTLEMENT_BATCH, shown
from gateway.payouts.matching import (
    EXECUTED,
    KNOWN,
    REQUISITES_DIFFER,
    RETURNED,
    SUM_DIFFERS,
    UNKNOWN_CREDIT,
    UNKNOWN_RETURN,
    Known,
    judge,
    numbers_of,
)
from gateway.payouts.statements.lines import Line

DAY = date(2026, 11, 13)
OURS, OUR_BANK = "40702810138250123017", "044525225"
HEAT, HEATS_BANK, HEATS_INN = "40702810268000010356", "049401601", "1841008627"
STRANGER = "40702810952090030727"
TRANSIT = ("30232810000000000001", "47416810500000000001", "30101810400000000225")


def payout(**change: Any) -> Known:
    usual: dict[str, Any] = {
        "id": UUID(int=7),
        "settlement_batch": 1,
        "batch_id": UUID(int=1),
        "recipient": 1,
        "recipient_id": "heat",
        "state": "executed",
        "amount": 6_124_900,
        "order_number": 15,
        "order_date": DAY,
        "account": HEAT,
        "inn": HEATS_INN,
        "bic": HEATS_BANK,
        "payer_account": OURS,
        "payer_bic": OUR_BANK,
        "executed_on": DAY,
        "returned_on": None,
    }
    return Known(**{**usual, **change})


def credit(**change: Any) -> Line:
    usual: dict[str, Any] = {
        "number": 1,
        "is_debit": False,
        "amount": 6_124_900,
        "booked_on": DAY + timedelta(3),
        "account": OURS,
        "order_number": "904",
        "order_date": DAY + timedelta(3),
        "other_account": TRANSIT[0],
        "other_inn": "7707083893",
        "other_bic": OUR_BANK,
        "purpose": f"Возврат по п/п № 15 от 13.11.2026, закрыт счет {HEAT}",
    }
    return Line(**{**usual, **change})


def kind_of(line: Line, *known: Known) -> str:
    """As a statement's line is judged: only payouts whose number it has are looked at."""
    numbers = numbers_of(line)
    return judge(line, [one for one in known if one.order_number in numbers], set()).kind


CLOSED = "Возврат по п/п № 15 от 13.11.2026: счет получателя закрыт"
UNDATED = "Возврат средств, пл. поручение 15"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        # From our own bank's account of its own: it says whose order that was, or marks the line.
        ({}, RETURNED),
        ({"other_account": TRANSIT[1]}, RETURNED),
        ({"purpose": f"Возврат п/п 15, получатель ИНН {HEATS_INN} не найден"}, RETURNED),
        ({"purpose": f"{CLOSED} ({shown(SETTLEMENT_BATCH, UUID(int=1))})"}, RETURNED),
        ({"purpose": f"{CLOSED} ({shown(SETTLEMENT_BATCH, UUID(int=2))})"}, REQUISITES_DIFFER),
        ({"purpose": CLOSED}, REQUISITES_DIFFER),
        ({"purpose": UNDATED}, REQUISITES_DIFFER),
        ({"purpose": f"Возврат п/п 15 счет {STRANGER}"}, REQUISITES_DIFFER),
        ({"purpose": f"Возврат п/п 15 счет 9{HEAT}"}, REQUISITES_DIFFER),
        ({"order_number": "15", "refers_back": True, "purpose": ""}, RETURNED),
        ({"order_number": "15", "refers_back": True, "other_account": None}, RETURNED),
        ({"order_number": "16", "refers_back": True}, UNKNOWN_RETURN),
        # Whatever else somebody else's account says, it gives nothing of ours back.
        ({"other_account": STRANGER}, REQUISITES_DIFFER),
        ({"other_account": STRANGER, "order_number": "15", "refers_back": True}, REQUISITES_DIFFER),
        ({"other_account": "40817810099910004312"}, REQUISITES_DIFFER),
        ({"other_account": None}, REQUISITES_DIFFER),
        ({"other_bic": None}, REQUISITES_DIFFER),
        ({"other_bic": "044030790"}, REQUISITES_DIFFER),
        ({"amount": 6_124_901}, SUM_DIFFERS),
        ({"amount": 6_124_899}, SUM_DIFFERS),
        ({"purpose": f"Возврат по п/п № 16, счет {HEAT}"}, UNKNOWN_RETURN),
        ({"purpose": f"Перечисление по договору 15 на счет {HEAT}"}, UNKNOWN_CREDIT),
        # Through the recipient's bank the day of the order is enough.
        ({"other_bic": HEATS_BANK, "purpose": CLOSED}, RETURNED),
        ({"other_bic": HEATS_BANK, "purpose": UNDATED}, REQUISITES_DIFFER),
        (
            {"other_bic": HEATS_BANK, "purpose": CLOSED, "other_account": STRANGER},
            REQUISITES_DIFFER,
        ),
        # From the recipient itself number and sum are enough, said or not.
        ({"other_account": HEAT, "purpose": UNDATED}, RETURNED),
        ({"other_account": HEAT, "purpose": "Ошибочно по 15"}, RETURNED),
        ({"other_account": HEAT, "purpose": "Ошибочно по 15", "amount": 5}, UNKNOWN_CREDIT),
        ({"instruction": shown(PAYOUT, UUID(int=7)), "other_account": None}, RETURNED),
        # On another account of ours than the batch was paid from.
        ({"account": STRANGER}, REQUISITES_DIFFER),
    ],
)
def test_what_gives_an_order_back(change: Mapping[str, Any], kind: str) -> None:
    assert kind_of(credit(**change), payout()) == kind


def test_a_bank_that_is_the_recipients_and_ours_says_more_than_a_day() -> None:
    here = payout(bic=OUR_BANK)
    assert kind_of(credit(purpose=CLOSED), here) == REQUISITES_DIFFER
    assert kind_of(credit(), here) == RETURNED


def test_of_two_orders_under_a_number_the_one_that_agrees() -> None:
    """Numbers begin again; the sum, the day and whom it names tell which one came back."""
    other = payout(id=UUID(int=8), account=STRANGER, inn="7802532605", bic="046015602")
    older = payout(id=UUID(int=9), order_date=DAY - timedelta(400))
    for known in ([other, older, payout()], [payout(), older, other]):
        verdict = judge(credit(), known, set())
        assert verdict.payout is not None
        assert (verdict.kind, verdict.payout.id) == (RETURNED, UUID(int=7))


def test_of_orders_to_different_accounts_that_all_agree_none_came_back() -> None:
    """A purpose has many numbers: two orders of one sum may both be spoken of."""
    batch = shown(SETTLEMENT_BATCH, UUID(int=1))
    spoken = f"Возврат п/п 15, реестр 1 от 13.11.2026 ({batch})"
    other = payout(id=UUID(int=8), order_number=1, account=STRANGER, inn="7802532605")
    assert kind_of(credit(purpose=spoken), payout(), other) == REQUISITES_DIFFER
    named = credit(purpose=f"{spoken}, счет {HEAT}")
    verdict = judge(named, [other, payout()], set())
    assert (verdict.kind, verdict.payout) == (RETURNED, payout())
    # What came back before is not what comes back now.
    done = payout(id=UUID(int=8), order_number=1, account=STRANGER, returned_on=DAY)
    assert kind_of(credit(purpose=spoken), payout(), done) == RETURNED


@pytest.mark.parametrize("same_day", [False, True])
def test_a_line_told_again_gives_nothing_else_back(same_day: bool) -> None:
    """Another order that its words could mean is not given back by the second statement."""
    line = credit(other_account=HEAT, purpose="Возврат п/п 15 от 13.11.2026, реестр 1, закрыт счет")
    day = DAY if same_day else DAY - timedelta(30)
    other = payout(id=UUID(int=8), order_number=1, order_date=day, executed_on=day)
    first = judge(line, [other, payout()], set())
    assert first.kind == RETURNED
    assert first.payout is not None
    after = [
        payout(
            id=one.id,
            order_number=one.order_number,
            order_date=one.order_date,
            returned_on=line.booked_on if one.id == first.payout.id else None,
        )
        for one in (other, payout())
    ]
    assert judge(line, after, set()).kind == "known"
    # Twice in one statement it is one too many, not another's.
    twice = judge(line, after, {(first.payout.id, False)}).kind
    assert twice == (RETURNED if same_day else "returned-twice")


def test_an_execution_told_again_is_no_other_order_of_its_number() -> None:
    """Numbers come round again; the second statement tells of the first order once more."""
    line = credit(
        is_debit=True,
        order_number="15",
        order_date=DAY,
        booked_on=DAY,
        other_account=HEAT,
        other_inn=None,
        other_bic=None,
    )
    other = payout(id=UUID(int=8), order_date=DAY - timedelta(400), executed_on=None, state="sent")
    for known in ([payout(), other], [other, payout()]):
        assert judge(line, known, set()).kind == "known"
        assert judge(line, known, {(UUID(int=7), True)}).kind == "executed-twice"


def test_no_number_is_taken_out_of_an_id() -> None:
    batch = shown(SETTLEMENT_BATCH, UUID("01a21022-7028-7231-b1ad-58fae6e48ec2"))
    assert numbers_of(credit(purpose=f"Возврат п/п 15 ({batch})")) == [15, 904]


AMOUNTS = st.integers(1, 10**13)
NUMBERS = st.integers(1, 999_999)
# What makes a return from a bank's own account one; without any of these it is not.
SPOILT = st.sampled_from(["number", "amount", "account", "bank", "whose", "ours"])


def returned(number: int, amount: int, transit: str, word: str, whose: str) -> Line:
    purpose = f"{word} п/п № {number} от 13.11.2026: {whose} не существует"
    return credit(amount=amount, other_account=transit, purpose=purpose)


@given(
    NUMBERS,
    AMOUNTS,
    st.sampled_from(TRANSIT),
    st.sampled_from(["Возврат", "ВОЗВРАТ СУММЫ ПО", "Возвращены"]),
    st.sampled_from([HEAT, HEATS_INN]),
    SPOILT,
)
def test_each_requisite_is_needed(
    number: int, amount: int, transit: str, word: str, whose: str, spoilt: str
) -> None:
    one = payout(order_number=number, amount=amount)
    whole = returned(number, amount, transit, word, whose)
    assert kind_of(whole, one) == RETURNED
    other = number % 999_999 + 1
    bent = {
        "number": returned(other, amount, transit, word, whose),
        "amount": returned(number, amount + 1, transit, word, whose),
        "account": returned(number, amount, STRANGER, word, whose),
        "bank": credit(amount=amount, purpose=whole.purpose, other_bic="044030790"),
        "whose": returned(number, amount, transit, word, "счет"),
        "ours": credit(amount=amount, purpose=whole.purpose, account=STRANGER),
    }[spoilt]
    assert kind_of(bent, one) != RETURNED


@given(
    st.sampled_from([OUR_BANK, HEATS_BANK, "044030790", None]),
    st.from_regex(r"(405|406|407|408|421|423|454)[0-9]{17}", fullmatch=True),
    st.text(max_size=80),
    st.booleans(),
)
def test_no_client_of_a_bank_gives_back_what_was_paid_to_another(
    bic: str | None, account: str, words: str, marked: bool
) -> None:
    line = credit(
        other_account=account,
        other_bic=bic,
        purpose=f"Возврат 15 13.11.2026 {HEAT} {HEATS_INN} {words}",
        order_number="15",
        refers_back=marked,
    )
    assert (kind_of(line, payout()) == RETURNED) is (account == HEAT)


@given(NUMBERS, AMOUNTS, st.sampled_from(["number", "amount", "account", "inn", "bic", "ours"]))
def test_each_requisite_of_an_execution_is_needed(number: int, amount: int, spoilt: str) -> None:
    one = payout(order_number=number, amount=amount, state="sent", executed_on=None)
    told: dict[str, Any] = {
        "is_debit": True,
        "amount": amount,
        "order_number": f"{number:06d}",
        "order_date": DAY,
        "other_account": HEAT,
        "other_inn": HEATS_INN,
        "other_bic": HEATS_BANK,
        "purpose": "Перечисление",
    }
    assert kind_of(credit(**told), one) == EXECUTED
    spoils: dict[str, dict[str, Any]] = {
        "number": {"order_number": str(number % 999_999 + 1)},
        "amount": {"amount": amount + 1},
        "account": {"other_account": STRANGER},
        "inn": {"other_inn": "7802532605"},
        "bic": {"other_bic": "044030790"},
        "ours": {"account": STRANGER},
    }
    assert kind_of(credit(**{**told, **spoils[spoilt]}), one) != EXECUTED


ACCOUNTS = {HEAT: (HEATS_INN, HEATS_BANK), STRANGER: ("7802532605", "046015602")}
PAID = st.builds(
    lambda number, amount, account, days: {
        "order_number": number,
        "amount": amount,
        "account": account,
        "inn": ACCOUNTS[account][0],
        "bic": ACCOUNTS[account][1],
        "order_date": DAY - timedelta(days),
        "executed_on": None,
        "state": "sent",
    },
    st.integers(1, 3),
    st.integers(1, 2),
    st.sampled_from(sorted(ACCOUNTS)),
    st.integers(0, 2),
)
WORDS = st.sampled_from(
    ["Возврат п/п {0}", "Возврат {0} от 13.11.2026", "Возврат {0}, реестр {1}, счет " + HEAT]
)
TOLD = st.builds(
    lambda out, amount, numbers, words, account, days: credit(
        is_debit=out,
        amount=amount,
        order_number=str(numbers[0]) if out else "904",
        order_date=DAY - timedelta(days) if out else None,
        booked_on=DAY + timedelta(days),
        other_account=account,
        other_inn=None,
        other_bic=HEATS_BANK,
        purpose=words.format(*numbers),
    ),
    st.booleans(),
    st.integers(1, 2),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    WORDS,
    st.sampled_from([*sorted(ACCOUNTS), TRANSIT[0]]),
    st.integers(0, 2),
)


def take(lines: list[Line], known: list[Known]) -> list[Line]:
    """The lines of a statement that move a payout on, as flows take them."""
    told: set[tuple[UUID, bool]] = set()
    moved = []
    for line in sorted(lines, key=lambda line: not line.is_debit):
        numbers = numbers_of(line)
        verdict = judge(line, [one for one in known if one.order_number in numbers], told)
        if verdict.payout is None or verdict.kind not in (EXECUTED, RETURNED, KNOWN):
            continue
        told.add((verdict.payout.id, line.is_debit))
        if verdict.kind != KNOWN:
            moved.append(line)
            assert (verdict.payout.amount, verdict.kind) == (
                line.amount,
                EXECUTED if line.is_debit else RETURNED,
            )
            if line.is_debit:
                assert verdict.payout.executed_on is None
                verdict.payout.executed_on = line.booked_on
            else:
                assert verdict.payout.returned_on is None
                verdict.payout.returned_on = line.booked_on
    return moved


@given(
    st.lists(
        PAID, min_size=1, max_size=6, unique_by=lambda one: (one["order_number"], one["order_date"])
    ),
    st.lists(TOLD, min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_however_often_a_line_is_told_it_moves_one_payout_at_most(
    paid: list[dict[str, Any]], lines: list[Line], dice: Any
) -> None:
    known = [payout(id=UUID(int=n + 1), **one) for n, one in enumerate(paid)]
    # Lines that say the same to the letter cannot be told apart, so each is told once a statement.
    lines = list({repr(line): line for line in lines}.values())
    moved = take(lines, known)
    for _ in range(3):
        dice.shuffle(lines)
        moved += take(lines, known)
    assert len(moved) == len({repr(line) for line in moved})
    # And no order is paid, or given back, more than once: as many as there are.
    assert len(moved) == sum(
        (one.executed_on is not None) + (one.returned_on is not None) for one in known
    )
