"""Statements of 1CClientBankExchange: documents, and per account what it held before and after.

Lines are `Key=Value` in windows-1251, cp866 or UTF-8, which the bytes of `Кодировка` tell better
than its value. Must not take a file that breaks off, or that does not add up.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from gateway.domain.requisites import check_bank_account
from gateway.payouts.statements.lines import (
    LINES_MAX,
    TEXT_LENGTH_MAX,
    Line,
    Statement,
    kopecks,
    malformed,
    mismatch,
    signed_kopecks,
    told,
)

FORMAT: Final = "1c"
HEAD: Final = "1CClientBankExchange"
LINE_BYTES_MAX: Final = 16_384
_ENCODINGS: Final = ("cp1251", "cp866", "utf-8")
_ENCODING_KEY: Final = "Кодировка="
# The encoding stands near the top; a file that does not say it is read as the form's own.
_HEAD_LINES: Final = 8
_END: Final = "КонецФайла"
_SECTION: Final = "СекцияРасчСчет"
_SECTION_END: Final = "КонецРасчСчет"
_DOCUMENT: Final = "СекцияДокумент"
_DOCUMENT_END: Final = "КонецДокумента"
_KEYS_MAX: Final = 200

Fields = dict[str, str]


class OneCReader:
    """One statement; what it keeps is bounded by LINES_MAX documents."""

    def __init__(self) -> None:
        self._rest = b""
        self._head: list[bytes] = []
        self._encoding: str | None = None
        self._fields: Fields | None = None
        self._close: Callable[[Fields], None] = self._section
        self._until = ""
        self._begun = self._ended = self._filtered = False
        self._accounts: dict[str, _Account] = {}
        self._documents: list[Fields] = []

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusal malformed."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._raw(line)
        if len(self._rest) > LINE_BYTES_MAX:
            raise malformed(f"lines of at most {LINE_BYTES_MAX} bytes")

    def finish(self) -> Statement:
        """The whole; Refusals malformed, control_total_mismatch."""
        self._raw(self._rest)
        if self._encoding is None:
            self._decide(_ENCODINGS[0])
        if not self._ended or self._fields is not None:
            raise malformed(f"{_END} at the end")
        if not self._accounts:
            raise malformed(f"{_SECTION} with the balances")
        lines = tuple(
            self._line(number, fields) for number, fields in enumerate(self._documents, 1)
        )
        for name, account in self._accounts.items():
            moved = [line for line in lines if line.account == name]
            account.check(
                sum(line.amount for line in moved if not line.is_debit),
                sum(line.amount for line in moved if line.is_debit),
                filtered=self._filtered,
            )
        return Statement(FORMAT, tuple(self._accounts), lines)

    def _raw(self, line: bytes) -> None:
        if len(line) > LINE_BYTES_MAX:
            raise malformed(f"lines of at most {LINE_BYTES_MAX} bytes")
        if self._encoding is not None:
            self._text(line)
            return
        self._head.append(line)
        for encoding in _ENCODINGS:
            if line.strip(b"\r \t\xef\xbb\xbf").startswith(_ENCODING_KEY.encode(encoding)):
                self._decide(encoding)
                return
        if len(self._head) >= _HEAD_LINES:
            self._decide(_ENCODINGS[0])

    def _decide(self, encoding: str) -> None:
        self._encoding = encoding
        for line in self._head:
            self._text(line.removeprefix(b"\xef\xbb\xbf"))
        self._head = []

    def _text(self, raw: bytes) -> None:
        # A letter of a name that the encoding has not must not keep a payment unknown.
        line = raw.decode(self._encoding or _ENCODINGS[0], "replace").strip("\r \t")
        if not line or self._ended:
            return
        if not self._begun:
            if line != HEAD:
                raise malformed(f"{HEAD} at the beginning")
            self._begun = True
            return
        key, _, value = line.partition("=")
        self._key(key.strip(), value.strip())

    def _key(self, key: str, value: str) -> None:
        if self._fields is not None:
            if key == self._until:
                fields, self._fields = self._fields, None
                self._close(fields)
            elif key in (_SECTION, _DOCUMENT, _END):
                raise malformed(f"{self._until} before another section")
            elif len(self._fields) < _KEYS_MAX:
                # What stands first wins, as it does for the bank's own program.
                self._fields.setdefault(key, value[:TEXT_LENGTH_MAX])
        elif key == _SECTION:
            self._fields, self._close, self._until = {}, self._section, _SECTION_END
        elif key == _DOCUMENT:
            self._fields, self._close, self._until = {}, self._document, _DOCUMENT_END
        elif key == _END:
            self._ended = True
        elif key == "Документ":
            self._filtered = True

    def _section(self, fields: Fields) -> None:
        number = fields.get("РасчСчет", "")
        if not check_bank_account(number):
            raise malformed(f"РасчСчет of 20 digits in {_SECTION}")
        if len(self._accounts) >= _KEYS_MAX:
            raise malformed(f"at most {_KEYS_MAX} accounts")
        self._accounts.setdefault(number, _Account()).add(fields)

    def _document(self, fields: Fields) -> None:
        if len(self._documents) >= LINES_MAX:
            raise malformed(f"at most {LINES_MAX} documents")
        self._documents.append(fields)

    def _line(self, number: int, fields: Fields) -> Line:
        payer, recipient = _account_of(fields, "Плательщик"), _account_of(fields, "Получатель")
        # Who pays from an account to itself is told from by what the bank wrote down.
        is_debit = payer in self._accounts and not (payer == recipient and _only_came(fields))
        account, other = (payer, recipient) if is_debit else (recipient, payer)
        if account not in self._accounts:
            raise malformed(f"documents of the accounts in {_SECTION}")
        role = "Получатель" if is_debit else "Плательщик"
        drawn = _day(fields.get("Дата", ""))
        booked = _day(fields.get("ДатаСписано" if is_debit else "ДатаПоступило", "")) or drawn
        if booked is None:
            raise malformed("Дата as dd.mm.yyyy in every document")
        amount = kopecks(fields.get("Сумма", ""), "Сумма")
        if amount == 0:
            raise malformed("Сумма above zero in every document")
        purpose = fields.get("НазначениеПлатежа") or _numbered(fields, "НазначениеПлатежа")
        return Line(
            number=number,
            is_debit=is_debit,
            amount=amount,
            booked_on=booked,
            account=account,
            order_number=fields.get("Номер", ""),
            order_date=drawn,
            other_account=told(other),
            other_inn=told(fields.get(f"{role}ИНН")),
            other_bic=told(fields.get(f"{role}БИК")),
            purpose=purpose,
        )


class _Account:
    """What the sections of one account say together, in kopecks."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._came = 0
        self._left = 0

    def add(self, fields: Mapping[str, str]) -> None:
        """One more section; Refusals malformed, control_total_mismatch."""
        opening = signed_kopecks(fields.get("НачальныйОстаток", ""), "НачальныйОстаток")
        closing = signed_kopecks(fields.get("КонечныйОстаток", ""), "КонечныйОстаток")
        came = kopecks(fields.get("ВсегоПоступило") or "0", "ВсегоПоступило")
        left = kopecks(fields.get("ВсегоСписано") or "0", "ВсегоСписано")
        if opening + came - left != closing:
            raise mismatch("НачальныйОстаток + ВсегоПоступило - ВсегоСписано = КонечныйОстаток")
        if self._first is None:
            self._first = opening
        self._last = closing
        self._came += came
        self._left += left

    def check(self, came: int, left: int, *, filtered: bool) -> None:
        """Against what the documents add up to; a filtered statement has not all of them."""
        if self._first is not None and self._first + self._came - self._left != self._last:
            raise mismatch("each section to begin with the balance that the one before left")
        if filtered:
            if came > self._came or left > self._left:
                raise mismatch("documents within ВсегоПоступило and ВсегоСписано")
        elif (came, left) != (self._came, self._left):
            raise mismatch("documents that add up to ВсегоПоступило and ВсегоСписано")


def _only_came(fields: Fields) -> bool:
    return bool(fields.get("ДатаПоступило")) and not fields.get("ДатаСписано")


def _account_of(fields: Fields, role: str) -> str:
    return fields.get(f"{role}Счет") or fields.get(f"{role}РасчСчет", "")


def _numbered(fields: Fields, key: str) -> str:
    """A text in lines of its own: key1, key2, …"""
    parts = [fields.get(f"{key}{at}", "") for at in range(1, 7)]
    return "".join(parts)[:TEXT_LENGTH_MAX]


def _day(text: str) -> date | None:
    day, month, year = text[:2], text[3:5], text[6:]
    if len(text) != len("dd.mm.yyyy") or text[2] + text[5] != "..":
        return None
    if not all(part.isascii() and part.isdigit() for part in (day, month, year)):
        return None
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None
