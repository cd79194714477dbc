"""Statements of banks: both forms read alike, and what does not add up is refused whole."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.refusals import Refusal
from gateway.payouts.statements import camt
from gateway.payouts.statements.lines import LINES_MAX, Line, Statement
from gateway.payouts.statements.reading import StatementReader
from tests.payouts.statement_files import DAY, OWN, Told, camt053, one_c

WRITERS: tuple[Callable[..., bytes], ...] = (one_c, camt053)
HEAT, WASTE = "40702810268000010356", "40702810952090030727"
TOLD = (
    Told("15", 6_124_900, HEAT, inn="1841008627", bic="049401601"),
    Told("1002", 5, WASTE),
    Told("9", 6_124_900, HEAT, "Возврат по п/п № 15", came=True, booked=DAY + timedelta(3)),
)


def read(content: bytes, name: str = "auto", piece: int = 4_096) -> Statement:
    reader = StatementReader(name)
    for at in range(0, len(content), piece):
        reader.feed(content[at : at + piece])
    return reader.finish()


def refused(content: bytes, name: str = "auto") -> str:
    with pytest.raises(Refusal) as caught:
        read(content, name)
    return caught.value.code


def told_of(line: Line) -> tuple[object, ...]:
    return (
        *(line.is_debit, line.amount, line.booked_on, line.order_number, line.order_date),
        *(line.other_account, line.other_inn, line.other_bic, line.purpose),
    )


@pytest.mark.parametrize(
    "content",
    [
        one_c(TOLD),
        one_c(TOLD, encoding="cp866"),
        one_c(TOLD, encoding="utf-8"),
        b"\xef\xbb\xbf" + one_c(TOLD, encoding="utf-8"),
        one_c(TOLD).replace(b"\r\n", b"\n") + b"\n\n",
        camt053(TOLD),
        camt053(TOLD, version="02"),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
def test_every_form_tells_the_same(content: bytes, piece: int) -> None:
    statement = read(content, piece=piece)
    assert statement.accounts == (OWN,)
    assert [line.number for line in statement.lines] == [1, 2, 3]
    assert [told_of(line) for line in statement.lines] == [
        (True, 6_124_900, DAY, "15", DAY, HEAT, "1841008627", "049401601", TOLD[0].purpose),
        (True, 5, DAY, "1002", DAY, WASTE, None, None, TOLD[1].purpose),
        (False, 6_124_900, DAY + timedelta(3), "9", DAY, HEAT, None, None, TOLD[2].purpose),
    ]
    assert (statement.debits, statement.credits) == (6_124_905, 6_124_900)


def test_the_published_balance_holds() -> None:
    """2000 + 6280 - 550.48 = 7729.52 (a bank's own sample)."""
    told = (Told("1", 628_000, HEAT, came=True), Told("2", 55_048, HEAT))
    assert len(read(one_c(told, opening=200_000, closing=772_952)).lines) == 2
    assert refused(one_c(told, opening=200_000, closing=772_953)) == "control_total_mismatch"


def test_whole_roubles_and_commas_are_sums() -> None:
    content = one_c((Told("1", 5_000, HEAT),), opening=10_050)
    for old, new in ((b"=50.00", b"=50"), (b"=100.50", b"=100,5")):
        assert old in content
        content = content.replace(old, new)
    assert read(content).lines[0].amount == 5_000


def test_a_document_without_a_booking_day_is_booked_on_its_own() -> None:
    assert read(one_c((TOLD[0].but(booked=None),))).lines[0].booked_on == DAY


def test_an_overdrawn_account_is_one_too() -> None:
    for write in WRITERS:
        assert len(read(write(TOLD, opening=-500)).lines) == 3


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("ВсегоСписано=61249.05", "ВсегоСписано=61249.04", "control_total_mismatch"),
        ("НачальныйОстаток=1000000.00", "НачальныйОстаток=1000000.01", "control_total_mismatch"),
        ("Сумма=0.05", "Сумма=0.06", "control_total_mismatch"),
        ("Сумма=0.05", "Сумма=0.00", "malformed"),
        ("Сумма=0.05", "Сумма=-0.05", "malformed"),
        ("Сумма=0.05", "Сумма=NaN", "malformed"),
        ("Сумма=0.05", "Сумма=٥", "malformed"),
        ("\r\nКонецФайла", "", "malformed"),
        ("КонецДокумента\r\nКонецФайла", "КонецФайла", "malformed"),
        ("КонечныйОстаток=", "Остаток=", "malformed"),
        ("1CClientBankExchange", "1CClient", "malformed"),
        (f"ПлательщикСчет={OWN}", "ПлательщикСчет=40702810000000000000", "malformed"),
        ("Дата=13.11.2026\r\nСумма=0.05", "Дата=13.13.2026\r\nСумма=0.05", "malformed"),
        ("СекцияРасчСчет", "Секция", "malformed"),
    ],
)
def test_a_1c_statement_that_is_not_right_is_refused(old: str, new: str, code: str) -> None:
    told = (*TOLD[:1], TOLD[1].but(booked=None), *TOLD[2:])
    content = one_c(told, encoding="utf-8")
    bent = content.replace(old.encode(), new.encode())
    assert bent != content
    assert refused(bent) == code


