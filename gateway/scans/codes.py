"""What is asked of the process that looks at pictures and draws codes, and what it answers.

Light: a worker asks without loading what decodes pictures.
"""

import struct
from typing import Final

from msgspec import Struct

PNG_START: Final = b"\x89PNG\r\n\x1a\n"
JPEG_START: Final = b"\xff\xd8\xff"
SVG: Final = "svg"
PNG: Final = "png"
FRAME: Final = struct.Struct(">I")
"""Before each request and answer (MessagePack): its length."""


class Code(Struct, frozen=True):
    """One code of a picture: the kind of symbol (`QRCode`, `Code128`, …) and the bytes in it."""

    symbology: str
    content: bytes


class Request(Struct, frozen=True):
    """A picture to find codes in, or a text to draw in a form: SVG or PNG."""

    content: bytes
    pixels_max: int = 0
    form: str | None = None


class Answer(Struct, frozen=True):
    """Codes of a picture, a drawing, or a refusal's code and detail."""

    codes: list[Code] = []
    drawn: bytes = b""
    refused: tuple[str, str] | None = None


def is_picture(content: bytes) -> bool:
    """Whether the first bytes are those of a PNG or a JPEG."""
    return content.startswith((PNG_START, JPEG_START))
