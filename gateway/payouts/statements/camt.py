"""Statements of ISO 20022: camt.053 with its balances, and the notifications camt.054 and camt.052.

Read as they come by expat, whatever the version, by the elements' local names; a document type, and
with it every entity of its own, is refused. Must not keep what it does not need: a statement is
bounded by its lines, its depth and the length of a text.
"""

import re
from datetime import date
from typing import Final
from xml.parsers import expat

from gateway.domain.refusals import Refusal
from gateway.domain.requisites import check_bank_account
from gateway.payouts.statements.lines import (
    LINES_MAX,
    TEXT_LENGTH_MAX,
    Line,
    Statement,
    kopecks,
    malformed,
    mismatch,
    told,
)

FORMAT: Final = "camt053"
DEPTH_MAX: Final = 40
PATH_LENGTH_MAX: Final = 400
STATEMENTS_MAX: Final = 1_000
# A line has about a hundred.
ELEMENTS_MAX: Final = 200 * LINES_MAX
DETAILS_MAX: Final = 10_000
_BODIES: Final = {
    "BkToCstmrStmt": "Stmt",
    "BkToCstmrDbtCdtNtfctn": "Ntfctn",
    "BkToCstmrAcctRpt": "Rpt",
}
_ROUBLES: Final = ("RUB", "RUR")
# An IBAN of Russia is two digits of its own, the BIC and the account.
_IBAN: Final = re.compile(r"RU[0-9]{2}[0-9]{9}([0-9A-Z]{20})")
_BOOKED: Final = ("BOOK", "")

_Fields = dict[str, str]


