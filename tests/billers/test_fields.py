"""Parameters, sums, moments, masks and XML: whatever is sent is read or is not, and never fails."""

import os
from datetime import UTC, datetime
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.billers import fields, masks, osmp, sber, xml
from gateway.domain import biller as words
from gateway.domain.biller import Asked, Told

EXAMPLES = int(os.environ.get("KOPECK_TEST_EXAMPLES", "400"))
NAMES = (
    *("command", "txn_id", "txn_date", "account", "sum", "cancel_txn_id"),
    *("ACTION", "ACCOUNT", "AMOUNT", "PAY_ID", "PAY_DATE", "TRM_ID"),
)
VALUES = (
    *("check", "pay", "cancel", "payment", "220012345", "200.00", "20261112093107"),
    *("12.11.2026_12:31:00", "1", "%", "\x00", "<&>", "1" * 25, "я", "٣"),
)

queries = st.one_of(
    st.binary(max_size=5_000),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=8).map(
        lambda pairs: urlencode(pairs).encode()
    ),
    st.lists(st.sampled_from([b"%", b"&", b"=", b"+", b"a", b"%e0", b"\xff"]), max_size=300).map(
        b"".join
    ),
)


@given(content=queries)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_a_request_or_a_verdict(content: bytes) -> None:
    told = fields.parameters(content)
    for read, write in ((osmp.read, osmp.write), (sber.read, sber.write)):
        asked = read(told)
        assert asked.misread is None or asked.misread in words.VERDICTS
        if asked.misread is None:
            assert asked.command in (words.CHECK, words.PAY, words.CANCEL)
            if asked.command == words.PAY:
                assert asked.number
                assert type(asked.total) is int
        answer = write(asked, Told(verdict=asked.misread or words.DONE))
        assert ElementTree.fromstring(answer).tag == "response"  # noqa: S314  (our own)


@given(payer=st.text(max_size=300), address=st.text(max_size=300), number=st.integers(1, 2**63 - 1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_of_a_payer_is_well_formed_xml_and_masked(
    payer: str, address: str, number: int
) -> None:
    name, place = masks.masked_payer({"name": payer, "address": address})
    told = Told(
        verdict=words.DONE, number=number, payer=name, address=place, due=1, recommended=1, total=1
    )
    asked = Asked(protocol=words.SBER, by_osmp_names=False)
    for content in (osmp.write(asked, told), sber.write(asked, told)):
        ElementTree.fromstring(content)  # noqa: S314  (our own answer)
    assert not any(sign.isdigit() and sign.isascii() for sign in place)


@given(amount=st.integers(0, 10**14 - 1))
@settings(max_examples=EXAMPLES, deadline=None)
def test_kopecks_and_back(amount: int) -> None:
    assert fields.kopecks(fields.roubles(amount)) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [("200.00", 20_000), ("200", 20_000), ("200.5", 20_050), ("0.01", 1), ("007.10", 710)],
)
def test_sums(text: str, amount: int) -> None:
    assert fields.kopecks(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "1,00", "1.000", "-1", "+1", " 1", "1 ", "1\n", "1e2", "٣", "1_0", "NaN"],
)
def test_no_sums(text: str) -> None:
    assert fields.kopecks(text) is None


def test_moments_are_of_moscow() -> None:
    moment = datetime(2026, 11, 12, 6, 31, 7, tzinfo=UTC)
    assert fields.osmp_moment("20261112093107") == moment
    assert fields.sber_moment("12.11.2026_09:31:07") == moment
    assert fields.sber_time(moment) == "12.11.2026_09:31:07"
    # A payment of the last second of the year is one of that year in Moscow.
    assert fields.sber_time(datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC))[:10] == "31.12.2026"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Иванов Иван Иванович", "И***в И. И."),
        ("Ли Бо", "Л*** Б."),
        ("Ким", "К***"),
        ("Салтыков-Щедрин М. Е.", "С***в Щ. М."),
        ("ООО «Ромашка»", "О*** Р."),
        ("", ""),
        ("12345", ""),
        ("Mamin Sibiryak Dmitri Narkisovich", "M***n S. D."),
    ],
)
def test_names_are_masked(text: str, shown: str) -> None:
    assert masks.masked_name(text) == shown


@pytest.mark.parametrize(
    ("payer", "shown"),
    [
        (None, ("", "")),
        ("Иванов Иван", ("И***в И.", "")),
        ({"name": 7, "address": ["x"]}, ("", "")),
        ({"fio": "Иванов"}, ("И***в", "")),
        ({"phone": "79130000000"}, ("", "")),
        (
            {"address": "с. Мамонтово, ул. Партизанская, 160а-15"},
            ("", "с. Мамонтово, ул. Партизанская, *-*"),
        ),
    ],
)
def test_only_names_and_addresses_are_told(payer: object, shown: tuple[str, str]) -> None:
    assert masks.masked_payer(payer) == shown


def test_what_xml_cannot_hold_is_left_out() -> None:
    content = xml.response([("comment", "a\x00\x1b\ud800<b>&\ufffe")])
    assert content.endswith(b"<response><comment>a&lt;b&gt;&amp;</comment></response>\n")


def test_forms_are_bounded_and_name_everything_once() -> None:
    assert fields.parameters(b"a=1&a=2") is None
    assert fields.parameters(b"A=1&a=2") is None
    assert fields.parameters(b"a=" + b"1" * fields.FORM_BYTES_MAX) is None
    assert fields.parameters(b"&".join(b"a%d=1" % at for at in range(65))) is None
    assert fields.parameters(b"a=%d0%bb+1&b&=&&") == {"a": "л 1", "b": "", "": ""}
