"""Bytes or text of a scanned code → the bill's text, though its encoding is told wrongly.

Bills are printed by hundreds of programs: the encoding digit lies, scanners hand UTF-8 over as
Latin-1, and apps wrap the payload in base64.
"""

import base64
import binascii
import re
from itertools import pairwise
from typing import Final

_ENCODING_DIGIT: Final = slice(6, 7)
_DECLARED: Final = {b"1": "cp1251", b"2": "utf-8", b"3": "koi8-r"}
_SINGLE_BYTE: Final = ("cp1251", "koi8-r")
_CYRILLIC: Final = re.compile("[А-Яа-яЁё]")
_HEADER_BASE64: Final = ("U1QwMDAx", "77u/U1QwMDAx", "77u_U1QwMDAx")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_BOM: Final = "\ufeff"
_BOM_UTF8: Final = b"\xef\xbb\xbf"

# The ten commonest letters make two thirds of any Russian text, and a third of one that was
# read in a wrong encoding; so does a capital after a small letter tell a wrong one.
_FREQUENT_LETTERS: Final = frozenset("оеаинтсрвл")


def unwrap(payload: str | bytes) -> str | bytes:
    """The payload without blanks and BOM around it, taken out of base64 if it is in it."""
    if isinstance(payload, bytes):
        trimmed = payload.strip().removeprefix(_BOM_UTF8).strip()
        head = trimmed[: max(map(len, _HEADER_BASE64))]
        if not head.startswith(tuple(start.encode() for start in _HEADER_BASE64)):
            return trimmed
        return _from_base64(trimmed.decode("latin-1")) or trimmed
    text = payload.strip().removeprefix(_BOM).strip()
    return (_from_base64(text) if text.startswith(_HEADER_BASE64) else None) or text


def decode(raw: bytes) -> tuple[str, str, bool]:
    """Text, the encoding it was read by, and whether its header declares another.

    Strict UTF-8 first: no text of the two others passes for it by chance. Then the declared
    one, unless another reads as better Russian.
    """
    declared = _DECLARED.get(raw[_ENCODING_DIGIT])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return text, "utf-8", declared != "utf-8" and not text.isascii()
    candidates = sorted(_SINGLE_BYTE, key=lambda name: name != declared)
    texts = {name: raw.decode(name, errors="replace") for name in candidates}
    # max() keeps the first of equals: the declared encoding, then cp1251.
    best = max(candidates, key=lambda name: _likeness_to_russian(texts[name]))
    return texts[best], best, best != declared


def repair(text: str) -> tuple[str, str, bool]:
    """Text that came decoded, mended where a scanner read its bytes as Latin-1 (its default).

    The same three answers as `decode`; the encoding is `text` where nothing was to mend.
    """
    try:
        raw = b"" if text.isascii() else text.encode("latin-1")
    except UnicodeEncodeError:
        raw = b""
    if raw:
        mended, encoding, mislabelled = decode(raw)
        if _CYRILLIC.search(mended):
            return mended, encoding, mislabelled
    return text, "text", False


def _from_base64(text: str) -> bytes | None:
    compact = "".join(text.split())
    if _BASE64.fullmatch(compact) is None:
        return None
    standard = compact.rstrip("=").translate(_URL_SAFE)
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4)).removeprefix(_BOM_UTF8)
    except binascii.Error:
        return None


def _likeness_to_russian(text: str) -> float:
    foreign = [c for c in text if not c.isascii()]
    if not foreign:
        return 0.0
    frequent = sum(c.lower() in _FREQUENT_LETTERS for c in foreign)
    swapped = sum(before.islower() and after.isupper() for before, after in pairwise(text))
    return (frequent - swapped) / len(foreign)
