"""The region that loads are made of is one that the gateway takes, and the same every time."""

import msgspec
import orjson

from gateway.domain.bill import Bill, check_bill
from gateway.domain.requisites import account_key_holds, check_inn
from loadtests import households


def test_bills_name_known_recipients_and_keep_the_limits() -> None:
    known = {recipient["id"] for recipient in households.recipients()}
    structures = set()
    for body in households.bills(500):
        bill = msgspec.json.decode(orjson.dumps(body), type=Bill)
        check_bill(bill)
        assert len(bill.charges) == households.CHARGES
        structures.add(tuple(charge.recipient for charge in bill.charges))
    named = {recipient for structure in structures for recipient in structure}
    assert named == known
    # Bills share their structures, as houses of one district do.
    assert len(structures) == households.DISTRICTS * households.COMPANIES


def test_requisites_of_recipients_hold() -> None:
    for recipient in households.recipients():
        account = recipient["bank_account"]
        assert check_inn(recipient["inn"])
        assert account_key_holds(account["number"], account["bic"])


def test_a_seed_gives_the_same_region() -> None:
    assert list(households.bills(20)) == list(households.bills(20))
    assert list(households.bills(20)) != list(households.bills(20, seed=2))
    assert list(households.payments(9, 20, "a")) == list(households.payments(9, 20, "a"))


def test_later_bills_are_of_other_accounts() -> None:
    accounts = {
        bill["subscriber_account"]
        for first in (0, 10)
        for bill in households.bills(10, first=first)
    }
    assert len(accounts) == 20


def test_payers_do_not_come_twice_before_all_have_come() -> None:
    paid = [body["subscriber_account"] for body in households.payments(50, 100, "a")]
    assert len(set(paid[:50])) == len(set(paid[50:])) == 50
    following = [body["subscriber_account"] for body in households.payments(50, 50, "a", 25)]
    assert following == paid[25:75]


def test_keys_are_never_used_twice() -> None:
    runs = [("a", 0), ("a", 100), ("b", 0)]
    keys = [
        body["idempotency_key"]
        for run, first in runs
        for body in households.payments(7, 100, run, first)
    ]
    assert len(set(keys)) == 300


def test_request_bytes_say_their_length() -> None:
    (made,) = households.single_requests("kp_secret", households.payments(1, 1, "a"))
    head, _, content = made.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(content)}".encode() in head
    assert b"Idempotency-Key: a-00000000" in head
    assert "idempotency_key" not in orjson.loads(content)
