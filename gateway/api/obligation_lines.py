"""A file of debts, a debt a line: CSV as a centre's books export it, or JSON as a body has it.

The whole file is put aside before a line of it is read. Whatever is wrong with a line is its own
verdict; only a head that does not say what its columns are refuses the file.
"""

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Sequence
from datetime import date
from typing import Final

import msgspec

from gateway.acquirer_reports.text import REPLACED, UTF_8, encoding_of
from gateway.api import bodies, decode, strict_json
from gateway.api.spool import Spool
from gateway.domain.bill import NAME_LENGTH_MAX
from gateway.domain.refusals import Refusal
from gateway.flows.load_debts import Told
from gateway.methods.pan import contains_pan
from gateway.obligations.store import NewObligation

SERVICES_MAX: Final = 64
DOCUMENT_LENGTH_MAX: Final = 64
# More contracts between recipients than any region has.
LINES_MAX: Final = 100_000
LINE_BYTES_MAX: Final = 16_384
BUNCH_MAX: Final = 250
SERVICES_MARK: Final = "|"

DEBTOR, CREDITOR, SERVICES = "debtor", "creditor", "services"
AMOUNT, ROUBLES = "amount", "amount_roubles"
NUMBER, DAY = "document_number", "document_date"
# As the columns may be called, beside their own names.
_NAMES: Final = {
    "должник": DEBTOR,
    "кредитор": CREDITOR,
    "сумма": ROUBLES,
    "сумма, руб.": ROUBLES,
    "номер документа": NUMBER,
    "дата документа": DAY,
    "услуги": SERVICES,
    **{name: name for name in (DEBTOR, CREDITOR, AMOUNT, ROUBLES, NUMBER, DAY, SERVICES)},
}
_SEPARATORS: Final = (";", ",", "\t")
# Spreadsheets part thousands with a space, often one that does not break.
_SUM: Final = re.compile(
    "([0-9]{1,3}(?:[ \u00a0\u202f][0-9]{3}){1,4}|[0-9]{1,14})(?:[.,]([0-9]{1,2}))?"
)
_KOPECKS: Final = re.compile("[0-9]{1,16}")
_DAY_FIRST: Final = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
_YEAR_FIRST: Final = re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})")
_BOM: Final = b"\xef\xbb\xbf"

_line: Final = msgspec.json.Decoder(bodies.ObligationBody)

_Numbered = Sequence[tuple[int, bytes | None]]


class DebtFile:
    """One file on its way; what it holds on disk goes with the spool."""

    def __init__(self, spool: Spool, bytes_max: int) -> None:
        self._spool = spool
        self._bytes_max = bytes_max
        self._lines = 0

    def feed(self, piece: bytes) -> None:
        """More of it; Refusal body_too_large."""
        self._spool.append(piece)
        self._lines += piece.count(b"\n")
        if len(self._spool) > self._bytes_max:
            raise Refusal("body_too_large", f"Expected at most {self._bytes_max} bytes")
        if self._lines > LINES_MAX:
            raise Refusal("body_too_large", f"Expected at most {LINES_MAX} lines")

    async def bunches(self) -> AsyncIterator[list[Told]]:
        """Its debts with the numbers of their lines, once, or why a line is none.

        Refuses `malformed` before the first of them.
        """
        reader: _Json | _Csv | None = None
        async for lines in _numbered(self._spool.pieces()):
            if reader is None:
                reader = _Json() if _first(lines).startswith(b"{") else _Csv()
            yield reader.read(lines)
            # A few milliseconds at a time, whatever the file is made of.
            await asyncio.sleep(0)
        if reader is None:
            raise Refusal("malformed", "Expected a debt a line, was an empty file")


def debt_of(body: bodies.ObligationBody, where: str) -> NewObligation:
    """The debt of a body; Refusals malformed, amount_out_of_range, pan_not_allowed."""
    decode.check_amount(body.amount)
    if body.debtor == body.creditor:
        raise Refusal("malformed", f"Expected a debtor who is not the creditor in {where}")
    if not _is_name(body.document_number, DOCUMENT_LENGTH_MAX):
        raise Refusal(
            "malformed", f"Expected document_number of 1..{DOCUMENT_LENGTH_MAX} letters in {where}"
        )
    services = body.services
    if len(services) > SERVICES_MAX or len(set(services)) < len(services):
        raise Refusal(
            "malformed", f"Expected at most {SERVICES_MAX} services, each once, in {where}"
        )
    if not all(1 <= len(text) <= NAME_LENGTH_MAX and "\x00" not in text for text in services):
        raise Refusal(
            "malformed", f"Expected services of 1..{NAME_LENGTH_MAX} characters in {where}"
        )
    if any(map(contains_pan, services)):
        raise Refusal("pan_not_allowed", "Expected no full card number in services, was one")
    decode.check_day(body.document_date, "document_date")
    return NewObligation(
        body.debtor,
        body.creditor,
        tuple(sorted(services)),
        body.amount,
        body.document_number,
        body.document_date,
    )


def _is_name(text: str, longest: int) -> bool:
    """Some letters and no control characters: it stands in reports, a row of which is one line."""
    return 1 <= len(text) <= longest and bool(text.strip()) and text.isprintable()


async def _numbered(pieces: AsyncIterator[bytes]) -> AsyncIterator[_Numbered]:
    """Bunches of lines that hold anything, as the file numbers them from 1; None: too long."""
    rest, number, skipping = b"", 0, False
    found: list[tuple[int, bytes | None]] = []
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            number += 1
            if skipping or len(line) > LINE_BYTES_MAX:
                found.append((number, None))
                skipping = False
            elif line.strip():
                found.append((number, line))
            if len(found) == BUNCH_MAX:
                yield found
                found = []
        if len(rest) > LINE_BYTES_MAX:
            # Its end is looked for, and no more of it is kept.
            rest, skipping = b"", True
    if skipping:
        found.append((number + 1, None))
    elif rest.strip():
        found.append((number + 1, rest))
    if found:
        yield found


