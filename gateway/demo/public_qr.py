"""Codes of bills that others published, paid here as they stand, with where each was seen.

Two of them belong to no household of the region: such money must be held, never refused.
"""

import base64

from msgspec import Struct


class PublicQr(Struct, frozen=True):
    """One code: who published it, its payload and the kopecks it names.

    `typed_account` is what the payer has to type where the code names no account.
    """

    source: str
    payload: str
    kopecks: int
    typed_account: str | None = None


# The example of GOST R 56042-2014 in the tests of two libraries; the INN's check digit is wrong.
_COOPERATIVE = (
    'ST00012|Name=ООО «Три кита»|PersonalAcc=40702810138250123017|BankName=ОАО "БАНК"'
    "|BIC=044525225|CorrespAcc=30101810400000000225|PayeeINN=6200098765|LastName=Иванов"
    "|FirstName=Иван|MiddleName=Иванович|Purpose=Оплата членского взноса"
    "|PayerAddress=г.Рязань ул.Ленина д.10 кв.15|Sum=100000"
)
# Test of ofstudio/qr-gost-56042 (MIT); published there in windows-1251 and KOI8-R as well.
_SWING = (
    'Name=АНО "Танцующий Петербург"|PersonalAcc=40703810990200000032'
    '|BankName=ПАО "БАНК "САНКТ-ПЕТЕРБУРГ"|BIC=044030790|CorrespAcc=30101810900000000790'
    "|KPP=780201001|PayeeINN=7802532605"
    "|Purpose=Оплата за участие в Swing & Snow 2022 REG 6821320/1106|Sum=225000"
)
# A real bill of a billing centre in Izhevsk; whoever published it replaced the personal fields.
_IZHEVSK = (
    'ST00012|Name=ООО "ИВЦ-Ижевск"|PersonalAcc=40702810268000010356'
    "|BankName=Сбербанк Удмуртское отделение №8618|BIC=049401601"
    "|CorrespAcc=30101810400000000601|PayeeINN=1841008627|PersAcc=210042076|Sum=299441"
    "|PayerAddress=Г.ИЖЕВСК, УЛ. ПРИМЕРНАЯ Д.1 КВ.1|PaymPeriod=0521|LastName=ИВАНОВ"
    "|FirstName=А.|MiddleName=Ф.|UIN=20МВ875415-07-1051|TechCode=02"
)
HOUSEHOLD_ACCOUNT = "210042076"
"""The account that the Izhevsk bill names; the region has a household under it."""
PUBLIC_LINK = (
    "https://qr.nspk.ru/BD20001KFVL3DTB188K8MHAE2JQ5L627"
    "?type=02&bank=100000000004&sum=12300&cur=RUB&crc=82B1"
)
"""A link of SBP that a bank's document shows."""


def _as_app_sends(text: str, encoding: str) -> str:
    """Bytes of a single-byte encoding go through JSON in base64, as scanning apps send them."""
    return base64.b64encode(text.encode(encoding)).decode()


PUBLIC_QR = (
    PublicQr("QRCoder and if0ne, tests", _COOPERATIVE, 100_000, "coop-15"),
    PublicQr("ofstudio, UTF-8", f"ST00012|{_SWING}", 225_000, "swing-6821320/1106"),
    PublicQr(
        "ofstudio, windows-1251",
        _as_app_sends(f"ST00011|{_SWING}", "cp1251"),
        225_000,
        "swing-6821320/1107",
    ),
    PublicQr(
        "ofstudio, KOI8-R",
        _as_app_sends(f"ST00013|{_SWING}", "koi8-r"),
        225_000,
        "swing-6821320/1108",
    ),
    PublicQr("a real bill, Izhevsk", _IZHEVSK, 299_441),
)
