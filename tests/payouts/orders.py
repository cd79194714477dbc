"""Parties and payment orders that the tests of every bank format write."""

from datetime import UTC, date, datetime

from gateway.payouts.files.order import Order, Party

CENTRE = Party(
    name='АО "Расчётный центр «Город»"',
    inn="7802532605",
    kpp="780201001",
    account="40702810138250123017",
    bic="044525225",
    bank_name="ПАО СБЕРБАНК",
    correspondent="30101810400000000225",
)
HEAT = Party(
    name="ООО «Тепло»",
    inn="1841008627",
    kpp="184101001",
    account="40702810268000010356",
    bic="049401601",
    bank_name="Удмуртское отделение №8618",
    correspondent="30101810400000000601",
)
PERSON = Party(
    name="ИП Ёлкина А. А.",
    inn="500100732259",
    kpp=None,
    account="40702810200203001037",
    bic="044525545",
)
ORDERS = (
    Order(
        number=1,
        date=date(2026, 11, 13),
        amount_kopecks=6124900,
        recipient=HEAT,
        purpose="Платежи населения за отопление за октябрь 2026 г., реестр sb_1 = 12.11.2026. "
        "НДС не облагается",
    ),
    Order(
        number=1002,
        date=date(2026, 11, 12),
        amount_kopecks=5,
        recipient=PERSON,
        purpose="Платежи населения за домофон. НДС не облагается",
        priority=4,
    ),
)

CREATED = datetime(2026, 11, 12, 21, 30, 7, tzinfo=UTC)


def changed(order: Order, **change: object) -> Order:
    """The order with a change; a name of a party's field changes its recipient."""
    fields = {name: getattr(order, name) for name in Order.__struct_fields__}
    party = {name: getattr(order.recipient, name) for name in Party.__struct_fields__}
    for name, value in change.items():
        (party if name in party else fields)[name] = value
    return Order(**{**fields, "recipient": Party(**party)})
