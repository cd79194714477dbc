"""Statements as banks write them, for tests: 1C in any encoding, and camt.053."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

OWN = "40702810138250123017"
DAY = date(2026, 11, 13)


@dataclass(frozen=True)
class Told:
    """One movement as a bank tells it; kopecks, out of our account unless `came`."""

    number: str
    amount: int
    other: str
    purpose: str = "Перечисление платежей"
    came: bool = False
    inn: str = ""
    bic: str = ""
    drawn: date = DAY
    booked: date | None = DAY
    instruction: str = ""

    def but(self, **change: object) -> "Told":
        return replace(self, **change)  # type: ignore[arg-type]


def roubles(kopecks: int) -> str:
    sign = "-" if kopecks < 0 else ""
    return f"{sign}{abs(kopecks) // 100}.{abs(kopecks) % 100:02d}"


def one_c(
    told: Sequence[Told],
    opening: int = 100_000_000,
    own: str = OWN,
    encoding: str = "cp1251",
    closing: int | None = None,
) -> bytes:
    """A 1C statement of one account; `closing` other than the sums make is for refusals."""
    came = sum(one.amount for one in told if one.came)
    left = sum(one.amount for one in told if not one.came)
    last = opening + came - left if closing is None else closing
    lines = [
        "1CClientBankExchange",
        "ВерсияФормата=1.03",
        f"Кодировка={'DOS' if encoding == 'cp866' else 'Windows'}",
        "Отправитель=Банк",
        f"ДатаНачала={DAY:%d.%m.%Y}",
        f"ДатаКонца={DAY:%d.%m.%Y}",
        f"РасчСчет={own}",
        "СекцияРасчСчет",
        f"РасчСчет={own}",
        f"НачальныйОстаток={roubles(opening)}",
        f"ВсегоПоступило={roubles(came)}",
        f"ВсегоСписано={roubles(left)}",
        f"КонечныйОстаток={roubles(last)}",
        "КонецРасчСчет",
    ]
    for one in told:
        payer, recipient = (one.other, own) if one.came else (own, one.other)
        role = "Плательщик" if one.came else "Получатель"
        lines += [
            "СекцияДокумент=Платежное поручение",
            f"Номер={one.number}",
            f"Дата={one.drawn:%d.%m.%Y}",
            f"Сумма={roubles(one.amount)}",
            f"ПлательщикСчет={payer}",
            f"ПолучательСчет={recipient}",
            *([f"{role}ИНН={one.inn}"] if one.inn else []),
            *([f"{role}БИК={one.bic}"] if one.bic else []),
            "НеизвестныйКлюч=а=б",
            f"НазначениеПлатежа={one.purpose}",
        ]
        if one.booked is not None:
            booked = "ДатаПоступило" if one.came else "ДатаСписано"
            lines.append(f"{booked}={one.booked:%d.%m.%Y}")
        lines.append("КонецДокумента")
    return "\r\n".join([*lines, "КонецФайла"]).encode(encoding)


def camt053(
    told: Sequence[Told],
    opening: int = 100_000_000,
    own: str = OWN,
    closing: int | None = None,
    version: str = "08",
) -> bytes:
    """A camt.053 of one account, as the guides of Russian banks have its fields."""
    moved = sum(one.amount if one.came else -one.amount for one in told)
    last = opening + moved if closing is None else closing
    entries = "".join(_entry(one, version) for one in told)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>'
        "<GrpHdr><MsgId>1</MsgId><CreDtTm>2026-11-14T07:00:00</CreDtTm></GrpHdr><Stmt><Id>1</Id>"
        f"<Acct><Id><Othr><Id>{own}</Id></Othr></Id><Ccy>RUR</Ccy></Acct>"
        f"{_balance('OPBD', opening)}{_balance('CLBD', last)}{entries}"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def _balance(kind: str, kopecks: int) -> str:
    side = "DBIT" if kopecks < 0 else "CRDT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="RUR">{roubles(abs(kopecks))}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<Dt><Dt>{DAY}</Dt></Dt></Bal>"
    )


def _entry(one: Told, version: str) -> str:
    side, role = ("CRDT", "Dbtr") if one.came else ("DBIT", "Cdtr")
    status = "<Sts>BOOK</Sts>" if version == "02" else "<Sts><Cd>BOOK</Cd></Sts>"
    inn = f"<Id><OrgId><Othr><Id>{one.inn}</Id></Othr></OrgId></Id>" if one.inn else ""
    party = f"<Nm>ООО</Nm>{inn}" if version == "02" else f"<Pty><Nm>ООО</Nm>{inn}</Pty>"
    agent = (
        f"<RltdAgts><{role}Agt><FinInstnId><ClrSysMmbId><MmbId>{one.bic}</MmbId></ClrSysMmbId>"
        f"</FinInstnId></{role}Agt></RltdAgts>"
        if one.bic
        else ""
    )
    instruction = f"<InstrId>{one.instruction}</InstrId>" if one.instruction else ""
    return (
        f'<Ntry><Amt Ccy="RUR">{roubles(one.amount)}</Amt><CdtDbtInd>{side}</CdtDbtInd>{status}'
        f"<BookgDt><Dt>{one.booked or one.drawn}</Dt></BookgDt><NtryDtls><TxDtls>"
        f"<Refs>{instruction}<EndToEndId>{one.number}</EndToEndId></Refs>"
        f"<RltdPties><{role}>{party}</{role}><{role}Acct><Id><Othr><Id>{one.other}</Id></Othr></Id>"
        f"</{role}Acct></RltdPties>{agent}<RmtInf><Ustrd>{one.purpose}</Ustrd><Strd><RfrdDocInf>"
        f"<RltdDt>{one.drawn}</RltdDt></RfrdDocInf></Strd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )
