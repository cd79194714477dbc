"""Sums in Russian words, as acts are to say them (pure)."""

from typing import Final

_UNITS: Final = (
    *("", "один", "два", "три", "четыре", "пять", "шесть", "семь", "восемь", "девять", "десять"),
    *("одиннадцать", "двенадцать", "тринадцать", "четырнадцать", "пятнадцать", "шестнадцать"),
    *("семнадцать", "восемнадцать", "девятнадцать"),
)
_TENS: Final = (
    *("", "", "двадцать", "тридцать", "сорок", "пятьдесят", "шестьдесят", "семьдесят"),
    *("восемьдесят", "девяносто"),
)
_HUNDREDS: Final = (
    *("", "сто", "двести", "триста", "четыреста", "пятьсот", "шестьсот", "семьсот", "восемьсот"),
    "девятьсот",
)
_ROUBLES: Final = ("рубль", "рубля", "рублей")
_KOPECKS: Final = ("копейка", "копейки", "копеек")
# Thousands are feminine in Russian, all others masculine.
_THOUSANDS: Final = ("тысяча", "тысячи", "тысяч")
_POWERS: Final = (
    _THOUSANDS,
    ("миллион", "миллиона", "миллионов"),
    ("миллиард", "миллиарда", "миллиардов"),
    ("триллион", "триллиона", "триллионов"),
    ("квадриллион", "квадриллиона", "квадриллионов"),
)
_FEMININE: Final = {"один": "одна", "два": "две"}


def in_words(kopecks: int) -> str:
    """123456 kopecks as «Одна тысяча двести тридцать четыре рубля 56 копеек»; below 10^20."""
    roubles, rest = divmod(abs(kopecks), 100)
    words = " ".join(_whole(roubles)) or "ноль"
    sign = "минус " if kopecks < 0 else ""
    text = f"{sign}{words} {_form(roubles, _ROUBLES)} {rest:02d} {_form(rest, _KOPECKS)}"
    return text[0].upper() + text[1:]


def _whole(number: int) -> list[str]:
    words: list[str] = []
    for power in range(len(_POWERS), 0, -1):
        three = number // 1000**power % 1000
        if three:
            names = _POWERS[power - 1]
            words += [*_three(three, names is _THOUSANDS), _form(three, names)]
    return words + _three(number % 1000, feminine=False)


def _three(number: int, feminine: bool) -> list[str]:
    hundreds, rest = divmod(number, 100)
    tens, units = (0, rest) if rest < len(_UNITS) else divmod(rest, 10)
    last = _UNITS[units]
    words = (_HUNDREDS[hundreds], _TENS[tens], _FEMININE.get(last, last) if feminine else last)
    return [word for word in words if word]


def _form(number: int, forms: tuple[str, str, str]) -> str:
    """The noun after a number: 1 рубль, 2 рубля, 5 рублей, 11 рублей, 21 рубль."""
    if 11 <= number % 100 <= 14:
        return forms[2]
    last = number % 10
    return forms[0] if last == 1 else forms[1] if 2 <= last <= 4 else forms[2]
