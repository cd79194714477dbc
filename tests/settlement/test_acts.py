"""Acts: sums in words, the tax within a commission, and a page that is printed within bounds."""

import asyncio
import json
import sys
from datetime import date
from pathlib import Path

import pypdfium2
import pytest
from msgspec.structs import replace

from gateway.domain.refusals import Unavailable
from gateway.settlement import press
from gateway.settlement.act import Act, Side, roubles, said, tax_within
from gateway.settlement.press import Press
from gateway.settlement.roubles_in_words import in_words
from gateway.settlement.store import PositionRow

CENTRE = Side(
    "ООО «Расчётный центр»", "7707083893", "770701001", "40821810700000000000", "044525225"
)
HEAT = Side("АО «Ёлка № 1» & #let $x$ *b*", "2224123450", None, "40702810002000001234", "040173604")
POSITION = PositionRow("heat", 123_456_789, 1_851_852, 100_000, 121_504_937, -500, 12_345, -77_777,
                       121_439_005, 0, 17)  # fmt: skip
ACT = Act(
    batch="sb_" + "0" * 32,
    number=42,
    business_date=date(2026, 11, 24),
    first_day=date(2026, 11, 21),
    centre=CENTRE,
    recipient=HEAT,
    contract="№ 12/Т",
    contract_date=date(2026, 2, 1),
    position=POSITION,
    order_date=date(2026, 11, 25),
    vat_percent=22,
    root="ab" * 32,
)


@pytest.mark.parametrize(
    ("kopecks", "words"),
    [
        (0, "Ноль рублей 00 копеек"),
        (1, "Ноль рублей 01 копейка"),
        (123_456, "Одна тысяча двести тридцать четыре рубля 56 копеек"),
        (2_102, "Двадцать один рубль 02 копейки"),
        (1_111, "Одиннадцать рублей 11 копеек"),
        (200_000_000_00, "Двести миллионов рублей 00 копеек"),
        (1_002_013_00, "Один миллион две тысячи тринадцать рублей 00 копеек"),
        (21_000_00, "Двадцать одна тысяча рублей 00 копеек"),
        (111_111_000_040_00, "Сто одиннадцать миллиардов сто одиннадцать миллионов сорок рублей"
                             " 00 копеек"),
        (-101, "Минус один рубль 01 копейка"),
        (2**63 - 1, "Девяносто два квадриллиона двести тридцать три триллиона семьсот двадцать"
                    " миллиардов триста шестьдесят восемь миллионов пятьсот сорок семь тысяч"
                    " семьсот пятьдесят восемь рублей 07 копеек"),
    ],
)  # fmt: skip
def test_sums_in_words(kopecks: int, words: str) -> None:
    assert in_words(kopecks) == words


@pytest.mark.parametrize(
    ("commission", "percent", "tax"),
    [
        (122, 22, 22),
        (0, 22, 0),
        (100, 22, 18),
        (1, 22, 0),
        (3, 22, 1),
        (-122, 22, -22),
        (100, 0, 0),
    ],
)
def test_the_tax_within_a_commission(commission: int, percent: int, tax: int) -> None:
    assert tax_within(commission, percent) == tax


def test_roubles_as_they_are_written() -> None:
    told = [roubles(kopecks).replace("\u00a0", " ") for kopecks in (0, 5, 123_456, -(10**9))]
    assert told == ["0,00", "0,05", "1 234,56", "\u221210 000 000,00"]


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    text = document[0].get_textpage().get_text_range()
    return " ".join(str(text).replace("\u00a0", " ").split())


async def test_an_act_is_one_page_that_says_what_the_position_is() -> None:
    printed = await Press().printed(said(ACT))
    text = text_of(printed)
    for words in (
        "Акт № 42 от 24.11.2026", "21.11.2026 – 24.11.2026", HEAT.name, "№ 12/Т (с 01.02.2026)",
        "1 234 567,89", "−18 518,52", "в том числе НДС 22 % – 3 339,41 руб.", "1 214 390,05",
        "Один миллион двести четырнадцать тысяч триста девяносто рублей 05 копеек",
        "Платёжное поручение № 17 от 25.11.2026", ACT.batch, ACT.root,
    ):  # fmt: skip
        assert words in text, words
    assert await Press().printed(said(ACT)) == printed
    longest = replace(HEAT, name="Щ" * 160)
    waits = replace(POSITION, payable=0, carried_out=121_439_005)
    other = replace(ACT, recipient=longest, contract="Ж" * 160, position=waits, vat_percent=0,
                    first_day=ACT.business_date)  # fmt: skip
    text = text_of(await Press().printed(said(other)))
    assert "НДС не облагается" in text
    assert "Выплата за период не производится" in text
    assert "Период: 24.11.2026 №" in text


async def test_what_cannot_be_printed_is_unavailable_and_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one = Press()
    for bad in (b"", b"no json", b"{}", b'"' + b"x" * 70_000 + b'"'):
        with pytest.raises(Unavailable) as told:
            await one.printed(bad)
        assert told.value.code == "unavailable"
    monkeypatch.setattr(press, "PLACES_MAX", 1)
    busy = asyncio.create_task(one.printed(said(ACT)))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable) as told:
        await one.printed(said(ACT))
    assert told.value.code == "overloaded"
    assert text_of(await busy)
    # A process that does not answer is ended, and the place is free again.
    monkeypatch.setattr(press, "ANSWER_S", 0.5)
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(silent))
    with pytest.raises(Unavailable):
        await one.printed(said(ACT))


def test_what_was_paid_before_a_restore_is_a_row_of_its_own() -> None:
    usual = json.loads(said(ACT))["rows"]
    told = json.loads(said(replace(ACT, paid_before=-50_000)))["rows"]
    assert [row["name"] for row in told if row not in usual][:2] == [
        "Возвращено банком и погашено ранее",
        "Выплачено ранее по данным банка",
    ]
    sums = {row["name"]: row["sum"] for row in told}
    assert sums["Возвращено банком и погашено ранее"] == "623,45"
    assert sums["Выплачено ранее по данным банка"] == "\u2212500,00"
    assert [row["number"] for row in told] == [str(n) for n in range(1, len(usual) + 2)]
