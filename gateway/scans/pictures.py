"""Codes in a PNG or JPEG, by zxing-cpp; sizes are read from the head before anything is decoded.

Runs in a process of its own (darkroom_process.py): whoever takes pictures from strangers has to be
able to drop what goes wrong with them.
"""

import io
import struct
from collections.abc import Sequence
from typing import Final

import zxingcpp
from PIL import Image

from gateway.domain.refusals import Refusal
from gateway.scans.codes import JPEG_START, PNG_START, Code

CODES_MAX: Final = 16
CODE_BYTES_MAX: Final = 4096

_SQUARE: Final = ("QRCode", "Aztec", "DataMatrix")
_FORMATS: Final = zxingcpp.barcode_formats_from_str(
    ",".join((*_SQUARE, "Code128,Code39,Code93,Codabar,EAN13,EAN8,UPCA,ITF"))
)
# What is needed to see the picture; texts, profiles and whatever else may be packed stay out.
_PNG_KEPT: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_PNG_CHUNKS_MAX: Final = 65_536
_PNG_HEAD_BYTES: Final = 13
_CHUNK_FRAME_BYTES: Final = 12
# Baseline, extended and progressive; lossless, hierarchical and arithmetic ones nobody sends.
_JPEG_FRAMES: Final = frozenset({0xC0, 0xC1, 0xC2})
_JPEG_NO_FRAMES: Final = frozenset({0xC4, 0xC8, 0xCC})
_JPEG_BARE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_JPEG_SCAN: Final = b"\xff\xda"
# A progressive picture has about ten; each costs as much as the whole picture.
_JPEG_SCANS_MAX: Final = 64


def codes_in(content: bytes, pixels_max: int) -> list[Code]:
    """The codes of a picture, at most CODES_MAX.

    Refusals: malformed for what is no whole PNG or JPEG, body_too_large above `pixels_max`.
    """
    picture = _gray(content, pixels_max)
    found = _without_phantoms(zxingcpp.read_barcodes(picture, formats=_FORMATS))
    return [
        Code(code.format.name, code.bytes)
        for code in found[:CODES_MAX]
        if 1 <= len(code.bytes) <= CODE_BYTES_MAX
    ]


def _without_phantoms(found: Sequence[zxingcpp.Barcode]) -> list[zxingcpp.Barcode]:
    """A row of modules of a square code can be read as bars: 4 digits of ITF at the least."""
    squares = [_bounds(code) for code in found if code.format.name in _SQUARE]
    return [
        code
        for code in found
        if code.format.name in _SQUARE
        or not any(_inside(_bounds(code), square) for square in squares)
    ]


def _bounds(code: zxingcpp.Barcode) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a code, pixels."""
    at = code.position
    corners = (at.top_left, at.top_right, at.bottom_right, at.bottom_left)
    across, down = [corner.x for corner in corners], [corner.y for corner in corners]
    return min(across), min(down), max(across), max(down)


def _inside(inner: tuple[int, int, int, int], outer: tuple[int, int, int, int]) -> bool:
    (left, top, right, bottom), bounds = inner, outer
    return bounds[0] <= left and bounds[1] <= top and right <= bounds[2] and bottom <= bounds[3]


def size_of(content: bytes) -> tuple[int, int]:
    """Width and height as the head of the picture tells them; Refusal malformed."""
    if content.startswith(PNG_START):
        return _png_size(content)
    if content.startswith(JPEG_START):
        return _jpeg_size(content)
    raise Refusal("malformed", "Expected a PNG or a JPEG picture")


def _gray(content: bytes, pixels_max: int) -> Image.Image:
    width, height = size_of(content)
    if not 1 <= width * height <= pixels_max:
        raise Refusal("body_too_large", f"Expected a picture of at most {pixels_max} pixels")
    is_png = content.startswith(PNG_START)
    if is_png:
        content = _bare_png(content)
    elif content.count(_JPEG_SCAN) > _JPEG_SCANS_MAX:
        raise Refusal("malformed", f"Expected a JPEG of at most {_JPEG_SCANS_MAX} scans")
    try:
        picture = Image.open(io.BytesIO(content), formats=["PNG" if is_png else "JPEG"])
        if picture.size != (width, height):
            raise Refusal("malformed", "Expected a picture of one size")
        # A JPEG is decoded to gray at once, a third of the memory.
        picture.draft("L", picture.size)
        if picture.has_transparency_data:
            paper = Image.new("RGBA", picture.size, "white")
            return Image.alpha_composite(paper, picture.convert("RGBA")).convert("L")
        return picture.convert("L")
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError):
        raise Refusal("malformed", "Expected a whole PNG or JPEG picture") from None


def _png_size(content: bytes) -> tuple[int, int]:
    start = len(PNG_START)
    head = content[start : start + 16]
    if len(head) < 16 or head[:8] != struct.pack(">I4s", _PNG_HEAD_BYTES, b"IHDR"):
        raise Refusal("malformed", "Expected a PNG that begins with its IHDR")
    width, height = struct.unpack(">II", head[8:])
    return width, height


def _bare_png(content: bytes) -> bytes:
    """The picture alone, without the chunks beside it."""
    kept = [PNG_START]
    at = len(PNG_START)
    for _ in range(_PNG_CHUNKS_MAX):
        frame = content[at : at + 8]
        if len(frame) < 8:
            break
        length, name = struct.unpack(">I4s", frame)
        end = at + _CHUNK_FRAME_BYTES + length
        if name in _PNG_KEPT:
            kept.append(content[at:end])
        if name == b"IEND":
            return b"".join(kept)
        at = end
    raise Refusal("malformed", "Expected a PNG that ends with its IEND")


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Walks the segments before the first scan; each step goes on by two bytes at least."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _JPEG_BARE:
            at += 2
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if marker in _JPEG_FRAMES and length >= 8 and at + 9 <= len(content):
            height, width = struct.unpack(">HH", content[at + 5 : at + 9])
            return width, height
        if length < 2 or _ends_the_head(marker):
            break
        at += 2 + length
    raise Refusal("malformed", "Expected a JPEG with a frame of a known kind")


def _ends_the_head(marker: int) -> bool:
    """A scan, an end, or a frame of a kind that is not taken."""
    return marker in (0xDA, 0xD9) or (0xC0 <= marker <= 0xCF and marker not in _JPEG_NO_FRAMES)
