"""Bytes of any kind: rows or a refusal of its own, never another error, in even time."""

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquirer_reports.layout import LayoutMisfit, read_layout
from gateway.acquirer_reports.reader import ReportReader
from gateway.acquirer_reports.text import BLOCK_BYTES
from gateway.domain.refusals import Refusal
from tests.acquirer_reports import files
from tests.acquirer_reports.files import BARNAUL, EXAMPLES, LAYOUTS, WRITERS

CODES = {"malformed", "control_total_mismatch"}
SIGNS = b"\x00\t\n\r ;,.=+-#/0159\"'\\ABT\x7f\x80\x98\xa0\xc0\xe0\xff\xd0\x9f"


def taken(content: bytes, format_name: str, piece: int) -> bool:
    """Whether a file is taken; anything but a refusal with a code of its own is an error."""
    reader = ReportReader(LAYOUTS.of(format_name), BARNAUL)
    numbers = []
    try:
        for at in range(0, len(content), piece):
            numbers += [row.number for row in reader.feed(content[at : at + piece])]
        last, file = reader.finish()
    except Refusal as refusal:
        if refusal.code not in CODES:
            raise
        return False
    numbers += [row.number for row in last]
    assert numbers == list(range(1, file.rows + 1))
    return True


@given(
    content=st.one_of(
        st.binary(max_size=2_000),
        st.lists(st.sampled_from([bytes([sign]) for sign in SIGNS]), max_size=400).map(b"".join),
    ),
    format_name=st.sampled_from(["auto", *WRITERS]),
    piece=st.integers(1, 300),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_arbitrary_bytes(content: bytes, format_name: str, piece: int) -> None:
    taken(content, format_name, piece)


@pytest.mark.hypothesis  # so that `make fuzz` finds it
@pytest.mark.parametrize("format_name", WRITERS)
def test_mutated_files(format_name: str) -> None:
    dice = random.Random(f"mutated {format_name}")
    outcomes = set()
    for _ in range(EXAMPLES):
        told = files.some(dice.randint(1, 4), first=dice.randint(1, 10_000))
        content = bytearray(WRITERS[format_name](told).encode(dice.choice(["cp1251", "utf-8"])))
        for _ in range(dice.randint(1, 4)):
            mutate(content, dice)
        outcomes.add(taken(bytes(content), dice.choice(["auto", format_name]), dice.randint(1, 99)))
    assert outcomes == {True, False}, "some changes are in names, most are not"


def mutate(content: bytearray, dice: random.Random) -> None:
    """One change: a byte changed, put in or taken out, a run moved, the end cut off."""
    at = dice.randrange(len(content) + 1)
    match dice.randrange(6):
        case 0:
            content[at : at + 1] = bytes([dice.randrange(256)])
        case 1:
            content[at:at] = bytes([dice.choice(SIGNS)]) * dice.randint(1, 30)
        case 2:
            del content[at : at + dice.randint(1, 40)]
        case 3:
            content[at:at] = content[dice.randrange(at + 1) : at]
        case 4:
            content[at : at + 1] = bytes([dice.choice(SIGNS)])
        case _:
            del content[max(1, at) :]


def test_no_mutation_changes_the_money_unseen() -> None:
    """One digit of one sum: either the totals tell, or it was no digit of a sum."""
    told = files.some(3)
    content = files.sber12(told).encode("cp1251")
    rows, file = files.read(content)
    for at, byte in enumerate(content):
        if not chr(byte).isdigit():
            continue
        changed = content[:at] + (b"1" if byte != ord("1") else b"2") + content[at + 1 :]
        try:
            other, _ = files.read(changed)
        except Refusal:
            continue
        assert [row.amount for row in other] == [row.amount for row in rows]
    assert file.amount == sum(row.amount for row in told)


DESCRIPTOR = b"""
format = "mybank"
operation_unique = "file"
date_format = "DD.MM.YY"
[columns]
separator = "|"
count = 4
operation = 1
date = 2
account = 3
sum = 4
[footer]
starts = ["END"]
totals = ["other", "count", "sum"]
[header]
lines = 1
"""


@pytest.mark.hypothesis
def test_mutated_descriptors() -> None:
    dice = random.Random("descriptors")
    outcomes = set()
    for _ in range(EXAMPLES):
        content = bytearray(DESCRIPTOR)
        for _ in range(dice.randint(1, 3)):
            mutate(content, dice)
        try:
            read_layout(bytes(content))
            outcomes.add(True)
        except LayoutMisfit:
            outcomes.add(False)
    assert outcomes == {True, False}


# Each is made so that a reader that looks again at what it has seen would take forever.
SLOW: dict[str, Callable[[int], bytes]] = {
    "one line": lambda size: b"x" * size,
    "empty lines": lambda size: b"\n" * size,
    "spaces": lambda size: (b" " * 8_000 + b"\n") * (size // 8_000),
    "separators": lambda size: b";" * size,
    "quotes": lambda size: (b'";' * 4_000 + b"\n") * (size // 8_000),
    "digits": lambda size: b"12-11-2026;09-31-07;1;1;1;2;3;4;5;" + b"9" * size + b",00;1;1\n",
    "dates": lambda size: b"".join(
        b"656000 22 1.00 %02d/%02d/%d\n" % (n % 28 + 1, n % 12 + 1, 2000 + n % 100)
        for n in range(size // 28)
    ),
    "letters": lambda size: ("Ж" * 4_000 + "\n").encode("koi8-r") * (size // 4_000),
}


def cpu_seconds(content: bytes, piece: int) -> float:
    least = 60.0
    for _ in range(3):
        started = time.process_time()
        taken(content, "auto", piece)
        least = min(least, time.process_time() - started)
    return least


@pytest.mark.parametrize("name", SLOW)
def test_time_is_linear_in_length(name: str) -> None:
    small, large = 200_000, 1_600_000
    for piece in (65_536, 1_000):
        first = cpu_seconds(SLOW[name](small), piece)
        second = cpu_seconds(SLOW[name](large), piece)
        # Eight times as much; a quadratic reader takes sixty-four times as long.
        assert second < 30 * max(first, 0.002)


def test_a_line_is_bounded_and_so_is_what_waits() -> None:
    reader = ReportReader(LAYOUTS.of("auto"), BARNAUL)

    def feed_for_ever() -> None:
        for _ in range(BLOCK_BYTES):
            reader.feed(b"xx")

    with pytest.raises(Refusal) as refusal:
        feed_for_ever()
    assert refusal.value.code == "malformed"
