"""What a way to pay tells about a payment, and the strict reading of its fields.

Errors here name fields, never their values: a value may be a card number.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from gateway.domain.payment import SealedToken
from gateway.domain.refusals import Refusal
from gateway.methods.pan import contains_pan, has_enough_digits

# Numbers that a bank or a billing centre issues. One 16-digit number in a hundred passes for a
# card, and a payment already taken must not be refused by that chance.
ISSUED_IDENTIFIERS: Final = frozenset(
    {"rrn", "operation_id", "terminal", "reference", "subscriber_account"}
)
VALUES_MAX: Final = 256
TEXT_LENGTH_MAX: Final = 4096

PRINTABLE: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")

_VISIBLE_ASCII: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")


class MethodFacts(Struct, frozen=True):
    """One way to pay, normalised.

    `facts` is kept with the payment; `subscriber_account` is set where the method itself names
    it; `warnings` are codes from closed lists, fit for metrics and logs. A wallet's `token` is
    sealed; what it says becomes facts once it is opened.
    """

    type: str
    network: str | None = None
    facts: dict[str, str] = {}
    subscriber_account: str | None = None
    warnings: tuple[str, ...] = ()
    token: SealedToken | None = None


def refuse_card_numbers(method: Mapping[str, object], unchecked: frozenset[str]) -> None:
    """Refusal pan_not_allowed where a full card number stands anywhere but in `unchecked`.

    Looks into nested values too, VALUES_MAX of TEXT_LENGTH_MAX: Refusal method_invalid beyond.
    """
    if _is_short_and_harmless(method):
        return
    waiting: list[object] = [*method]
    waiting += [value for key, value in method.items() if key not in unchecked]
    taken = 0
    while waiting:
        value = waiting.pop()
        taken += 1
        if taken + len(waiting) > VALUES_MAX:
            raise Refusal("method_invalid", f"Expected at most {VALUES_MAX} values in method")
        if isinstance(value, (str, int, float)):
            _refuse_card_number(value)
        elif isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += value


def _is_short_and_harmless(method: Mapping[str, object]) -> bool:
    """Whether the method is a few short texts with too few digits for a card: nearly all are.

    One search instead of a walk, a quarter of its time. A line feed parts no digits of one card.
    """
    try:
        told = "\n".join([*method, *method.values()])  # type: ignore[list-item]
    except TypeError:
        return False
    return len(told) <= VALUES_MAX and not has_enough_digits(told)


def _refuse_card_number(value: str | int | float) -> None:
    if isinstance(value, int) and value.bit_length() > 64:
        return  # Longer than any card number, and str() refuses the longest.
    text = value if isinstance(value, str) else str(value)
    if len(text) > TEXT_LENGTH_MAX:
        raise Refusal("method_invalid", f"Expected values of at most {TEXT_LENGTH_MAX} characters")
    if contains_pan(text):
        raise Refusal("pan_not_allowed", "Expected no full card number in method, was one")


class Text(Struct, frozen=True):
    """How a field is written: at most so long, and visible ASCII unless another shape is given."""

    length_max: int
    shape: re.Pattern[str] = _VISIBLE_ASCII


def texts_of(method: Mapping[str, object], fields: Mapping[str, Text]) -> dict[str, str]:
    """What the method tells of these fields, in their order; its type is not among them.

    Refusal method_invalid for another key, or a value of another kind, length or shape.
    """
    texts = {}
    for name, field in fields.items():
        value = method.get(name)
        if type(value) is str and len(value) <= field.length_max and field.shape.fullmatch(value):
            texts[name] = value
    if len(texts) != len(method) - 1:
        raise Refusal("method_invalid", _misfit(method, fields))
    return texts


def _misfit(method: Mapping[str, object], fields: Mapping[str, Text]) -> str:
    for name, field in fields.items():
        if name not in method:
            continue
        value = method[name]
        if type(value) is not str:
            return f"Expected method.{name} a string, was {_kind(value)}"
        if not 1 <= len(value) <= field.length_max:
            return f"Expected method.{name} of 1..{field.length_max} characters, was {len(value)}"
        if field.shape.fullmatch(value) is None:
            return f"Expected method.{name} of its shape, was other characters"
    names = ", ".join(sorted({"type", *fields}))
    return f"Expected only {names} in this method, was another key"


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "a boolean", int: "a number", float: "a number", list: "an array"}.get(
        type(value), "an object"
    )
