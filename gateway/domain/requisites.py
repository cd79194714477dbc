"""Russian requisites: shapes and check digits of INN, KPP, BIC and bank accounts.

Only tells whether the digits hold together; whether a number was ever issued, no check digit
can say. Everything here takes text and never raises for a wrong one, whatever it is made of.
"""

import re

# `[0-9]` and fullmatch throughout: `\d` would take digits of other scripts and `$` a newline.
_INN = re.compile(r"[0-9]{10}(?:[0-9]{2})?")
_KPP = re.compile(r"[0-9]{4}[0-9A-Z]{2}[0-9]{3}")
_BIC = re.compile(r"04[0-9]{7}")
_BANK_ACCOUNT = re.compile(r"[1-9][0-9]{4}[0-9ABCEHKMPTX][0-9]{14}")

_INN10_WEIGHTS = (2, 4, 10, 3, 5, 9, 4, 6, 8)
_INN12_FIRST_WEIGHTS = (7, *_INN10_WEIGHTS)
_INN12_SECOND_WEIGHTS = (3, *_INN12_FIRST_WEIGHTS)

_ACCOUNT_WEIGHTS = (7, 1, 3)
_KEY_POSITION = 8
# A letter in position 6 stands for a currency of clearing accounts and counts as this digit.
_ACCOUNT_LETTERS = str.maketrans("ABCEHKMPTX", "0123456789")
_SETTLEMENT_CENTRES = ("000", "001", "002")
_CORRESPONDENT_ACCOUNT = "301"


def check_inn(text: str) -> bool:
    """Whether an INN of 10 (organisation) or 12 (person) digits has its own check digits."""
    if not inn_has_shape(text):
        return False
    return inn_with_check_digits(text[: _inn_bare_length(text)]) == text


def inn_has_shape(text: str) -> bool:
    """Whether the text is 10 or 12 digits of a region that exists (00 does not)."""
    return _INN.fullmatch(text) is not None and text[:2] != "00"


def inn_with_check_digits(digits: str) -> str:
    """9 digits become an INN of 10, 10 digits one of 12. ValueError for anything else."""
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (9, 10):
        raise ValueError("Expected 9 or 10 digits of an INN without its check digits")
    if len(digits) == len(_INN10_WEIGHTS):
        return digits + _inn_check_digit(digits, _INN10_WEIGHTS)
    eleven = digits + _inn_check_digit(digits, _INN12_FIRST_WEIGHTS)
    return eleven + _inn_check_digit(eleven, _INN12_SECOND_WEIGHTS)


def check_kpp(text: str) -> bool:
    """Whether the text is a KPP: tax office, reason (letters allowed), running number."""
    return _KPP.fullmatch(text) is not None


def check_bic(text: str) -> bool:
    """Whether the text is the BIC of a bank in Russia (04, region, and five digits more)."""
    return _BIC.fullmatch(text) is not None


def check_bank_account(text: str) -> bool:
    """Whether the text has the shape of a 20-digit bank account; its key is not looked at."""
    return _BANK_ACCOUNT.fullmatch(text) is not None


def account_key_holds(account: str, bic: str) -> bool:
    """Whether an account's key (its ninth digit) fits the bank that keeps it.

    Client accounts are weighed with the last three digits of the BIC; correspondent accounts
    (301…) and accounts in a settlement centre of the Bank of Russia with `0` and digits 5-6.
    """
    if not check_bank_account(account) or not check_bic(bic):
        return False
    return _weighed(account, bic) == 0


def account_with_key(account: str, bic: str) -> str:
    """The account with its ninth digit replaced by the right key. ValueError on a wrong shape."""
    if not check_bank_account(account) or not check_bic(bic):
        raise ValueError("Expected a 20-digit bank account and the BIC of a bank in Russia")
    head, tail = account[:_KEY_POSITION], account[_KEY_POSITION + 1 :]
    return f"{head}{_weighed(f'{head}0{tail}', bic) * 3 % 10}{tail}"


def _inn_bare_length(inn: str) -> int:
    return len(inn) - (1 if len(inn) == 10 else 2)


def _inn_check_digit(digits: str, weights: tuple[int, ...]) -> str:
    weighed = sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=True))
    return str(weighed % 11 % 10)


def _weighed(account: str, bic: str) -> int:
    of_central_bank = account.startswith(_CORRESPONDENT_ACCOUNT) or bic[-3:] in _SETTLEMENT_CENTRES
    prefix = f"0{bic[4:6]}" if of_central_bank else bic[-3:]
    digits = (prefix + account).translate(_ACCOUNT_LETTERS)
    return sum(int(digit) * _ACCOUNT_WEIGHTS[at % 3] for at, digit in enumerate(digits)) % 10
