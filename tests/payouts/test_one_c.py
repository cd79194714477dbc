"""1CClientBankExchange: the golden bytes, an independent reading of them, and every refusal."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import account_with_key, inn_with_check_digits
from gateway.payouts.files.one_c import write
from gateway.payouts.files.order import AMOUNT_KOPECKS_MAX, Order, Party
from tests.payouts.orders import CENTRE, CREATED, HEAT, ORDERS, changed

GOLDEN = Path(__file__).with_name("one_c_golden.bin")


@dataclass
class Exchange:
    """A 1C file as a bank's program reads it: header keys, then documents."""

    header: dict[str, str] = field(default_factory=dict)
    documents: list[dict[str, str]] = field(default_factory=list)


def read(raw: bytes) -> Exchange:
    lines = raw.decode("cp1251").split("\r\n")
    assert "\n" not in "".join(lines)
    assert lines[0] == "1CClientBankExchange"
    assert lines[-2:] == ["КонецФайла", ""]
    exchange = Exchange()
    section = exchange.header
    for line in lines[1:-2]:
        if line == "КонецДокумента":
            section = exchange.header
            continue
        key, equals, value = line.partition("=")
        assert equals
        if key == "СекцияДокумент":
            section = {}
            exchange.documents.append(section)
        assert key not in section, "a key stands once in its section"
        section[key] = value
    return exchange


def test_bytes_are_the_golden_ones() -> None:
    assert write(CENTRE, ORDERS, CREATED) == GOLDEN.read_bytes()


def test_same_orders_make_same_bytes() -> None:
    assert write(CENTRE, ORDERS, CREATED) == write(CENTRE, list(ORDERS), CREATED)


def test_header_reads_back() -> None:
    assert read(write(CENTRE, ORDERS, CREATED)).header == {
        "ВерсияФормата": "1.03",
        "Кодировка": "Windows",
        "Отправитель": "Kopeck",
        "Получатель": "ПАО СБЕРБАНК",
        "ДатаСоздания": "12.11.2026",
        "ВремяСоздания": "21:30:07",
        "ДатаНачала": "12.11.2026",
        "ДатаКонца": "13.11.2026",
        "РасчСчет": "40702810138250123017",
    }


def test_document_reads_back_with_all_requisites() -> None:
    heat, person = read(write(CENTRE, ORDERS, CREATED)).documents
    assert heat == {
        "СекцияДокумент": "Платежное поручение",
        "Номер": "1",
        "Дата": "13.11.2026",
        "Сумма": "61249.00",
        "ПлательщикСчет": CENTRE.account,
        "Плательщик": f"ИНН {CENTRE.inn} {CENTRE.name}",
        "ПлательщикИНН": CENTRE.inn,
        "ПлательщикКПП": "780201001",
        "Плательщик1": CENTRE.name,
        "ПлательщикРасчСчет": CENTRE.account,
        "ПлательщикБанк1": "ПАО СБЕРБАНК",
        "ПлательщикБИК": "044525225",
        "ПлательщикКорсчет": "30101810400000000225",
        "ПолучательСчет": HEAT.account,
        "Получатель": f"ИНН {HEAT.inn} {HEAT.name}",
        "ПолучательИНН": HEAT.inn,
        "ПолучательКПП": "184101001",
        "Получатель1": HEAT.name,
        "ПолучательРасчСчет": HEAT.account,
        "ПолучательБанк1": "Удмуртское отделение №8618",
        "ПолучательБИК": "049401601",
        "ПолучательКорсчет": "30101810400000000601",
        "ВидОплаты": "01",
        "Очередность": "5",
        "НазначениеПлатежа": ORDERS[0].purpose,
    }
    assert person["Сумма"] == "0.05"
    assert person["Очередность"] == "4"
    assert person["Получатель1"] == "ИП Ёлкина А. А."
    assert {"ПолучательКПП", "ПолучательБанк1", "ПолучательКорсчет"}.isdisjoint(person)


def test_no_key_that_breaks_older_imports() -> None:
    for document in read(write(CENTRE, ORDERS, CREATED)).documents:
        assert "Код" not in document
        assert "" not in document.values()


def test_no_orders_make_a_file_without_documents() -> None:
    exchange = read(write(CENTRE, (), CREATED))
    assert exchange.documents == []
    assert exchange.header["ДатаНачала"] == exchange.header["ДатаКонца"] == "12.11.2026"


@pytest.mark.parametrize(
    ("kopecks", "text"),
    [
        (1, "0.01"),
        (10, "0.10"),
        (100, "1.00"),
        (123456789, "1234567.89"),
        (AMOUNT_KOPECKS_MAX, "999999999999999.99"),
    ],
)
def test_amount_has_a_dot_and_two_digits(kopecks: int, text: str) -> None:
    raw = write(CENTRE, [changed(ORDERS[0], amount_kopecks=kopecks)], CREATED)
    assert read(raw).documents[0]["Сумма"] == text


@pytest.mark.parametrize("number", [1, 999, 1001, 999999])
def test_number_is_taken(number: int) -> None:
    raw = write(CENTRE, [changed(ORDERS[0], number=number)], CREATED)
    assert read(raw).documents[0]["Номер"] == str(number)


@pytest.mark.parametrize("text", ["№ 5 – «ё»", "a=b;c|d", "x" * 160, "Код=0"])
def test_text_of_windows_1251_is_written_as_it_is(text: str) -> None:
    raw = write(CENTRE, [changed(ORDERS[0], name=text, purpose=text)], CREATED)
    assert read(raw).documents[0]["Получатель1"] == text
    assert read(raw).documents[0]["НазначениеПлатежа"] == text


