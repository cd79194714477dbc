"""Pictures from strangers: codes are found, bombs are refused before anything is decoded."""

import io
import struct
import tracemalloc
import zlib

import pytest
import segno
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gateway.domain.refusals import Refusal
from gateway.scans.codes import JPEG_START, PNG_START, Code
from gateway.scans.drawing import draw
from gateway.scans.pictures import CODES_MAX, codes_in, size_of

PIXELS = 4_000_000
TEXT = "ST00012|Name=ООО «Три кита»|PersAcc=220012345|Sum=100000".encode()


def saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **how)
    return content.getvalue()


def code_picture(text: bytes = TEXT) -> Image.Image:
    content = io.BytesIO()
    segno.make_qr(text, mode="byte").save(content, kind="png", scale=4)
    return Image.open(content)


def chunk(name: bytes, content: bytes) -> bytes:
    told = name + content
    return struct.pack(">I", len(content)) + told + struct.pack(">I", zlib.crc32(told))


def png(width: int, height: int, *others: bytes, data: bytes = b"", depth: int = 1) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0))
    return PNG_START + head + b"".join(others) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refused(content: bytes, pixels_max: int = PIXELS) -> str:
    with pytest.raises(Refusal) as caught:
        codes_in(content, pixels_max)
    return caught.value.code


@pytest.mark.parametrize(
    "content",
    [
        saved(code_picture(), "png"),
        saved(code_picture().convert("L"), "png"),
        saved(code_picture().convert("RGB"), "png"),
        saved(code_picture().convert("P"), "png"),
        saved(code_picture().convert("RGB"), "jpeg"),
        saved(code_picture().convert("L"), "jpeg", progressive=True),
        saved(code_picture().convert("CMYK"), "jpeg"),
        saved(code_picture().rotate(90, expand=True), "png"),
        saved(code_picture().convert("L").rotate(17, expand=True, fillcolor=255), "jpeg"),
    ],
)
def test_a_code_is_found_in_any_usual_picture(content: bytes) -> None:
    assert codes_in(content, PIXELS) == [Code("QRCode", TEXT)]


def test_what_is_transparent_is_paper() -> None:
    drawing = code_picture().convert("L")
    seen = Image.new("RGBA", drawing.size, (0, 0, 0, 0))
    seen.paste((0, 0, 0, 255), mask=drawing.point(lambda gray: 255 - gray))
    assert codes_in(saved(seen, "png"), PIXELS) == [Code("QRCode", TEXT)]


@pytest.mark.parametrize("symbology", ["Code128", "Code39", "ITF"])
def test_linear_codes_are_found(symbology: str) -> None:
    digits = "351100010534"
    format_ = getattr(zxingcpp.BarcodeFormat, symbology)
    picture = Image.fromarray(zxingcpp.create_barcode(digits, format_).to_image(scale=3))
    assert codes_in(saved(picture, "png"), PIXELS) == [Code(symbology, digits.encode())]


def test_a_row_of_a_square_code_is_no_linear_code() -> None:
    """The bill of this picture has a row of modules that reads as ITF 2353."""
    text = (
        "ST00012|Name=J|PersonalAcc=40702000500000000000|BankName=1jĴâN|BIC=040173604"
        "|CorrespAcc=30101810200000000604|Sum=114|PersAcc=0000001|PaymPeriod=012000"
        "|PayeeINN=0100000004|Purpose=-|TechCode=02"
    ).encode()
    drawn = draw(text, "png")
    seen = [code.format.name for code in zxingcpp.read_barcodes(Image.open(io.BytesIO(drawn)))]
    assert seen == ["QRCode", "ITF"]
    assert codes_in(drawn, PIXELS) == [Code("QRCode", text)]


