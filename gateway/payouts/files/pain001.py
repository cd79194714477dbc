"""pain.001, the customer's credit transfer of ISO 20022, in the Russian usage of its fields.

Two versions of one message: 001.001.09, and 001.001.06 as banks' older guides have it. Payer's and
recipients' banks are named by BIC (RUCBC), organisations by INN (TXID). Must not be signed here.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from gateway.payouts.files.order import Order, Party, check_orders, refused
from gateway.payouts.files.xml import Element, document

VERSIONS: Final = ("pain.001.001.09", "pain.001.001.06")
ENCODING: Final = "UTF-8"
CURRENCY: Final = "RUB"
ID_LENGTH_MAX: Final = 35
NAME_LENGTH_MAX: Final = 140
PURPOSE_LINE_MAX: Final = 140
# 18 digits in all, two of them after the point.
_TOTAL_KOPECKS_MAX: Final = 10**18 - 1


def write(
    payer: Party,
    orders: Sequence[tuple[str, Order]],
    created: datetime,
    message: tuple[str, str],
    version: str = VERSIONS[0],
) -> bytes:
    """The message's bytes; `created` is told in the payer's bank's own time.

    Each order comes with its own id (InstrId), `message` are the ids of the message and of its one
    group of payments; an order's number is its EndToEndId. No orders make an empty message, which
    no bank takes. Refusal state_conflict, account_key_invalid or inn_invalid before any byte.
    """
    check_orders(payer, [order for _, order in orders])
    ids = [*message, *(id_ for id_, _ in orders)]
    if len(set(ids)) < len(ids) or not all(0 < len(id_) <= ID_LENGTH_MAX for id_ in ids):
        raise refused("message", f"ids of their own up to {ID_LENGTH_MAX} characters", "others")
    total = sum(order.amount_kopecks for _, order in orders)
    if total > _TOTAL_KOPECKS_MAX:
        raise refused("message", f"at most {_TOTAL_KOPECKS_MAX} kopecks", "more")
    day = orders[0][1].date if orders else created.date()
    counted = (_text("NbOfTxs", str(len(orders))), _text("CtrlSum", _roubles(total)))
    head = Element(
        "GrpHdr",
        _text("MsgId", message[0]),
        _text("CreDtTm", created.strftime("%Y-%m-%dT%H:%M:%S")),
        *counted,
        _party("InitgPty", payer),
    )
    group = Element(
        "PmtInf",
        _text("PmtInfId", message[1]),
        _text("PmtMtd", "TRF"),
        *counted,
        _day(day, version),
        _party("Dbtr", payer),
        _account("DbtrAcct", payer.account),
        _bank("DbtrAgt", payer),
        _account("DbtrAgtAcct", payer.correspondent),
        *(_transfer(id_, order) for id_, order in orders),
    )
    root = Element(
        "Document",
        Element("CstmrCdtTrfInitn", head, group),
        xmlns=f"urn:iso:std:iso:20022:tech:xsd:{version}",
    )
    return document(root, ENCODING)


def _transfer(id_: str, order: Order) -> Element:
    recipient, purpose = order.recipient, order.purpose
    lines = [purpose[at : at + PURPOSE_LINE_MAX] for at in range(0, len(purpose), PURPOSE_LINE_MAX)]
    return Element(
        "CdtTrfTxInf",
        Element("PmtId", _text("InstrId", id_), _text("EndToEndId", str(order.number))),
        Element("Amt", Element("InstdAmt", text=_roubles(order.amount_kopecks), Ccy=CURRENCY)),
        _bank("CdtrAgt", recipient),
        _account("CdtrAgtAcct", recipient.correspondent),
        _party("Cdtr", recipient),
        _account("CdtrAcct", recipient.account),
        Element(
            "RmtInf",
            *(_text("Ustrd", line) for line in lines),
            Element("Strd", Element("RfrdDocInf", _text("RltdDt", order.date.isoformat()))),
        ),
    )


def _party(role: str, party: Party) -> Element:
    """A name beyond 140 characters goes on in the contact's."""
    rest = party.name[NAME_LENGTH_MAX:]
    scheme = Element("SchmeNm", _text("Cd", "TXID"))
    return Element(
        role,
        _text("Nm", party.name[:NAME_LENGTH_MAX]),
        Element("Id", Element("OrgId", Element("Othr", _text("Id", party.inn), scheme))),
        Element("CtctDtls", _text("Nm", rest)) if rest else None,
    )


def _account(role: str, number: str | None) -> Element | None:
    if number is None:
        return None
    return Element(role, Element("Id", Element("Othr", _text("Id", number))))


def _bank(role: str, party: Party) -> Element:
    member = Element(
        "ClrSysMmbId",
        Element("ClrSysId", _text("Cd", "RUCBC")),
        _text("MmbId", party.bic),
    )
    name = None if party.bank_name is None else _text("Nm", party.bank_name[:NAME_LENGTH_MAX])
    return Element(role, Element("FinInstnId", member, name))


def _day(day: date, version: str) -> Element:
    text = _text("Dt", day.isoformat())
    if version == VERSIONS[0]:
        return Element("ReqdExctnDt", text)
    return _text("ReqdExctnDt", day.isoformat())


def _text(name: str, text: str) -> Element:
    return Element(name, text=text)


def _roubles(kopecks: int) -> str:
    return f"{kopecks // 100}.{kopecks % 100:02d}"