def _first(lines: _Numbered) -> bytes:
    """The beginning of a file, without what an editor put before it."""
    content = lines[0][1] or b""
    return content.removeprefix(_BOM).lstrip()


def _verdict(number: int, line: bytes | None, read: "_Json | _Csv") -> Told:
    if line is None:
        return number, Refusal("body_too_large", "Expected a shorter line")
    try:
        return number, read.debt(line)
    except Refusal as refusal:
        return number, refusal


class _Json:
    """Lines of JSON, each as the body of a load has a debt."""

    def read(self, lines: _Numbered) -> list[Told]:
        """A debt or a refusal for each line."""
        return [_verdict(number, line, self) for number, line in lines]

    def debt(self, line: bytes) -> NewObligation:
        """Refusals of debt_of, and malformed."""
        return debt_of(strict_json.decode(_line, line.removeprefix(_BOM)), "this line")


class _Csv:
    """Lines of CSV under a head that names the columns; sums are roubles unless it says `amount`.

    A column of no known name refuses the file: a mistyped `services` would make a debt that all
    services pay.
    """

    def __init__(self) -> None:
        self._columns: list[str] = []
        self._separator = ""
        self._encoding: str | None = None

    def read(self, lines: _Numbered) -> list[Told]:
        """A debt or a refusal for each line; refuses the file `malformed` for its head."""
        self._learn_encoding(b"\n".join(line for _, line in lines if line is not None))
        if not self._columns:
            self._read_head(lines[0][1])
            lines = lines[1:]
        return [
            _verdict(number, line, self)
            for number, line in lines
            # What spreadsheets leave of rows that were cleared.
            if line is None or line.strip(b' \t\r;,"')
        ]

    def debt(self, line: bytes) -> NewObligation:
        """Refusals of debt_of, and malformed."""
        values = self._fields(self._text(line), self._separator)
        if len(values) != len(self._columns):
            raise Refusal(
                "malformed", f"Expected {len(self._columns)} fields, was {len(values)} in this line"
            )
        told = dict(zip(self._columns, values, strict=True))
        amount = _kopecks(told[AMOUNT]) if AMOUNT in told else _roubles(told[ROUBLES])
        services = told.get(SERVICES, "")
        body = bodies.ObligationBody(
            debtor=told[DEBTOR],
            creditor=told[CREDITOR],
            amount=amount,
            document_number=told[NUMBER],
            document_date=_day(told[DAY]),
            services=[text.strip() for text in services.split(SERVICES_MARK)] if services else [],
        )
        return debt_of(body, "this line")

    def _read_head(self, line: bytes | None) -> None:
        head = self._text((line or b"").removeprefix(_BOM)).strip("\r")
        self._separator = max(_SEPARATORS, key=head.count)
        names = [name.casefold() for name in self._fields(head, self._separator)]
        columns = [_NAMES.get(name, "") for name in names]
        needed = {DEBTOR, CREDITOR, NUMBER, DAY}
        sums = columns.count(AMOUNT) + columns.count(ROUBLES)
        if (
            "" in columns
            or sums != 1
            or len(set(columns)) < len(columns)
            or not needed <= set(columns)
        ):
            raise Refusal(
                "malformed",
                "Expected a head of debtor, creditor, document_number, document_date, amount (in"
                " kopecks) or amount_roubles, and services where they are named; or должник,"
                " кредитор, номер документа, дата документа, сумма (in roubles), услуги",
            )
        self._columns = columns

    def _learn_encoding(self, content: bytes) -> None:
        """Letters tell the encoding, in the first lines that have any that are not ASCII."""
        if self._encoding is None and not content.isascii():
            self._encoding = encoding_of(content.removeprefix(_BOM))

    def _text(self, line: bytes) -> str:
        try:
            text = line.decode(self._encoding or UTF_8)
        except UnicodeDecodeError:
            raise Refusal(
                "malformed", "Expected text of one encoding, as the lines before"
            ) from None
        if REPLACED in text:
            raise Refusal("malformed", "Expected letters, was a mark of one that was lost")
        return text.rstrip("\r")

    @staticmethod
    def _fields(text: str, separator: str) -> list[str]:
        try:
            (row,) = csv.reader([text], delimiter=separator, strict=True)
        except (csv.Error, ValueError):
            raise Refusal("malformed", "Expected a row of CSV in one line") from None
        return [field.strip() for field in row]


def _roubles(text: str) -> int:
    found = _SUM.fullmatch(text)
    if found is None:
        raise Refusal("malformed", "Expected a sum in roubles, as 130000,00 or 130 000.00")
    whole = re.sub("[^0-9]", "", found[1])
    return int(whole) * 100 + int((found[2] or "").ljust(2, "0"))


def _kopecks(text: str) -> int:
    if _KOPECKS.fullmatch(text) is None:
        raise Refusal("malformed", "Expected amount in whole kopecks")
    return int(text)


def _day(text: str) -> date:
    first, last = _YEAR_FIRST.fullmatch(text), _DAY_FIRST.fullmatch(text)
    try:
        if first is not None:
            return date(*map(int, first.groups()))
        if last is not None:
            return date(*map(int, reversed(last.groups())))
    except ValueError:
        pass
    raise Refusal("malformed", "Expected document_date as 30.09.2026 or 2026-09-30")
