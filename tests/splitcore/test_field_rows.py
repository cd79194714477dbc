"""Rows of a binary COPY: the kernel's beside the reference's."""

import random

import pytest

import splitcore
from splitcore import SplitError
from splitcore.reference_fields import FieldRows as Reference

KINDS = "hiqbt"
BITS = {"h": 15, "i": 31, "q": 63}


def value_of(kind: str, dice: random.Random) -> object:
    """A value that is good for a kind of field, edges and nulls among them."""
    if dice.random() < 0.15:
        return None
    if kind in BITS:
        edge = 1 << BITS[kind]
        return dice.choice((0, -1, edge - 1, -edge, dice.randrange(-edge, edge)))
    content = "".join(dice.choice("a0 \0ёж€😀") for _ in range(dice.choice((0, 1, 7, 300))))
    return content if kind == "t" else content.encode()


@pytest.mark.parametrize("seed", range(100))
def test_rows_are_packed_as_the_reference_packs_them(seed: int) -> None:
    dice = random.Random(seed)
    kinds = "".join(dice.choice(KINDS) for _ in range(dice.randint(1, 25)))
    alike, end = dice.randint(0, 3), dice.randbytes(dice.choice((0, 1, 200)))
    rows = [tuple(value_of(kind, dice) for kind in kinds) for _ in range(dice.randint(0, 40))]
    expected = Reference(kinds, alike).packed(rows, end)
    assert splitcore.FieldRows(kinds, alike).packed(iter(rows), end) == expected


@pytest.mark.parametrize("kind", [splitcore.FieldRows, Reference])
@pytest.mark.parametrize(
    ("letter", "bad"),
    [
        *((letter, 1 << bits) for letter, bits in BITS.items()),
        *((letter, -(1 << bits) - 1) for letter, bits in BITS.items()),
        *((letter, value) for letter in "hiq" for value in (True, 1.0, "1", b"1", 1 << 70)),
        *(("b", value) for value in ("text", 1, bytearray(b"1"))),
        *(("t", value) for value in (b"bytes", 1)),
    ],
)
def test_a_field_of_another_kind_is_refused(
    kind: type[Reference], letter: str, bad: object
) -> None:
    rows = kind("h" + letter, 0)
    with pytest.raises(SplitError, match="malformed"):
        rows.packed([(1, None), (1, bad)], b"")


@pytest.mark.parametrize("kind", [splitcore.FieldRows, Reference])
@pytest.mark.parametrize("row", [(), (1,), (1, 2, 3), [1, 2], None])
def test_a_row_of_another_shape_is_refused(kind: type[Reference], row: tuple[object, ...]) -> None:
    with pytest.raises(SplitError, match="malformed"):
        kind("hh", 0).packed([row], b"")


@pytest.mark.parametrize("kind", [splitcore.FieldRows, Reference])
@pytest.mark.parametrize(
    ("kinds", "alike"), [("", 0), ("x", 0), ("h", -1), (b"h", 0), ("h", True), ("h" * 1601, 0)]
)
def test_no_shape_of_rows_is_refused(kind: type[Reference], kinds: str, alike: int) -> None:
    with pytest.raises(SplitError, match="malformed"):
        kind(kinds, alike)


@pytest.mark.parametrize("kind", [splitcore.FieldRows, Reference])
def test_a_text_that_is_no_unicode_is_an_error(kind: type[Reference]) -> None:
    with pytest.raises(UnicodeEncodeError):
        kind("t", 0).packed([("\ud800",)], b"")


def test_rows_that_were_never_made_pack_nothing() -> None:
    kind = splitcore.FieldRows
    with pytest.raises((TypeError, AttributeError)):
        kind.__new__(kind).packed([()], b"")
