"""ED101 and pain.001: golden bytes, readers that are not ours, and every refusal."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from pyiso20022.pain import pain_001_001_06, pain_001_001_09
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.serializers import XmlSerializer

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import account_with_key
from gateway.payouts.files import ed101, one_c, pain001
from gateway.payouts.files.order import AMOUNT_KOPECKS_MAX, Order, Party
from tests.payouts.orders import CENTRE, CREATED, HEAT, ORDERS, changed

HERE = Path(__file__).parent
SCHEMA = etree.XMLSchema(etree.parse(HERE.parents[1] / "docs" / "ed101.xsd"))
DAY = date(2026, 11, 13)
AUTHOR = "4525225000"
LONG_NAME = 'Акционерное общество "Региональный оператор ' + "ё" * 115 + '"'
LIBRARY: dict[str, Any] = {
    "pain.001.001.09": pain_001_001_09.Document,
    "pain.001.001.06": pain_001_001_06.Document,
}
# 103-FZ: a payment agent's account; a house's own account for capital repair.
SPECIAL = ("40821810000000000001", "40705810000000000001")


def packet(orders: tuple[Order, ...] = ORDERS, payer: Party = CENTRE) -> bytes:
    return ed101.write(payer, orders, DAY, 7, AUTHOR, "4501001000")


def message(orders: tuple[Order, ...] = ORDERS, version: str = "pain.001.001.09") -> bytes:
    named = [(f"po_{order.number}", order) for order in orders]
    return pain001.write(CENTRE, named, CREATED, ("sb_7", "pi_7"), version)


def read_back(content: bytes, version: str) -> Any:
    """The message as a library reads it that knows every element, its place and its type."""
    strict = ParserConfig(fail_on_unknown_properties=True, fail_on_unknown_attributes=True)
    found = XmlParser(config=strict).from_bytes(content, LIBRARY[version])
    space = f"urn:iso:std:iso:20022:tech:xsd:{version}"
    again = XmlSerializer().render(found, ns_map={None: space}).encode()
    blank = etree.XMLParser(remove_blank_text=True)
    assert etree.tostring(etree.fromstring(again, blank), method="c14n") == etree.tostring(
        etree.fromstring(content, blank), method="c14n"
    )
    return found.cstmr_cdt_trf_initn


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ed101_golden.xml", packet()),
        ("pain001_09_golden.xml", message()),
        ("pain001_06_golden.xml", message(version="pain.001.001.06")),
    ],
)
def test_the_bytes_are_those_of_ever(name: str, content: bytes) -> None:
    assert content == (HERE / name).read_bytes()


def test_a_packet_keeps_to_the_schema_and_adds_up() -> None:
    root = etree.fromstring(packet())
    SCHEMA.assertValid(root)
    orders = root.findall("{*}ED101")
    assert int(root.get("EDQuantity")) == len(orders) == len(ORDERS)
    assert int(root.get("Sum")) == sum(int(one.get("Sum")) for one in orders)
    numbers = [root.get("EDNo"), *(one.get("EDNo") for one in orders)]
    assert numbers == ["1000007", "1", "1002"]
    assert orders[0].find("{*}Payee/{*}Name").text == HEAT.name
    assert orders[0].find("{*}Purpose").text == ORDERS[0].purpose


def test_the_schema_can_refuse() -> None:
    for old, new in (
        (b'EDNo="1002"', b'EDNo="1"'),
        (b'Sum="5"', b'Sum="0.05"'),
        (b'INN="1841008627"', b'INN="184100862"'),
        (b"<Purpose>", b"<Purpose>" + b"x" * 210),
        (b'TransKind="01"', b'TransKind="17"'),
    ):
        bent = packet().replace(old, new)
        assert bent != packet()
        assert not SCHEMA.validate(etree.fromstring(bent)), old


def test_the_author_of_a_bank_is_its_bic() -> None:
    assert ed101.author_of("044525225") == AUTHOR


@pytest.mark.parametrize("version", pain001.VERSIONS)
def test_another_library_reads_the_message(version: str) -> None:
    told = read_back(message(version=version), version)
    head, (group,) = told.grp_hdr, told.pmt_inf
    assert (head.msg_id, group.pmt_inf_id) == ("sb_7", "pi_7")
    total = sum(order.amount_kopecks for order in ORDERS)
    assert (int(head.nb_of_txs), head.ctrl_sum * 100) == (len(ORDERS), total)
    assert group.dbtr_agt.fin_instn_id.clr_sys_mmb_id.mmb_id == CENTRE.bic
    assert group.dbtr_agt_acct.id.othr.id == CENTRE.correspondent
    for transfer, order in zip(group.cdt_trf_tx_inf, ORDERS, strict=True):
        assert transfer.pmt_id.end_to_end_id == str(order.number)
        assert transfer.pmt_id.instr_id == f"po_{order.number}"
        assert transfer.amt.instd_amt.value * 100 == order.amount_kopecks
        assert transfer.amt.instd_amt.ccy == "RUB"
        assert transfer.cdtr.nm == order.recipient.name
        assert transfer.cdtr.id.org_id.othr[0].id == order.recipient.inn
        assert transfer.cdtr_acct.id.othr.id == order.recipient.account
        assert "".join(transfer.rmt_inf.ustrd) == order.purpose
        assert str(transfer.rmt_inf.strd[0].rfrd_doc_inf[0].rltd_dt) == order.date.isoformat()


def test_long_names_and_purposes_are_whole() -> None:
    long = (changed(ORDERS[0], name=LONG_NAME, purpose="ж" * 209 + "!"),)
    assert len(LONG_NAME) == 160
    SCHEMA.assertValid(etree.fromstring(packet(long)))
    (group,) = read_back(message(long), "pain.001.001.09").pmt_inf
    (transfer,) = group.cdt_trf_tx_inf
    assert [len(line) for line in transfer.rmt_inf.ustrd] == [140, 70]
    assert transfer.cdtr.nm + transfer.cdtr.ctct_dtls.nm == LONG_NAME


def test_special_accounts_are_paid_in_every_form() -> None:
    for number in SPECIAL:
        order = changed(ORDERS[0], account=account_with_key(number, HEAT.bic))
        SCHEMA.assertValid(etree.fromstring(packet((order,))))
        for content in (packet((order,)), message((order,)), one_c.write(CENTRE, [order], CREATED)):
            assert order.recipient.account.encode() in content


def test_marks_of_xml_are_texts() -> None:
    name = 'ООО "A<B> & C\'"'
    odd = (changed(ORDERS[0], name=name, purpose="<!-- ]]> &amp; -->"),)
    found = etree.fromstring(packet(odd)).find("{*}ED101")
    assert found.find("{*}Payee/{*}Name").text == name
    assert found.find("{*}Purpose").text == "<!-- ]]> &amp; -->"
    read_back(message(odd), "pain.001.001.09")


def test_the_greatest_amount_fits() -> None:
    great = (changed(ORDERS[0], amount_kopecks=AMOUNT_KOPECKS_MAX),)
    SCHEMA.assertValid(etree.fromstring(packet(great)))
    (group,) = read_back(message(great), "pain.001.001.09").pmt_inf
    assert group.ctrl_sum * 100 == AMOUNT_KOPECKS_MAX


@pytest.mark.parametrize("write", [packet, message], ids=["ed101", "pain001"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"purpose": "за\nоктябрь"}, "state_conflict"),
        ({"name": "ООО\x01"}, "state_conflict"),
        ({"name": "ООО\uffff"}, "state_conflict"),
        ({"purpose": "x" * 211}, "state_conflict"),
        ({"account": "40702810268000010357"}, "account_key_invalid"),
        ({"inn": "184100862"}, "inn_invalid"),
        ({"number": 5000}, "state_conflict"),
    ],
)
def test_an_order_is_refused_before_any_byte(
    write: Callable[[tuple[Order, ...]], bytes], change: dict[str, Any], code: str
) -> None:
    with pytest.raises(Refusal) as caught:
        write((ORDERS[1], changed(ORDERS[0], **change)))
    assert caught.value.code == code


def test_a_packet_carries_only_windows_1251() -> None:
    with pytest.raises(Refusal, match=r"state_conflict: Expected texts in windows-1251"):
        packet((changed(ORDERS[0], name="Жылу қуаты"),))


def test_ids_of_a_message_are_its_own() -> None:
    twice = [("po_1", ORDERS[0]), ("po_1", ORDERS[1])]
    for named, ids in ((twice, ("sb", "pi")), ([], ("sb", "sb")), ([], ("sb", "p" * 36))):
        with pytest.raises(Refusal, match="state_conflict"):
            pain001.write(CENTRE, named, CREATED, ids)
    assert b"<NbOfTxs>0</NbOfTxs>" in pain001.write(CENTRE, [], CREATED, ("sb", "pi"))
