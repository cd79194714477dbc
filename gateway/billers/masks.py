"""What of a payer a stranger at a terminal may see: enough to know one's own bill (pure).

Whoever types an account number is shown this, so it must not tell a name or a flat to strangers.
"""

import re
from collections.abc import Mapping
from typing import Final

_WORDS_MAX: Final = 3
_LENGTH_MAX: Final = 120
_SHORT: Final = 3
_NAME_KEYS: Final = ("name", "fio", "full_name")
_ADDRESS_KEYS: Final = ("address",)
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_DIGITS: Final = re.compile(r"\d+\w*")


def masked_payer(payer: object) -> tuple[str, str]:
    """Name and address of a bill's payer, masked; empty where it tells none.

    A payer that is one text is taken for a name.
    """
    if isinstance(payer, str):
        return masked_name(payer), ""
    if not isinstance(payer, Mapping):
        return "", ""
    return masked_name(_text(payer, _NAME_KEYS)), masked_address(_text(payer, _ADDRESS_KEYS))


def masked_name(text: str) -> str:
    """`Иванов Иван Иванович` as `И***в И. И.`; how long a word is stays untold."""
    first, *others = _LETTERS.findall(text[:_LENGTH_MAX])[:_WORDS_MAX] or [""]
    if not first:
        return ""
    end = first[-1] if len(first) > _SHORT else ""
    return " ".join([f"{first[0]}***{end}", *(f"{word[0]}." for word in others)])


def masked_address(text: str) -> str:
    """Town and street as they are, every number hidden: `ул. Ленина, д. *, кв. *`."""
    return _DIGITS.sub("*", text[:_LENGTH_MAX])


def _text(payer: Mapping[str, object], names: tuple[str, ...]) -> str:
    found = next((payer[name] for name in names if name in payer), "")
    return found if isinstance(found, str) else ""
