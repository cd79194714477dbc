"""An SBP link (`https://qr.nspk.ru/…`): its syntax, its control sum and what it names.

Pure. A link names a payment and whose member bank made it; who paid, and whether, only that bank
can tell.
"""

import re
from binascii import crc_hqx
from typing import Final

from msgspec import Struct

from gateway.domain.refusals import Refusal
from gateway.methods.pan import contains_pan

LINK_LENGTH_MAX: Final = 512

DYNAMIC: Final = "dynamic"
"""One payment of a fixed sum."""
STATIC: Final = "static"
"""Many payments, each of the link's sum."""
STATIC_OR_CASH_REGISTER: Final = "static_or_cash_register"
"""Many payments, the sum told elsewhere. A cash-register link is a static one whose bank is told
the sum when it is activated; nothing in the link tells them apart."""

_PRODUCTION_HOST: Final = "qr.nspk.ru"
_HOST: Final = re.compile(r"https://[a-z0-9-]{1,32}\.nspk\.ru/", re.ASCII | re.IGNORECASE)
_LINK: Final = re.compile(
    r"https://([a-z0-9-]{1,32}\.nspk\.ru)/([0-9A-Za-z]{32})\?([0-9A-Za-z_=&.%~-]+)", re.ASCII
)
_HOST_LENGTH: Final = len("https://") + 32 + len(".nspk.ru")
_PARAMETERS: Final = {
    "type": re.compile("0[12]"),
    "bank": re.compile("[0-9]{12}|[0-9]{8}"),
    "sum": re.compile("[1-9][0-9]{0,11}"),
    "cur": re.compile("RUB"),
    "crc": re.compile("[0-9A-Fa-f]{4}"),
}
_NEEDED: Final = ("type", "bank", "crc")
_DYNAMIC_TYPE: Final = "02"
# Members have 12 digits; a sandbox makes links of a bank that is none, with a made-up crc.
_MEMBER_DIGITS: Final = 12
_CRC_START: Final = 0xFFFF


class SbpLink(Struct, frozen=True):
    """What a link says: `id` of 32 signs, `member` the number of the bank that made it.

    `kind` is DYNAMIC, STATIC or STATIC_OR_CASH_REGISTER. `warnings`: sbp_sandbox for a link that
    moves no money, whose crc is not checked; parameter_unknown.
    """

    id: str
    kind: str
    member: str
    sum_kopecks: int | None
    warnings: tuple[str, ...] = ()


def is_link(payload: str) -> bool:
    """Whether a scanned text is meant to be an SBP link, right or wrong."""
    return _HOST.match(payload.lstrip()) is not None


def parse(payload: str) -> SbpLink:
    """The link; Refusal qr_invalid for its syntax, qr_crc_mismatch where its crc does not hold,
    pan_not_allowed.
    """
    text = payload.strip()
    if len(text) > LINK_LENGTH_MAX:
        raise Refusal("qr_invalid", f"Expected a link of at most {LINK_LENGTH_MAX} characters")
    # Scheme and host are the same in any case; the rest is not, and the crc is of the text.
    slash = text.find("/", len("https://"), _HOST_LENGTH + 1)
    match = _LINK.fullmatch(text[:slash].lower() + text[slash:])
    if match is None:
        raise Refusal("qr_invalid", "Expected https://qr.nspk.ru/ID?type=…, was another link")
    host, id_, query = match.groups()
    told, warnings = _parameters(query)
    kopecks = int(told["sum"]) if "sum" in told else None
    if told["type"] == _DYNAMIC_TYPE:
        if kopecks is None:
            raise Refusal("qr_invalid", "Expected sum in a dynamic link, was absent")
        kind = DYNAMIC
    else:
        kind = STATIC_OR_CASH_REGISTER if kopecks is None else STATIC
    if host != _PRODUCTION_HOST or len(told["bank"]) != _MEMBER_DIGITS:
        warnings.append("sbp_sandbox")
    elif crc_of(text[: text.rindex("&crc=")]) != told["crc"].upper():
        raise Refusal("qr_crc_mismatch", "Expected the link's crc to hold, was another text's")
    return SbpLink(id_, kind, told["bank"], kopecks, tuple(warnings))


def crc_of(text: str) -> str:
    """The crc of the text before `&crc=`: CRC-16/CCITT-FALSE, four capital hexadecimal digits."""
    return f"{crc_hqx(text.encode(), _CRC_START):04X}"


def _parameters(query: str) -> tuple[dict[str, str], list[str]]:
    """Our parameters, each once and under the crc, and warnings of others."""
    told: dict[str, str] = {}
    unknown = False
    for part in query.split("&"):
        name, _, value = part.partition("=")
        shape = _PARAMETERS.get(name)
        if shape is None:
            if contains_pan(part):
                raise Refusal("pan_not_allowed", "Expected no full card number in a link, was one")
            unknown = True
            continue
        if name in told:
            raise Refusal("qr_invalid", f"Expected {name} once in the link, was twice")
        if "crc" in told:
            raise Refusal("qr_invalid", f"Expected {name} before the link's crc, was behind it")
        if shape.fullmatch(value) is None:
            raise Refusal("qr_invalid", f"Expected {name} of its form in the link, was another")
        told[name] = value
    for name in _NEEDED:
        if name not in told:
            raise Refusal("qr_invalid", f"Expected {name} in the link, was absent")
    return told, ["parameter_unknown"] if unknown else []
