"""The bill's QR (GOST R 56042-2014): published samples, and everything that bills get wrong."""

import base64
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.methods.bill_qr import FIELDS_MAX, PAYLOAD_LENGTH_MAX, BillQr, parse
from gateway.methods.bill_qr_fields import KNOWN_FIELDS, kopecks_of, period_of

CLUB = (
    'Name=ООО «Три кита»|PersonalAcc=40702810138250123017|BankName=ОАО "БАНК"|BIC=044525225|'
    "CorrespAcc=30101810400000000225|PayeeINN=6200098765|LastName=Иванов|FirstName=Иван|"
    "MiddleName=Иванович|Purpose=Оплата членского взноса|"
    "PayerAddress=г.Рязань ул.Ленина д.10 кв.15|Sum=100000"
)
DANCE = (
    'Name=АНО "Танцующий Петербург"|PersonalAcc=40703810990200000032|'
    'BankName=ПАО "БАНК "САНКТ-ПЕТЕРБУРГ"|BIC=044030790|CorrespAcc=30101810900000000790|'
    "KPP=780201001|PayeeINN=7802532605|"
    "Purpose=Оплата за участие в Swing & Snow 2022 REG 6821320/1106|Sum=225000"
)
IZHEVSK = (
    'Name=ООО "ИВЦ-Ижевск"|PersonalAcc=40702810268000010356|'
    "BankName=Сбербанк Удмуртское отделение №8618|BIC=049401601|"
    "CorrespAcc=30101810400000000601|PayeeINN=1841008627|PersAcc=210042076|Sum=299441|"
    "PayerAddress=Г.ИЖЕВСК, УЛ. ПРИМЕРНАЯ Д.1 КВ.1|PaymPeriod=0521|LastName=ИВАНОВ|"
    "FirstName=А.|MiddleName=Ф.|UIN=20МВ875415-07-1051|TechCode=02"
)
# The DANCE payment as another program wrote it: windows-1251 (ST00011) and KOI8-R (ST00013).
DANCE_CP1251 = bytes.fromhex(
    "535430303031317c4e616d653dc0cdce2022d2e0edf6f3fef9e8e920cfe5f2e5f0e1f3f0e3227c506572736f6e61"
    "6c4163633d34303730333831303939303230303030303033327c42616e6b4e616d653dcfc0ce2022c1c0cdca2022"
    "d1c0cdcad22dcfc5d2c5d0c1d3d0c3227c4249433d3034343033303739307c436f72726573704163633d33303130"
    "313831303930303030303030303739307c4b50503d3738303230313030317c5061796565494e4e3d373830323533"
    "323630357c507572706f73653dceefebe0f2e020e7e020f3f7e0f1f2e8e520e2205377696e67202620536e6f7720"
    "323032322052454720363832313332302f313130367c53756d3d323235303030"
)
DANCE_KOI8R = bytes.fromhex(
    "535430303031337c4e616d653de1eeef2022f4c1cec3d5c0ddc9ca20f0c5d4c5d2c2d5d2c7227c506572736f6e61"
    "6c4163633d34303730333831303939303230303030303033327c42616e6b4e616d653df0e1ef2022e2e1eeeb2022"
    "f3e1eeebf42df0e5f4e5f2e2f5f2e7227c4249433d3034343033303739307c436f72726573704163633d33303130"
    "313831303930303030303030303739307c4b50503d3738303230313030317c5061796565494e4e3d373830323533"
    "323630357c507572706f73653defd0ccc1d4c120dac120d5dec1d3d4c9c520d7205377696e67202620536e6f7720"
    "323032322052454720363832313332302f313130367c53756d3d323235303030"
)


def fields_of(body: str) -> dict[str, str]:
    return dict(piece.split("=", 1) for piece in body.split("|"))