def test_a_filtered_statement_has_not_all_documents() -> None:
    whole = one_c(TOLD, encoding="utf-8")
    end = "КонецДокумента\r\n".encode()
    start = "СекцияДокумент".encode()
    last = whole.rindex(start)
    partial = whole[:last] + whole[whole.rindex(end) + len(end) :]
    assert refused(partial) == "control_total_mismatch"
    head = "ВерсияФормата=1.03\r\n".encode()
    told = partial.replace(head, head + "Документ=Платежное поручение\r\n".encode())
    assert len(read(told).lines) == 2


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("<Cd>OPBD</Cd>", "<Cd>ITBD</Cd>", "control_total_mismatch"),
        (">1000000.00<", ">1000000.01<", "control_total_mismatch"),
        (">0.05<", ">0.06<", "control_total_mismatch"),
        (">0.05<", "><", "malformed"),
        (">0.05<", ">5e-2<", "malformed"),
        ('Ccy="RUR">0.05', 'Ccy="EUR">0.05', "malformed"),
        ("<CdtDbtInd>DBIT", "<CdtDbtInd>Dbit", "malformed"),
        ("<BookgDt><Dt>2026-11-13</Dt></BookgDt>", "", "malformed"),
        (f"<Id><Othr><Id>{OWN}</Id></Othr></Id><Ccy>", "<Ccy>", "malformed"),
        ("</Document>", "", "malformed"),
        ("BkToCstmrStmt", "CstmrCdtTrfInitn", "malformed"),
        ("<Document ", '<!DOCTYPE a [<!ENTITY b "c">]><Document ', "malformed"),
        ("<Document ", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><Document ', "malformed"),
        ("<Nm>ООО", "<Nm>&b;ООО", "malformed"),
        ("<Nm>ООО", "<Nm>" + "о" * 5_000, "malformed"),
        ("<Nm>ООО", "<a>" * 50 + "ООО", "malformed"),
        ('encoding="UTF-8"', 'encoding="UTF-7"', "malformed"),
        ('encoding="UTF-8"', 'encoding="nonsense"', "malformed"),
    ],
)
def test_a_camt_that_is_not_right_is_refused(old: str, new: str, code: str) -> None:
    bent = camt053(TOLD).decode().replace(old, new)
    assert bent != camt053(TOLD).decode()
    assert refused(bent.encode()) == code


def test_a_camt_in_windows_1251_is_read() -> None:
    content = camt053(TOLD).decode().replace("UTF-8", "windows-1251").encode("cp1251")
    assert read(content).lines[0].purpose == TOLD[0].purpose


def test_what_is_not_booked_does_not_count() -> None:
    content = camt053(TOLD[:1], closing=100_000_000).replace(b"BOOK", b"PDNG")
    assert read(content).lines == ()


def test_a_notification_needs_no_balance() -> None:
    content = camt053(TOLD).replace(b"BkToCstmrStmt", b"BkToCstmrDbtCdtNtfctn")
    content = content.replace(b"<Stmt>", b"<Ntfctn>").replace(b"</Stmt>", b"</Ntfctn>")
    content = content.replace(b"OPBD", b"INFO").replace(b"CLBD", b"INFO")
    assert len(read(content).lines) == 3


