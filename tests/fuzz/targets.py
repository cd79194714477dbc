"""What strangers' bytes reach: parsers and decoders that may answer or refuse, and nothing else.

A target takes any bytes up to its length and raises only on a fault. `make test` runs each with
hypothesis (test_targets.py), `make fuzz` with atheris (run.py). A new parser joins TARGETS.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

import orjson
import segno
from PIL import Image

from gateway.billers import fields, osmp, sber
from gateway.billers.masks import masked_payer
from gateway.domain.biller import DONE, Told
from gateway.domain.refusals import Refusal
from gateway.methods import bill_qr, contains_pan, normalise, qr, sbp_link
from gateway.scans.barcodes import TemplateMisfit, read_template
from gateway.scans.pictures import codes_in
from gateway.scans.templates import Templates, built_in
from tests.fuzz import wallet_targets

PIXELS_MAX = 250_000
NAME_SHOWN_MAX = 11
BILL = (
    'ST00012|Name=ООО "ИВЦ"|PersonalAcc=40702810268000010356|BankName=Банк|BIC=049401601|'
    "CorrespAcc=30101810400000000601|PayeeINN=1841008627|PersAcc=210042076|Sum=2994,41|"
    "PaymPeriod=0521|LastName=ИВАНОВ|UIN=20МВ875415-07-1051|TechCode=02"
)
LINK = "https://qr.nspk.ru/BD20001KFVL3DTB188K8MHAE2JQ5L627?type=02&bank=100000000004"
SIGNED_LINK = f"{LINK}&sum=12300&cur=RUB&crc=82B1"
TEMPLATE = b"""
name = "own"
fields = [
    {means = "subscriber_account", length_min = 1, length_max = 8}, {means = "text", text = "L"},
    {means = "period", length = 4}, {means = "check", length = 1},
]
check = {weights = [1, 2, 3, 4, 5], modulus = 11, ten = 0}
"""


@dataclass(frozen=True)
class Target:
    """`run` must come back from any bytes up to `length_max` of them, the `seeds` among them."""

    name: str
    run: Callable[[bytes], None]
    seeds: list[bytes] = field(repr=False)
    length_max: int = 4096
    refusals: frozenset[str] = frozenset()

    def __call__(self, content: bytes) -> None:
        """Runs it; a refusal with a code of another parser is a fault as well."""
        try:
            self.run(content)
        except Refusal as refusal:
            if refusal.code not in self.refusals:
                raise RuntimeError(f"{self.name} refused with {refusal.code}") from refusal


def _bill(content: bytes) -> None:
    if bill_qr.is_bill(content):
        qr.refuse_card_numbers(bill_qr.parse(content).fields)
    bill_qr.parse(content.decode("utf-8", "replace"))


def _link(content: bytes) -> None:
    text = content.decode("latin-1")
    if sbp_link.parse(text).member and not sbp_link.is_link(text):
        raise RuntimeError("Expected what is parsed as a link to be known as one")


def _barcode(content: bytes) -> None:
    _TEMPLATES.read(content.decode("latin-1"))


def _template(content: bytes) -> None:
    try:
        template = read_template(content)
    except TemplateMisfit:
        return
    template.read("12345678L10261", None)


def _picture(content: bytes) -> None:
    codes_in(content, PIXELS_MAX)


def _method(content: bytes) -> None:
    try:
        told = orjson.loads(content)
    except orjson.JSONDecodeError:
        return
    if isinstance(told, dict):
        orjson.dumps(normalise(told).facts)


def _card_number(content: bytes) -> None:
    contains_pan(content.decode("utf-8", "replace"))


def _biller(content: bytes) -> None:
    told = fields.parameters(content)
    for protocol in (osmp, sber):
        asked = protocol.read(told)
        answer = protocol.write(asked, Told(verdict=asked.misread or DONE, total=asked.total))
        ElementTree.fromstring(answer)  # noqa: S314  (our own answer)


def _payer(content: bytes) -> None:
    name, address = masked_payer({"name": content.decode("utf-8", "replace"), "address": "x"})
    if len(name) > NAME_SHOWN_MAX or address != "x":
        raise RuntimeError("Expected a name's mask to be short")


def _pictures() -> list[bytes]:
    found = []
    for form, how in (("png", {}), ("jpeg", {}), ("jpeg", {"progressive": True})):
        drawn = io.BytesIO()
        segno.make_qr("A1").save(drawn, kind="png", scale=2)
        packed = io.BytesIO()
        Image.open(drawn).convert("L").save(packed, form, **how)
        found.append(packed.getvalue())
    return found


_TEMPLATES = Templates(built_in())
_METHOD_REFUSALS = frozenset({"method_invalid", "qr_invalid", "qr_crc_mismatch", "pan_not_allowed"})

TARGETS = (
    Target(
        "bill_qr",
        _bill,
        [BILL.encode(), BILL.replace("ST00012", "ST00011").encode("cp1251"), b"U1QwMDAxMnw="],
        refusals=frozenset({"qr_invalid", "pan_not_allowed"}),
    ),
    Target(
        "sbp_link",
        _link,
        [SIGNED_LINK.encode(), SIGNED_LINK.replace("qr.", "qr-t.").encode()],
        refusals=frozenset({"qr_invalid", "qr_crc_mismatch", "pan_not_allowed"}),
    ),
    Target("barcode", _barcode, [b"7707083893L220012345S120000", b"351100010534"]),
    Target("barcode_template", _template, [TEMPLATE]),
    Target(
        "picture",
        _picture,
        _pictures(),
        length_max=16_384,
        refusals=frozenset({"malformed", "body_too_large"}),
    ),
    Target(
        "method",
        _method,
        [
            orjson.dumps({"type": "qr", "payload": BILL}),
            orjson.dumps({"type": "qr", "payload": SIGNED_LINK, "operation_id": "A1"}),
            orjson.dumps({"type": "mir", "masked_pan": "2202 20** **** 1234", "rrn": "1"}),
            orjson.dumps({"type": "card", "x": {"y": ["4111 1111 1111 1111"]}}),
        ],
        length_max=65_536,
        refusals=_METHOD_REFUSALS,
    ),
    *(
        Target(name, run, seeds, length_max=16_384, refusals=wallet_targets.REFUSALS)
        for name, (run, seeds) in wallet_targets.WALLET_TARGETS.items()
    ),
    Target("card_number", _card_number, ["карта 4111 1111-1111 1111".encode()], length_max=65_536),
    Target(
        "biller",
        _biller,
        [
            b"command=pay&txn_id=1234567&txn_date=20261112093107&account=220012345&sum=200.00",
            b"ACTION=payment&ACCOUNT=1&AMOUNT=1.00&PAY_ID=6&PAY_DATE=01.01.2024_12:31:00",
            b"command=cancel&txn_id=2&cancel_txn_id=1&fio=%D0%98%EF",
        ],
        length_max=8_192,
    ),
    Target("payer", _payer, ["Иванов Иван Иванович".encode()], length_max=65_536),
)
