"""Rows of shares as text, out of packed records: one layout of texts around the figures."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import splitcore
from splitcore import AMOUNT_MAX, PARTS_MAX, SplitError, pack, reference_rows
from tests.splitcore.drawn import QUIET, kopecks

LAYOUT = (
    b"<",
    b";",
    b";",
    b";",
    b";",
    b";",
    b";",
    b";",
    b";p>",
    b";r>",
    b";g>",
    b";t>",
    b";w>",
    b";c>",
)
PAYMENT = bytes(range(16))
# 2026-11-12T02:31:07.005+00:00
MOMENT = 847_765_867_005_000


def record(
    place: int,
    shares: list[int],
    commissions: list[int] | None = None,
    moment: int = MOMENT,
    texts: bytes = b"220012345\n2026-10\n",
    kind: int = 0,
) -> bytes:
    return (
        place.to_bytes(4, "big", signed=True)
        + moment.to_bytes(8, "big", signed=True)
        + PAYMENT
        + bytes([kind])
        + texts
        + pack(shares)
        + (b"\0" if commissions is None else pack(commissions))
    )


def rows(made: type[Any] = splitcore.ShareRows) -> Any:
    """Of a recipient with two of three services of plan 7, third of its recipients."""
    made_rows = made(LAYOUT)
    made_rows.add_plan(7, [b"heating", None, b"water"], 3, 2)
    return made_rows


def pieces(told: Any, pages: list[tuple[int, bytes]]) -> list[bytes]:
    told.read(pages)
    return list(iter(lambda: told.next_text(150), b""))


def laid_out(told: Any, pages: list[tuple[int, bytes]]) -> bytes:
    return b"".join(pieces(told, pages))


BACKENDS = pytest.mark.parametrize(
    "made", [splitcore.ShareRows, reference_rows.ShareRows], ids=["door", "law"]
)


@BACKENDS
def test_rows_stand_in_the_order_of_their_places(made: type[Any]) -> None:
    told = rows(made)
    told.add_plan(8, [b"waste"], 1, None)
    pages = [
        (7, record(5, [100, 50, 0], kind=1) + record(1, [6_000, 1, 2_000], [0, 1, 40])),
        (8, record(3, [250], moment=0, texts=b"A/1\n2025-01\n")),
    ]
    payment = PAYMENT.hex().encode()
    assert laid_out(told, pages) == (
        b"<2026-11-12T02:31:07.005000+00:00;220012345;heating;2026-10;6000;30;5970;%b;p>"
        b"<2026-11-12T02:31:07.005000+00:00;220012345;water;2026-10;2000;10;1990;%b;p>"
        b"<2000-01-01T00:00:00+00:00;A/1;waste;2025-01;250;0;250;%b;p>"
        b"<2026-11-12T02:31:07.005000+00:00;220012345;heating;2026-10;-100;0;-100;%b;r>"
        % (payment, payment, payment, payment)
    )
    assert told.totals() == (4, 8_250, 40, 100)
    assert laid_out(told, []) == b""
    assert laid_out(told, [(7, record(0, [0, 9, 0]))]) == b""
    assert told.totals() == (4, 8_250, 40, 100)


@BACKENDS
@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (-1, b"1999-12-31T23:59:59.999999+00:00"),
        (59 * 86_400_000_000, b"2000-02-29T00:00:00+00:00"),
        (60 * 86_400_000_000, b"2000-03-01T00:00:00+00:00"),
        (8_765 * 86_400_000_000 + 1, b"2023-12-31T00:00:00.000001+00:00"),
        (-63_082_281_600_000_000, b"0001-01-01T00:00:00+00:00"),
        (252_455_615_999_999_999, b"9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_moments(made: type[Any], moment: int, text: bytes) -> None:
    laid = laid_out(rows(made), [(7, record(0, [1, 0, 0], moment=moment))])
    assert laid.startswith(b"<" + text + b";")


GOOD = record(0, [1, 2, 3], [0, 0, 2])


@BACKENDS
def test_what_is_taken_back_stands_below_zero_with_its_commission(made: type[Any]) -> None:
    told = rows(made)
    kinds = b"".join(record(n, [100, 0, 50], [0, 0, 30], kind=n) for n in (2, 3, 4, 5))
    laid = laid_out(told, [(7, kinds)]).decode()
    assert [[*row.rsplit(";", 5)[1:4], row[-2:-1]] for row in laid.split("<")[1:]] == [
        *(["100", "20", "80", "g"], ["50", "10", "40", "g"]),
        *(["-100", "-20", "-80", "t"], ["-50", "-10", "-40", "t"]),
        *(["100", "20", "80", "w"], ["50", "10", "40", "w"]),
        *(["-100", "-20", "-80", "c"], ["-50", "-10", "-40", "c"]),
    ]
    assert told.totals() == (8, 300, 0, 300)


@BACKENDS
@pytest.mark.parametrize(
    "pages",
    [
        *([(7, GOOD[:end])] for end in range(1, len(GOOD))),
        [(7, GOOD + b"\0")],
        [(9, GOOD)],
        [(7, bytearray(GOOD))],
        [(7, GOOD[:28] + b"\6" + GOOD[29:])],
        [(7, record(0, [1, 0, 0], moment=252_455_616_000_000_000))],
        [(7, record(0, [1, 0, 0], moment=-63_082_281_600_000_001))],
        [(7, record(0, [1, 0, 3], [0, 0, 5]))],
        [(7, record(0, [0, 9, 0], [0, 0, 1]))],
        [(7, record(0, [1, 0, 3], [0, 0, 1], kind=1))],
        [(7, record(0, [AMOUNT_MAX + 1, 0, 0]))],
        [(7, record(0, [1, 2, 3])[:-1] + b"\x04\xff\xff\xff\xff" + b"\0" * 8)],
        [(7, record(0, [1, 2, 3]).replace(b"\x04\0\0\0\1\0\0\0\2", b"\x04\0\0\0\1\xff\0\0\2"))],
    ],
)
def test_what_is_no_record_is_refused(made: type[Any], pages: Any) -> None:
    with pytest.raises(SplitError, match="malformed"):
        laid_out(rows(made), pages)


@BACKENDS
def test_rows_come_in_pieces_of_whole_records(made: type[Any]) -> None:
    told = rows(made)
    told.read([(7, b"".join(record(place, [1, 0, 2]) for place in (70_000, -5, 3, 2**31 - 1)))])
    two = told.next_text(1)
    assert two.count(b"<") == 2
    assert (told.next_text(0), told.totals()[0]) == (b"", 2)
    assert told.next_text(len(two) + 1) == two * 2
    told.read([(7, record(1, [0, 0, 7]))])
    assert told.next_text(10**9).count(b"<") == 1
    assert told.next_text(1) == b""
    with pytest.raises(SplitError, match="malformed"):
        told.read([(7, record(1, [0, 0, 7]) + b"\1")])
    assert told.next_text(1) == b""
    with pytest.raises(SplitError, match="malformed"):
        told.next_text(1.0)


@BACKENDS
@pytest.mark.parametrize("layout", [LAYOUT[1:], (*LAYOUT, b""), (*LAYOUT[1:], ";"), ()])
def test_a_layout_has_a_text_for_each_figure_and_kind(made: type[Any], layout: Any) -> None:
    with pytest.raises(SplitError, match="malformed"):
        made(layout)


@BACKENDS
@pytest.mark.parametrize(
    "plan",
    [
        *((1, [], 1, 0), (1, [b"x"] * (PARTS_MAX + 1), 1, 0), (1, ["x"], 1, 0)),
        *((1, [b"x"], 0, None), (1, [b"x"], 2, 2), (1, [b"x"], 2, -1), (1.0, [b"x"], 1, 0)),
        *((1, [b"x"], PARTS_MAX + 1, 0), (1, [b"x"], 1.0, 0), (1, [b"x"], 1, 0.0)),
    ],
)
def test_a_plan_keeps_its_limits(made: type[Any], plan: Any) -> None:
    with pytest.raises(SplitError, match="malformed"):
        made(LAYOUT).add_plan(*plan)


@BACKENDS
def test_many_long_rows_are_laid_out_and_added_up_whole(made: type[Any]) -> None:
    told = made(LAYOUT)
    told.add_plan(1, [b"s" * 500] * 300, 1, 0)
    shares = [AMOUNT_MAX] * 300
    laid = laid_out(told, [(1, b"".join(record(n, shares, [0]) for n in range(1_000)))])
    assert laid.count(b"s" * 500) == 300_000
    assert told.totals() == (300_000, 300_000 * AMOUNT_MAX, 0, 0)


@st.composite
def drawn_pages(draw: st.DrawFn) -> tuple[list[tuple[Any, ...]], list[tuple[int, bytes]]]:
    """Plans, and pages of records of them that nothing is wrong with."""
    plans: list[tuple[Any, ...]] = []
    pages = []
    texts = st.sampled_from([None, b"", b"heating", b"\xd1\x85;\n"])
    places = iter(draw(st.permutations(range(24))))
    for number in range(draw(st.integers(1, 3))):
        services = draw(st.lists(texts, min_size=1, max_size=6))
        recipients = draw(st.integers(1, 4))
        at = draw(st.one_of(st.none(), st.integers(0, recipients - 1)))
        plans.append((number, services, recipients, at))
        page = b""
        for _ in range(draw(st.integers(0, 6))):
            shares = [draw(st.one_of(st.just(0), kopecks())) for _ in services]
            mine = sum(s for s, text in zip(shares, services, strict=True) if text is not None)
            kind = draw(st.integers(0, 5))
            commissions = None
            if kind != 1 and draw(st.booleans()):
                commissions = [
                    draw(kopecks(0, min(mine, AMOUNT_MAX) if place == at else AMOUNT_MAX))
                    for place in range(recipients)
                ]
            moment = draw(st.integers(-(10**15), 10**16))
            page += record(next(places), shares, commissions, moment, kind=kind)
        pages.append((number, page))
    return plans, pages


@QUIET
@given(drawn_pages())
def test_the_door_lays_out_as_the_law_does(
    drawn: tuple[list[tuple[Any, ...]], list[tuple[int, bytes]]],
) -> None:
    plans, pages = drawn
    laid = []
    for made in (splitcore.ShareRows, reference_rows.ShareRows):
        told: Any = made(LAYOUT)
        for plan in plans:
            told.add_plan(*plan)
        laid.append((pieces(told, pages), told.totals()))
    assert laid[0] == laid[1]