@pytest.mark.parametrize(
    ("body", "sum_kopecks", "subscriber_account", "period", "uin", "warnings"),
    [
        (CLUB, 100000, None, None, None, ("payee_inn",)),
        (DANCE, 225000, None, None, None, ()),
        (IZHEVSK, 299441, "210042076", "2021-05", "20МВ875415-07-1051", ()),
    ],
)
def test_published_samples(
    body: str,
    sum_kopecks: int,
    subscriber_account: str | None,
    period: str | None,
    uin: str | None,
    warnings: tuple[str, ...],
) -> None:
    bill = parse(f"ST00012|{body}")
    fields = fields_of(body)
    assert bill.fields == fields
    assert (bill.name, bill.personal_acc, bill.bank_name, bill.bic, bill.corresp_acc) == (
        fields["Name"],
        fields["PersonalAcc"],
        fields["BankName"],
        fields["BIC"],
        fields["CorrespAcc"],
    )
    assert bill.sum_kopecks == sum_kopecks
    assert bill.subscriber_account == subscriber_account
    assert bill.period == period
    assert bill.uin == uin
    assert bill.purpose == fields.get("Purpose")
    assert bill.warnings == warnings
    assert (bill.encoding, bill.separator) == ("text", "|")


@pytest.mark.parametrize(("raw", "encoding"), [(DANCE_CP1251, "cp1251"), (DANCE_KOI8R, "koi8-r")])
def test_published_bytes(raw: bytes, encoding: str) -> None:
    bill = parse(raw)
    assert bill.fields == fields_of(DANCE)
    assert bill.encoding == encoding
    assert bill.warnings == ()
    # A scanner that takes bytes for Latin-1 hands over the same bill.
    assert parse(raw.decode("latin-1")) == bill


@pytest.mark.parametrize("body", [CLUB, DANCE, IZHEVSK, "PersAcc=7|LastName=ИВАНОВА"])
@pytest.mark.parametrize("written_in", ["utf-8", "cp1251", "koi8-r"])
@pytest.mark.parametrize("declared", ["0", "1", "2", "3", "9"])
def test_declared_encoding_may_lie(body: str, written_in: str, declared: str) -> None:
    printable = (
        body if written_in != "koi8-r" else body.translate({0xAB: '"', 0xBB: '"', 0x2116: "N"})
    )
    bill = parse(f"ST0001{declared}|{printable}".encode(written_in))
    assert bill.fields == fields_of(printable)
    assert bill.encoding == written_in
    told = {"1": "cp1251", "2": "utf-8", "3": "koi8-r"}.get(declared)
    assert ("encoding_mislabelled" in bill.warnings) == (told != written_in)


def test_ascii_bill_is_right_in_any_declared_encoding() -> None:
    assert "encoding_mislabelled" not in parse(b"ST00011|PersAcc=7|Sum=1").warnings


FULL = "PersAcc=7|" + DANCE


@pytest.mark.parametrize(
    ("body", "key", "value"),
    [
        ("persAcc=7", "PersAcc", "7"),
        ("PERSACC=7", "PersAcc", "7"),
        (" PersAcc = 7 ", "PersAcc", "7"),
        ("РеrsАсс=7", "PersAcc", "7"),  # four Cyrillic letters
        ("СВС=18210803010011000110", "CBC", "18210803010011000110"),  # all Cyrillic
        ("ВIС=044525225", "BIC", "044525225"),
        ("Тaxperiod=МС.10.2026", "TaxPeriod", "МС.10.2026"),
        ("TaxPayKind=0", "TaxPaytKind", "0"),
        ("Fine=0", "Fine", "0"),
        ("Purpose=a=b=c", "Purpose", "a=b=c"),
        ("Purpose=Оплата\r\nза  октябрь\u00a02026\u200b", "Purpose", "Оплата за октябрь 2026"),
    ],
)
def test_keys_and_values_as_they_are_met(body: str, key: str, value: str) -> None:
    assert parse(f"ST00012|PersonalAcc=1|{body}").fields[key] == value


