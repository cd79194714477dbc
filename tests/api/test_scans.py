"""Codes at the door: payloads and pictures in, what they name out, and the code of a bill."""

import asyncio
import io
from pathlib import Path

import pytest
import segno
import zxingcpp
from PIL import Image

from gateway.domain.requisites import account_with_key
from gateway.scans.darkroom import PLACES_MAX
from tests.api.conftest import BIC, Answer, Gateway, payment, recipient, served

LINK = "https://qr.nspk.ru/BD20001KFVL3DTB188K8MHAE2JQ5L627?type=02&bank=100000000004"
DYNAMIC = f"{LINK}&sum=12300&cur=RUB&crc=82B1"
BILL = (
    'ST00012|Name=ООО "ИВЦ"|PersonalAcc=40702810268000010356|BankName=Сбербанк|BIC=049401601'
    "|CorrespAcc=30101810400000000601|PayeeINN=1841008627|PersAcc=220012345|Sum=120000"
    "|PaymPeriod=1026|LastName=ИВАНОВ|PayerAddress=Г.БАРНАУЛ|UIN=20МВ875415-07-1051|TechCode=02"
)


async def scan(gateway: Gateway, payload: object, role: str = "acquirer") -> Answer:
    return await gateway.send("POST", "/v1/scans", {"payload": payload}, role=role)


async def scan_picture(gateway: Gateway, content: bytes, kind: str = "image/png") -> Answer:
    headers = {"Content-Type": kind}
    return await gateway.send("POST", "/v1/scans", content, role="acquirer", headers=headers)


def drawn(text: str, kind: str = "png") -> bytes:
    content = io.BytesIO()
    code = segno.make_qr(text.encode(), mode="byte")
    code.save(content, kind="png", scale=4)
    if kind == "jpeg":
        picture = Image.open(content).convert("RGB")
        content = io.BytesIO()
        picture.save(content, "jpeg", quality=80)
    return content.getvalue()


async def test_a_bills_code_names_its_payee_and_no_person(region: Gateway) -> None:
    answer = await scan(region, BILL)
    assert answer.status == 200
    assert answer.json == {
        "kind": "bill_qr",
        "subscriber_account": "220012345",
        "amount": 120000,
        "period": "2026-10",
        "payee": {
            "name": 'ООО "ИВЦ"',
            "inn": "1841008627",
            "kpp": None,
            "bank_name": "Сбербанк",
            "bic": "049401601",
            "account": "40702810268000010356",
            "correspondent": "30101810400000000601",
        },
        "uin": "20МВ875415-07-1051",
        "link": None,
        "template": None,
        "bill": {"period": "2026-10", "due_total": 120000},
        "warnings": [],
    }
    assert (await scan(region, BILL, role="operator")).content == answer.content


async def test_warnings_tell_how_code_and_books_differ(region: Gateway) -> None:
    paid = await region.pay(payment(amount=20000))
    assert paid.status == 201
    told = (await scan(region, BILL.replace("=1026", "=092026"))).json
    assert told["bill"] == {"period": "2026-10", "due_total": 100000}
    assert told["warnings"] == ["amount_differs", "period_differs"]
    told = (await scan(region, BILL.replace("220012345", "1").replace("=120000", "=1200,00"))).json
    assert (told["amount"], told["bill"]) == (120000, None)
    assert told["warnings"] == ["sum_in_roubles", "account_unknown"]
    told = (await scan(region, BILL.replace("|PersAcc=220012345", ""))).json
    assert told["warnings"] == ["subscriber_account_missing"]


async def test_links_and_barcodes_are_told_apart(region: Gateway) -> None:
    told = (await scan(region, DYNAMIC)).json
    assert (told["kind"], told["amount"], told["bill"]) == ("sbp_link", 12300, None)
    assert told["link"] == {
        "id": "BD20001KFVL3DTB188K8MHAE2JQ5L627",
        "kind": "dynamic",
        "member": "100000000004",
    }
    told = (await scan(region, "7707083893L220012345S120000")).json
    assert (told["kind"], told["template"]) == ("barcode", "sber")
    assert (told["subscriber_account"], told["amount"]) == ("220012345", 120000)
    assert (told["payee"]["inn"], told["bill"]["due_total"]) == ("7707083893", 120000)
    told = (await scan(region, "351100010534")).json
    assert (told["template"], told["subscriber_account"]) == ("tomsk", "001053")


