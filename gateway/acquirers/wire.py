"""What acquirers write, read without loss: JSON whose numbers stay digits, sums, forms (pure).

Reads any bytes in bounded work. A reply that cannot be read is no answer, as the acquirer may have
done what it was asked all the same; a callback that cannot be read is refused.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Final, NoReturn
from urllib.parse import parse_qsl
from uuid import UUID

from gateway.acquirers.exchange import Reply
from gateway.acquirers.words import NoAnswer
from gateway.domain.refusals import Refusal

TEXT_MAX: Final = 255
URL_MAX: Final = 8_192
FIELDS_MAX: Final = 64
# Acquirers write moments by Moscow's clock, which has had no summer time since 2014.
MOSCOW: Final = timezone(timedelta(hours=3))

_KOPECKS: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_ROUBLES: Final = re.compile(r"([0-9]{1,13})(?:\.([0-9]{1,2})0{0,8})?", re.ASCII)
_ORDER: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)

JsonObject = Mapping[str, object]


class Digits(str):
    """A JSON number as it was written, so that neither a sum nor a signed text is rounded."""

    __slots__ = ()


def of_reply(reply: Reply) -> JsonObject:
    """The object that a reply is; raises NoAnswer."""
    try:
        return _read(reply.body)
    except (ValueError, RecursionError):
        raise NoAnswer(f"Expected a JSON object, was another reply of {reply.status}") from None


def of_callback(body: bytes) -> JsonObject:
    """The object that a callback is; Refusal malformed."""
    try:
        return _read(body)
    except (ValueError, RecursionError):
        raise Refusal("malformed", "Expected a JSON object") from None


def of_form(body: bytes) -> dict[str, str]:
    """The fields of a form or a query, each of which stands once; Refusal malformed."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), True, True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise Refusal("malformed", "Expected the fields of a form") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Refusal("malformed", "Expected every field once")
    return fields


def text(holder: JsonObject, name: str, length_max: int = TEXT_MAX) -> str | None:
    """A text or number by its name, as written; None for anything else, or one not fit to keep."""
    found = holder.get(name)
    if not isinstance(found, str) or not 1 <= len(found) <= length_max or not found.isprintable():
        return None
    return str(found)


def inner(holder: JsonObject, name: str) -> JsonObject:
    """An object within an object; an empty one where there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def objects(holder: JsonObject, name: str) -> list[JsonObject]:
    """The objects of a list within an object."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def kopecks(holder: JsonObject, name: str) -> int | None:
    """A sum written in kopecks; None where there is no such."""
    found = holder.get(name)
    if not isinstance(found, str) or _KOPECKS.fullmatch(found) is None:
        return None
    return int(found)


def roubles(holder: JsonObject, name: str) -> int | None:
    """Kopecks of a sum written in roubles; None where there is none, or it has half kopecks."""
    found = holder.get(name)
    parts = _ROUBLES.fullmatch(found) if isinstance(found, str) else None
    if parts is None:
        return None
    return int(parts[1]) * 100 + int((parts[2] or "").ljust(2, "0"))


def in_roubles(amount: int) -> str:
    """Kopecks as roubles with two digits after the point: 5 is `0.05`."""
    return f"{amount // 100}.{amount % 100:02}"


def order_id(number: str | None) -> UUID | None:
    """The order that an acquirer speaks of by its number; None for a number that is not ours."""
    if number is None or _ORDER.fullmatch(number) is None:
        return None
    return UUID(hex=number)


def moment(when: datetime) -> str:
    """A moment to the second with Moscow's offset: `2026-11-24T15:30:00+03:00`."""
    return when.astimezone(MOSCOW).isoformat(timespec="seconds")


def _read(body: bytes) -> JsonObject:
    found = json.loads(
        body.decode("utf-8"),
        parse_int=Digits,
        parse_float=Digits,
        parse_constant=_no_number,
        object_pairs_hook=_once,
    )
    if not isinstance(found, dict):
        raise ValueError("Expected an object")
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of two fields of one name a signature covers one and a reader may take the other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("Expected every field once")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"Expected a number, was {name}")