@pytest.mark.parametrize("empty", ["", "null", "NULL", " ", "\n", " null "])
def test_empty_value_is_no_value(empty: str) -> None:
    bill = parse(f"ST00012|PersAcc=7|PayerINN={empty}|Purpose={empty}|Sum={empty}")
    assert bill.fields == {"PersAcc": "7"}
    assert bill.sum_kopecks is None
    assert bill.purpose is None


def test_of_repeated_fields_the_first_that_is_not_empty_wins() -> None:
    bill = parse("ST00012|persacc=|PersAcc=7|PERSACC=8|Sum=1|Sum=1")
    assert bill.subscriber_account == "7"
    assert "field_repeated" in bill.warnings
    assert "field_repeated" not in parse("ST00012|PersAcc=7|Sum=1|Sum=1").warnings


@pytest.mark.parametrize("separator", "|#;:^_~{}!$%&()*+,/@\n")
def test_any_separator(separator: str) -> None:
    bill = parse(f"ST00012{separator}PersAcc=7{separator}Sum=15{separator}")
    assert bill.fields == {"PersAcc": "7", "Sum": "15"}
    assert bill.separator == separator


def test_separator_inside_a_value_is_kept_in_it() -> None:
    spare = parse('ST00012#PersAcc=7#BankName=ОАО | "БАНК"#BIC=044525225')
    assert spare.bank_name == 'ОАО | "БАНК"'
    assert "separator_in_value" not in spare.warnings
    lost = parse('ST00012|PersAcc=7|BankName=ОАО | "БАНК"|BIC=044525225')
    assert lost.bank_name == 'ОАО | "БАНК"'
    assert lost.bic == "044525225"
    assert "separator_in_value" in lost.warnings


@pytest.mark.parametrize(
    "payload",
    [
        f"\ufeffST00012|{FULL}",
        f"  ST00012|{FULL}||\n",
        f"\ufeffST00012|{FULL}".encode(),
        base64.b64encode(f"ST00012|{FULL}".encode()).decode(),
        base64.b64encode(f"ST00012|{FULL}".encode()),
        base64.b64encode(f"\ufeffST00012|{FULL}".encode()).decode(),
        base64.encodebytes(f"ST00012|{FULL}".encode()).decode(),
        base64.urlsafe_b64encode(f"ST00012|{FULL}".encode()).decode().rstrip("="),
        base64.b64encode(f"ST00011|{FULL}".encode("cp1251")).decode(),
    ],
)
def test_wrappings_around_a_bill(payload: str | bytes) -> None:
    bill = parse(payload)
    assert bill.fields == fields_of(FULL)
    assert bill.warnings == ()


@pytest.mark.parametrize(
    ("text", "kopecks", "in_roubles"),
    [
        ("0", 0, False),
        ("299441", 299441, False),
        ("1 234 567", 1234567, False),
        ("123.00", 12300, True),
        ("20616,36", 2061636, True),
        ("1 234,5", 123450, True),
        ("-100", None, False),
        ("1e5", None, False),
        ("1,234.56", None, False),
        ("12.345", None, False),
        ("٣٠", None, False),
        ("1" * 19, None, False),
        ("сто", None, False),
    ],
)
def test_sum_is_kopecks_unless_a_decimal_mark_says_roubles(
    text: str, kopecks: int | None, in_roubles: bool
) -> None:
    assert kopecks_of(text) == (kopecks, in_roubles)
    bill = parse(f"ST00012|PersAcc=7|Sum={text}")
    assert bill.sum_kopecks == kopecks
    assert ("sum_in_roubles" in bill.warnings) == in_roubles
    assert ("sum_unreadable" in bill.warnings) == (kopecks is None)


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("0521", "2021-05"),
        ("1226", "2026-12"),
        ("2612", "2026-12"),
        ("042026", "2026-04"),
        ("202604", "2026-04"),
        ("07.2023", "2023-07"),
        ("7.2023", "2023-07"),
        ("07/2023", "2023-07"),
        ("07.23", "2023-07"),
        ("2023-07", "2023-07"),
        ("2023-07-28", "2023-07"),
        ("28.07.2023", "2023-07"),
        ("1320", None),
        ("0000", None),
        ("132026", None),
        ("041999", None),
        ("13.2026", None),
        ("٠٤٢٠٢٦", None),
        ("октябрь", None),
    ],
)
def test_period_in_every_form(text: str, period: str | None) -> None:
    assert period_of(text) == period
    bill = parse(f"ST00012|PersAcc=7|PaymPeriod={text}")
    assert bill.period == period
    assert ("period_unreadable" in bill.warnings) == (period is None)