@pytest.mark.parametrize(
    ("payload", "status", "code"),
    [
        (DYNAMIC.replace("12300", "12301"), 422, "qr_crc_mismatch"),
        (f"{LINK}&sum=1", 422, "qr_invalid"),
        ("hello", 422, "qr_invalid"),
        ("", 422, "qr_invalid"),
        ("ST00012|", 422, "qr_invalid"),
        ("351100010535", 422, "qr_invalid"),
        (f"{BILL}|Purpose=карта 4111 1111 1111 1111", 422, "pan_not_allowed"),
        (7, 400, "malformed"),
        (None, 400, "malformed"),
    ],
)
async def test_refused_payloads(gateway: Gateway, payload: object, status: int, code: str) -> None:
    answer = await scan(gateway, payload)
    assert (answer.status, answer.code) == (status, code)
    assert b"4111" not in answer.content


async def test_who_may_scan(gateway: Gateway) -> None:
    for role, status in (("auditor", 403), ("approver", 403), ("operator", 200)):
        assert (await scan(gateway, DYNAMIC, role=role)).status == status


@pytest.mark.parametrize("kind", ["png", "jpeg"])
async def test_a_picture_is_read_as_its_payload_is(region: Gateway, kind: str) -> None:
    answer = await scan_picture(region, drawn(BILL, kind), f"image/{kind}")
    assert answer.status == 200, answer.content
    assert answer.content == (await scan(region, BILL)).content
    # As curl sends a file nobody named.
    nameless = await scan_picture(region, drawn(BILL, kind), "application/x-www-form-urlencoded")
    assert nameless.content == answer.content


async def test_a_page_of_codes_is_answered_by_the_bills(region: Gateway) -> None:
    page = Image.new("L", (1400, 900), 255)
    page.paste(Image.open(io.BytesIO(drawn(DYNAMIC))), (20, 20))
    page.paste(Image.open(io.BytesIO(drawn(BILL))), (500, 20))
    linear = zxingcpp.create_barcode("7707083893L220012345S120000", zxingcpp.BarcodeFormat.Code128)
    page.paste(Image.fromarray(linear.to_image(scale=3)), (20, 700))
    content = io.BytesIO()
    page.save(content, "png")
    told = (await scan_picture(region, content.getvalue())).json
    assert (told["kind"], told["warnings"]) == ("bill_qr", ["several_codes"])


async def test_pictures_without_a_code_or_that_are_none(gateway: Gateway) -> None:
    blank = io.BytesIO()
    Image.new("L", (300, 300), 255).save(blank, "png")
    assert (await scan_picture(gateway, blank.getvalue())).code == "qr_invalid"
    assert (await scan_picture(gateway, drawn(f"{LINK}&sum=1&cur=RUB&crc=0000"))).code == (
        "qr_crc_mismatch"
    )
    for broken in (b"", b"hello", drawn(BILL)[:200], drawn(BILL, "jpeg")[:900]):
        answer = await scan_picture(gateway, broken)
        assert (answer.status, answer.code) == (400, "malformed")


async def test_bounds_of_bytes_and_pixels_hold(database_url: str) -> None:
    async with served(database_url, image_bytes_max=20_000, image_pixels_max=250_000) as gateway:
        content = io.BytesIO()
        Image.new("L", (501, 500), 255).save(content, "png")
        answer = await scan_picture(gateway, content.getvalue())
        assert (answer.status, answer.code) == (413, "body_too_large")
        answer = await scan_picture(gateway, b"\x89PNG\r\n\x1a\n" + bytes(20_000))
        assert (answer.status, answer.code) == (413, "body_too_large")


async def test_more_pictures_than_may_wait_are_refused(database_url: str) -> None:
    async with served(database_url) as gateway:
        answers = await asyncio.gather(
            *(scan_picture(gateway, drawn(DYNAMIC)) for _ in range(PLACES_MAX * 3))
        )
        statuses = {answer.status for answer in answers}
        assert statuses == {200, 503}
        assert all(answer.code == "overloaded" for answer in answers if answer.status == 503)
        assert (await scan_picture(gateway, drawn(DYNAMIC))).status == 200


