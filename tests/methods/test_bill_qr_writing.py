"""The text of a bill's code: its order, bounds and separator; what is read is what was put in."""

import io
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from PIL import Image

from gateway.domain.requisites import account_with_key, inn_with_check_digits
from gateway.methods import bill_qr
from gateway.methods.bill_qr_fields import clean_value
from gateway.methods.bill_qr_writing import MANDATORY_BYTES_MAX, BillToPrint, write
from gateway.scans.drawing import draw
from gateway.scans.pictures import codes_in

CENTRE = BillToPrint(
    name="АО «Расчётный центр»",
    personal_acc=account_with_key("40821810000000000001", "040173604"),
    bank_name="ОТДЕЛЕНИЕ № 8644 ПАО СБЕРБАНК",
    bic="040173604",
    corresp_acc="30101810200000000604",
    payee_inn="2224123450",
    kpp="222401001",
    subscriber_account="220012345",
    period="2026-10",
    purpose="Оплата ЖКУ за 10.2026, л/с 220012345",
    sum_kopecks=345600,
)
GOLDEN = Path(__file__).with_name("bill_qr_golden.txt")


def test_the_text_is_the_reviewed_one() -> None:
    assert write(CENTRE).encode() == GOLDEN.read_bytes()


def test_the_drawing_is_the_reviewed_one() -> None:
    assert draw(write(CENTRE).encode(), "svg") == GOLDEN.with_suffix(".svg").read_bytes()
    # How a PNG is packed is the packer's own.
    drawn = Image.open(io.BytesIO(draw(write(CENTRE).encode(), "png")))
    reviewed = Image.open(GOLDEN.with_suffix(".png"))
    assert (drawn.tobytes(), drawn.size) == (reviewed.tobytes(), reviewed.size)
    assert drawn.size == (81 * 6, 81 * 6)
    assert drawn.info["dpi"] == reviewed.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_mandatory_fields_come_first_in_their_order() -> None:
    keys = [piece.partition("=")[0] for piece in write(CENTRE).split("|")]
    assert keys == [
        *("ST00012", "Name", "PersonalAcc", "BankName", "BIC", "CorrespAcc"),
        *("Sum", "PersAcc", "PaymPeriod", "PayeeINN", "KPP", "Purpose", "TechCode"),
    ]


@pytest.mark.parametrize(
    ("name", "separator"),
    [("АО", "|"), ("А|О", "#"), ("А|#О", ";"), ("А|#;:^_~{}!$%&()*+", "@")],
)
def test_the_separator_stands_in_no_value(name: str, separator: str) -> None:
    text = write(structs.replace(CENTRE, name=name))
    assert text.startswith(f"ST00012{separator}Name={name}{separator}")
    assert bill_qr.parse(text).name == name


def test_a_name_of_every_separator_loses_the_usual_one() -> None:
    name = "А|#;:^_~{}!$%&()*+,/@"
    assert bill_qr.parse(write(structs.replace(CENTRE, name=name))).name == name.replace("|", " ")


def test_a_bill_without_a_sum_names_none() -> None:
    text = write(structs.replace(CENTRE, sum_kopecks=None, corresp_acc=None, kpp=None))
    told = bill_qr.parse(text)
    assert (told.sum_kopecks, told.corresp_acc, told.fields["CorrespAcc"]) == (None, None, "0")
    assert "KPP" not in told.fields


def accounts() -> st.SearchStrategy[str]:
    # Bills print `null` where they have no account: nobody's account may be called so.
    told = st.text(string.ascii_letters + string.digits + "-._/", min_size=1, max_size=30)
    return told.filter(clean_value)


def bills() -> st.SearchStrategy[BillToPrint]:
    names = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=160)
    told = names.filter(clean_value)
    # No region has the number 00.
    digits = st.integers(10**7, 10**9 - 1).map("{:09d}".format)
    return st.builds(
        BillToPrint,
        name=told,
        personal_acc=st.text(string.digits, min_size=15, max_size=15).map(
            lambda tail: account_with_key(f"40702{tail}", "040173604")
        ),
        bank_name=told,
        bic=st.just("040173604"),
        corresp_acc=st.none() | st.just("30101810200000000604"),
        payee_inn=digits.map(inn_with_check_digits),
        kpp=st.none() | st.just("222401001"),
        subscriber_account=accounts(),
        period=st.builds("{:04d}-{:02d}".format, st.integers(2000, 2099), st.integers(1, 12)),
        purpose=told,
        sum_kopecks=st.none() | st.integers(1, 10**13),
    )


def check_read(bill: BillToPrint, text: str) -> None:
    found = bill_qr.parse(text.encode())
    assert found.subscriber_account == bill.subscriber_account
    assert (found.sum_kopecks, found.period) == (bill.sum_kopecks, bill.period)
    assert (found.personal_acc, found.bic) == (bill.personal_acc, bill.bic)
    assert found.corresp_acc == bill.corresp_acc
    assert found.fields["PayeeINN"] == bill.payee_inn
    assert found.fields.get("KPP") == bill.kpp
    assert found.fields["TechCode"] == "02"
    cleaned = clean_value(bill.name)
    assert cleaned.replace("|", " ").startswith((found.name or "").replace("|", " "))
    mandatory = text.split(f"{found.separator}{'Sum' if bill.sum_kopecks else 'PersAcc'}=")[0]
    assert len(mandatory.encode()) <= MANDATORY_BYTES_MAX
    assert set(found.warnings) <= {"corresp_acc_key", "name_missing", "bank_name_missing"}


@given(bills())
def test_any_bill_is_read_back_as_it_was_written(bill: BillToPrint) -> None:
    check_read(bill, write(bill))


@given(bills())
def test_any_bill_is_drawn_and_found_again(bill: BillToPrint) -> None:
    text = write(bill)
    (code,) = codes_in(draw(text.encode(), "png"), pixels_max=4_000_000)
    assert code.content == text.encode()
    check_read(bill, code.content.decode())