@pytest.mark.parametrize(
    ("body", "account", "warnings"),
    [
        ("PersAcc=12 34|Contract=9", "1234", ()),
        ("PersAcc=А-7", "A-7", ()),  # a Cyrillic letter on the bill, a Latin one at the centre
        ("Contract=Д-9", None, ("subscriber_account_unreadable",)),
        ("Contract=9", "9", ("subscriber_account_from_another_field",)),
        ("PersonalAccount=5", "5", ("subscriber_account_from_another_field",)),
        ("PersonalAccount=5|Contract=9", "9", ("subscriber_account_from_another_field",)),
        ("PersAcc=Щ|Contract=9", "9", ("subscriber_account_unreadable",)),
        ("PersAcc=" + "1" * 31, None, ("subscriber_account_unreadable",)),
        ("Flat=1", None, ()),
    ],
)
def test_subscriber_account_is_chosen(
    body: str, account: str | None, warnings: tuple[str, ...]
) -> None:
    bill = parse(f"ST00012|{DANCE}|{body}")
    assert bill.subscriber_account == account
    assert set(warnings) <= set(bill.warnings)


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (("CorrespAcc=30101810900000000790|", ""), "corresp_acc_missing"),
        (("30101810900000000790", "30101810900000000791"), "corresp_acc_key"),
        (("40703810990200000032", "40703810990200000033"), "personal_acc_key"),
        (("044030790", "04403079"), "personal_acc_key"),
        (("7802532605", "7802532604"), "payee_inn"),
        (("BIC=044030790|", ""), "bic_missing"),
        (('BankName=ПАО "БАНК "САНКТ-ПЕТЕРБУРГ"|', ""), "bank_name_missing"),
        (('Name=АНО "Танцующий Петербург"|', ""), "name_missing"),
        (("Танцующий", "Т" * 160), "field_too_long"),
        (("PersonalAcc=40703810990200000032|", "PersAcc=7|"), "personal_acc_missing"),
        (("Танцующий", "\ufffd"), "text_damaged"),
        (("Name=", "Имя|Name="), "stray_text"),
        (("|KPP=", "|stray|KPP="), "stray_text"),
    ],
)
def test_wrong_requisites_are_warnings(change: tuple[str, str], warning: str) -> None:
    assert warning in parse("ST00012|" + DANCE.replace(*change)).warnings


