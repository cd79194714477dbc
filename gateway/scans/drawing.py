"""A text as a printed QR code, by segno.

Level M of correction (15 %), raised where the same size holds more: paper is folded and stamped,
and the next level, Q, would make a bill's code a fifth wider. The version is the smallest that
holds the text. A module is half a millimetre, twice what cheap scanners resolve, and the margin
is four modules, as the standard has it; a PNG is for 300 dots an inch, six of them a module.
"""

import io
from typing import Final

import segno

from gateway.scans.codes import SVG

MODULE_MM: Final = 0.5
_DOTS: Final = 6
_DOTS_AN_INCH: Final = 300
_MARGIN_MODULES: Final = 4


def draw(text: bytes, form: str) -> bytes:
    """The code as SVG (sized in millimetres) or PNG. ValueError for more than a QR code holds."""
    code = segno.make_qr(text, mode="byte", error="m")
    drawn = io.BytesIO()
    if form == SVG:
        code.save(drawn, kind="svg", scale=MODULE_MM, unit="mm", border=_MARGIN_MODULES)
    else:
        code.save(drawn, kind="png", scale=_DOTS, dpi=_DOTS_AN_INCH, border=_MARGIN_MODULES)
    return drawn.getvalue()
