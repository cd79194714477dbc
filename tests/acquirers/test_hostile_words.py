"""Whatever bytes a bank or a stranger sends: a refusal or no answer, and never money."""

import json
from collections.abc import Awaitable, Callable, Mapping

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.acquirers import wire
from gateway.acquirers.exchange import Exchange, Reply
from gateway.acquirers.kinds import KINDS, Wiring
from gateway.acquirers.words import (
    ABSENT,
    DECLINED,
    PENDING,
    UNKNOWN,
    Acquirer,
    Answer,
    NoAnswer,
    Notice,
    SavedCard,
    SbpQr,
)
from gateway.domain.refusals import Refusal
from tests.acquirers.talk import heard, order, refund

BANKS = {
    "sber": (
        {"user": "u", "return_url": "https://centre.example"},
        {"password": "p", "callback_key": "k"},
    ),
    "tbank": ({"terminal": "t"}, {"password": "p"}),
    "yookassa": (
        {"shop": "1", "return_url": "https://centre.example", "bank_name": "б"},
        {"key": "k"},
    ),
    "raiffeisen": ({"merchant": "MA1"}, {"key": "k"}),
}
# Whatever the machine does beside: these are properties, not times.
QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PEER = "185.71.76.1"
DEEP = b"[" * 100_000
FIELDS = st.sampled_from(
    (
        *("Success", "Status", "ErrorCode", "PaymentId", "OrderId", "Amount", "Payments", "Params"),
        *("errorCode", "orderStatus", "orderId", "orderNumber", "amount", "attributes", "data"),
        *("code", "qrId", "payload", "paymentStatus", "qrStatus", "refundStatus", "order"),
        *("id", "status", "metadata", "items", "next_cursor", "confirmation", "payment_id"),
        *("value", "currency", "object", "Token", "checksum", "paymentAmountInfo", "Key"),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=6),
    max_leaves=20,
)
SAID = st.binary(max_size=200) | st.dictionaries(FIELDS, JSON).map(
    lambda said: json.dumps(said).encode()
)


class Parrot(Exchange):
    """A line on which every reply is the same bytes."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("https://bank.example", 1)
        self._reply = reply

    async def ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> Reply:
        return self._reply


def bank(kind: str, reply: Reply) -> Acquirer:
    options, secrets = BANKS[kind]
    return KINDS[kind].make(Wiring(Parrot(reply), options, secrets))


@pytest.mark.parametrize("kind", BANKS)
@QUIET
@given(said=SAID)
@example(said=DEEP)
@example(said=b'{"a":' * 50_000)
@example(said=b'{"amount": 1e999999999, "amount2": NaN}')
@example(said=b'{"object": {"metadata": {"order": "\\ud800"}}}')
@example(said=b"&".join(b"a%d=1" % number for number in range(100)))
def test_a_callback_of_any_bytes(kind: str, said: bytes) -> None:
    found = heard(bank(kind, Reply(200, b"")), {}, said, PEER)
    if isinstance(found, Notice):
        assert kind == "yookassa"
        assert found.answer is None
    else:
        assert found in ("malformed", "signature_invalid")


@pytest.mark.parametrize("kind", BANKS)
@QUIET
@given(said=SAID, status=st.sampled_from((200, 200, 200, 202, 204, 302, 404, 429)))
@example(said=DEEP, status=200)
@example(said=b'{"id": "\\u0000", "status": "succeeded"}', status=200)
async def test_a_reply_of_any_bytes_is_never_money(kind: str, status: int, said: bytes) -> None:
    acquirer = bank(kind, Reply(status, said))
    asked = order(1, SavedCard("b-1") if kind != "raiffeisen" else SbpQr())
    back = refund(1, asked, "op-1", 100, 0)
    questions: list[Callable[[], Awaitable[Answer]]] = [
        lambda: acquirer.authorise(asked),
        lambda: acquirer.status(asked, "op-1"),
        lambda: acquirer.status(asked, None),
        lambda: acquirer.refund(back),
        lambda: acquirer.refund_status(back),
    ]
    for question in questions:
        try:
            answer = await question()
        except NoAnswer:
            continue
        assert answer.state in (PENDING, DECLINED, UNKNOWN, ABSENT)


def _reader(read: Callable[[Mapping[str, object], str], int | None]) -> Callable[[str], int | None]:
    return lambda written: read(wire.of_callback(f'{{"sum": {written}}}'.encode()), "sum")


@pytest.mark.parametrize(
    ("written", "kopecks"),
    [
        ("0", 0),
        ("1", 100),
        ("1.1", 110),
        ("1.15", 115),
        ("0.05", 5),
        ('"4.35"', 435),
        ("10.500", 1050),
        ("100000000000.00", 10**13),
        ("1.155", None),
        ("-1", None),
        ("1e2", None),
        ("1E2", None),
        ('"1,15"', None),
        ('"+1"', None),
        ('" 1"', None),
        ('"١"', None),
        ('"1_0"', None),
        ('"1."', None),
        ("true", None),
        ("null", None),
        ("[1]", None),
        ("9" * 40, None),
    ],
)
def test_roubles_are_read_to_the_kopeck(written: str, kopecks: int | None) -> None:
    assert _reader(wire.roubles)(written) == kopecks


@settings(deadline=None)
@given(st.integers(0, 10**13))
def test_roubles_there_and_back(amount: int) -> None:
    written = wire.in_roubles(amount)
    assert _reader(wire.roubles)(written) == amount
    assert _reader(wire.roubles)(f'"{written}"') == amount


@pytest.mark.parametrize("said", [b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[]", b"1", b"", b"\xff{}"])
def test_what_is_not_one_plain_object_is_refused(said: bytes) -> None:
    with pytest.raises(Refusal, match="malformed"):
        wire.of_callback(said)
    with pytest.raises(NoAnswer):
        wire.of_reply(Reply(200, said))


@pytest.mark.parametrize("said", [b"a=1&a=2", b"a", b"a=%ff", "я=1".encode(), b"a=1&&b=2"])
def test_what_is_not_a_form_is_refused(said: bytes) -> None:
    with pytest.raises(Refusal, match="malformed"):
        wire.of_form(said)