REFUSED: list[tuple[dict[str, object], str]] = [
    ({"number": 0}, "state_conflict"),
    ({"number": -1}, "state_conflict"),
    ({"number": 1_000_000}, "state_conflict"),
    ({"number": 1000}, "state_conflict"),
    ({"number": 12000}, "state_conflict"),
    ({"number": True}, "state_conflict"),
    ({"amount_kopecks": 0}, "state_conflict"),
    ({"amount_kopecks": -1}, "state_conflict"),
    ({"amount_kopecks": 100.0}, "state_conflict"),
    ({"amount_kopecks": True}, "state_conflict"),
    ({"amount_kopecks": AMOUNT_KOPECKS_MAX + 1}, "state_conflict"),
    ({"date": CREATED}, "state_conflict"),
    ({"priority": 0}, "state_conflict"),
    ({"priority": 6}, "state_conflict"),
    ({"kind": "1"}, "state_conflict"),
    ({"kind": "٠١"}, "state_conflict"),
    ({"purpose": ""}, "state_conflict"),
    ({"purpose": " х"}, "state_conflict"),
    ({"purpose": "х" * 211}, "state_conflict"),
    ({"purpose": "за октябрь\nКонецДокумента"}, "state_conflict"),
    ({"purpose": "за\roктябрь"}, "state_conflict"),
    ({"purpose": "за\tоктябрь"}, "state_conflict"),
    ({"purpose": "за\u2028октябрь"}, "state_conflict"),
    ({"purpose": "за\x85октябрь"}, "state_conflict"),
    ({"purpose": "спасибо 🙂"}, "state_conflict"),
    ({"purpose": "100 ₽"}, "state_conflict"),
    ({"name": ""}, "state_conflict"),
    ({"name": "x" * 161}, "state_conflict"),
    ({"name": "Жылу қуаты"}, "state_conflict"),
    ({"name": "ООО\r\nКонецФайла"}, "state_conflict"),
    ({"bank_name": ""}, "state_conflict"),
    ({"bank_name": "банк\n"}, "state_conflict"),
    ({"kpp": "18410100"}, "state_conflict"),
    ({"kpp": ""}, "state_conflict"),
    ({"bic": "049401601\n"}, "state_conflict"),
    ({"bic": "149401601"}, "state_conflict"),
    ({"inn": "184100862"}, "inn_invalid"),
    ({"inn": "٧٨٠٢٥٣٢٦٠٥"}, "inn_invalid"),
    ({"account": "40702810268000010357"}, "account_key_invalid"),
    ({"account": "40702810268000010356\n"}, "account_key_invalid"),
    ({"bic": "044525225"}, "account_key_invalid"),
    ({"correspondent": "30101810400000000602"}, "account_key_invalid"),
    ({"correspondent": ""}, "account_key_invalid"),
]


@pytest.mark.parametrize(("change", "code"), REFUSED)
def test_order_is_refused_before_any_byte(change: dict[str, object], code: str) -> None:
    wrong = changed(ORDERS[0], **change)
    with pytest.raises(Refusal) as caught:
        write(CENTRE, [ORDERS[1], wrong], CREATED)
    assert caught.value.code == code
    for value in change.values():
        if isinstance(value, str) and len(value) > 2:
            assert value not in caught.value.detail


def test_payer_is_checked_too() -> None:
    wrong = changed(changed(ORDERS[0], account="40702810268000010357")).recipient
    with pytest.raises(Refusal, match=r"account_key_invalid: .* in payer"):
        write(wrong, ORDERS, CREATED)


def test_number_stands_once_in_a_file() -> None:
    with pytest.raises(Refusal, match="order 1, was used twice"):
        write(CENTRE, [ORDERS[0], ORDERS[0]], CREATED)


def test_recipient_whose_inn_was_accepted_with_wrong_check_digits_is_paid() -> None:
    raw = write(CENTRE, [changed(ORDERS[0], inn="6200098765")], CREATED)
    assert read(raw).documents[0]["ПолучательИНН"] == "6200098765"


TEXT = st.text(alphabet="абвЁё №«»=;:-.,09azAZ", min_size=1, max_size=160).filter(
    lambda text: text == text.strip()
)
PARTIES = st.builds(
    lambda name, inn, account, bank: Party(
        name=name,
        inn=inn_with_check_digits(f"18{inn:07d}"),
        kpp=None,
        account=account_with_key(f"407028100{account:011d}", f"0445252{bank:02d}"),
        bic=f"0445252{bank:02d}",
    ),
    TEXT,
    st.integers(0, 10**7 - 1),
    st.integers(0, 10**11 - 1),
    st.integers(0, 99),
)
NUMBERS = st.lists(st.integers(1, 999), unique=True, max_size=6)


@given(NUMBERS, st.lists(PARTIES, min_size=6, max_size=6), TEXT, st.integers(1, 10**15))
def test_what_was_written_is_what_is_read(
    numbers: list[int], parties: list[Party], purpose: str, amount: int
) -> None:
    orders = [
        Order(number=number, date=date(2026, 1, 9), amount_kopecks=amount + at, recipient=party,
              purpose=purpose)
        for at, (number, party) in enumerate(zip(numbers, parties, strict=False))
    ]  # fmt: skip
    found = read(write(CENTRE, orders, CREATED)).documents
    assert len(found) == len(orders)
    for document, order in zip(found, orders, strict=True):
        assert int(document["Номер"]) == order.number
        assert int(document["Сумма"].replace(".", "")) == order.amount_kopecks
        assert document["ПолучательСчет"] == order.recipient.account
        assert document["Получатель1"] == order.recipient.name
        assert document["НазначениеПлатежа"] == order.purpose