def test_bank_without_a_correspondent_account() -> None:
    bill = parse("ST00012|" + DANCE.replace("30101810900000000790", "0"))
    assert bill.corresp_acc is None
    assert bill.warnings == ()


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        ("", "empty"),
        (b"", "empty"),
        ("hello", "no header"),
        ("ST0001", "cut short"),
        ("ST00012", "no separator"),
        ("ST00012|", "no fields"),
        ("ST00012|||", "no fields"),
        ("ST00012|hello", "no Key=Value"),
        ("ST00012PersAcc=7", "a letter for a separator"),
        ("ST00022|PersAcc=7", "another version"),
        ("ST0001x|PersAcc=7", "no digit of the encoding"),
        ("ST0001٢|PersAcc=7", "a digit of another script"),
        ("st00012|PersAcc=7", "small letters in the header"),
        ("ST00012|Name=А|Sum=1", "no account of anyone"),
        ("ST00012|PersAcc=", "an empty account"),
        ("U1QwMDAx!", "broken base64"),
        ("U1QwMDAxM", "broken base64"),
        ("https://qr.nspk.ru/AS2A?type=01", "a link"),
        ("ST00012|PersAcc=7|Purpose=" + "x" * PAYLOAD_LENGTH_MAX, "too long"),
        (b"ST00012|PersAcc=7|Purpose=" + b"x" * PAYLOAD_LENGTH_MAX, "too long"),
        ("ST00012|PersAcc=7" + "|a=b" * FIELDS_MAX, "too many fields"),
        (b"\xff\xfe\x00", "noise"),
    ],
)
def test_what_is_no_bill_is_refused(payload: str | bytes, why: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(payload)
    assert caught.value.code == "qr_invalid", why


def read_or_refused(payload: str | bytes) -> BillQr | str:
    try:
        return parse(payload)
    except Refusal as refusal:
        return refusal.code


@given(st.text() | st.binary())
def test_any_input_is_read_or_refused(payload: str | bytes) -> None:
    assert read_or_refused(payload) == "qr_invalid"


KEYS = st.sampled_from(sorted(KNOWN_FIELDS)) | st.text(max_size=8)


@given(st.sampled_from("0123"), st.lists(st.tuples(KEYS, st.text(max_size=20)), max_size=8))
def test_any_fields_are_read_or_refused(digit: str, pairs: list[tuple[str, str]]) -> None:
    body = "|".join(f"{key}={value}" for key, value in pairs)
    payload = f"ST0001{digit}|PersAcc=7|{body}"
    bill = read_or_refused(payload)
    assert isinstance(bill, BillQr)
    assert bill.subscriber_account == "7"
    assert all(value and value == value.strip() for value in bill.fields.values())
    assert isinstance(read_or_refused(payload.encode("utf-8", "surrogatepass")), BillQr)
    assert isinstance(read_or_refused(payload.encode("cp1251", "replace")), BillQr)


@given(st.binary(max_size=300))
def test_any_bytes_after_the_header_are_read(noise: bytes) -> None:
    assert isinstance(read_or_refused(b"ST00011|PersAcc=7|" + noise), BillQr)
    wrapped = base64.b64encode(b"ST00011|PersAcc=7|" + noise)
    assert isinstance(read_or_refused(wrapped), BillQr)


RUSSIAN = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
WORDS = st.text(
    alphabet=RUSSIAN + RUSSIAN.upper() + string.ascii_letters + string.digits + ".,-/«»", min_size=1
).filter(lambda word: word.lower() != "null")


@given(
    st.dictionaries(st.sampled_from(sorted(KNOWN_FIELDS)), WORDS, max_size=12),
    st.sampled_from("|#;^~"),
)
def test_well_formed_bill_comes_back_as_it_was_written(
    fields: dict[str, str], separator: str
) -> None:
    fields["PersAcc"] = "210042076"
    pieces = ["ST00012", *(f"{key}={value}" for key, value in fields.items())]
    payload = separator.join(pieces)
    if len(payload) <= PAYLOAD_LENGTH_MAX:
        assert parse(payload).fields == fields
        assert parse(payload.encode()).fields == fields


@pytest.mark.parametrize("piece", ["|", "=", "a=", "|a", " ", "и", "\n", "null "])
def test_longest_payload_is_read_in_no_time(piece: str) -> None:
    body = "ST00012|PersAcc=7|Purpose=" + piece * PAYLOAD_LENGTH_MAX
    began = time.perf_counter()
    for _ in range(20):
        read_or_refused(body[:PAYLOAD_LENGTH_MAX])
    assert time.perf_counter() - began < 5
