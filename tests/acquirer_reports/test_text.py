"""Encodings, line ends, decimal marks, pieces: whatever they are, the rows are the same."""

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.acquirer_reports.text import LINE_BYTES_MAX, encoding_of
from tests.acquirer_reports import files
from tests.acquirer_reports.files import EXAMPLES, WRITERS, Told, expected, read, refused

ENCODINGS = ("cp1251", "cp866", "koi8-r", "utf-8", "utf-8-sig")
NAMES = ("Иванов Иван Иванович", "ПЕТРОВА АННА", "сидоров п. п.", "Ёлкина Ирина", "Ли")


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [",", "."])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("format_name", WRITERS)
def test_the_rows_are_the_same(format_name: str, encoding: str, mark: str, ends: str) -> None:
    told = files.some(25)
    text = WRITERS[format_name](told, mark).replace("\n", ends)
    wanted = expected(told, format_name)
    for chosen in ("auto", format_name):
        rows, file = read(text.encode(encoding), chosen, piece=97)
        assert rows == wanted
        assert file.format == format_name
    assert read(text.rstrip().encode(encoding))[0] == wanted, "the last line may have no end"


def test_the_digest_is_of_the_text_not_of_its_bytes() -> None:
    text = files.sber12(files.some(5))
    digests = {
        read(written.encode(encoding), piece=piece)[1].digest
        for encoding in ENCODINGS
        for written in (text, text.replace("\n", "\r\n"), text + "\n\n", text.rstrip())
        for piece in (1, 7, 4096, 65_536)
    }
    assert len(digests) == 1
    assert read(files.sber12(files.some(6)).encode())[1].digest not in digests


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("encoding", ["cp1251", "cp866", "koi8-r", "utf-8"])
def test_letters_tell_the_encoding(name: str, encoding: str) -> None:
    assert encoding_of(f"8644;{name};ул. Ленина\n".encode(encoding)) == encoding


def test_a_number_with_letters_is_the_same_in_every_encoding() -> None:
    told = [Told("А-17/Б", "22", 100)]
    for encoding in ENCODINGS:
        rows, _ = read(files.sber12(told).encode(encoding))
        assert rows[0].operation == "А-17/Б"


@pytest.mark.parametrize(
    "content",
    [
        files.sber12([Told("1", "22", 100)]).encode("utf-16"),
        files.sber12([Told("1", "22", 100)]).encode() + "д".encode()[:1] + b"\n",
        b"\xef\xbb\xbf" + files.sber12([Told("1", "22", 100)]).encode("cp1251"),
        b"x" * (LINE_BYTES_MAX + 1),
        b"\x00" * 100,
    ],
)
def test_text_of_no_encoding_is_refused(content: bytes) -> None:
    assert refused(content) == "malformed"


def test_an_odd_byte_in_a_name_keeps_no_money_back() -> None:
    content = (
        files.sber12([Told("1", "22", 100)]).encode("cp1251").replace(b"\xe2\xe0", b"\x98\xe0")
    )
    assert len(read(content)[0]) == 1
    odd_number = files.sber12([Told("1Ж", "22", 100)]).encode("cp1251").replace(b"\xc6", b"\x98")
    assert refused(odd_number) == "malformed"


FIRST = int(datetime(2000, 1, 2, tzinfo=UTC).timestamp())
LAST = int(datetime(2099, 12, 30, tzinfo=UTC).timestamp())
told_rows = st.lists(
    st.builds(
        Told,
        operation=st.text("0123456789ABC-/", min_size=1, max_size=20),
        account=st.text("0123456789ABCabc-._/", min_size=1, max_size=30),
        amount=st.one_of(st.integers(101, 10**6), st.integers(10**12, 10**13)),
        fee=st.integers(0, 100),
        at=st.integers(FIRST, LAST).map(
            lambda second: f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S}"
        ),
        name=st.sampled_from(NAMES),
    ),
    min_size=1,
    max_size=8,
)


@given(
    told=told_rows,
    format_name=st.sampled_from(sorted(WRITERS)),
    encoding=st.sampled_from(ENCODINGS),
    mark=st.sampled_from([",", "."]),
    piece=st.integers(1, 500),
    early=st.booleans(),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_was_written_is_read(
    told: list[Told], format_name: str, encoding: str, mark: str, piece: int, early: bool
) -> None:
    if format_name == "sber15":
        text = files.sber15(told, mark, early=early)
    else:
        text = WRITERS[format_name](told, mark)
    rows, file = read(text.encode(encoding), format_name, piece)
    assert rows == expected(told, format_name)
    assert file.amount == sum(row.amount for row in told)


def test_days_whose_clocks_were_changed() -> None:
    """Before 2011 clocks went back an hour on the last Sunday of October."""
    told = [Told("1", "22", 100, at=f"2003-10-26 {hour:02}:30:00") for hour in (0, 1, 4, 23)]
    told.append(Told("2", "22", 100, at="2010-03-28 10:00:00"))
    assert read(files.sber12(told).encode())[0] == expected(told, "sber12")
    hours = [(row.paid_at or 0) // 3600 for row in expected(told, "sber12")]
    assert (hours[2] - hours[1], hours[3] - hours[0]) == (4, 24)


def test_pieces_cost_the_same_however_small() -> None:
    content = files.sber12(files.some(40)).encode("cp1251")
    dice = random.Random(5)
    for _ in range(20):
        assert read(content, piece=dice.randint(1, 300)) == read(content)