async def test_a_payment_that_a_bank_took_through_sbp(region: Gateway) -> None:
    method = {"type": "qr", "payload": DYNAMIC, "operation_id": "A6330"}
    answer = await region.pay(payment(method=method))
    assert answer.status == 201, answer.content
    assert answer.json["state"] == "accepted"
    assert answer.json["method"] == {
        "type": "qr",
        "operation_id": "A6330",
        "link_id": "BD20001KFVL3DTB188K8MHAE2JQ5L627",
        "link_kind": "dynamic",
        "link_bank": "100000000004",
        "link_amount_kopecks": "12300",
    }
    for payload, code in (
        (DYNAMIC.replace("12300", "12301"), "qr_crc_mismatch"),
        (LINK, "qr_invalid"),
    ):
        refused = await region.pay(payment(method={**method, "payload": payload}))
        assert (refused.status, refused.code) == (422, code)
    without = payment(method=method, subscriber_account=...)
    assert (await region.pay(without)).code == "malformed"


async def test_the_code_of_a_bill_is_read_back_as_it_was_put_in(region: Gateway) -> None:
    path = "/v1/bills/220012345/qr"
    text = await region.send("GET", f"{path}?format=text", role="acquirer")
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert text.content.decode().startswith(
        "ST00012|Name=ПРОБНЫЙ РЕЖИМ: расчетный центр не зарегистрирован"
        "|PersonalAcc=40821810700000000000|BankName=БИК 044525225|BIC=044525225"
        "|CorrespAcc=30101810400000000225|Sum=120000|PersAcc=220012345|PaymPeriod=102026|"
    )
    picture = await region.send("GET", f"{path}?format=png", role="operator")
    assert picture.headers["Content-Type"] == "image/png"
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture.content)).convert("L"))
    assert found.bytes == text.content
    told = (await scan_picture(region, picture.content)).json
    assert (told["subscriber_account"], told["amount"]) == ("220012345", 120000)
    assert (told["period"], told["warnings"]) == ("2026-10", [])
    drawing = await region.send("GET", path, role="auditor")
    assert drawing.headers["Content-Type"] == "image/svg+xml"
    assert drawing.content.lstrip().startswith((b"<?xml", b"<svg"))


async def test_the_code_of_a_bill_names_the_centre_and_what_is_left(region: Gateway) -> None:
    number = account_with_key("40821810000000000001", BIC)
    centre = recipient("heat", name="АО | Центр", kind="centre") | {
        "kpp": "222401001",
        "bank_account": {"bic": BIC, "number": number, "bank_name": "Отделение № 8644"},
    }  # fmt: skip
    put = await region.send("PUT", "/v1/recipients/centre", centre, role="operator")
    assert put.status == 200, put.content
    assert (await region.pay(payment(amount=120000))).status == 201
    text = await region.send("GET", "/v1/bills/220012345/qr?format=text", role="acquirer")
    head = f"ST00012#Name=АО | Центр#PersonalAcc={number}#BankName=Отделение № 8644#BIC={BIC}"
    assert text.content.decode().startswith(
        f"{head}#CorrespAcc=0#PersAcc=220012345#PaymPeriod=102026#"
    )
    assert "#KPP=222401001#" in text.content.decode()


async def test_no_code_of_no_bill(gateway: Gateway) -> None:
    answer = await gateway.send("GET", "/v1/bills/1/qr", role="acquirer")
    assert (answer.status, answer.code) == (404, "not_found")
    answer = await gateway.send("GET", "/v1/bills/1/qr?format=gif", role="acquirer")
    assert (answer.status, answer.code) == (400, "malformed")


async def test_a_centres_own_barcode(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "barnaul.toml").write_text(
        'name = "barnaul"\n[[fields]]\nmeans = "text"\ntext = "22"\n'
        '[[fields]]\nmeans = "subscriber_account"\nlength = 9\n'
        '[[fields]]\nmeans = "period"\nlength = 4\n'
    )
    async with served(database_url, barcode_templates=tmp_path) as gateway:
        told = (await scan(gateway, "222200123451026")).json
    assert (told["template"], told["subscriber_account"]) == ("barnaul", "220012345")
    assert told["period"] == "2026-10"