class CamtReader:
    """One file of one or more statements."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._character
        self._parser.StartDoctypeDeclHandler = _no_document_type
        self._path: list[str] = []
        self._text: list[str] = []
        self._text_length = 0
        self._elements = 0
        self._body = ""
        self._statement: _Stated | None = None
        self._entry: _Fields | None = None
        self._details: list[_Fields] = []
        self._balance: _Fields | None = None
        self._statements = 0
        self._accounts: dict[str, None] = {}
        self._lines: list[Line] = []

    def feed(self, piece: bytes) -> None:
        """Reads on; Refusals malformed, control_total_mismatch."""
        self._parse(piece, last=False)

    def finish(self) -> Statement:
        """The whole; Refusals malformed, control_total_mismatch."""
        self._parse(b"", last=True)
        if not self._statements:
            raise malformed("a camt.053, camt.054 or camt.052 with an account")
        return Statement(FORMAT, tuple(self._accounts), tuple(self._lines))

    def _parse(self, piece: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(piece, last)
        except Refusal:
            raise
        except (expat.ExpatError, LookupError, ValueError):
            raise malformed("well-formed XML") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        self._path.append(local)
        self._text, self._text_length = [], 0
        self._elements += 1
        if self._elements > ELEMENTS_MAX:
            raise malformed(f"at most {ELEMENTS_MAX} elements")
        depth = len(self._path)
        if depth > DEPTH_MAX or sum(map(len, self._path)) > PATH_LENGTH_MAX:
            raise malformed(f"elements at most {DEPTH_MAX} deep")
        if depth == 2:
            if self._body or local not in _BODIES:
                raise malformed("a camt.053, camt.054 or camt.052")
            self._body = local
        elif depth == 3 and local == _BODIES[self._body]:
            self._statements += 1
            if self._statements > STATEMENTS_MAX:
                raise malformed(f"at most {STATEMENTS_MAX} statements")
            self._statement = _Stated(needs_balance=self._body == "BkToCstmrStmt")
        elif self._statement is not None:
            self._inside(local, depth, attributes)

    def _inside(self, local: str, depth: int, attributes: dict[str, str]) -> None:
        if depth == 4 and local == "Ntry":
            self._entry, self._details = {}, []
        elif depth == 4 and local == "Bal":
            self._balance = {}
        elif self._entry is not None and depth == 6 and local == "TxDtls":
            if len(self._details) >= DETAILS_MAX:
                raise malformed(f"at most {DETAILS_MAX} details of an entry")
            self._details.append({})
        elif self._entry is not None and local == "RtrInf":
            self._fields(self._entry)["RtrInf"] = "yes"
        if local in ("Amt", "TxAmt") and attributes.get("Ccy", "RUB") not in _ROUBLES:
            raise malformed("roubles alone")

    def _character(self, text: str) -> None:
        self._text_length += len(text)
        if self._text_length > 4 * TEXT_LENGTH_MAX:
            raise malformed(f"texts of at most {4 * TEXT_LENGTH_MAX} characters")
        self._text.append(text)

    def _end(self, _name: str) -> None:
        text = "".join(self._text).strip()
        depth, local = len(self._path), self._path[-1]
        if self._statement is not None:
            self._keep(text[:TEXT_LENGTH_MAX])
            if depth == 3:
                self._statement.check()
                self._accounts.setdefault(self._statement.account, None)
                self._statement = None
            elif depth == 4 and local == "Bal" and self._balance is not None:
                self._statement.balance(self._balance)
                self._balance = None
            elif depth == 4 and local == "Ntry" and self._entry is not None:
                self._finish_entry(self._statement, self._entry)
                self._entry, self._details = None, []
        self._path.pop()
        self._text, self._text_length = [], 0

    def _keep(self, text: str) -> None:
        if not text:
            return
        if self._entry is not None:
            fields = self._fields(self._entry)
            place = "/".join(self._path[4 if fields is self._entry else 6 :])
            if place == "RmtInf/Ustrd":
                fields[place] = (fields.get(place, "") + text)[:TEXT_LENGTH_MAX]
            else:
                fields.setdefault(place, text)
        elif self._balance is not None:
            self._balance.setdefault("/".join(self._path[4:]), text)
        elif self._path[3:4] == ["Acct"] and self._statement is not None:
            place = "/".join(self._path[4:])
            if place in ("Id/IBAN", "Id/Othr/Id"):
                self._statement.account = _account(text)

    def _fields(self, entry: _Fields) -> _Fields:
        """Where a text of the entry belongs: to its last detail, or to itself."""
        inside = self._details and self._path[4:6] == ["NtryDtls", "TxDtls"]
        return self._details[-1] if inside else entry

    def _finish_entry(self, statement: "_Stated", entry: _Fields) -> None:
        status = entry.get("Sts/Cd") or entry.get("Sts", "")
        if status not in _BOOKED:
            # Not final: it comes again when it is.
            return
        amount = kopecks(entry.get("Amt", ""), "Amt")
        is_debit = _is_debit(entry)
        statement.moved(-amount if is_debit else amount)
        for fields, part in _parts(entry, self._details, amount):
            if part == 0:
                continue
            if len(self._lines) >= LINES_MAX:
                raise malformed(f"at most {LINES_MAX} entries")
            self._lines.append(
                _line(len(self._lines) + 1, statement.account, entry, fields, part, is_debit)
            )


class _Stated:
    """One statement while it is read: its account, balances and movements in kopecks."""

    def __init__(self, *, needs_balance: bool) -> None:
        self.account = ""
        self._needs_balance = needs_balance
        self._opening: int | None = None
        self._closing: int | None = None
        self._moved = 0

    def moved(self, kopecks_: int) -> None:
        """One booked entry; what left the account is negative."""
        if not self.account:
            raise malformed("an account before its entries")
        self._moved += kopecks_

    def balance(self, fields: _Fields) -> None:
        """One balance; only what is booked at the beginning and the end is looked at."""
        kind = fields.get("Tp/CdOrPrtry/Cd", "")
        amount = kopecks(fields.get("Amt", ""), "Amt")
        signed = -amount if _is_debit(fields) else amount
        if kind == "OPBD" or (kind == "PRCD" and self._opening is None):
            self._opening = signed
        elif kind == "CLBD":
            self._closing = signed

    def check(self) -> None:
        """Refusals malformed, control_total_mismatch at the end of the statement."""
        if not self.account:
            raise malformed("an account in every statement")
        if self._opening is None or self._closing is None:
            if self._needs_balance:
                raise mismatch("an opening and a closing balance")
        elif self._opening + self._moved != self._closing:
            raise mismatch("opening balance + entries = closing balance")


def _parts(entry: _Fields, details: list[_Fields], amount: int) -> list[tuple[_Fields, int]]:
    """The payments that an entry is made of, with their kopecks."""
    if len(details) <= 1:
        return [(details[0] if details else {}, amount)]
    told_amounts = [one.get("Amt") or one.get("AmtDtls/TxAmt/Amt") for one in details]
    parts = [kopecks(text, "Amt") for text in told_amounts if text is not None]
    if len(parts) < len(details):
        # Which part is which cannot be told: the entry stays one line that nobody knows.
        return [({}, amount)]
    if sum(parts) != amount:
        raise mismatch("the details of an entry to add up to it")
    return list(zip(details, parts, strict=True))


def _line(
    number: int, account: str, entry: _Fields, fields: _Fields, amount: int, is_debit: bool
) -> Line:
    booked = _day(entry.get("BookgDt/Dt") or entry.get("BookgDt/DtTm", ""))
    booked = booked or _day(entry.get("ValDt/Dt") or entry.get("ValDt/DtTm", ""))
    if booked is None:
        raise malformed("a booking date in every entry")
    role = "Cdtr"
    if not is_debit:
        # Of what came back some banks name the parties as they were, others as they are now.
        payer, recipient = (_account_of(fields, one) for one in ("Dbtr", "Cdtr"))
        role = "Cdtr" if payer in ("", account) and recipient else "Dbtr"
    return Line(
        number=number,
        is_debit=is_debit,
        amount=amount,
        booked_on=booked,
        account=account,
        order_number=fields.get("Refs/EndToEndId", ""),
        order_date=_day(fields.get("RmtInf/Strd/RfrdDocInf/RltdDt", "")),
        other_account=told(_account_of(fields, role)),
        other_inn=told(
            fields.get(f"RltdPties/{role}/Id/OrgId/Othr/Id")
            or fields.get(f"RltdPties/{role}/Pty/Id/OrgId/Othr/Id")
        ),
        other_bic=told(fields.get(f"RltdAgts/{role}Agt/FinInstnId/ClrSysMmbId/MmbId")),
        purpose=fields.get("RmtInf/Ustrd") or entry.get("AddtlNtryInf", ""),
        instruction=told(fields.get("Refs/InstrId")),
        refers_back="RtrInf" in fields or "RtrInf" in entry,
    )


def _account_of(fields: _Fields, role: str) -> str:
    place = f"RltdPties/{role}Acct/Id"
    return _account(fields.get(f"{place}/Othr/Id") or fields.get(f"{place}/IBAN", ""))


def _account(text: str) -> str:
    """Twenty digits, out of an IBAN where a bank has made one of them."""
    match = _IBAN.fullmatch(text)
    found = match[1] if match is not None else text
    return found if check_bank_account(found) else text[:TEXT_LENGTH_MAX]


def _is_debit(fields: _Fields) -> bool:
    indicator = fields.get("CdtDbtInd", "")
    if indicator not in ("CRDT", "DBIT"):
        raise malformed("CRDT or DBIT with every sum")
    return indicator == "DBIT"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if len(text) >= len("yyyy-mm-dd") else None
    except ValueError:
        return None


def _no_document_type(*_: object) -> None:
    raise malformed("XML without a document type")
