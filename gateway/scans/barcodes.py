"""A template: what stands where in a linear barcode, and which rule its check digits obey.

A template is data (TOML), as every region prints barcodes of its own. A code that is of no
template is refused; what a template reads is what it names and nothing else.
"""

import re
import tomllib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.domain.bill import SUBSCRIBER_ACCOUNT
from gateway.domain.requisites import check_inn

TEMPLATE_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
CODE_LENGTH_MAX: Final = 128
AMOUNT_DIGITS_MAX: Final = 15
_FIELDS_MAX: Final = 20
_SIGNS: Final = {"digits": "[0-9]", "letters": "[A-Za-z]", "any": "[!-~]"}

Length = Annotated[int, Meta(ge=1, le=CODE_LENGTH_MAX)]
Meaning = Literal["text", "subscriber_account", "amount", "payee_inn", "period", "check", "other"]
Weight = Annotated[int, Meta(ge=0, le=1_000)]


class TemplateMisfit(ValueError):
    """A descriptor that describes no template; the message says what was expected."""


class Field(Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of the code. `text` is what stands there for all codes; anything else has a length,
    or bounds of one. `unit` is of an amount, `order` of a period.
    """

    means: Meaning
    text: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    length: Length | None = None
    length_min: Length | None = None
    length_max: Length | None = None
    signs: Literal["digits", "letters", "any"] = "digits"
    unit: Literal["kopecks", "roubles"] = "kopecks"
    order: Literal["MMYY", "YYMM", "MMYYYY", "YYYYMM"] = "MMYY"


class Check(Struct, frozen=True, forbid_unknown_fields=True):
    """The digits of the other fields, in order, each times its weight, are added up; what is left
    of the sum by `modulus` is the check (10 is written as `ten`), or with `complement` what is
    missing to it.
    """

    weights: Annotated[list[Weight], Meta(min_length=1, max_length=CODE_LENGTH_MAX)]
    modulus: Annotated[int, Meta(ge=2, le=1_000_000)]
    complement: bool = False
    ten: Annotated[int, Meta(ge=0, le=9)] = 0


class Descriptor(Struct, frozen=True, forbid_unknown_fields=True):
    """A template as it is written. Without `symbologies` it is tried on every kind of barcode."""

    name: str
    fields: Annotated[list[Field], Meta(min_length=1, max_length=_FIELDS_MAX)]
    symbologies: list[str] = []
    check: Check | None = None


class Reading(Struct, frozen=True):
    """What a template reads in a code. `warnings`: payee_inn where its check digits do not hold."""

    template: str
    subscriber_account: str | None
    amount_kopecks: int | None
    payee_inn: str | None
    period: str | None
    warnings: tuple[str, ...]


class Template:
    """A descriptor, ready to read codes with."""

    def __init__(self, descriptor: Descriptor) -> None:
        """Raises TemplateMisfit."""
        _check_descriptor(descriptor)
        self.name = descriptor.name
        self._told = descriptor
        self._pattern = re.compile("".join(map(_pattern_of, descriptor.fields)), re.ASCII)

    def read(self, code: str, symbology: str | None) -> Reading | None:
        """What the code says, None where it is of another template.

        `symbology` is None where a scanner hands over the text alone.
        """
        told = self._told
        if symbology is not None and told.symbologies and symbology not in told.symbologies:
            return None
        match = self._pattern.fullmatch(code) if len(code) <= CODE_LENGTH_MAX else None
        if match is None:
            return None
        pieces = list(zip(told.fields, match.groups(), strict=True))
        if told.check is not None and not _check_holds(told.check, pieces):
            return None
        by_meaning: dict[str, str] = {}
        for piece, text in pieces:
            by_meaning[piece.means] = by_meaning.get(piece.means, "") + text
        account = by_meaning.get("subscriber_account")
        if account is not None and not SUBSCRIBER_ACCOUNT.fullmatch(account):
            return None
        periods = [_period(text, piece.order) for piece, text in pieces if piece.means == "period"]
        if None in periods:
            return None
        inn = by_meaning.get("payee_inn")
        return Reading(
            template=self.name,
            subscriber_account=account,
            amount_kopecks=_amount(pieces),
            payee_inn=inn,
            period=periods[0] if periods else None,
            warnings=("payee_inn",) if inn is not None and not check_inn(inn) else (),
        )


def read_template(content: bytes) -> Template:
    """The template that a descriptor describes; raises TemplateMisfit."""
    try:
        return Template(msgspec.convert(tomllib.loads(content.decode()), Descriptor))
    except TemplateMisfit:
        raise
    except (ValueError, RecursionError) as misfit:
        raise TemplateMisfit(str(misfit).partition("\n")[0]) from None


def _check_descriptor(told: Descriptor) -> None:
    if TEMPLATE_NAME.fullmatch(told.name) is None:
        raise TemplateMisfit("Expected name as a-z 0-9 _ -")
    for piece, following in zip(told.fields, [*told.fields[1:], None], strict=True):
        _check_field(piece, following)
    meanings = [piece.means for piece in told.fields]
    for once in ("amount", "payee_inn", "period", "check"):
        if meanings.count(once) > 1:
            raise TemplateMisfit(f"Expected one field of {once} at most")
    if "subscriber_account" not in meanings:
        raise TemplateMisfit("Expected a field of subscriber_account")
    if ("check" in meanings) != (told.check is not None):
        raise TemplateMisfit("Expected both a field of check and the rule, or neither")


def _check_field(piece: Field, following: Field | None) -> None:
    if piece.means == "text":
        if piece.text is None or not piece.text.isascii():
            raise TemplateMisfit("Expected text in a field of text")
        return
    if piece.text is not None:
        raise TemplateMisfit("Expected text only in fields of text")
    least, most = _lengths(piece)
    if least > most:
        raise TemplateMisfit("Expected length_min <= length_max")
    if piece.means in ("amount", "payee_inn", "period", "check") and piece.signs != "digits":
        raise TemplateMisfit(f"Expected signs digits in a field of {piece.means}")
    if piece.means == "amount" and most > AMOUNT_DIGITS_MAX:
        raise TemplateMisfit(f"Expected an amount of at most {AMOUNT_DIGITS_MAX} digits")
    if piece.means == "period" and (least, most) != (len(piece.order),) * 2:
        raise TemplateMisfit("Expected a period as long as its order")
    if least == most or following is None:
        return
    # So that no code can be read in two ways, nor slowly.
    if following.text is None or re.match(_SIGNS[piece.signs], following.text):
        raise TemplateMisfit("Expected behind a field of several lengths a text of other signs")


def _lengths(piece: Field) -> tuple[int, int]:
    if piece.length is not None:
        if piece.length_min is not None or piece.length_max is not None:
            raise TemplateMisfit("Expected length, or length_min and length_max")
        return piece.length, piece.length
    if piece.length_min is None or piece.length_max is None:
        raise TemplateMisfit("Expected length, or length_min and length_max")
    return piece.length_min, piece.length_max


def _pattern_of(piece: Field) -> str:
    if piece.text is not None:
        return f"({re.escape(piece.text)})"
    least, most = _lengths(piece)
    return f"({_SIGNS[piece.signs]}{{{least},{most}}})"


def _check_holds(rule: Check, pieces: list[tuple[Field, str]]) -> bool:
    told = "".join(text for piece, text in pieces if piece.means == "check")
    others = "".join(text for piece, text in pieces if piece.means != "check")
    digits = [int(sign) for sign in others if sign.isdigit()]
    if len(digits) != len(rule.weights):
        return False
    left = sum(digit * weight for digit, weight in zip(digits, rule.weights, strict=True))
    left %= rule.modulus
    if rule.complement:
        left = (rule.modulus - left) % rule.modulus
    if left == 10 and len(told) == 1:
        left = rule.ten
    return int(told) == left


def _amount(pieces: list[tuple[Field, str]]) -> int | None:
    for piece, text in pieces:
        if piece.means == "amount":
            return int(text) * (100 if piece.unit == "roubles" else 1)
    return None


def _period(text: str, order: str) -> str | None:
    """`YYYY-MM` of this century; None for another, or no month."""
    at = order.index("MM")
    month, year = text[at : at + 2], text[:at] + text[at + 2 :]
    if not 1 <= int(month) <= 12 or (len(year) == 4 and not year.startswith("20")):
        return None
    return f"20{year[-2:]}-{month}"