def test_an_entry_of_many_payments_is_as_many_lines() -> None:
    first, second = (
        f"<TxDtls><Refs><EndToEndId>{number}</EndToEndId></Refs>"
        f'<Amt Ccy="RUB">{amount}</Amt></TxDtls>'
        for number, amount in (("15", "3.00"), ("16", "4.50"))
    )
    content = camt053((Told("1", 750, HEAT),)).decode()
    begin, end = content.index("<TxDtls>"), content.index("</NtryDtls>")
    both = content[:begin] + first + second + content[end:]
    lines = read(both.encode()).lines
    assert [(line.order_number, line.amount) for line in lines] == [("15", 300), ("16", 450)]
    assert refused(both.replace("4.50", "4.49").encode()) == "control_total_mismatch"


def test_an_iban_of_russia_is_the_account_in_it() -> None:
    iban = f"RU53044525225{OWN}"
    content = camt053(TOLD).replace(
        f"<Othr><Id>{OWN}</Id></Othr>".encode(), f"<IBAN>{iban}</IBAN>".encode()
    )
    assert read(content).accounts == (OWN,)


def test_a_form_said_wrongly_or_unknown_is_refused() -> None:
    assert refused(one_c(TOLD), "camt053") == "malformed"
    assert refused(camt053(TOLD), "1c") == "malformed"
    assert refused(b"", "auto") == "malformed"
    assert refused(b" " * 5_000) == "malformed"
    assert refused(one_c(TOLD), "mt940") == "malformed"


def test_a_line_without_an_end_is_not_kept() -> None:
    reader = StatementReader("1c")
    reader.feed(b"x" * 16_384)
    with pytest.raises(Refusal, match="malformed"):
        reader.feed(b"x")


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LINES_MAX == 20_000
    monkeypatch.setattr("gateway.payouts.statements.one_c.LINES_MAX", 2)
    monkeypatch.setattr(camt, "LINES_MAX", 2)
    assert refused(one_c(TOLD)) == refused(camt053(TOLD)) == "malformed"
    monkeypatch.undo()
    monkeypatch.setattr(camt, "ELEMENTS_MAX", 50)
    assert refused(camt053(TOLD)) == "malformed"


def read_or_refused(content: bytes, name: str, piece: int) -> tuple[Line, ...]:
    """The lines; none where it is refused as a statement may be, and in no other way."""
    try:
        return read(content, name, piece).lines
    except Refusal as refusal:
        if refusal.code not in ("malformed", "control_total_mismatch"):
            raise
        return ()


BENT = st.tuples(st.integers(0, 10_000), st.binary(max_size=12), st.integers(0, 40))
SEEDS = st.sampled_from(
    [one_c(TOLD), one_c(TOLD, encoding="cp866"), camt053(TOLD), camt053(TOLD, version="02")]
)


@settings(max_examples=400, deadline=None)
@given(SEEDS, st.lists(BENT, min_size=1, max_size=4), st.integers(1, 5_000))
def test_bent_statements_are_read_or_refused(
    content: bytes, bends: list[tuple[int, bytes, int]], piece: int
) -> None:
    for at, added, removed in bends:
        at %= len(content)
        content = content[:at] + added + content[at + removed :]
    for name in ("auto", "1c", "camt053"):
        for line in read_or_refused(content, name, piece):
            assert line.amount > 0
            assert type(line.booked_on) is date


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2_000), st.sampled_from(["auto", "1c", "camt053"]))
def test_any_bytes_are_refused_or_read(content: bytes, name: str) -> None:
    read_or_refused(content, name, 4_096)


@given(
    st.lists(
        st.builds(
            Told,
            st.integers(1, 999_999).map(str),
            st.integers(1, 10**13),
            st.sampled_from([HEAT, WASTE]),
            came=st.booleans(),
        ),
        max_size=20,
    ),
    st.integers(-(10**14), 10**14),
    st.integers(-3, 3),
)
def test_only_a_statement_that_adds_up_is_taken(told: list[Told], opening: int, off: int) -> None:
    moved = sum(one.amount if one.came else -one.amount for one in told)
    for write in WRITERS:
        content = write(told, opening=opening, closing=opening + moved + off)
        if off:
            assert refused(content) == "control_total_mismatch"
        else:
            found = [(one.is_debit, one.amount) for one in read(content).lines]
            assert found == [(not one.came, one.amount) for one in told]