def test_a_linear_code_beside_a_square_one_is_kept() -> None:
    linear = zxingcpp.create_barcode("2200123450", zxingcpp.BarcodeFormat.ITF)
    bars = Image.fromarray(linear.to_image(scale=3))
    square = code_picture().convert("L")
    page = Image.new("L", (square.width + bars.width + 90, square.height + 90), 255)
    page.paste(square, (30, 30))
    page.paste(bars, (square.width + 60, 30))
    assert sorted(code.symbology for code in codes_in(saved(page, "png"), PIXELS)) == [
        "ITF",
        "QRCode",
    ]


def test_a_page_of_many_codes_is_answered_in_part() -> None:
    page = Image.new("L", (1000, 1000), 255)
    for at in range(25):
        one = code_picture(b"PersAcc=%d" % at).resize((150, 150))
        page.paste(one, (at % 5 * 200, at // 5 * 200))
    assert len(codes_in(saved(page, "png"), PIXELS)) == CODES_MAX


def test_bombs_are_refused_before_they_are_decoded() -> None:
    black = zlib.compress(bytes(12_500_000), 9)
    bombs = [
        png(10_000, 10_000, data=black),
        png(2**31 - 1, 2**31 - 1),
        png(0, 10),
        JPEG_START + b"\xc0\x00\x11\x08\xff\xff\xff\xff\x03" + bytes(9),
        JPEG_START + b"\xc2\x00\x11\x08\x00\x00\xff\xff\x03" + bytes(9),
    ]
    tracemalloc.start()
    try:
        for bomb in bombs:
            assert refused(bomb) == "body_too_large"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_texts_packed_into_a_png_are_never_unpacked() -> None:
    packed = b"a\x00\x00" + zlib.compress(bytes(50_000_000), 9)
    drawing = saved(code_picture(), "png")
    head_end = len(PNG_START) + 25
    content = drawing[:head_end] + chunk(b"zTXt", packed) * 20 + drawing[head_end:]
    tracemalloc.start()
    try:
        assert codes_in(content, PIXELS) == [Code("QRCode", TEXT)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_more_data_than_the_head_tells_is_not_unpacked() -> None:
    tracemalloc.start()
    try:
        content = png(8, 8, data=zlib.compress(bytes(100_000_000), 9))
        tracemalloc.reset_peak()
        assert codes_in(content, PIXELS) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    drawing = saved(code_picture().convert("L"), "jpeg", progressive=True)
    at = drawing.rindex(b"\xff\xda")
    scan = drawing[at:-2]
    assert refused(drawing[:-2] + scan * 100 + b"\xff\xd9") == "malformed"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"GIF89a" + bytes(100), b"<svg/>", PNG_START, JPEG_START, JPEG_START + b"\xff" * 99,
        PNG_START + chunk(b"IDAT", b""), png(8, 8, data=b"no zlib"), png(8, 8, depth=3),
        png(8, 8)[:-12], png(8, 8, data=zlib.compress(b"\0"))[:-20] + bytes(8),
        JPEG_START + b"\xc3\x00\x11\x08\x00\x08\x00\x08\x03" + bytes(9),
        JPEG_START + b"\xe0\x00\x00",
    ],
)  # fmt: skip
def test_what_is_no_picture_is_malformed(content: bytes) -> None:
    assert refused(content) == "malformed"


PICTURES = [saved(code_picture(), "png"), saved(code_picture().convert("L"), "jpeg")]


@given(st.sampled_from(PICTURES), st.data())
def test_a_damaged_picture_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        found = codes_in(cut, 1_000_000)
    except Refusal as refusal:
        told = refusal.code
    else:
        told = "" if len(found) <= CODES_MAX else "too many"
    assert told in ("", "malformed", "body_too_large")


@given(st.binary(max_size=300).map(lambda rest: JPEG_START + rest))
def test_any_head_of_a_jpeg_is_walked_to_an_end(content: bytes) -> None:
    try:
        width, height = size_of(content)
    except Refusal as refusal:
        width = height = 0 if refusal.code == "malformed" else -1
    assert 0 <= width < 65_536
    assert 0 <= height < 65_536
